//! Calls of models.

use ndarray::ArrayViewMut2;
use projection_core::Result;
use projection_core::projection::{Model, Projection};
use serde_json::{Value, json};

use crate::exchange::{Input, Output};
use crate::objects::{Object, make, query_rows, run_on, shape, wrong_handle};

/// Makes a model of the bytes of its file, the input.
#[unsafe(no_mangle)]
pub extern "C" fn model_from_bytes() -> usize {
    make(|input| Model::from_bytes(&input.bytes).map(Object::Model))
}

fn run(handle: usize, work: impl FnOnce(&Model, &mut Input, &mut Output) -> Result<()>) -> bool {
    run_on(handle, |object, input, output| match object {
        Object::Model(model) => work(model, input, output),
        _ => Err(wrong_handle()),
    })
}

/// Projects the query in the input. The output is the projected query and then the weights.
#[unsafe(no_mangle)]
pub extern "C" fn model_project(handle: usize) -> bool {
    run(handle, |model, input, output| {
        let out = model.output_dim();
        output.floats.resize(out + model.head_ids().len(), 0.0);
        let (projected, weights) = output.floats.split_at_mut(out);
        model.project_into(&input.floats, projected, Some(weights))
    })
}

/// [`model_project`] for rows of queries: rows of projected queries, then rows of weights.
#[unsafe(no_mangle)]
pub extern "C" fn model_project_batch(handle: usize) -> bool {
    run(handle, |model, input, output| {
        let (dim, out, heads) = (model.input_dim(), model.output_dim(), model.head_ids().len());
        let queries = query_rows(&input.floats, dim)?;
        let rows = queries.nrows();
        output.floats.resize(rows * (out + heads), 0.0);
        let (projected, weights) = output.floats.split_at_mut(rows * out);
        let projected = ArrayViewMut2::from_shape((rows, out), projected).map_err(shape)?;
        let weights = ArrayViewMut2::from_shape((rows, heads), weights).map_err(shape)?;
        model.project_batch_into(queries, projected, Some(weights))
    })
}

/// Explains the projection of the query in the input, as JSON: weight and similarity of each
/// head, and up to `max` training questions, the largest weight first.
#[unsafe(no_mangle)]
pub extern "C" fn model_explain(handle: usize, max: usize) -> bool {
    run(handle, |model, input, output| {
        let query = &input.floats;
        let (_, weights) = model.project(query)?;
        let heads = weights.iter().zip(model.head_similarities(query)?);
        let heads: Vec<Value> = heads
            .map(|(weight, similarity)| json!({"weight": weight, "similarity": similarity}))
            .collect();
        let near = model.as_residual().map(|residual| residual.neighbours_of(query)).transpose()?;
        // The nearest first, whose weights are the largest.
        let near = near.iter().flatten().take(max);
        let head = |id| model.head_ids().binary_search(id).unwrap_or(0);
        let questions: Vec<Value> = near
            .map(|near| {
                json!({
                    "index": near.number,
                    "head": head(&near.cluster_id),
                    "weight": near.weight,
                    "similarity": near.similarity,
                })
            })
            .collect();
        output.text = json!({"heads": heads, "questions": questions}).to_string();
        Ok(())
    })
}
