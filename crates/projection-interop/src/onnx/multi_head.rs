//! The multi-head projection as a graph.

use super::graph::{AXIS_1, Graph, Value};
use super::proto::{Attribute, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Rows;
use crate::projection::{HeadRows, MultiHeadParts, MultiHeadProjection};

/// Below this temperature, and if only some heads take part, similarities are computed in
/// double precision: an error of ε in one is an error of ε/τ in a weight, and which heads
/// take part must not depend on rounding.
const LOWEST_SINGLE_TEMPERATURE: f64 = 0.05;

pub(super) fn build<'g>(graph: &'g Graph, model: &MultiHeadProjection) -> Result<()> {
    let heads = model.parts();
    let (n, dim, out) = (heads.cluster_ids.len(), heads.centroids.dim(), heads.answers.dim());
    let (HeadRows::F32(centroids), HeadRows::F32(answers)) = (&heads.centroids, &heads.answers)
    else {
        let message =
            format!("precision {} for an ONNX graph, expected f32", model.precision().name());
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    };
    let top_k = model.top_k().filter(|k| *k < n);
    let single = model.temperature() >= LOWEST_SINGLE_TEMPERATURE && top_k.is_none();
    let (query, centroids) = if single {
        (graph.query(), graph.floats("centroids", &[n, dim], centroids))
    } else {
        let doubles = match &heads.exact_centroids {
            Some(exact) => exact.to_vec(),
            None => centroids.iter().copied().map(f64::from).collect(),
        };
        let centroids = graph.doubles("centroids", &[n, dim], &doubles);
        (graph.query().cast(Element::Double), centroids)
    };
    let cosines = query.normalised().times_transposed(centroids, None);
    let inverse = query.scalar(1.0 / model.temperature());
    let softmax = |cosines: Value<'g>| (cosines * inverse).node("Softmax", &[], AXIS_1);
    let weights = match top_k {
        None => softmax(cosines),
        Some(k) => {
            // Of equal ones TopK takes the first, as the engine does.
            let (nearest_cosines, nearest) = cosines.top_k(k);
            let none = cosines * cosines.scalar(0.0);
            none.node("ScatterElements", &[nearest, softmax(nearest_cosines)], AXIS_1)
        }
    };
    let weights = if single { weights } else { weights.cast(Element::Float) };
    combine(graph, heads, answers, weights).output("projected", out);
    weights.output("weights", n);
    Ok(())
}

/// Σ w_k a_k, with w_k W_k q for heads that have a matrix.
fn combine<'g>(
    graph: &'g Graph,
    heads: &MultiHeadParts,
    answers: &Rows,
    weights: Value<'g>,
) -> Value<'g> {
    let (n, count) = (heads.cluster_ids.len(), heads.matrices.len());
    let (dim, out) = (heads.centroids.dim(), answers.width());
    let sum_of_answers =
        || weights.node("MatMul", &[graph.floats("answers", &[n, out], answers)], &[]);
    if count == 0 {
        return sum_of_answers();
    }
    let values: Vec<f32> =
        heads.matrices.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    let matrices = graph.floats("matrices", &[count * out, dim], &values);
    let shape = graph.integers("shape", &[-1, count as i64, out as i64]);
    let mapped = graph.query().times_transposed(matrices, None).node("Reshape", &[shape], &[]);
    let numbers: Vec<i64> = heads.matrices.iter().map(|(head, _)| *head as i64).collect();
    let numbers = graph.integers("matrix_heads", &numbers);
    let shares = weights.node("Gather", &[numbers], &[Attribute::Int("axis", 1)]).unsqueeze(2);
    let sum = (mapped * shares).sum(1, false);
    if count < n { sum_of_answers() + sum } else { sum }
}
