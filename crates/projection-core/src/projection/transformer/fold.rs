//! The network as it is computed: consecutive linear maps are folded into one matrix.
//!
//! Over a sequence of length 1 the softmax of attention is 1, so attention is two matrices
//! one after the other, and the residual connection around it adds the identity:
//! x + W_o (W_v x + b_v) + b_o = (I + W_o W_v) x + (W_o b_v + b_o). What precedes it is
//! linear too: the input layer, or scale and shift of the layer norm that ends the previous
//! layer. All of these are folded into one matrix, in double precision. Scale and shift of the
//! first norm of a layer are folded into the matrix after it, those of the last norm into the
//! output layer.

use super::weights::{NamedTensor, TransformerWeights};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::gelu::gelu;
use crate::kernel::{self, Scratch, gemm};

/// Added to the variance by the layer norm, as torch does.
const EPSILON: f64 = 1e-5;

/// Rows of a batch that go through the network together.
const ROWS: usize = 64;

/// W x + b.
#[derive(Debug)]
struct Dense {
    /// Row-major, a row an output.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// One encoder layer: u = attend(x), n = norm(u), then norm(scale∘n + back(gelu(hidden(n)))),
/// the norms without scale and shift.
#[derive(Debug)]
struct Layer {
    attend: Dense,
    hidden: Dense,
    back: Dense,
    scale: Vec<f32>,
}

/// The folded network.
#[derive(Debug)]
pub struct Network {
    layers: Vec<Layer>,
    output: Dense,
}

/// A map in double precision.
struct Affine {
    /// Row-major, a row an output.
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Affine {
    fn new(weight: &[f32], bias: &[f32]) -> Self {
        Self { weight: doubles(weight), bias: doubles(bias) }
    }

    /// First `scale`∘x + `shift`, then this.
    fn after_scale(mut self, scale: &[f64], shift: &[f64]) -> Self {
        for (row, bias) in self.weight.chunks_exact_mut(scale.len()).zip(&mut self.bias) {
            *bias += row.iter().zip(shift).map(|(weight, shift)| weight * shift).sum::<f64>();
            row.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
        }
        self
    }

    /// First `first`, then this.
    fn after(mut self, first: &Self) -> Self {
        let (inner, width) = (first.bias.len(), first.weight.len() / first.bias.len());
        let mut weight = vec![0.0; self.bias.len() * width];
        // Rows that share one reading of the first map's matrix.
        const ROWS: usize = 4;
        let blocks = self.weight.chunks(ROWS * inner).zip(weight.chunks_mut(ROWS * width));
        for (weights, rows) in blocks {
            for (k, row) in first.weight.chunks_exact(width).enumerate() {
                for (weights, out) in weights.chunks_exact(inner).zip(rows.chunks_exact_mut(width))
                {
                    let weight = weights[k];
                    out.iter_mut().zip(row).for_each(|(out, value)| *out += weight * value);
                }
            }
        }
        for (row, bias) in self.weight.chunks_exact(inner).zip(&mut self.bias) {
            *bias += row.iter().zip(&first.bias).map(|(weight, x)| weight * x).sum::<f64>();
        }
        Self { weight, bias: self.bias }
    }

    fn dense(&self, name: &str) -> Result<Dense> {
        let weight = self.weight.iter().map(|value| *value as f32).collect();
        let bias = self.bias.iter().map(|value| *value as f32).collect();
        let dense = Dense { weight, bias };
        if dense.weight.iter().chain(&dense.bias).all(|value| value.is_finite()) {
            return Ok(dense);
        }
        Err(Error::new(ErrorKind::NotFinite, format!("{name}: too large for float32")))
    }
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

impl Network {
    pub fn new(weights: &TransformerWeights) -> Result<Self> {
        let h = weights.shape().embed_dim;
        let affine = |[weight, bias]: [&NamedTensor; 2]| Affine::new(&weight.values, &bias.values);
        // What the next layer's input still has to go through.
        let mut before = Before::Map(affine(weights.input().each_ref()));
        let mut layers = Vec::with_capacity(weights.shape().num_layers);
        for number in 0..weights.shape().num_layers {
            let [
                in_weight,
                in_bias,
                out_weight,
                out_bias,
                weight1,
                bias1,
                weight2,
                bias2,
                scale1,
                shift1,
                scale2,
                shift2,
            ] = weights.layer(number);
            let name = |what: &str| format!("encoder.layers.{number}.{what}");
            // The last third of the input projection is that of the attention's values.
            let values = Affine::new(&in_weight.values[2 * h * h..], &in_bias.values[2 * h..]);
            let mut attend = affine([out_weight, out_bias]).after(&values);
            attend.weight.iter_mut().step_by(h + 1).for_each(|value| *value += 1.0);
            let attend = before.then(attend);
            let (scale, shift) = (doubles(&scale1.values), doubles(&shift1.values));
            let hidden = affine([weight1, bias1]).after_scale(&scale, &shift);
            let mut back = affine([weight2, bias2]);
            back.bias.iter_mut().zip(&shift).for_each(|(bias, shift)| *bias += shift);
            layers.push(Layer {
                attend: attend.dense(&name("self_attn"))?,
                hidden: hidden.dense(&name("linear1"))?,
                back: back.dense(&name("linear2"))?,
                scale: scale1.values.clone(),
            });
            before = Before::Scale(doubles(&scale2.values), doubles(&shift2.values));
        }
        let output = before.then(affine(weights.output().each_ref()));
        Ok(Self { layers, output: output.dense("output_proj")? })
    }

    /// Runs row-major queries through the network, into the rows of `out`.
    pub fn run(&self, queries: &[f32], out: &mut [f32]) {
        let input = self.layers[0].attend.inputs();
        let output = self.output.bias.len();
        for (queries, out) in queries.chunks(ROWS * input).zip(out.chunks_mut(ROWS * output)) {
            self.run_block(queries, queries.len() / input, out);
        }
    }

    fn run_block(&self, queries: &[f32], rows: usize, out: &mut [f32]) {
        let (h, f) = (self.layers[0].scale.len(), self.layers[0].hidden.bias.len());
        let mut scratch = Scratch::filled(rows * (2 * h + f), 0.0);
        let (x, rest) = scratch.split_at_mut(rows * h);
        let (n, hidden) = rest.split_at_mut(rows * h);
        for (number, layer) in self.layers.iter().enumerate() {
            layer.attend.apply(if number == 0 { queries } else { x }, rows, n);
            normalise(n, h);
            layer.hidden.apply(n, rows, hidden);
            gelu(hidden);
            layer.back.apply(hidden, rows, x);
            for (x, n) in x.chunks_mut(h).zip(n.chunks(h)) {
                for ((x, n), scale) in x.iter_mut().zip(n).zip(&layer.scale) {
                    *x += scale * n;
                }
            }
            normalise(x, h);
        }
        self.output.apply(x, rows, out);
    }
}

/// What is between a layer and the next one's attention.
enum Before {
    Map(Affine),
    Scale(Vec<f64>, Vec<f64>),
}

impl Before {
    /// First this, then `map`.
    fn then(&self, map: Affine) -> Affine {
        match self {
            Self::Map(first) => map.after(first),
            Self::Scale(scale, shift) => map.after_scale(scale, shift),
        }
    }
}

impl Dense {
    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    fn apply(&self, rows: &[f32], count: usize, out: &mut [f32]) {
        match count {
            1 => kernel::dots(rows, &self.weight, out),
            _ => gemm::matmul_nt(rows, &self.weight, self.inputs(), out),
        }
        for out in out.chunks_mut(self.bias.len()) {
            out.iter_mut().zip(&self.bias).for_each(|(out, bias)| *out += bias);
        }
    }
}

/// Brings each row to mean 0 and variance 1, as the layer norm does before scale and shift.
fn normalise(rows: &mut [f32], width: usize) {
    for row in rows.chunks_mut(width) {
        let mean = row.iter().copied().map(f64::from).sum::<f64>() / width as f64;
        row.iter_mut().for_each(|value| *value = (f64::from(*value) - mean) as f32);
        let variance = kernel::norm(row).powi(2) / width as f64;
        let factor = (1.0 / (variance + EPSILON).sqrt()) as f32;
        row.iter_mut().for_each(|value| *value *= factor);
    }
}
