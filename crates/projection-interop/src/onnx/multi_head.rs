//! The multi-head projection as a graph.

use super::graph::{Graph, Name, QUERY};
use super::proto::{Attribute, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Rows;
use crate::projection::{HeadVectors, MultiHeadProjection, StoredHeads};

/// Below this temperature, and where only some heads take part, similarities are taken in
/// double precision: an error of ε in one is an error of ε/τ in a weight, and which heads
/// take part must not depend on rounding.
const LOWEST_SINGLE_TEMPERATURE: f64 = 0.05;

pub(super) fn build(graph: &mut Graph, model: &MultiHeadProjection) -> Result<()> {
    let heads = model.stored();
    let n = heads.ids.len();
    let (dim, out) = heads.vectors.dims();
    let HeadVectors::Single { centroids, centroid_tails, answers } = &heads.vectors else {
        let message =
            format!("precision {} for an ONNX graph, expected f32", model.precision().name());
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    };
    let top_k = model.top_k().filter(|k| *k < n);
    let precision = match model.temperature() >= LOWEST_SINGLE_TEMPERATURE && top_k.is_none() {
        true => Element::Float,
        false => Element::Double,
    };
    let (query, centroids) = match precision {
        Element::Double => {
            let whole = (0..n).flat_map(|head| centroid_tails.whole(head, centroids.row(head)));
            let whole: Vec<f64> = whole.collect();
            let query = graph.cast(QUERY, Element::Double);
            (query, graph.doubles("centroids", &[n, dim], &whole))
        }
        _ => (QUERY.to_string(), graph.floats("centroids", &[n, dim], centroids)),
    };
    let unit = graph.normalised(&query);
    let cosines = graph.times_transposed(&unit, &centroids, None);
    let inverse = graph.scalar("inverse_temperature", precision, 1.0 / model.temperature());
    let softmax = |graph: &mut Graph, cosines: &str| {
        let scores = graph.two("Mul", cosines, &inverse);
        graph.node("Softmax", &[&scores], &[Attribute::Int("axis", 1)])
    };
    let weights = match top_k {
        None => softmax(graph, &cosines),
        Some(k) => {
            // Of equal ones TopK takes the first, as the engine does.
            let k = graph.integers("k", &[k as i64]);
            graph.node_into(
                "TopK",
                &[&cosines, &k],
                &["nearest_cosines", "nearest"],
                &[Attribute::Int("axis", 1)],
            );
            let nearest = softmax(graph, "nearest_cosines");
            let zero = graph.scalar("zero", precision, 0.0);
            let none = graph.two("Mul", &cosines, &zero);
            let inputs = [&none[..], "nearest", &nearest];
            graph.node("ScatterElements", &inputs, &[Attribute::Int("axis", 1)])
        }
    };
    let weights = match precision {
        Element::Double => graph.cast(&weights, Element::Float),
        _ => weights,
    };
    let projected = combine(graph, &heads, answers, &weights);
    graph.output(&projected, "projected", out);
    graph.output(&weights, "weights", n);
    Ok(())
}

/// Σ w_k a_k, with w_k W_k q for heads that have a matrix.
fn combine(graph: &mut Graph, heads: &StoredHeads, answers: &Rows, weights: &str) -> Name {
    let n = heads.ids.len();
    let (dim, out) = heads.vectors.dims();
    let answers = (heads.matrices.len() < n).then(|| {
        let answers = graph.floats("answers", &[n, out], answers);
        graph.two("MatMul", weights, &answers)
    });
    if heads.matrices.is_empty() {
        return answers.unwrap_or_default();
    }
    let count = heads.matrices.len();
    let values: Vec<f32> =
        heads.matrices.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    let matrices = graph.floats("matrices", &[count * out, dim], &values);
    let mapped = graph.times_transposed(QUERY, &matrices, None);
    let shape = graph.integers("shape", &[-1, count as i64, out as i64]);
    let mapped = graph.two("Reshape", &mapped, &shape);
    let numbers: Vec<i64> = heads.matrices.iter().map(|(head, _)| *head as i64).collect();
    let numbers = graph.integers("matrix_heads", &numbers);
    let shares = graph.node("Gather", &[weights, &numbers], &[Attribute::Int("axis", 1)]);
    let last = graph.integers("axes", &[2]);
    let shares = graph.two("Unsqueeze", &shares, &last);
    let terms = graph.two("Mul", &mapped, &shares);
    let middle = graph.integers("axes", &[1]);
    let sum = graph.node("ReduceSum", &[&terms, &middle], &[Attribute::Int("keepdims", 0)]);
    match answers {
        Some(answers) => graph.two("Add", &answers, &sum),
        None => sum,
    }
}
