//! Multi-head projections as tensors.

use crate::error::Result;
use crate::kernel::{MAX_INT8_DIM, Plain, QuantizedParts, QuantizedRows, Rows, Tails};
use crate::parameters::ModelParameters;
use crate::projection::list_tensors as lists;
use crate::projection::{HeadVectors, MultiHeadProjection, StoredHeads};
use crate::tensors::{Dtype, Element, NewTensor, TensorFile};

const IDS: &str = "head_ids";
const CENTROIDS: &str = "centroids";
const TAILS: &str = "centroid_tails";
const CENTROID_SCALES: &str = "centroid_scales";
const ANSWERS: &str = "answers";
const ANSWER_SCALES: &str = "answer_scales";
const MATRICES: &str = "matrices";
const MATRIX_HEADS: &str = "matrix_heads";

pub fn parameters(heads: &MultiHeadProjection) -> ModelParameters {
    ModelParameters::MultiHead { temperature: heads.temperature(), top_k: heads.top_k() }
}

pub fn tensors(heads: &StoredHeads) -> Vec<NewTensor<'_>> {
    let n = heads.ids.len();
    let (dim, out) = heads.vectors.dims();
    // What queries need comes first, small tensors last: so all large ones begin at multiples
    // of 64 where the dimension is one of 16, or of 64 where they are of bytes.
    let mut small = Vec::new();
    let mut tensors = match &heads.vectors {
        HeadVectors::Single { centroids, centroid_tails, answers } => {
            if let Some(steps) = centroid_tails.steps() {
                small.push(NewTensor::new(TAILS, &[n, dim.div_ceil(2)], steps));
            }
            vec![
                NewTensor::new(CENTROIDS, &[n, dim], centroids),
                NewTensor::new(ANSWERS, &[n, out], answers),
            ]
        }
        HeadVectors::Compact { centroids, answers } => {
            let mut compact = |name: &'static str, scales_name: &'static str, rows| {
                let rows: &QuantizedRows = rows;
                let shape = [n, rows.dim()];
                match rows.parts() {
                    QuantizedParts::Bf16(rows) => NewTensor::of_parts(name, &shape, rows),
                    QuantizedParts::Int8(rows, scales) => {
                        small.push(NewTensor::new(scales_name, &[n], scales));
                        NewTensor::of_parts(name, &shape, rows)
                    }
                }
            };
            vec![
                compact(CENTROIDS, CENTROID_SCALES, centroids),
                compact(ANSWERS, ANSWER_SCALES, answers),
            ]
        }
    };
    if !heads.matrices.is_empty() {
        let matrices = heads.matrices.iter().map(|(_, rows)| &rows[..]);
        tensors.push(NewTensor::of_parts(MATRICES, &[heads.matrices.len(), out, dim], matrices));
    }
    tensors.extend(small);
    tensors.push(NewTensor::vector(IDS, &heads.ids[..]));
    tensors.extend(lists::tensors(heads.lists.as_ref()));
    if !heads.matrices.is_empty() {
        let numbers: Vec<i64> = heads.matrices.iter().map(|(head, _)| *head as i64).collect();
        tensors.push(NewTensor::vector(MATRIX_HEADS, numbers));
    }
    tensors
}

pub fn read(
    file: &TensorFile<'_>,
    temperature: f64,
    top_k: Option<usize>,
) -> Result<MultiHeadProjection> {
    let ids = file.vector::<i64>(IDS, None)?;
    let n = ids.len();
    let vectors = match file.info(CENTROIDS)?.dtype {
        Dtype::F32 => single(file, n)?,
        Dtype::BF16 => HeadVectors::Compact {
            centroids: QuantizedRows::from_bf16(rows(file, CENTROIDS, n)?),
            answers: QuantizedRows::from_bf16(rows(file, ANSWERS, n)?),
        },
        Dtype::I8 => HeadVectors::Compact {
            centroids: bytes(file, CENTROIDS, CENTROID_SCALES, n)?,
            answers: bytes(file, ANSWERS, ANSWER_SCALES, n)?,
        },
        other => {
            return Err(file.invalid(format_args!(
                "tensor '{CENTROIDS}': dtype {other}, expected F32, BF16 or I8"
            )));
        }
    };
    let (dim, out) = vectors.dims();
    let stored = StoredHeads {
        matrices: matrices(file, n, out, dim)?,
        lists: lists::read(file, n, dim)?,
        ids,
        vectors,
    };
    MultiHeadProjection::from_stored(stored, temperature, file.name())?.with_top_k(top_k)
}

fn single(file: &TensorFile<'_>, n: usize) -> Result<HeadVectors> {
    let centroids = rows(file, CENTROIDS, n)?;
    let dim = centroids.width();
    let centroid_tails = match file.has(TAILS) {
        true => Tails::from_steps(file.rows(TAILS, &[n, dim.div_ceil(2)])?),
        false => Tails::none(),
    };
    Ok(HeadVectors::Single { centroids, centroid_tails, answers: rows(file, ANSWERS, n)? })
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
