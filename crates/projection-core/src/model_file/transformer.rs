//! Transformers as tensors with the parameter names of PyTorch.

use std::path::Path;

use serde_json::Value;

use super::{Description, in_file};
use crate::error::{Error, ErrorKind, Result};
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

pub fn tensors(weights: &TransformerWeights) -> Vec<NewTensor<'_>> {
    let tensors = weights.tensors().iter();
    tensors.map(|t| NewTensor::new(t.name.clone(), &t.shape, &t.values)).collect()
}

pub fn read(file: &TensorFile<'_>, shape: &TransformerShape) -> Result<TransformerProjection> {
    let weights = TransformerWeights::read(shape, |key| {
        let shape = &file.info(key)?.shape;
        Ok((shape.clone(), file.rows(key, shape)?.to_vec()))
    })?;
    from_weights(weights, file.tensors().keys(), file.name())
}

/// A transformer of weights that were read from a file, which has the tensors `found`.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] if there are more tensors than the network has: those of a norm
/// after the last layer, for example, would make another network.
pub fn from_weights<'a>(
    weights: TransformerWeights,
    found: impl IntoIterator<Item = &'a String>,
    file: &str,
) -> Result<TransformerProjection> {
    let known = weights.tensors();
    if let Some(unknown) = found.into_iter().find(|key| known.iter().all(|t| t.name != **key)) {
        let layers = weights.shape().num_layers;
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{file}: {unknown} is no part of a post-norm encoder of {layers} layers"),
        ));
    }
    TransformerProjection::new(weights).map_err(|error| in_file(error, file))
}
