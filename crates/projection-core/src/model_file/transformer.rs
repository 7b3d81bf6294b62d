//! Transformers as tensors, and in torch's own files.
use std::path::Path;

use serde_json::{Value, json};

use super::{Description, in_file};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Json;
use crate::parameters::ModelKind;
use crate::projection::{Model, TransformerProjection, TransformerShape, TransformerWeights};
use crate::tensors::{NewTensor, TensorFile};

impl TransformerProjection {
    /// Writes a safetensors file, as [`Model::save_file_with`] does; `training` says how the
    /// model was made.
    ///
    /// # Errors
    /// As [`Model::save_file`].
    pub fn save(&self, path: impl AsRef<Path>, training: &Value) -> Result<()> {
        let about = Description { training: training.clone(), ..Description::default() };
        Model::Transformer(self.clone()).save_file_with(path, &about)
    }

    /// The bytes of the file that [`save`](Self::save) writes.
    pub fn to_bytes(&self, training: &Value) -> Vec<u8> {
        let about = Description { training: training.clone(), ..Description::default() };
        let mut bytes = Vec::new();
        let written = super::write_model(&Model::Transformer(self.clone()), &about, &mut bytes);
        written.expect("memory takes every byte");
        bytes
    }
}

/// The sizes as JSON.
pub fn parameters(shape: &TransformerShape) -> Value {
    json!({
        "kind": ModelKind::Transformer.name(),
        "embed_dim": shape.embed_dim,
        "num_heads": shape.num_heads,
        "num_layers": shape.num_layers,
        "ff_dim": shape.ff_dim,
        "dropout": shape.dropout,
    })
}

/// Reads what [`parameters`] gave. `name` stands for the source in messages.
pub fn shape(parameters: &Json<'_>, name: &str) -> Result<TransformerShape> {
    let sizes = ["embed_dim", "num_heads", "num_layers", "ff_dim"];
    let [embed_dim, num_heads, num_layers, ff_dim] =
        sizes.map(|key| size(parameters.get(key).and_then(Json::whole), key, name));
    Ok(TransformerShape {
        embed_dim: embed_dim?,
        num_heads: num_heads?,
        num_layers: num_layers?,
        ff_dim: ff_dim?,
        dropout: parameters
            .get("dropout")
            .and_then(Json::number)
            .ok_or_else(|| invalid(name, "no number dropout in the parameters"))?,
    })
}

pub fn tensors(weights: &TransformerWeights) -> Vec<NewTensor<'_>> {
    let tensors = weights.tensors().iter();
    tensors.map(|t| NewTensor::singles(t.name.clone(), &t.shape, &t.values)).collect()
}

pub fn read(file: &TensorFile<'_>, shape: &TransformerShape) -> Result<TransformerProjection> {
    let weights = TransformerWeights::read(shape, |key| {
        let shape = file.tensor_shape(key)?;
        Ok((shape.to_vec(), file.rows(key, shape)?.to_vec()))
    })?;
    finish(weights, file.tensors().names().cloned().collect(), file.name())
}

pub fn invalid(name: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidModel, format!("{name}: {what}"))
}

/// A size from a file, which may be negative or anything.
pub fn size(value: Option<i64>, key: &str, name: &str) -> Result<usize> {
    let value = value.ok_or_else(|| invalid(name, format_args!("no whole number {key}")))?;
    let expected = || invalid(name, format_args!("{key} {value}, expected a size"));
    usize::try_from(value).ok().filter(|size| *size <= u32::MAX as usize).ok_or_else(expected)
}
/// Tensors that nobody asked for, such as those of a norm after the last layer, would make
/// another network.
pub fn finish(
    weights: TransformerWeights,
    found: Vec<String>,
    name: &str,
) -> Result<TransformerProjection> {
    let known = weights.tensors();
    // All of the known ones were found, each once: an unknown one is more than those.
    let more = if found.len() > known.len() { &found[..] } else { &[] };
    if let Some(unknown) = more.iter().find(|key| known.iter().all(|t| t.name != **key)) {
        return Err(invalid(
            name,
            format_args!("{unknown} is no part of a post-norm encoder of {} layers", {
                weights.shape().num_layers
            }),
        ));
    }
    TransformerProjection::new(weights).map_err(|error| in_file(error, name))
}
