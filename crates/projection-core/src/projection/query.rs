//! Queries and buffers: the checks that every model kind makes, and batches.

use std::borrow::Cow;
use std::sync::Mutex;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Projection;
use super::compute::{Compute, Queries, Results, RowError};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::parallel::{BLOCK_ROWS, Poll, parallel_until};
use crate::kernel::{self, Scratch};

/// Products of queries with a model's vectors that take a fraction of a second.
const SCORES: usize = 1 << 24;

/// Norms whose squares single precision can sum without losing digits.
pub const SINGLE_NORMS: std::ops::Range<f64> = 1e-12..1e12;

/// Checks a query and returns its norm, which is finite and above zero.
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

/// [`checked_norm`] in single precision if that is enough, which takes less time.
pub fn checked_norm_in_single(query: &[f32], dim: usize) -> Result<f64> {
    if query.len() == dim {
        let norm = kernel::norm_f32(query);
        if SINGLE_NORMS.contains(&norm) {
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
fn check_batch_buffer(what: &str, found: (usize, usize), expected: (usize, usize)) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BufferSize,
        format!("buffer for {what} has shape {found:?}, expected {expected:?}"),
    ))
}

/// The rows of an array one after another: borrowed if they lie so, otherwise copied.
pub(crate) fn row_major(array: ArrayView2<'_, f32>) -> Cow<'_, [f32]> {
    match array.to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

/// Copies row-major values into an array of any layout.
fn copy_rows(values: &[f32], array: &mut ArrayViewMut2<'_, f32>) {
    array.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
}

/// [`Projection::project_batch_on`] for any kind.
pub fn project_batch(
    model: &(impl Projection + ?Sized),
    threads: usize,
    queries: ArrayView2<'_, f32>,
    mut projected: ArrayViewMut2<'_, f32>,
    mut weights: Option<ArrayViewMut2<'_, f32>>,
    poll: &mut Poll<'_>,
) -> Result<()> {
    let (n, dim) = queries.dim();
    if dim != model.input_dim() {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("queries of dimension {dim}, expected {}", model.input_dim()),
        ));
    }
    let (queries, compute) = (row_major(queries), model.compute());
    let mut norms = Scratch::new();
    for (row, query) in queries.chunks_exact(dim).enumerate() {
        norms.push(compute.checked_norm(query).map_err(|error| in_row((row, error)))?);
    }
    let (width, heads) = (model.output_dim(), model.head_ids().len());
    check_batch_buffer("projected queries", projected.dim(), (n, width))?;
    if let Some(weights) = &weights {
        check_batch_buffer("routing weights", weights.dim(), (n, heads))?;
    }
    compute.validate()?;
    let queries = Queries { values: &queries, norms: &norms };
    let vectors = model.as_residual().map_or(heads, |residual| residual.parts().questions.len());
    let rows = n.div_ceil(threads.max(1)).min((SCORES / vectors.max(1)).clamp(16, BLOCK_ROWS));
    let row_major = projected.is_standard_layout()
        && weights.as_ref().is_none_or(|weights| weights.is_standard_layout());
    if let (true, false, Some(projected)) =
        (row_major, compute.may_overflow(), projected.as_slice_mut())
    {
        let weights = weights.as_mut().and_then(|weights| weights.as_slice_mut());
        return project_chunks(compute, threads, rows, queries, (projected, weights), poll);
    }
    // The last query may overflow, and nothing may have been written then.
    let mut results = vec![0.0; n * width];
    let mut routed = weights.as_ref().map(|_| vec![0.0; n * heads]);
    let buffers = (&mut results[..], routed.as_deref_mut());
    project_chunks(compute, threads, rows, queries, buffers, poll)?;
    copy_rows(&results, &mut projected);
    if let (Some(weights), Some(routed)) = (&mut weights, routed) {
        copy_rows(&routed, weights);
    }
    Ok(())
}

/// Projects `rows` queries at a time, so that threads share them and `poll` is called often.
fn project_chunks(
    model: &dyn Compute,
    threads: usize,
    rows: usize,
    queries: Queries<'_>,
    (projected, weights): (&mut [f32], Option<&mut [f32]>),
    poll: &mut Poll<'_>,
) -> Result<()> {
    let count = queries.norms.len();
    if rows >= count {
        poll()?;
        let results = Results { projected, weights };
        return if count == 0 {
            Ok(())
        } else {
            model.project_rows(queries, results).map_err(in_row)
        };
    }
    let width = |values: usize| (rows * (values / count)).max(1);
    let mut weights = weights.map(|weights| weights.chunks_mut(width(weights.len())));
    let chunks = projected.chunks_mut(width(projected.len()));
    let chunks: Vec<_> = chunks
        .map(|projected| (projected, weights.as_mut().map(|all| all.next().unwrap_or_default())))
        .collect();
    let failed: Mutex<Option<RowError>> = Mutex::new(None);
    parallel_until(threads, chunks.into_iter().enumerate(), poll, |(number, chunk), _| {
        let (projected, weights) = chunk;
        let first = number * rows;
        let queries = queries.rows(first..(first + rows).min(count));
        if let Err((row, error)) = model.project_rows(queries, Results { projected, weights }) {
            let mut failed = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if failed.as_ref().is_none_or(|(other, _)| first + row < *other) {
                *failed = Some((first + row, error));
            }
        }
    })?;
    let failed = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    failed.map_or(Ok(()), |failed| Err(in_row(failed)))
}

fn in_row((row, error): RowError) -> Error {
    error.context(format!("row {row}"))
}

/// Refuses projected queries with values that are not finite. `parameters` names what the query is
/// too large for.
pub fn check_projected(projected: &[f32], parameters: &str) -> Result<()> {
    // No early exit, so that the values are checked many at a time.
    if projected.iter().fold(true, |finite, value| finite & value.is_finite()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFinite,
        format!("projected query overflows: the query is too large for {parameters}"),
    ))
}

/// [`check_projected`] for each row.
pub fn check_projected_rows(rows: &[f32], width: usize, parameters: &str) -> Result<(), RowError> {
    let mut rows = rows.chunks(width).enumerate();
    rows.try_for_each(|(row, values)| {
        check_projected(values, parameters).map_err(|error| (row, error))
    })
}
