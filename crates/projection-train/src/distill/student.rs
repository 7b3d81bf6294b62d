//! The network in training: forward, backward, and its weights for torch.
//!
//! It is trained in the form in which it is computed afterwards: what is linear one after
//! the other is one matrix. Of attention that is I + W_o W_v, which the file gets as
//! W_v = I and W_o = the matrix − I; scale and shift of the layer norms stay 1 and 0, since
//! the matrices after them can take their place. In a layer, with x its input:
//!
//! u = M x + m, n = norm(u), g = gelu(W₁ n + b₁), z = norm(n + W₂ g + b₂).

use std::ops::Range;

use crate::error::Result;
use crate::kernel;
use crate::kernel::gelu::gelu_with_derivative;
use crate::kernel::random::Random;
use crate::kernel::{gemm, parallel};
use crate::projection::{TransformerShape, TransformerWeights};

/// Added to the variance by the layer norm, as torch does.
const EPSILON: f64 = 1e-5;

/// Sizes of the network.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub input: usize,
    pub output: usize,
    pub shape: TransformerShape,
}

/// A matrix (rows × columns) among the weights, and the bias after it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    columns: usize,
}

/// Where a layer's matrices lie.
#[derive(Debug, Clone)]
pub(super) struct LayerSlots {
    pub attend: Slot,
    pub hidden: Slot,
    pub back: Slot,
}

/// The network and its weights, all in one vector so that an optimiser sees one.
#[derive(Debug, Clone)]
pub(super) struct Student {
    pub sizes: Sizes,
    pub layers: Vec<LayerSlots>,
    pub output: Slot,
    pub values: Vec<f32>,
}

/// What a forward pass leaves for the backward pass.
#[derive(Default)]
struct Kept {
    /// u at mean 0 and variance 1, and 1 / its standard deviation, a row.
    normed: Vec<f32>,
    normed_scale: Vec<f32>,
    /// gelu of the hidden values, and its derivatives, both with dropout.
    hidden: Vec<f32>,
    slopes: Vec<f32>,
    /// The layer's output, and as above.
    out: Vec<f32>,
    out_scale: Vec<f32>,
}

impl Student {
    /// A network whose weights are all zero.
    pub fn new(sizes: Sizes) -> Self {
        let mut at = 0;
        let mut slot = |rows: usize, columns: usize| {
            let weight = at..at + rows * columns;
            let bias = weight.end..weight.end + rows;
            at = bias.end;
            Slot { weight, bias, columns }
        };
        let (h, f) = (sizes.shape.embed_dim, sizes.shape.ff_dim);
        let layers = (0..sizes.shape.num_layers)
            .map(|layer| LayerSlots {
                attend: slot(h, if layer == 0 { sizes.input } else { h }),
                hidden: slot(f, h),
                back: slot(h, f),
            })
            .collect();
        let output = slot(sizes.output, h);
        Self { values: vec![0.0; at], layers, output, sizes }
    }

    /// The projections of row-major queries.
    pub fn run(&self, queries: &[f32], threads: usize) -> Vec<f32> {
        const ROWS: usize = 64;
        let (input, output) = (self.sizes.input, self.sizes.output);
        let mut out = vec![0.0; queries.len() / input * output];
        parallel::parallel_chunks(threads, &mut out, output, ROWS, |rows, out| {
            let queries = &queries[rows.start * input..rows.end * input];
            let kept = self.forward(queries, None);
            self.apply(&self.output, &kept.last().expect("at least one layer").out, out);
        });
        out
    }

    /// The output of the last layer for row-major queries (n × h).
    pub fn hidden(&self, queries: &[f32]) -> Vec<f32> {
        self.forward(queries, None).pop().expect("at least one layer").out
    }

