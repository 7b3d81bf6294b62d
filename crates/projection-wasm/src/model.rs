//! Models.

use std::slice;

use ndarray::{ArrayView2, ArrayViewMut2};
use projection_core::projection::{Model, Projection};
use projection_core::{Error, ErrorKind, Result};

use crate::outbox;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_from_bytes(bytes: *const u8, length: usize) -> *mut Model {
    outbox::handle(Model::from_bytes(unsafe { slice::from_raw_parts(bytes, length) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_free(model: *mut Model) {
    drop(unsafe { Box::from_raw(model) });
}

/// Puts the name of the kind into the outbox.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_kind(model: &Model) {
    outbox::put_bytes(model.kind().name().as_bytes());
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_input_dim(model: &Model) -> usize {
    model.input_dim()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_output_dim(model: &Model) -> usize {
    model.output_dim()
}

/// Number of heads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_heads(model: &Model) -> usize {
    model.head_ids().len()
}

/// As many ids as there are heads; they live as long as the model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_head_ids(model: &Model) -> *const i64 {
    model.head_ids().as_ptr()
}

/// NaN for kinds without one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_temperature(model: &Model) -> f64 {
    model.temperature()
}

/// Projects a query into room for the output dimension and for as many weights as heads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_project(
    model: &Model,
    query: *const f32,
    length: usize,
    projected: *mut f32,
    weights: *mut f32,
) -> bool {
    let (query, projected, weights) = unsafe {
        (
            slice::from_raw_parts(query, length),
            slice::from_raw_parts_mut(projected, model.output_dim()),
            slice::from_raw_parts_mut(weights, model.head_ids().len()),
        )
    };
    outbox::status(model.project_into(query, projected, Some(weights)))
}

/// The same for rows of queries, `length` values in all, whose number is that of the input
/// dimensions in `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_project_batch(
    model: &Model,
    queries: *const f32,
    length: usize,
    projected: *mut f32,
    weights: *mut f32,
) -> bool {
    let (dim, out, heads) = (model.input_dim(), model.output_dim(), model.head_ids().len());
    let rows = length / dim;
    let project = || -> Result<()> {
        if !length.is_multiple_of(dim) {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("queries of {length} values, expected a multiple of {dim}"),
            ));
        }
        // By the condition of all these functions there are as many values.
        let (queries, projected, weights) = unsafe {
            (
                ArrayView2::from_shape_ptr((rows, dim), queries),
                ArrayViewMut2::from_shape_ptr((rows, out), projected),
                ArrayViewMut2::from_shape_ptr((rows, heads), weights),
            )
        };
        model.project_batch_into(queries, projected, Some(weights))
    };
    outbox::status(project())
}

/// Puts doubles into the outbox: for each head its weight and its similarity, then for each of up to
/// `most` training questions its number, the place of its head, its weight and its
/// similarity, the largest weight first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_explain(
    model: &Model,
    query: *const f32,
    length: usize,
    most: usize,
) -> bool {
    let query = unsafe { slice::from_raw_parts(query, length) };
    let explain = || -> Result<()> {
        let (_, weights) = model.project(query)?;
        let mut words = Vec::new();
        let mut put = |value: f64| words.push(value.to_bits());
        for (weight, similarity) in weights.iter().zip(model.head_similarities(query)?) {
            put(f64::from(*weight));
            put(f64::from(similarity));
        }
        if let Some(residual) = model.as_residual() {
            // The nearest first, whose weights are the largest.
            for near in residual.neighbours_of(query)?.iter().take(most) {
                let head = model.head_ids().binary_search(&near.cluster_id).unwrap_or(0);
                put(near.number as f64);
                put(head as f64);
                put(near.weight);
                put(near.similarity);
            }
        }
        let size = 8 * words.len();
        outbox::put(words, size);
        Ok(())
    };
    outbox::status(explain())
}
