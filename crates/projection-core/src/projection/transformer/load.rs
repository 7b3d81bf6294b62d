//! Transformers in files: torch's own, and safetensors.

use std::io::Write;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::{TransformerProjection, TransformerShape, TransformerWeights};
use crate::error::{Error, ErrorKind, Result};
use crate::npy::temporary_name;
use crate::projection::Projection;
use crate::store::ModelKind;
use crate::torch::{self, TorchFile};

/// The parts that a torch file keeps in dictionaries of their own.
const STATES: [&str; 3] = ["input_proj", "encoder", "output_proj"];

/// Data in our files begins at a multiple of this, so that a mapped file can be used as it
/// is.
const ALIGNMENT: usize = 64;

impl TransformerProjection {
    /// Loads a file that `torch.save` wrote (a dictionary of `embed_dim`, `num_heads`,
    /// `num_layers`, `ff_dim`, `dropout` and of the state dictionaries `input_proj`,
    /// `encoder` and `output_proj`), or a safetensors file of ours; which one it is shows
    /// in its content. Nothing in a torch file is run, and torch is not needed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where the file can't be read,
    /// [`ErrorKind::InvalidModel`] where it is damaged, is no transformer, or would have to
    /// be run to be read, and [`ErrorKind::NotFinite`]. Messages name file and tensor.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let reading = |error| Error::io("reading", path, error);
        // Asked before opening, since opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(reading)?.is_file() {
            let message = format!("reading {}: not a regular file", path.display());
            return Err(Error::new(ErrorKind::Io, message));
        }
        Self::from_bytes(&std::fs::read(path).map_err(reading)?, &path.display().to_string())
    }

    /// [`load`](Self::load) from the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        if torch::is_torch(bytes) { from_torch(bytes, name) } else { from_safetensors(bytes, name) }
    }

    /// Writes a safetensors file: the tensors under torch's names as F32, and in its
    /// metadata `format`, `format_version`, `kind` and, as JSON, `parameters`, which are the
    /// sizes and what `training` says of how the model was made. A file that was there is
    /// replaced only by the complete new one.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], naming the file; no partial file is left under `path`.
    pub fn save(&self, path: impl AsRef<Path>, training: &Value) -> Result<()> {
        let path = path.as_ref();
        let writing = |error| Error::io("writing", path, error);
        let temporary = temporary_name(path);
        let result = std::fs::File::create(&temporary).map_err(writing).and_then(|mut file| {
            file.write_all(&self.to_bytes(training)).map_err(writing)?;
            file.sync_all().map_err(writing)?;
            std::fs::rename(&temporary, path).map_err(writing)
        });
        if result.is_err() {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }

    /// The bytes of the file that [`save`](Self::save) writes.
    pub fn to_bytes(&self, training: &Value) -> Vec<u8> {
        let shape = self.shape();
        let mut parameters = json!({
            "embed_dim": shape.embed_dim,
            "num_heads": shape.num_heads,
            "num_layers": shape.num_layers,
            "ff_dim": shape.ff_dim,
            "dropout": shape.dropout,
        });
        if !training.is_null() {
            parameters["training"] = training.clone();
        }
        let mut header = Map::new();
        header.insert(
            "__metadata__".into(),
            json!({
                "format": "projection",
                "format_version": "1",
                "kind": ModelKind::Transformer.name(),
                "parameters": parameters.to_string(),
                "input_dim": self.input_dim().to_string(),
                "output_dim": self.output_dim().to_string(),
            }),
        );
        let mut offset = 0;
        for tensor in self.weights().tensors() {
            let end = offset + size_of_val(&tensor.values[..]);
            let entry =
                json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
            header.insert(tensor.name.clone(), entry);
            offset = end;
        }
        let mut text = Value::Object(header).to_string();
        while !(8 + text.len()).is_multiple_of(ALIGNMENT) {
            text.push(' ');
        }
        let mut bytes = Vec::with_capacity(8 + text.len() + offset);
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
        let tensors = self.weights().tensors().iter();
        bytes.extend(tensors.flat_map(|tensor| &tensor.values).flat_map(|v| v.to_le_bytes()));
        bytes
    }
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

fn from_torch(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
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
    let weights = weights.map_err(|error| named(error, name))?;
    let mut found = Vec::new();
    for state in STATES {
        found.extend(file.keys(state)?.into_iter().map(|key| format!("{state}.{key}")));
    }
    finish(weights, found, name)
}

fn from_safetensors(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    let damaged = |error: safetensors::SafeTensorError| {
        invalid(name, format_args!("neither a torch nor a safetensors file: {error}"))
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let entries = metadata.metadata().clone().unwrap_or_default();
    let said = |key: &str| entries.get(key).map(String::as_str);
    for (key, expected) in
        [("format", "projection"), ("format_version", "1"), ("kind", ModelKind::Transformer.name())]
    {
        if said(key) != Some(expected) {
            let found = said(key).map_or("none".into(), |value| format!("{value:?}"));
            return Err(invalid(
                name,
                format_args!("{key} {found} in the metadata, expected {expected:?}"),
            ));
        }
    }
    let text = said("parameters").unwrap_or_default();
    let parameters: Value = serde_json::from_str(text)
        .map_err(|error| invalid(name, format_args!("parameters in the metadata: {error}")))?;
    let sizes = ["embed_dim", "num_heads", "num_layers", "ff_dim"];
    let [embed_dim, num_heads, num_layers, ff_dim] =
        sizes.map(|key| size(parameters[key].as_i64(), key, name));
    let shape = TransformerShape {
        embed_dim: embed_dim?,
        num_heads: num_heads?,
        num_layers: num_layers?,
        ff_dim: ff_dim?,
        dropout: parameters["dropout"]
            .as_f64()
            .ok_or_else(|| invalid(name, "no number dropout in the parameters"))?,
    };
    let weights = TransformerWeights::read(&shape, |key| {
        let tensor = file.tensor(key).map_err(|_| invalid(name, format_args!("no {key}")))?;
        if tensor.dtype() != Dtype::F32 {
            let found = tensor.dtype();
            return Err(invalid(name, format_args!("{key}: {found:?}, expected F32")));
        }
        let (values, _) = tensor.data().as_chunks::<4>();
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok((tensor.shape().to_vec(), values))
    });
    let weights = weights.map_err(|error| named(error, name))?;
    finish(weights, file.names().into_iter().map(str::to_string).collect(), name)
}

/// Puts the file's name before an error that does not have it yet.
fn named(error: Error, name: &str) -> Error {
    if error.to_string().starts_with(name) { error } else { error.context(name) }
}

/// Tensors that nobody asked for, such as those of a norm after the last layer, would make
/// another network.
fn finish(
    weights: TransformerWeights,
    found: Vec<String>,
    name: &str,
) -> Result<TransformerProjection> {
    let known: std::collections::HashSet<&str> =
        weights.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    if let Some(unknown) = found.iter().find(|key| !known.contains(key.as_str())) {
        return Err(invalid(
            name,
            format_args!("{unknown} is no part of a post-norm encoder of {} layers", {
                weights.shape().num_layers
            }),
        ));
    }
    TransformerProjection::new(weights).map_err(|error| named(error, name))
}
