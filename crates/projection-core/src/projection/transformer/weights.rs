//! The weights of a transformer, under the names that torch gives them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Largest number of layers, which files state.
const MAX_LAYERS: usize = 64;

/// Sizes of a transformer, as its file states them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformerShape {
    /// Width h of the layers.
    pub embed_dim: usize,
    /// Heads of the attention. They divide the width and do not change the result: over a
    /// sequence of length 1 every head attends to the only position with weight 1.
    pub num_heads: usize,
    /// Encoder layers.
    pub num_layers: usize,
    /// Width of the layers' inner, non-linear part.
    pub ff_dim: usize,
    /// Share of the values that training dropped. Projecting drops nothing.
    pub dropout: f64,
}

impl TransformerShape {
    /// Checks that sizes are above zero and that the heads divide the width.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the size.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidModel, what));
        let sizes =
            [("embed_dim", self.embed_dim), ("ff_dim", self.ff_dim), ("num_heads", self.num_heads)];
        let expected = 1..=u32::MAX as usize;
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !expected.contains(size)) {
            return invalid(format!("{name} {size}, expected a size above zero"));
        }
        if !(1..=MAX_LAYERS).contains(&self.num_layers) {
            let layers = self.num_layers;
            return invalid(format!("num_layers {layers}, expected 1 to {MAX_LAYERS}"));
        }
        if !self.embed_dim.is_multiple_of(self.num_heads) {
            return invalid(format!(
                "num_heads {}, expected a divisor of embed_dim {}",
                self.num_heads, self.embed_dim
            ));
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            return invalid(format!("dropout {}, expected a number from 0 to 1", self.dropout));
        }
        Ok(())
    }
}

/// A tensor under its name, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Such as `encoder.layers.0.linear1.weight`.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

/// The tensors of a transformer: those of torch's modules `input_proj` (Linear), `encoder`
/// (TransformerEncoder) and `output_proj` (Linear), in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerWeights {
    shape: TransformerShape,
    tensors: Vec<NamedTensor>,
}

/// Number of tensors of a layer.
const LAYER_TENSORS: usize = 12;

/// An axis of any length.
const ANY: usize = 0;

/// Names and shapes of a layer's tensors. Vectors have 0 columns.
fn layer_tensors(shape: &TransformerShape) -> [(&'static str, [usize; 2]); LAYER_TENSORS] {
    let (h, f) = (shape.embed_dim, shape.ff_dim);
    [
        ("self_attn.in_proj_weight", [3 * h, h]),
        ("self_attn.in_proj_bias", [3 * h, 0]),
        ("self_attn.out_proj.weight", [h, h]),
        ("self_attn.out_proj.bias", [h, 0]),
        ("linear1.weight", [f, h]),
        ("linear1.bias", [f, 0]),
        ("linear2.weight", [h, f]),
        ("linear2.bias", [h, 0]),
        ("norm1.weight", [h, 0]),
        ("norm1.bias", [h, 0]),
        ("norm2.weight", [h, 0]),
        ("norm2.bias", [h, 0]),
    ]
}

impl TransformerWeights {
    /// Reads the tensors by their names, such as `input_proj.weight` and
    /// `encoder.layers.0.norm1.bias`. `lookup` returns shape and row-major values.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for a tensor of another shape than the sizes require,
    /// [`ErrorKind::NotFinite`] for NaN or infinity, and the errors of `lookup`.
    pub fn read(
        shape: &TransformerShape,
        mut lookup: impl FnMut(&str) -> Result<(Vec<usize>, Vec<f32>)>,
    ) -> Result<Self> {
        shape.check()?;
        let mut tensors = Vec::with_capacity(4 + LAYER_TENSORS * shape.num_layers);
        let mut take = |name: String, expected: &[usize]| -> Result<()> {
            let (found, values) = lookup(&name)?;
            let fits = found.len() == expected.len()
                && found.iter().zip(expected).all(|(n, e)| *e == ANY || e == n);
            if !fits || values.len() != found.iter().product::<usize>() || values.is_empty() {
                let wanted = expected.iter().map(|size| match *size {
                    ANY => "any".to_string(),
                    size => size.to_string(),
                });
                let wanted = wanted.collect::<Vec<_>>().join(", ");
                return Err(Error::new(
                    ErrorKind::InvalidModel,
                    format!("{name}: shape {found:?}, expected [{wanted}]"),
                ));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::new(
                    ErrorKind::NotFinite,
                    format!("{name}: the value {} at {at}, expected finite numbers", values[at]),
                ));
            }
            tensors.push(NamedTensor { name, shape: found, values });
            Ok(())
        };
        // Only the dimensions of queries and of projected queries are free.
        let h = shape.embed_dim;
        take("input_proj.weight".into(), &[h, ANY])?;
        take("input_proj.bias".into(), &[h])?;
        for layer in 0..shape.num_layers {
            for (name, sizes) in layer_tensors(shape) {
                let axes = if sizes[1] == 0 { 1 } else { 2 };
                take(format!("encoder.layers.{layer}.{name}"), &sizes[..axes])?;
            }
        }
        take("output_proj.weight".into(), &[ANY, h])?;
        take("output_proj.bias".into(), &[ANY])?;
        let weights = Self { shape: shape.clone(), tensors };
        let (rows, bias) = (weights.output_dim(), weights.output()[1].values.len());
        if rows != bias {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("output_proj.bias: shape [{bias}], expected [{rows}]"),
            ));
        }
        Ok(weights)
    }

    /// The sizes.
    pub fn shape(&self) -> &TransformerShape {
        &self.shape
    }

    /// All tensors, in the order of the network.
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.tensors
    }

    /// Dimension of queries.
    pub fn input_dim(&self) -> usize {
        self.tensors[0].shape[1]
    }

    /// Dimension of projected queries.
    pub fn output_dim(&self) -> usize {
        self.output()[0].shape[0]
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.values.len()).sum()
    }

    /// Whether there are no weights, which is never so.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Weight and bias of the input layer.
    pub fn input(&self) -> &[NamedTensor; 2] {
        self.tensors.first_chunk().expect("an input layer")
    }

    /// The tensors of a layer, in torch's order: input and output projection of the attention, the
    /// two linear maps, the two norms; weight and bias of each.
    pub fn layer(&self, layer: usize) -> &[NamedTensor; LAYER_TENSORS] {
        let tensors = &self.tensors[2 + layer * LAYER_TENSORS..];
        tensors.first_chunk().expect("as many tensors as the shape requires")
    }

    /// Weight and bias of the output layer.
    pub fn output(&self) -> &[NamedTensor; 2] {
        self.tensors.last_chunk().expect("an output layer")
    }
}
