//! Multi-head projections as tensors.

use crate::error::Result;
use crate::kernel::Rows;
use crate::parameters::ModelParameters;
use crate::projection::{MultiHeadProjection, StoredHeads};
use crate::tensors::{NewTensor, TensorFile, Values};

const IDS: &str = "head_ids";
const CENTROIDS: &str = "centroids";
const TAILS: &str = "centroid_tails";
const ANSWERS: &str = "answers";
const MATRICES: &str = "matrices";
const MATRIX_HEADS: &str = "matrix_heads";

pub(super) fn parameters(heads: &MultiHeadProjection) -> ModelParameters {
    ModelParameters::MultiHead { temperature: heads.temperature(), top_k: heads.top_k() }
}

pub(super) fn tensors(heads: &StoredHeads) -> Vec<NewTensor<'_>> {
    let (n, dim, out) = (heads.ids.len(), heads.centroids.width(), heads.answers.width());
    // What queries need comes first, small tensors last: so all large ones begin at multiples
    // of 64 where the dimension is one of 16.
    let mut tensors = vec![
        NewTensor::singles(CENTROIDS, &[n, dim], &heads.centroids),
        NewTensor::singles(ANSWERS, &[n, out], &heads.answers),
    ];
    if !heads.matrices.is_empty() {
        tensors.push(NewTensor {
            name: MATRICES.into(),
            shape: vec![heads.matrices.len(), out, dim],
            values: Values::Singles(heads.matrices.iter().map(|(_, rows)| &rows[..]).collect()),
        });
    }
    if heads.centroid_tails.iter().any(|value| *value != 0.0) {
        tensors.push(NewTensor::singles(TAILS, &[n, dim], &heads.centroid_tails));
    }
    tensors.push(NewTensor::integers(IDS, &heads.ids));
    if !heads.matrices.is_empty() {
        let numbers: Vec<i64> = heads.matrices.iter().map(|(head, _)| *head as i64).collect();
        tensors.push(NewTensor::integers(MATRIX_HEADS, numbers));
    }
    tensors
}

pub(super) fn read(
    file: &TensorFile<'_>,
    temperature: f64,
    top_k: Option<usize>,
) -> Result<MultiHeadProjection> {
    let ids = file.integers(IDS, None)?;
    let n = ids.len();
    let dim = file.shape(CENTROIDS, 2)?[1];
    let out = file.shape(ANSWERS, 2)?[1];
    let centroids = file.rows(CENTROIDS, &[n, dim])?;
    let centroid_tails = match file.has(TAILS) {
        true => file.rows(TAILS, &[n, dim])?,
        false => Rows::from_values(dim, &vec![0.0; n * dim]),
    };
    let stored = StoredHeads {
        answers: file.rows(ANSWERS, &[n, out])?,
        matrices: matrices(file, n, out, dim)?,
        ids,
        centroids,
        centroid_tails,
    };
    MultiHeadProjection::from_stored(stored, temperature, file.name())?.with_top_k(top_k)
}

fn matrices(
    file: &TensorFile<'_>,
    heads: usize,
    out: usize,
    dim: usize,
) -> Result<Vec<(usize, Rows)>> {
    if !file.has(MATRICES) && !file.has(MATRIX_HEADS) {
        return Ok(Vec::new());
    }
    let numbers = file.integers(MATRIX_HEADS, None)?;
    let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = numbers.iter().all(|n| usize::try_from(*n).is_ok_and(|n| n < heads));
    if !ascending || !inside {
        return Err(file.invalid(format!(
            "tensor '{MATRIX_HEADS}': expected ascending numbers below {heads}, the number of \
             heads"
        )));
    }
    let matrices = file.blocks(MATRICES, [numbers.len(), out, dim])?;
    Ok(numbers.iter().map(|head| *head as usize).zip(matrices).collect())
}
