//! The forward pass of a BERT encoder over several texts at once.
//!
//! All tokens of all texts are rows of one matrix, one after the other and without padding:
//! everything but attention works row by row and does not care where a text ends, and
//! attention looks at one text at a time. So a text's neighbours cost it nothing and cannot
//! change it.

use std::io::{Read, Seek};

use projection_core::Result;

use crate::config::BertConfig;
use crate::math::{
    Matrix, add, add_bias, add_bias_gelu, layer_norm, multiply, softmax, transposed,
};
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
    pub fn load<F: Read + Seek>(weights: &mut Weights<F>, config: &BertConfig) -> Result<Self> {
        let hidden = config.hidden_size;
        let mut table = |name: &str, rows: usize| {
            weights.read(&format!("embeddings.{name}_embeddings.weight"), &[rows, hidden])
        };
        let words = table("word", config.vocab_size)?;
        let mut positions = table("position", config.max_position_embeddings)?;
        let types = table("token_type", config.type_vocab_size)?;
        add_bias(&mut positions, &types[..hidden]);
        let norm = Norm::load(weights, "embeddings.LayerNorm", config)?;
        let mut layers = Vec::new();
        for number in 0..config.num_hidden_layers {
            layers.push(Layer::load(weights, number, config)?);
        }
        Ok(Self { hidden, words, positions, norm, layers })
    }

    /// The mean of each text's last hidden states: one row a text.
    ///
    /// Texts are not empty, no longer than the positions, and their tokens below the
    /// vocabulary's size.
    pub fn mean_states(&self, texts: &[&[u32]]) -> Vec<f32> {
        let hidden = self.hidden;
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let mut states = Vec::with_capacity(lengths.iter().sum::<usize>() * hidden);
        for text in texts {
            for (&token, position) in text.iter().zip(self.positions.chunks_exact(hidden)) {
                let start = states.len();
                states.extend_from_slice(&self.words[token as usize * hidden..][..hidden]);
                add(&mut states[start..], position);
            }
        }
        self.norm.apply(&mut states);
        for layer in &self.layers {
            layer.apply(&mut states, &lengths);
        }

        let mut means = vec![0.0; texts.len() * hidden];
        let mut rows = states.chunks_exact(hidden);
        for (mean, &length) in means.chunks_exact_mut(hidden).zip(&lengths) {
            rows.by_ref().take(length).for_each(|row| add(mean, row));
            mean.iter_mut().for_each(|x| *x /= length as f32);
        }
        means
    }
}

/// One layer: attention, then two dense steps, each added to what went in.
struct Layer {
    heads: usize,
    /// Query, key and value side by side, the query scaled by 1/√(head size).
    query_key_value: Dense,
    attention_output: Dense,
    attention_norm: Norm,
    intermediate: Dense,
    output: Dense,
    output_norm: Norm,
}

impl Layer {
    fn load<F: Read + Seek>(
        weights: &mut Weights<F>,
        number: usize,
        config: &BertConfig,
    ) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let heads = config.num_attention_heads;
        let layer = format!("encoder.layer.{number}");
        let mut dense = |names: &[&str], inputs, outputs| {
            let names: Vec<_> = names.iter().map(|name| format!("{layer}.{name}")).collect();
            Dense::load(weights, &names, inputs, outputs)
        };
        let three = ["attention.self.query", "attention.self.key", "attention.self.value"];
        let mut query_key_value = dense(&three, hidden, hidden)?;
        query_key_value.scale_first(hidden, ((hidden / heads) as f32).sqrt().recip());
        let attention_output = dense(&["attention.output.dense"], hidden, hidden)?;
        let intermediate = dense(&["intermediate.dense"], hidden, inner)?;
        let output = dense(&["output.dense"], inner, hidden)?;
        let mut norm = |name: &str| Norm::load(weights, &format!("{layer}.{name}"), config);
        Ok(Self {
            heads,
            query_key_value,
            attention_output,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate,
            output,
            output_norm: norm("output.LayerNorm")?,
        })
    }

    fn apply(&self, states: &mut [f32], lengths: &[usize]) {
        let mut mixed = self.query_key_value.multiply(states);
        add_bias(&mut mixed, &self.query_key_value.bias);
        let attended = self.attend(&mixed, lengths);

        let mut step = self.attention_output.multiply(&attended);
        add_bias(&mut step, &self.attention_output.bias);
        add(states, &step);
        self.attention_norm.apply(states);

        let mut inner = self.intermediate.multiply(states);
        add_bias_gelu(&mut inner, &self.intermediate.bias);
        let mut step = self.output.multiply(&inner);
        add_bias(&mut step, &self.output.bias);
        add(states, &step);
        self.output_norm.apply(states);
    }

    /// Attention of every token to all tokens of its text, head by head. Rows of `mixed` hold
    /// a query, a key and a value side by side.
    fn attend(&self, mixed: &[f32], lengths: &[usize]) -> Vec<f32> {
        let hidden = self.query_key_value.inputs;
        let size = hidden / self.heads;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut weights = vec![0.0; longest * longest];
        let mut attended = vec![0.0; mixed.len() / 3];
        let mut first = 0;
        for &length in lengths {
            let weights = &mut weights[..length * length];
            for head in (0..hidden).step_by(size) {
                let part = |which: usize| {
                    let start = (first * 3 + which) * hidden + head;
                    Matrix::rows(&mixed[start..], length, size, 3 * hidden)
                };
                let (query, key, value) = (part(0), part(1), part(2));
                multiply(query, key.transposed(), weights, length);
                weights.chunks_exact_mut(length).for_each(softmax);
                let out = &mut attended[first * hidden + head..];
                multiply(Matrix::rows(weights, length, length, length), value, out, hidden);
            }
            first += length;
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
    fn load<F: Read + Seek>(
        weights: &mut Weights<F>,
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

    /// Scales the first `count` outputs.
    fn scale_first(&mut self, count: usize, by: f32) {
        let rows = self.weight.chunks_exact_mut(self.bias.len());
        for row in rows.chain([&mut self.bias[..]]) {
            row[..count].iter_mut().for_each(|x| *x *= by);
        }
    }

    /// x W for each row x. The bias is the caller's, who can add it in the same go as the
    /// next step.
    fn multiply(&self, rows: &[f32]) -> Vec<f32> {
        let (count, outputs) = (rows.len() / self.inputs, self.bias.len());
        let mut out = vec![0.0; count * outputs];
        let rows = Matrix::rows(rows, count, self.inputs, self.inputs);
        let weight = Matrix::rows(&self.weight, self.inputs, outputs, outputs);
        multiply(rows, weight, &mut out, outputs);
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
    fn load<F: Read + Seek>(
        weights: &mut Weights<F>,
        name: &str,
        config: &BertConfig,
    ) -> Result<Self> {
        let mut vector =
            |part: &str| weights.read(&format!("{name}.{part}"), &[config.hidden_size]);
        let (scale, shift) = (vector("weight")?, vector("bias")?);
        Ok(Self { scale, shift, eps: config.layer_norm_eps as f32 })
    }

    fn apply(&self, rows: &mut [f32]) {
        layer_norm(rows, &self.scale, &self.shift, self.eps);
    }
}
