//! The forward pass of a BERT encoder over several texts at once.
//!
//! All tokens of all texts are rows of one matrix, one after the other and without padding.
//! Everything but attention works row by row and does not care where a text ends, and
//! attention looks at one text at a time. So a text's neighbours cost it nothing and cannot
//! change it.

use projection_kernel::gelu::gelu;
use projection_kernel::gemm::{matmul, matmul_nt};
use projection_kernel::{Result, softmax};

use crate::config::BertConfig;
use crate::pooling::Pooling;
use crate::weights::Weights;

/// A BERT encoder, without its pooler.
pub(crate) struct Bert {
    hidden: usize,
    words: Vec<f32>,
    /// The embedding of each position, with that of token type 0 (the only one) added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Reads the weights, whose shapes must be those of `config`.
    pub fn load(weights: &Weights<'_>, config: &BertConfig) -> Result<Self> {
        let hidden = config.hidden_size;
        let table = |name: &str, rows: usize| {
            weights.read(&format!("embeddings.{name}_embeddings.weight"), &[rows, hidden])
        };
        let words = table("word", config.vocab_size)?;
        let mut positions = table("position", config.max_position_embeddings)?;
        let types = table("token_type", config.type_vocab_size)?;
        add_to_rows(&mut positions, &types[..hidden]);
        let norm = Norm::load(weights, "embeddings.LayerNorm", config)?;
        // Not with the capacity that the file claims: a missing layer ends the loop early.
        let mut layers = Vec::new();
        for number in 0..config.num_hidden_layers {
            layers.push(Layer::load(weights, &format!("encoder.layer.{number}"), config)?);
        }
        Ok(Self { hidden, words, positions, norm, layers })
    }

