//! Transformers as tensors, and in torch's own files.

#[cfg(feature = "store")]
use std::path::Path;

use serde_json::{Value, json};

use super::{Description, in_file};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Json;
use crate::parameters::ModelKind;
use crate::projection::{Model, TransformerProjection, TransformerShape, TransformerWeights};
use crate::tensors::{NewTensor, TensorFile};
#[cfg(feature = "store")]
use crate::torch::TorchFile;

/// The parts that a torch file keeps in dictionaries of their own.
#[cfg(feature = "store")]
const STATES: [&str; 3] = ["input_proj", "encoder", "output_proj"];

impl TransformerProjection {
    /// Loads a file that `torch.save` wrote (a dictionary of `embed_dim`, `num_heads`,
    /// `num_layers`, `ff_dim`, `dropout` and of the state dictionaries `input_proj`,
    /// `encoder` and `output_proj`), or a safetensors file of ours; which one it is shows
    /// in its content. Nothing in a torch file is run, and torch is not needed.
    ///
    /// # Errors
    /// As [`Model::load_file`], and [`ErrorKind::InvalidModel`] for a model of another kind.
    #[cfg(feature = "store")]
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of(Model::load_file(path)?, &path.display().to_string())
    }

    /// [`load`](Self::load) from the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::of(super::from_bytes(bytes, name)?, name)
    }

    fn of(model: Model, name: &str) -> Result<Self> {
        match model {
            Model::Transformer(model) => Ok(model),
            other => Err(Error::new(
                ErrorKind::InvalidModel,
                format!("{name}: kind {}, expected a transformer", other.kind().name()),
            )),
        }
    }

    /// Writes a safetensors file, as [`Model::save_file_with`] does; `training` says how the
    /// model was made.
    ///
    /// # Errors
    /// As [`Model::save_file`].
    #[cfg(feature = "store")]
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
pub(super) fn parameters(shape: &TransformerShape) -> Value {
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
pub(super) fn shape(parameters: &Json<'_>, name: &str) -> Result<TransformerShape> {
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

pub(super) fn tensors(weights: &TransformerWeights) -> Vec<NewTensor<'_>> {
    let tensors = weights.tensors().iter();
    tensors.map(|t| NewTensor::singles(t.name.clone(), &t.shape, &t.values)).collect()
}

pub(super) fn read(
    file: &TensorFile<'_>,
    shape: &TransformerShape,
) -> Result<TransformerProjection> {
    let weights = TransformerWeights::read(shape, |key| {
        let shape = file.tensor_shape(key)?;
        Ok((shape.to_vec(), file.rows(key, shape)?.to_vec()))
    })?;
    finish(weights, file.tensors().names().cloned().collect(), file.name())
}

fn invalid(name: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidModel, format!("{name}: {what}"))
}

/// A size from a file, which may be negative or anything.
fn size(value: Option<i64>, key: &str, name: &str) -> Result<usize> {
    let value = value.ok_or_else(|| invalid(name, format_args!("no whole number {key}")))?;
    let expected = || invalid(name, format_args!("{key} {value}, expected a size"));
    usize::try_from(value).ok().filter(|size| *size <= u32::MAX as usize).ok_or_else(expected)
}

#[cfg(feature = "store")]
pub(super) fn from_torch(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    let mut file = TorchFile::read(bytes, name)?;
    let sizes = ["embed_dim", "num_heads", "num_layers", "ff_dim"];
    let sizes = sizes.map(|key| size(Some(file.integer(key)?), key, name));
    let [embed_dim, num_heads, num_layers, ff_dim] = sizes;
    let shape = TransformerShape {
        embed_dim: embed_dim?,
        num_heads: num_heads?,
        num_layers: num_layers?,
        ff_dim: ff_dim?,
        dropout: file.number("dropout")?,
    };
    let weights = TransformerWeights::read(&shape, |full| {
        let (state, key) = full.split_once('.').unwrap_or((full, ""));
        let tensor = file.tensor(state, key)?;
        Ok((tensor.shape, tensor.values))
    });
    let weights = weights.map_err(|error| in_file(error, name))?;
    let mut found = Vec::new();
    for state in STATES {
        found.extend(file.keys(state)?.into_iter().map(|key| format!("{state}.{key}")));
    }
    finish(weights, found, name)
}

/// Tensors that nobody asked for, such as those of a norm after the last layer, would make
/// another network.
fn finish(
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
