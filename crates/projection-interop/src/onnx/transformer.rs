//! The transformer as a graph: attention over a sequence of length 1 is two linear layers.

use super::graph::{Graph, Value};
use super::proto::Attribute;
use crate::projection::{NamedTensor, TransformerProjection};

/// Added to the variance by the layer norm, as torch does.
const EPSILON: f32 = 1e-5;

pub(super) fn build<'g>(graph: &'g Graph, model: &TransformerProjection) {
    let weights = model.weights();
    let h = weights.shape().embed_dim;
    let constant = |tensor: &NamedTensor| graph.floats(&tensor.name, &tensor.shape, &tensor.values);
    let dense = |x: Value<'g>, tensors: &[NamedTensor]| {
        x.times_transposed(constant(&tensors[0]), Some(constant(&tensors[1])))
    };
    let norm = |x: Value<'g>, tensors: &[NamedTensor]| {
        let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", EPSILON)];
        let others = [constant(&tensors[0]), constant(&tensors[1])];
        x.node("LayerNormalization", &others, &attributes)
    };
    let mut x = dense(graph.query(), weights.input());
    for number in 0..weights.shape().num_layers {
        // Weight and bias of: attention's input and output, the two dense steps, the two norms.
        let layer = weights.layer(number);
        // The last third of attention's input is that of the values.
        let values = graph.floats("value_weight", &[h, h], &layer[0].values[2 * h * h..]);
        let bias = graph.floats("value_bias", &[h], &layer[1].values[2 * h..]);
        let attended = dense(x.times_transposed(values, Some(bias)), &layer[2..4]);
        let between = norm(x + attended, &layer[8..10]);
        let inner = dense(gelu(dense(between, &layer[4..6])), &layer[6..8]);
        x = norm(between + inner, &layer[10..12]);
    }
    dense(x, weights.output()).output("projected", weights.output_dim());
}

/// x/2 (1 + erf(x/√2)).
fn gelu(x: Value<'_>) -> Value<'_> {
    let error = (x * x.scalar(std::f64::consts::FRAC_1_SQRT_2)).node("Erf", &[], &[]);
    x * ((error + x.scalar(1.0)) * x.scalar(0.5))
}
