//! Models from files of any format that the engine reads.

use std::path::Path;

use projection_core::model_file::{Description, ModelFileInfo, from_weights, in_file};
use projection_core::projection::{
    Model, ModelParameters, TransformerProjection, TransformerShape, TransformerWeights,
};
use projection_core::tensors::MappedFile;

use crate::error::{Error, ErrorKind, Result};
use crate::torch::{self, TorchFile};

pub use crate::torch::is_torch;

/// Opens the model in the file at `path`: one of ours, see [`Model::load_file`], or a
/// transformer that `torch.save` wrote. The content tells which; nothing in it is run.
///
/// # Errors
/// As [`Model::load_file`].
pub fn load_file(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    let file = MappedFile::open(path)?;
    match torch::is_torch(file.bytes()) {
        true => from_torch(file.bytes(), file.name()).map(Model::Transformer),
        false => Model::load_file(path),
    }
}

/// [`load_file`] from the bytes of a file, which messages call `name`.
///
/// # Errors
/// As [`load_file`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Model> {
    match torch::is_torch(bytes) {
        true => from_torch(bytes, name).map(Model::Transformer),
        false => projection_core::model_file::from_bytes(bytes, name),
    }
}

/// Says what the model file at `path` holds, from its header alone unless it is torch's.
///
/// # Errors
/// As [`load_file`], as far as the header is concerned.
pub fn inspect(path: impl AsRef<Path>) -> Result<ModelFileInfo> {
    let path = path.as_ref();
    let file = MappedFile::open(path)?;
    if !torch::is_torch(file.bytes()) {
        return projection_core::model_file::inspect(path);
    }
    let model = from_torch(file.bytes(), file.name())?;
    let parameters = ModelParameters::Transformer(model.shape().clone());
    let tensors = model.weights().tensors().iter();
    Ok(ModelFileInfo {
        kind: parameters.kind(),
        parameters: parameters.to_json(&serde_json::Value::Null),
        description: Description::default(),
        bytes: file.bytes().len(),
        tensors: tensors.map(|t| (t.name.clone(), "F32".into(), t.shape.clone())).collect(),
    })
}

/// Loads a transformer from a file that `torch.save` wrote (a dictionary of `embed_dim`,
/// `num_heads`, `num_layers`, `ff_dim`, `dropout` and of the state dictionaries `input_proj`,
/// `encoder` and `output_proj`), or from a safetensors file of ours.
///
/// # Errors
/// As [`load_file`], and [`ErrorKind::InvalidModel`] for a model of another kind.
pub fn load_transformer(path: impl AsRef<Path>) -> Result<TransformerProjection> {
    let path = path.as_ref();
    transformer(load_file(path)?, &path.display().to_string())
}

/// [`load_transformer`] from the bytes of a file, which messages call `name`.
///
/// # Errors
/// As [`load_transformer`].
pub fn transformer_from_bytes(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    transformer(from_bytes(bytes, name)?, name)
}

fn transformer(model: Model, name: &str) -> Result<TransformerProjection> {
    match model {
        Model::Transformer(model) => Ok(model),
        other => Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{name}: kind {}, expected a transformer", other.kind().name()),
        )),
    }
}

/// The parts that a torch file keeps in dictionaries of their own.
const STATES: [&str; 3] = ["input_proj", "encoder", "output_proj"];

fn from_torch(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    let mut file = TorchFile::read(bytes, name)?;
    let size = |key: &str| {
        let size = file.integer(key)?;
        usize::try_from(size).map_err(|_| {
            let what = format!("{name}: {key} {size}, expected a size");
            Error::new(ErrorKind::InvalidModel, what)
        })
    };
    let shape = TransformerShape {
        embed_dim: size("embed_dim")?,
        num_heads: size("num_heads")?,
        num_layers: size("num_layers")?,
        ff_dim: size("ff_dim")?,
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
    from_weights(weights, &found, name)
}
