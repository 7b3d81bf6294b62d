//! Multi-head projections as tensors.

use crate::error::Result;
use crate::kernel::{MAX_INT8_DIM, Plain, QuantizedParts, QuantizedRows, Rows};
use crate::parameters::ModelParameters;
use crate::projection::{HeadRows, MultiHeadParts, MultiHeadProjection};
use crate::projection::{index_tensors, read_index};
use crate::tensors::{Dtype, Element, NewTensor, TensorFile};

const IDS: &str = "head_ids";
const CENTROIDS: &str = "centroids";
const CENTROID_SCALES: &str = "centroid_scales";
const ANSWERS: &str = "answers";
const ANSWER_SCALES: &str = "answer_scales";
const MATRICES: &str = "matrices";
const MATRIX_HEADS: &str = "matrix_heads";

pub fn parameters(heads: &MultiHeadProjection) -> ModelParameters {
    ModelParameters::MultiHead { temperature: heads.temperature(), top_k: heads.top_k() }
}

pub fn tensors<'a>(model: &'a MultiHeadProjection) -> Vec<NewTensor<'a>> {
    let MultiHeadParts { cluster_ids, centroids, exact_centroids, answers, matrices } =
        model.parts();
    let (n, dim, out) = (cluster_ids.len(), centroids.dim(), answers.dim());
    // What queries need comes first, small tensors last: so all large ones begin at multiples
    // of 64 where the dimension is one of 16, or of 64 where they are of bytes.
    let mut small = Vec::new();
    let mut tensor = |name: &'static str, scales_name: &'static str, rows: &'a HeadRows| {
        let shape = [n, rows.dim()];
        match rows {
            HeadRows::F32(rows) => NewTensor::new(name, &shape, rows),
            HeadRows::Quantized(rows) => match rows.parts() {
                QuantizedParts::Bf16(rows) => NewTensor::of_parts(name, &shape, rows),
                QuantizedParts::Int8(rows, scales) => {
                    small.push(NewTensor::new(scales_name, &[n], scales));
                    NewTensor::of_parts(name, &shape, rows)
                }
            },
        }
    };
    let mut tensors = vec![
        match exact_centroids {
            Some(exact) => NewTensor::new(CENTROIDS, &[n, dim], exact),
            None => tensor(CENTROIDS, CENTROID_SCALES, centroids),
        },
        tensor(ANSWERS, ANSWER_SCALES, answers),
    ];
    if !matrices.is_empty() {
        let values = matrices.iter().map(|(_, rows)| &rows[..]);
        tensors.push(NewTensor::of_parts(MATRICES, &[matrices.len(), out, dim], values));
    }
    tensors.extend(small);
    tensors.push(NewTensor::vector(IDS, &cluster_ids[..]));
    tensors.extend(index_tensors(model.index()));
    if !matrices.is_empty() {
        let numbers: Vec<i64> = matrices.iter().map(|(head, _)| *head as i64).collect();
        tensors.push(NewTensor::vector(MATRIX_HEADS, numbers));
    }
    tensors
}

pub fn read(
    file: &TensorFile<'_>,
    temperature: f64,
    top_k: Option<usize>,
) -> Result<MultiHeadProjection> {
    let cluster_ids = file.vector::<i64>(IDS, None)?;
    let n = cluster_ids.len();
    let mut exact_centroids = None;
    let single = |name: &str| rows(file, name, n).map(HeadRows::F32);
    let bf16 = |name: &str| {
        rows(file, name, n).map(|rows| HeadRows::Quantized(QuantizedRows::from_bf16(rows)))
    };
    let int8 = |name: &str, scales: &str| bytes(file, name, scales, n).map(HeadRows::Quantized);
    let (centroids, answers) = match file.info(CENTROIDS)?.dtype {
        Dtype::F32 => (single(CENTROIDS)?, single(ANSWERS)?),
        Dtype::F64 => {
            let exact = exact_centroids.insert(rows(file, CENTROIDS, n)?);
            (HeadRows::rounded(exact), single(ANSWERS)?)
        }
        Dtype::BF16 => (bf16(CENTROIDS)?, bf16(ANSWERS)?),
        Dtype::I8 => (int8(CENTROIDS, CENTROID_SCALES)?, int8(ANSWERS, ANSWER_SCALES)?),
        other => {
            return Err(file.invalid(format_args!(
                "tensor '{CENTROIDS}': dtype {other}, expected F32, F64, BF16 or I8"
            )));
        }
    };
    let (dim, out) = (centroids.dim(), answers.dim());
    let matrices = matrices(file, n, out, dim)?;
    let index = read_index(file, n, dim)?;
    let parts = MultiHeadParts { cluster_ids, centroids, exact_centroids, answers, matrices };
    MultiHeadProjection::from_parts(parts, index, temperature, Some(file.name()))?.with_top_k(top_k)
}

/// A vector for each of `n` heads.
fn rows<T: Element + Plain>(file: &TensorFile<'_>, name: &str, n: usize) -> Result<Rows<T>> {
    let dim = file.shape::<T>(name, 2)?[1];
    file.rows(name, &[n, dim])
}

/// The same in bytes, with a scale for each.
fn bytes(file: &TensorFile<'_>, name: &str, scales: &str, n: usize) -> Result<QuantizedRows> {
    let bytes = rows::<i8>(file, name, n)?;
    if bytes.width() > MAX_INT8_DIM {
        return Err(file.invalid(format_args!(
            "tensor '{name}': rows of {} bytes, expected at most {MAX_INT8_DIM}",
            bytes.width()
        )));
    }
    Ok(QuantizedRows::from_int8(bytes, file.rows(scales, &[n])?))
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
    let numbers = file.vector::<i64>(MATRIX_HEADS, None)?;
    let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = numbers.iter().all(|n| usize::try_from(*n).is_ok_and(|n| n < heads));
    if !ascending || !inside {
        return Err(file.invalid(format_args!(
            "tensor '{MATRIX_HEADS}': expected ascending numbers below {heads}, the number of \
             heads"
        )));
    }
    let matrices = file.blocks(MATRICES, [numbers.len(), out, dim])?;
    Ok(numbers.iter().map(|head| *head as usize).zip(matrices).collect())
}