    /// Each text's last hidden states, pooled: one row per text; zeros once `stop`, which is asked
    /// before each layer, says to stop.
    ///
    /// Texts are not empty, no longer than the positions, and their tokens are below the
    /// vocabulary's size.
    pub fn pooled_states(
        &self,
        texts: &[&[u32]],
        pooling: Pooling,
        stop: &mut dyn FnMut() -> bool,
    ) -> Vec<f32> {
        let hidden = self.hidden;
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let mut states = Vec::with_capacity(lengths.iter().sum::<usize>() * hidden);
        for text in texts {
            for (&token, position) in text.iter().zip(self.positions.chunks_exact(hidden)) {
                let word = &self.words[token as usize * hidden..][..hidden];
                states.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.norm.apply(&mut states);
        let mut vectors = vec![0.0; texts.len() * hidden];
        for layer in &self.layers {
            if stop() {
                return vectors;
            }
            layer.apply(&mut states, &lengths);
        }

        let mut rest = &states[..];
        for (vector, &length) in vectors.chunks_exact_mut(hidden).zip(&lengths) {
            let (text, later) = rest.split_at(length * hidden);
            pooling.apply(text, vector);
            rest = later;
        }
        vectors
    }
}

/// One layer: attention, then two dense steps; each block's output is added to its input.
struct Layer {
    heads: usize,
    /// Query, key and value side by side.
    query_key_value: Dense,
    attention_output: Dense,
    attention_norm: Norm,
    intermediate: Dense,
    output: Dense,
    output_norm: Norm,
}

impl Layer {
    fn load(weights: &Weights<'_>, layer: &str, config: &BertConfig) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let dense = |names: &[&str], inputs, outputs| {
            let names: Vec<_> = names.iter().map(|name| format!("{layer}.{name}")).collect();
            Dense::load(weights, &names, inputs, outputs)
        };
        let norm = |name: &str| Norm::load(weights, &format!("{layer}.{name}"), config);
        let three = ["attention.self.query", "attention.self.key", "attention.self.value"];
        Ok(Self {
            heads: config.num_attention_heads,
            query_key_value: dense(&three, hidden, hidden)?,
            attention_output: dense(&["attention.output.dense"], hidden, hidden)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: dense(&["intermediate.dense"], hidden, inner)?,
            output: dense(&["output.dense"], inner, hidden)?,
            output_norm: norm("output.LayerNorm")?,
        })
    }

    fn apply(&self, states: &mut [f32], lengths: &[usize]) {
        let attended = self.attend(&self.query_key_value.apply(states), lengths);
        add(states, &self.attention_output.apply(&attended));
        self.attention_norm.apply(states);

        let mut inner = self.intermediate.apply(states);
        gelu(&mut inner);
        add(states, &self.output.apply(&inner));
        self.output_norm.apply(states);
    }

    /// Attention of every token to all tokens of its text, head by head. Rows of `mixed` hold
    /// a query, a key and a value side by side.
    fn attend(&self, mixed: &[f32], lengths: &[usize]) -> Vec<f32> {
        let hidden = self.query_key_value.inputs;
        let size = hidden / self.heads;
        let scale = (size as f32).sqrt().recip();
        let mut attended = vec![0.0; mixed.len() / 3];
        let (mut mixed, mut rest) = (mixed, &mut attended[..]);
        for &length in lengths {
            let (text, later) = mixed.split_at(length * 3 * hidden);
            let (out, later_out) = rest.split_at_mut(length * hidden);
            (mixed, rest) = (later, later_out);
            let mut weights = vec![0.0; length * length];
            let mut context = vec![0.0; length * size];
            for head in (0..hidden).step_by(size) {
                let part = |which: usize| -> Vec<f32> {
                    let first = which * hidden + head;
                    let rows = text.chunks_exact(3 * hidden);
                    rows.flat_map(|row| &row[first..first + size]).copied().collect()
                };
                matmul_nt(&part(0), &part(1), size, &mut weights);
                weights.chunks_exact_mut(length).for_each(|row| softmax(row, scale));
                matmul(&weights, &part(2), length, &mut context);
                for (out, row) in out.chunks_exact_mut(hidden).zip(context.chunks_exact(size)) {
                    out[head..head + size].copy_from_slice(row);
                }
            }
        }
        attended
    }
}

/// A dense step: x W + b.
struct Dense {
    /// Inputs × outputs: the transpose of what the file holds. The product with a few rows
    /// then reads the weights as they lie, without rearranging them first.
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

impl Dense {
    /// Reads one step, or several that take the same input, their `outputs` side by side.
    fn load(
        weights: &Weights<'_>,
        names: &[String],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self> {
        let (mut parts, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            parts.extend(weights.read(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(weights.read(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Self { weight: transposed(&parts, inputs), bias, inputs })
    }

    /// x W + b for each row x.
    fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len() / self.inputs * self.bias.len()];
        matmul(rows, &self.weight, self.inputs, &mut out);
        add_to_rows(&mut out, &self.bias);
        out
    }
}

/// Layer normalisation.
struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    eps: f32,
}

impl Norm {
    fn load(weights: &Weights<'_>, name: &str, config: &BertConfig) -> Result<Self> {
        let vector = |part: &str| weights.read(&format!("{name}.{part}"), &[config.hidden_size]);
        let (scale, shift) = (vector("weight")?, vector("bias")?);
        Ok(Self { scale, shift, eps: config.layer_norm_eps as f32 })
    }

    /// Brings every row to mean 0 and variance 1, then scales and shifts its elements.
    fn apply(&self, rows: &mut [f32]) {
        let n = self.scale.len() as f32;
        for row in rows.chunks_exact_mut(self.scale.len()) {
            let mean = sum(row, |x| x) / n;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
            // An infinite variance would turn all values into 0, and the overflow would not show.
            let variance = if variance.is_finite() { variance } else { f32::NAN };
            let factor = (variance + self.eps).sqrt().recip();
            for ((x, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
                *x = (*x - mean) * factor * scale + shift;
            }
        }
    }
}

/// The sum of f(x), in several partial sums: faster than one, and more accurate.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f(x);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// The transpose of rows of `columns` elements.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    /// Small enough that the columns written to stay in the fastest cache.
    const BLOCK: usize = 16;
    let rows = matrix.len() / columns;
    let mut out = vec![0.0; matrix.len()];
    for first in (0..rows).step_by(BLOCK) {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for row in first..rows.min(first + BLOCK) {
                out[row] = matrix[row * columns + column];
            }
        }
    }
    out
}

fn add(to: &mut [f32], what: &[f32]) {
    for (x, y) in to.iter_mut().zip(what) {
        *x += y;
    }
}

fn add_to_rows(rows: &mut [f32], what: &[f32]) {
    rows.chunks_exact_mut(what.len()).for_each(|row| add(row, what));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn layer_norm_is_of_each_row() {
        let mut rows = [1.0, 3.0, 7.0, 5.0];
        Norm { scale: vec![1.0, 2.0], shift: vec![0.0, 1.0], eps: 0.0 }.apply(&mut rows);
        assert_eq!(rows, [-1.0, 3.0, 1.0, -1.0]);
    }
}
