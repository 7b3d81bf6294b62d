//! Reading the files of `tests/conformance/`.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use projection_core::npy::NpyArray;

pub const TOLERANCE: f64 = 1e-5;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

pub fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

pub fn matrix_f32(path: &Path) -> Array2<f32> {
    let array = NpyArray::load(path).unwrap();
    Array2::from_shape_vec(array.matrix_shape(), array.to_f32().unwrap()).unwrap()
}

pub fn matrix_f64(path: &Path) -> Array2<f64> {
    let array = NpyArray::load(path).unwrap();
    Array2::from_shape_vec(array.matrix_shape(), array.to_f64()).unwrap()
}

pub fn id_rows(path: &Path) -> Vec<Vec<i64>> {
    lines(path)
        .iter()
        .map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect())
        .collect()
}
