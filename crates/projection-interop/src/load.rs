//! Models from files of any format that the engine reads.

use std::path::Path;

use projection_core::model_file::{self, Description, ModelFileInfo};
use projection_core::projection::{Model, ModelParameters};
use projection_core::tensors::MappedFile;

use crate::error::Result;
use crate::torch;

/// Opens the model in the file at `path`: one of ours, see [`Model::load_file`], or a
/// transformer that `torch.save` wrote.
///
/// A torch file is a dictionary of `embed_dim`, `num_heads`, `num_layers`, `ff_dim`, `dropout`
/// and of the state dictionaries `input_proj`, `encoder` and `output_proj`. Its pickle is read
/// without running anything: a file that names any function but those which rebuild tensors
/// and dictionaries is refused.
///
/// # Errors
/// As [`Model::load_file`].
pub fn load_file(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    let file = MappedFile::open(path)?;
    match torch::is_torch(file.bytes()) {
        true => torch::read(file.bytes(), file.name()).map(Model::Transformer),
        false => Model::load_file(path),
    }
}

/// [`load_file`] from the bytes of a file, which messages call `name`.
///
/// # Errors
/// As [`load_file`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Model> {
    match torch::is_torch(bytes) {
        true => torch::read(bytes, name).map(Model::Transformer),
        false => model_file::from_bytes(bytes, name),
    }
}

/// Describes the model in the file at `path`, from its header alone unless torch wrote it.
///
/// # Errors
/// As [`load_file`]; a damaged tensor behind an intact header of ours is not noticed.
pub fn inspect(path: impl AsRef<Path>) -> Result<ModelFileInfo> {
    let path = path.as_ref();
    let file = MappedFile::open(path)?;
    if !torch::is_torch(file.bytes()) {
        return model_file::inspect(path);
    }
    let model = torch::read(file.bytes(), file.name())?;
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