    /// The gradients of a loss into `gradients`, which has the length of the weights;
    /// `slope` turns the projections (n × o) into the derivatives of the loss by them, and
    /// returns the loss. `dropout` is where random numbers come from.
    pub fn gradients(
        &self,
        queries: &[f32],
        dropout: Option<&mut Random>,
        gradients: &mut [f32],
        slope: impl FnOnce(&mut [f32]) -> f64,
    ) -> f64 {
        let (h, f) = (self.sizes.shape.embed_dim, self.sizes.shape.ff_dim);
        let rows = queries.len() / self.sizes.input;
        let kept = self.forward(queries, dropout);
        let last = kept.last().expect("at least one layer");
        let mut out = vec![0.0; rows * self.sizes.output];
        self.apply(&self.output, &last.out, &mut out);
        let loss = slope(&mut out);
        let mut by_x = vec![0.0; rows * h];
        self.back(&self.output, &out, &last.out, gradients, Some(&mut by_x));

        let (mut by_hidden, mut by_normed) = (vec![0.0; rows * f], vec![0.0; rows * h]);
        for (number, (slots, layer)) in self.layers.iter().zip(&kept).enumerate().rev() {
            norm_slopes(&mut by_x, &layer.out, &layer.out_scale, h);
            self.back(&slots.back, &by_x, &layer.hidden, gradients, Some(&mut by_hidden));
            by_hidden.iter_mut().zip(&layer.slopes).for_each(|(by, slope)| *by *= slope);
            self.back(&slots.hidden, &by_hidden, &layer.normed, gradients, Some(&mut by_normed));
            // The residual connection.
            by_normed.iter_mut().zip(&by_x).for_each(|(by, x)| *by += x);
            norm_slopes(&mut by_normed, &layer.normed, &layer.normed_scale, h);
            match number {
                0 => self.back(&slots.attend, &by_normed, queries, gradients, None),
                _ => {
                    let before = &kept[number - 1].out;
                    self.back(&slots.attend, &by_normed, before, gradients, Some(&mut by_x));
                }
            }
        }
        loss
    }

    fn forward(&self, queries: &[f32], mut dropout: Option<&mut Random>) -> Vec<Kept> {
        let (h, f) = (self.sizes.shape.embed_dim, self.sizes.shape.ff_dim);
        let rows = queries.len() / self.sizes.input;
        let mut layers: Vec<Kept> = Vec::with_capacity(self.layers.len());
        for slots in &self.layers {
            let mut kept = Kept {
                normed: vec![0.0; rows * h],
                hidden: vec![0.0; rows * f],
                slopes: vec![0.0; rows * f],
                out: vec![0.0; rows * h],
                ..Kept::default()
            };
            let input = layers.last().map_or(queries, |before| &before.out);
            self.apply(&slots.attend, input, &mut kept.normed);
            kept.normed_scale = normalise(&mut kept.normed, h);
            self.apply(&slots.hidden, &kept.normed, &mut kept.hidden);
            gelu_with_derivative(&mut kept.hidden, &mut kept.slopes);
            if let Some(random) = dropout.as_deref_mut() {
                drop_some(&mut kept, self.sizes.shape.dropout, random);
            }
            self.apply(&slots.back, &kept.hidden, &mut kept.out);
            kept.out.iter_mut().zip(&kept.normed).for_each(|(out, n)| *out += n);
            kept.out_scale = normalise(&mut kept.out, h);
            layers.push(kept);
        }
        layers
    }

    fn apply(&self, slot: &Slot, rows: &[f32], out: &mut [f32]) {
        let bias = &self.values[slot.bias.clone()];
        gemm::matmul_nt(rows, &self.values[slot.weight.clone()], slot.columns, out);
        for out in out.chunks_mut(bias.len()) {
            out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
        }
    }

    /// From the derivatives `by_out` by a matrix's results to those by its weights and,
    /// where wanted, by its input `rows`.
    fn back(
        &self,
        slot: &Slot,
        by_out: &[f32],
        rows: &[f32],
        gradients: &mut [f32],
        by_rows: Option<&mut Vec<f32>>,
    ) {
        let (outputs, count) = (slot.bias.len(), rows.len() / slot.columns);
        gemm::matmul_tn(by_out, rows, count, &mut gradients[slot.weight.clone()]);
        let bias = &mut gradients[slot.bias.clone()];
        bias.fill(0.0);
        for row in by_out.chunks(outputs) {
            bias.iter_mut().zip(row).for_each(|(bias, by)| *bias += by);
        }
        if let Some(by_rows) = by_rows {
            gemm::matmul(by_out, &self.values[slot.weight.clone()], outputs, by_rows);
        }
    }

