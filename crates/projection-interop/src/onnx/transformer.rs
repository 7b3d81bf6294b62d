//! The transformer as a graph: attention over a sequence of length 1 is two linear layers.

use super::graph::{Graph, Name, QUERY};
use super::proto::{Attribute, Element};
use crate::projection::{NamedTensor, TransformerProjection};

/// Added to the variance by the layer norm, as torch does.
const EPSILON: f32 = 1e-5;

pub(super) fn build(graph: &mut Graph, model: &TransformerProjection) {
    let weights = model.weights();
    let h = weights.shape().embed_dim;
    let mut rest = weights.tensors().iter();
    let mut x = dense(graph, QUERY, next(&mut rest), next(&mut rest));
    for _ in 0..weights.shape().num_layers {
        let (in_weight, in_bias) = (next(&mut rest), next(&mut rest));
        // The last third is the one of the values.
        let values = graph.floats("value_weight", &[h, h], &in_weight.values[2 * h * h..]);
        let bias = graph.floats("value_bias", &[h], &in_bias.values[2 * h..]);
        let attended = graph.times_transposed(&x, &values, Some(&bias));
        let attended = dense(graph, &attended, next(&mut rest), next(&mut rest));
        let (linear1, linear2) =
            ((next(&mut rest), next(&mut rest)), (next(&mut rest), next(&mut rest)));
        let (norm1, norm2) =
            ((next(&mut rest), next(&mut rest)), (next(&mut rest), next(&mut rest)));
        let sum = graph.two("Add", &x, &attended);
        let x1 = norm(graph, &sum, norm1);
        let inner = dense(graph, &x1, linear1.0, linear1.1);
        let inner = gelu(graph, &inner);
        let inner = dense(graph, &inner, linear2.0, linear2.1);
        let sum = graph.two("Add", &x1, &inner);
        x = norm(graph, &sum, norm2);
    }
    let projected = dense(graph, &x, next(&mut rest), next(&mut rest));
    graph.output(&projected, "projected", weights.output_dim());
}

/// The next of the tensors, whose number and order [`TransformerWeights::read`] has checked.
///
/// [`TransformerWeights::read`]: crate::projection::TransformerWeights::read
fn next<'a>(tensors: &mut std::slice::Iter<'a, NamedTensor>) -> &'a NamedTensor {
    tensors.next().expect("a transformer has all its tensors")
}

fn constant(graph: &mut Graph, tensor: &NamedTensor) -> Name {
    graph.floats(&tensor.name, &tensor.shape, &tensor.values)
}

/// W x + b.
fn dense(graph: &mut Graph, input: &str, weight: &NamedTensor, bias: &NamedTensor) -> Name {
    let (weight, bias) = (constant(graph, weight), constant(graph, bias));
    graph.times_transposed(input, &weight, Some(&bias))
}

fn norm(graph: &mut Graph, input: &str, (scale, shift): (&NamedTensor, &NamedTensor)) -> Name {
    let (scale, shift) = (constant(graph, scale), constant(graph, shift));
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", EPSILON)];
    graph.node("LayerNormalization", &[input, &scale, &shift], &attributes)
}

/// x/2 (1 + erf(x/√2)).
fn gelu(graph: &mut Graph, input: &str) -> Name {
    let root = graph.scalar("root", Element::Float, std::f64::consts::FRAC_1_SQRT_2);
    let one = graph.scalar("one", Element::Float, 1.0);
    let half = graph.scalar("half", Element::Float, 0.5);
    let error = graph.two("Mul", input, &root);
    let error = graph.one("Erf", &error);
    let share = graph.two("Add", &error, &one);
    let share = graph.two("Mul", &share, &half);
    graph.two("Mul", input, &share)
}
