//! What a model file says beside its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::transformer;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Json;
use crate::parameters::{HYBRID_WEIGHT, ModelKind, ModelParameters, SearchValues, UNSEEN_OFFSET};
use crate::projection::{Model, Projection, TransformerShape};
use crate::tensors::MappedFile;
use crate::tensors::TensorFile;

const FORMAT: &str = "projection";
const VERSION: usize = 1;

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

/// Says what the model file at `path` holds, from its header alone unless it is torch's.
///
/// # Errors
/// As [`Model::load_file`], as far as the header is concerned.
pub fn inspect(path: impl AsRef<Path>) -> Result<ModelFileInfo> {
    let file = MappedFile::open(path.as_ref())?;
    let file = TensorFile::of_mapped(file)?;
    let metadata = Metadata::read(&file)?;
    let parameters: Value = json(&file, "parameters")?;
    let training = parameters.get("training").cloned().unwrap_or(Value::Null);
    let metrics = match file.metadata().has("metrics") {
        true => json(&file, "metrics")?,
        false => Value::Null,
    };
    let tensors = file.tensors().iter();
    let tensors = tensors
        .map(|(name, entry)| (name.clone(), entry.dtype.name(), entry.shape.clone()))
        .collect();
    Ok(ModelFileInfo {
        kind: metadata.kind,
        parameters,
        description: Description { name: file.metadata().get("name").cloned(), training, metrics },
        bytes: file.len(),
        tensors,
    })
}

/// What a model is made of beside its tensors.
pub enum Parameters {
    /// As models of stores have them.
    Stored(ModelParameters),
    Transformer(TransformerShape),
}

/// What is needed to make the model.
pub struct Metadata {
    pub kind: ModelKind,
    pub parameters: Parameters,
    pub search: SearchValues,
    pub input_dim: Option<usize>,
    pub output_dim: Option<usize>,
}

impl Metadata {
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the file and the key.
    pub fn read(file: &TensorFile<'_>) -> Result<Self> {
        let text = |key: &str| file.metadata().get(key).map(String::as_str);
        let wrong = |key: &str, expected: &str| match text(key) {
            Some(found) => file.invalid(format_args!("'{key}' is '{found}', expected {expected}")),
            None => file
                .invalid(format_args!("'{key}' is missing in its metadata, expected {expected}")),
        };
        if text("format") != Some(FORMAT) {
            return Err(wrong("format", &format!("'{FORMAT}': not a model of this engine")));
        }
        let version = text("format_version").and_then(|version| version.parse::<usize>().ok());
        if version.is_none_or(|version| version == 0 || version > VERSION) {
            return Err(wrong("format_version", &format!("{VERSION}, which this version reads")));
        }
        let kind = text("kind").and_then(ModelKind::from_name).ok_or_else(|| {
            let [a, b, c, d] = ModelKind::ALL.map(ModelKind::name);
            wrong("kind", &format!("one of {a}, {b}, {c}, {d}"))
        })?;
        let Some(parameters) = text("parameters") else {
            return Err(wrong("parameters", "JSON"));
        };
        let name = format!("{}: parameters", file.name());
        let json = Json::parse(parameters).map_err(|error| {
            Error::new(ErrorKind::InvalidModel, format!("{name}: not JSON: {error}"))
        })?;
        // A transformer's need not repeat the kind.
        let said = json.get("kind").and_then(Json::text).unwrap_or(kind.name());
        if said != kind.name() {
            return Err(wrong("kind", &format!("{said}, as its parameters say")));
        }
        let read = match kind {
            ModelKind::Transformer => Parameters::Transformer(transformer::shape(&json, &name)?),
            _ => Parameters::Stored(ModelParameters::from_json(parameters, &name)?),
        };
        let count = |key: &str| match text(key) {
            None => Ok(None),
            Some(count) => {
                count.parse().map(Some).map_err(|_| wrong(key, "a whole number above zero"))
            }
        };
        Ok(Self {
            search: SearchValues::of(parameters, &name)?,
            kind,
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
pub fn write(
    model: &Model,
    mut parameters: Value,
    about: &Description,
) -> BTreeMap<&'static str, String> {
    if let Some(weight) = model.hybrid_weight() {
        parameters[HYBRID_WEIGHT] = weight.into();
    }
    if let Some(offset) = model.unseen_offset() {
        parameters[UNSEEN_OFFSET] = offset.into();
    }
    let mut texts = BTreeMap::from([
        ("format", FORMAT.to_string()),
        ("format_version", VERSION.to_string()),
        ("kind", model.kind().name().to_string()),
        ("parameters", parameters.to_string()),
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
