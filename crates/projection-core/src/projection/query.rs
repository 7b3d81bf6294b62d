//! Checks that every model kind makes on queries and buffers.

use std::borrow::Cow;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Projection;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::kernel::Scratch;

/// Checks a query and gives its norm, which is finite and above zero.
pub fn checked_norm(query: &[f32], dim: usize) -> Result<f64> {
    if query.len() != dim {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("query of dimension {}, expected {dim}", query.len()),
        ));
    }
    let norm = kernel::norm(query);
    if norm > 0.0 && norm.is_finite() {
        return Ok(norm);
    }
    Err(match query.iter().position(|value| !value.is_finite()) {
        Some(at) => Error::new(
            ErrorKind::NotFinite,
            format!("query with the value {} at index {at}, expected finite numbers", query[at]),
        ),
        None => Error::new(ErrorKind::ZeroVector, "query with all values zero has no direction"),
    })
}

/// Norms whose squares single precision adds up without losing any.
const USUAL_NORMS: std::ops::Range<f64> = 1e-12..1e12;

/// [`checked_norm`] to single precision where that is enough, which is sooner known.
pub fn checked_norm_in_single(query: &[f32], dim: usize) -> Result<f64> {
    if query.len() == dim {
        let norm = kernel::norm_f32(query);
        if USUAL_NORMS.contains(&norm) {
            return Ok(norm);
        }
    }
    checked_norm(query, dim)
}

/// Checks the length of a caller's buffer.
pub fn check_buffer(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BufferSize,
        format!("buffer for {what} holds {found} values, expected {expected}"),
    ))
}

/// Checks the shape of a caller's batch buffer.
fn check_batch_buffer(what: &str, found: [usize; 2], expected: [usize; 2]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BufferSize,
        format!("buffer for {what} has shape {found:?}, expected {expected:?}"),
    ))
}

/// Rows one after another: in place where they lie so, otherwise copied.
pub fn row_major(array: ArrayView2<'_, f32>) -> Cow<'_, [f32]> {
    if let Some(values) = array.to_slice() {
        return Cow::Borrowed(values);
    }
    let (rows, columns) = array.dim();
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        values.extend((0..columns).map(|column| array[[row, column]]));
    }
    Cow::Owned(values)
}

/// Checks the queries of a batch and gives them row-major with their norms, which `norm`
/// gives: [`checked_norm`] or [`checked_norm_in_single`].
pub fn checked_rows(
    queries: ArrayView2<'_, f32>,
    dim: usize,
    norm: fn(&[f32], usize) -> Result<f64>,
) -> Result<(Cow<'_, [f32]>, Scratch<f64>)> {
    if queries.ncols() != dim {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("queries of dimension {}, expected {dim}", queries.ncols()),
        ));
    }
    let values = row_major(queries);
    let mut norms = Scratch::new();
    norms.reserve(queries.nrows());
    for (row, query) in values.chunks_exact(dim).enumerate() {
        norms.push(norm(query, dim).map_err(|error| error.context(format!("row {row}")))?);
    }
    Ok((values, norms))
}

/// Puts row-major results into a caller's buffer of their shape, however that lies.
pub fn put_rows(results: &[f32], into: &mut ArrayViewMut2<'_, f32>) {
    if let Some(values) = into.as_slice_mut() {
        values.copy_from_slice(results);
        return;
    }
    let (rows, columns) = into.dim();
    for row in 0..rows {
        for column in 0..columns {
            into[[row, column]] = results[row * columns + column];
        }
    }
}

/// Checks the shapes of a batch's buffers.
pub fn check_batch_buffers(
    model: &(impl Projection + ?Sized),
    rows: usize,
    projected: &ArrayViewMut2<'_, f32>,
    weights: Option<&ArrayViewMut2<'_, f32>>,
) -> Result<()> {
    check_batch_buffer("projected queries", projected.dim().into(), [rows, model.output_dim()])?;
    match weights {
        Some(weights) => {
            let expected = [rows, model.head_ids().len()];
            check_batch_buffer("routing weights", weights.dim().into(), expected)
        }
        None => Ok(()),
    }
}

/// [`Projection::project_into`] of a model without heads, of which `run` makes the result.
/// `weights_name` is what a query can be too large for.
pub fn project_unrouted(
    model: &impl Projection,
    weights_name: &str,
    query: &[f32],
    projected: &mut [f32],
    weights: Option<&mut [f32]>,
    run: impl FnOnce(&[f32], &mut [f32]),
) -> Result<()> {
    check_buffer("the projected query", projected.len(), model.output_dim())?;
    if let Some(weights) = &weights {
        check_buffer("routing weights", weights.len(), 0)?;
    }
    checked_norm(query, model.input_dim())?;
    let mut result = Scratch::filled(model.output_dim(), 0.0);
    run(query, &mut result);
    check_result(&result, weights_name)?;
    projected.copy_from_slice(&result);
    Ok(())
}

/// [`Projection::project_batch_into`] of a model without heads; `run` takes and gives
/// row-major rows.
pub fn project_batch_unrouted(
    model: &impl Projection,
    weights_name: &str,
    queries: ArrayView2<'_, f32>,
    mut projected: ArrayViewMut2<'_, f32>,
    weights: Option<ArrayViewMut2<'_, f32>>,
    run: impl FnOnce(&[f32], &mut [f32]),
) -> Result<()> {
    let (queries, norms) = checked_rows(queries, model.input_dim(), checked_norm)?;
    check_batch_buffers(model, norms.len(), &projected, weights.as_ref())?;
    let mut results = vec![0.0; norms.len() * model.output_dim()];
    run(&queries, &mut results);
    for (row, result) in results.chunks(model.output_dim()).enumerate() {
        check_result(result, weights_name).map_err(|error| error.context(format!("row {row}")))?;
    }
    put_rows(&results, &mut projected);
    Ok(())
}

/// Refuses a result that is too large for single precision.
fn check_result(projected: &[f32], weights_name: &str) -> Result<()> {
    if projected.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFinite,
        format!("projected query overflows: the query is too large for {weights_name}"),
    ))
}

/// Projects row-major queries one by one into rows, of a model with heads.
pub fn project_rows(
    model: &impl Projection,
    queries: &[f32],
    projected: &mut [f32],
    weights: &mut [f32],
) -> Result<()> {
    let rows = queries.chunks_exact(model.input_dim());
    let rows = rows.zip(projected.chunks_exact_mut(model.output_dim()));
    let rows = rows.zip(weights.chunks_exact_mut(model.head_ids().len()));
    for (row, ((query, projected), weights)) in rows.enumerate() {
        model
            .project_into(query, projected, Some(weights))
            .map_err(|error| error.context(format!("row {row}")))?;
    }
    Ok(())
}