    /// The same network as torch has it.
    pub fn weights(&self) -> Result<TransformerWeights> {
        let h = self.sizes.shape.embed_dim;
        let identity =
            |scale: f32| (0..h * h).map(move |i| if i % (h + 1) == 0 { scale } else { 0.0 });
        let slot = |slot: &Slot| {
            let values = |range: &Range<usize>| self.values[range.clone()].to_vec();
            ((vec![slot.bias.len(), slot.columns], values(&slot.weight)), values(&slot.bias))
        };
        let vector = |values: Vec<f32>| (vec![values.len()], values);
        TransformerWeights::read(&self.sizes.shape, |name| {
            let parts: Vec<&str> = name.split('.').collect();
            Ok(match parts[..] {
                // The first layer's matrix is the input layer's: there attention adds
                // nothing.
                ["input_proj", "weight"] => slot(&self.layers[0].attend).0,
                ["input_proj", "bias"] => vector(slot(&self.layers[0].attend).1),
                ["output_proj", "weight"] => slot(&self.output).0,
                ["output_proj", "bias"] => vector(slot(&self.output).1),
                ["encoder", "layers", number, ref rest @ ..] => {
                    let number: usize = number.parse().expect("made from a number");
                    let layer = &self.layers[number];
                    match rest {
                        ["self_attn", "in_proj_weight"] => {
                            let mut values = vec![0.0; 2 * h * h];
                            values.extend(identity(1.0));
                            (vec![3 * h, h], values)
                        }
                        ["self_attn", "in_proj_bias"] => vector(vec![0.0; 3 * h]),
                        ["self_attn", "out_proj", "weight"] => {
                            let mut values = vec![0.0; h * h];
                            if number > 0 {
                                values = slot(&layer.attend).0.1;
                                values.iter_mut().zip(identity(1.0)).for_each(|(v, i)| *v -= i);
                            }
                            (vec![h, h], values)
                        }
                        ["self_attn", "out_proj", "bias"] if number > 0 => {
                            vector(slot(&layer.attend).1)
                        }
                        ["linear1", "weight"] => slot(&layer.hidden).0,
                        ["linear1", "bias"] => vector(slot(&layer.hidden).1),
                        ["linear2", "weight"] => slot(&layer.back).0,
                        ["linear2", "bias"] => vector(slot(&layer.back).1),
                        [_, "weight"] => vector(vec![1.0; h]),
                        _ => vector(vec![0.0; h]),
                    }
                }
                _ => (Vec::new(), Vec::new()),
            })
        })
    }
}

/// Brings each row to mean 0 and variance 1 and returns the factors.
fn normalise(rows: &mut [f32], width: usize) -> Vec<f32> {
    let normalise_row = |row: &mut [f32]| {
        let mean = (row.iter().copied().map(f64::from).sum::<f64>() / width as f64) as f32;
        row.iter_mut().for_each(|value| *value -= mean);
        let variance = kernel::norm(row).powi(2) / width as f64;
        let scale = (1.0 / (variance + EPSILON).sqrt()) as f32;
        row.iter_mut().for_each(|value| *value *= scale);
        scale
    };
    rows.chunks_mut(width).map(normalise_row).collect()
}

/// From the derivatives by the rows of a layer norm to those by its input, in place.
fn norm_slopes(by: &mut [f32], normed: &[f32], scales: &[f32], width: usize) {
    for ((by, normed), scale) in by.chunks_mut(width).zip(normed.chunks(width)).zip(scales) {
        let mean = by.iter().sum::<f32>() / width as f32;
        let along = kernel::dot_f64(by, normed) as f32 / width as f32;
        for (by, normed) in by.iter_mut().zip(normed) {
            *by = scale * (*by - mean - along * normed);
        }
    }
}

/// Drops a share of the hidden values and raises the others, so that the sum is the same on
/// average.
fn drop_some(kept: &mut Kept, share: f64, random: &mut Random) {
    let raised = (1.0 / (1.0 - share)) as f32;
    let limit = (share * (1u64 << 32) as f64) as u64;
    for (hidden, slope) in kept.hidden.iter_mut().zip(&mut kept.slopes) {
        let factor = if (random.next() >> 32) < limit { 0.0 } else { raised };
        *hidden *= factor;
        *slope *= factor;
    }
}
