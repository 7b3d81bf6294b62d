//! What a model file says beside its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::projection::{Model, Projection};
use crate::store::{HYBRID_WEIGHT, ModelKind, ModelParameters, hybrid_weight};
use crate::tensors::TensorFile;

const FORMAT: &str = "projection";
const VERSION: u64 = 1;

/// What is known of a model beside its numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description {
    /// A name for people.
    pub name: Option<String>,
    /// How it was trained, for people; null where that is not known.
    pub training: Value,
    /// What was measured; null where nothing was.
    pub metrics: Value,
}

/// What a model file holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelFileInfo {
    /// The model's kind.
    pub kind: ModelKind,
    /// Its parameters, with how it was trained where that is known.
    pub parameters: Value,
    /// Name and metrics.
    pub description: Description,
    /// Bytes of the file.
    pub bytes: usize,
    /// Name, dtype and shape of every tensor.
    pub tensors: Vec<(String, &'static str, Vec<usize>)>,
}

/// Says what the model file at `path` holds, from its header alone.
///
/// # Errors
/// As [`Model::load_file`], as far as the header is concerned.
pub fn inspect(path: impl AsRef<Path>) -> Result<ModelFileInfo> {
    let file = TensorFile::map(path.as_ref())?;
    let metadata = Metadata::read(&file)?;
    let parameters: Value = json(&file, "parameters")?;
    let training = parameters.get("training").cloned().unwrap_or(Value::Null);
    let metrics = match file.metadata().contains_key("metrics") {
        true => json(&file, "metrics")?,
        false => Value::Null,
    };
    let tensors = file.tensors().iter();
    let tensors = tensors
        .map(|(name, entry)| (name.clone(), entry.dtype.name(), entry.shape.clone()))
        .collect();
    Ok(ModelFileInfo {
        kind: metadata.parameters.kind(),
        parameters,
        description: Description { name: file.metadata().get("name").cloned(), training, metrics },
        bytes: file.len(),
        tensors,
    })
}

/// What is needed to make the model.
pub(super) struct Metadata {
    pub parameters: ModelParameters,
    pub hybrid_weight: Option<f64>,
    pub input_dim: Option<usize>,
    pub output_dim: Option<usize>,
}

impl Metadata {
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the file and the key.
    pub fn read(file: &TensorFile<'_>) -> Result<Self> {
        let text = |key: &str| file.metadata().get(key).map(String::as_str);
        let wrong = |key: &str, expected: &str| match text(key) {
            Some(found) => file.invalid(format!("'{key}' is '{found}', expected {expected}")),
            None => {
                file.invalid(format!("'{key}' is missing in its metadata, expected {expected}"))
            }
        };
        if text("format") != Some(FORMAT) {
            return Err(wrong("format", &format!("'{FORMAT}': not a model of this engine")));
        }
        let version = text("format_version").and_then(|version| version.parse::<u64>().ok());
        if version.is_none_or(|version| version == 0 || version > VERSION) {
            return Err(wrong("format_version", &format!("{VERSION}, which this version reads")));
        }
        let kind = text("kind").and_then(ModelKind::from_name).ok_or_else(|| {
            let kinds: Vec<&str> = ModelKind::ALL.iter().map(|kind| kind.name()).collect();
            wrong("kind", &format!("one of {}", kinds.join(", ")))
        })?;
        let Some(parameters) = text("parameters") else {
            return Err(wrong("parameters", "JSON"));
        };
        let name = format!("{}: parameters", file.name());
        let read = ModelParameters::from_json(parameters, &name)?;
        if read.kind() != kind {
            return Err(wrong("kind", &format!("{}, as its parameters say", read.kind().name())));
        }
        let count = |key: &str| match text(key) {
            None => Ok(None),
            Some(count) => {
                count.parse().map(Some).map_err(|_| wrong(key, "a whole number above zero"))
            }
        };
        Ok(Self {
            hybrid_weight: hybrid_weight(&json(file, "parameters")?, &name)?,
            parameters: read,
            input_dim: count("input_dim")?,
            output_dim: count("output_dim")?,
        })
    }
}

fn json(file: &TensorFile<'_>, key: &str) -> Result<Value> {
    let text = file.metadata().get(key).map_or("", String::as_str);
    serde_json::from_str(text).map_err(|error| {
        let what = format!("{}: '{key}' is not JSON: {error}", file.name());
        Error::new(ErrorKind::InvalidModel, what)
    })
}

/// The texts of a model's file.
pub(super) fn write(
    model: &Model,
    parameters: &ModelParameters,
    about: &Description,
) -> BTreeMap<&'static str, String> {
    let mut json = parameters.to_json(&about.training);
    if let Some(weight) = model.hybrid_weight() {
        json[HYBRID_WEIGHT] = weight.into();
    }
    let mut texts = BTreeMap::from([
        ("format", FORMAT.to_string()),
        ("format_version", VERSION.to_string()),
        ("kind", parameters.kind().name().to_string()),
        ("parameters", json.to_string()),
        ("input_dim", model.input_dim().to_string()),
        ("output_dim", model.output_dim().to_string()),
    ]);
    if let Some(name) = &about.name {
        texts.insert("name", name.clone());
    }
    if !about.metrics.is_null() {
        texts.insert("metrics", about.metrics.to_string());
    }
    texts
}
