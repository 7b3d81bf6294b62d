//! What a model file says beside its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::Result;
use crate::parameters::{self, ModelKind, ModelParameters, SearchDefaults};
use crate::projection::{Model, Projection};
use crate::tensors::{MappedFile, TensorFile};

const FORMAT: &str = "projection";
const VERSION: usize = 1;

/// What is known of a model beside its numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description {
    /// A name for people.
    pub name: Option<String>,
    /// How it was trained, for people; null if that is not known.
    pub training: Value,
    /// What was measured; null if nothing was.
    pub metrics: Value,
}

/// What a model file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFileInfo {
    /// The model's kind.
    pub kind: ModelKind,
    /// Its parameters, with how it was trained if that is known.
    pub parameters: Value,
    /// Name and metrics.
    pub description: Description,
    /// Bytes of the file.
    pub bytes: usize,
    /// Name, dtype and shape of every tensor.
    pub tensors: Vec<(String, String, Vec<usize>)>,
}

/// Says what the model file at `path` holds, from its header alone.
///
/// # Errors
/// As [`Model::load_file`], as far as the header is concerned.
pub fn inspect(path: impl AsRef<Path>) -> Result<ModelFileInfo> {
    let file = TensorFile::of_mapped(MappedFile::open(path.as_ref())?)?;
    let metadata = Metadata::read(&file)?;
    let json = |key: &str| match file.text(key) {
        Some(text) => parameters::parse(text, &format!("{}: '{key}'", file.name())),
        None => Ok(Value::Null),
    };
    let parameters = json("parameters")?;
    let training = parameters.get("training").cloned().unwrap_or(Value::Null);
    let name = file.text("name").map(str::to_string);
    let tensors = file.tensors().iter();
    Ok(ModelFileInfo {
        kind: metadata.parameters.kind(),
        parameters,
        description: Description { name, training, metrics: json("metrics")? },
        bytes: file.byte_len(),
        tensors: tensors
            .map(|(name, info)| (name.clone(), info.dtype.to_string(), info.shape.clone()))
            .collect(),
    })
}

/// What is needed to make the model.
pub struct Metadata {
    pub parameters: ModelParameters,
    pub search: SearchDefaults,
    pub input_dim: Option<usize>,
    pub output_dim: Option<usize>,
}

impl Metadata {
    /// # Errors
    /// [`ErrorKind::InvalidModel`](crate::ErrorKind::InvalidModel), naming the file and the key.
    pub fn read(file: &TensorFile<'_>) -> Result<Self> {
        check_format(file, FORMAT, VERSION)?;
        let text = |key: &str| {
            let missing = || file.invalid(format_args!("'{key}' is missing in its metadata"));
            file.text(key).ok_or_else(missing)
        };
        let json = text("parameters")?;
        let name = format!("{}: parameters", file.name());
        let parameters = ModelParameters::from_json(json, &name)?;
        let (kind, found) = (parameters.kind().name(), text("kind")?);
        if found != kind {
            return Err(file.invalid(format_args!("'kind' is {found}, its parameters say {kind}")));
        }
        let dim = |key: &str| {
            let wrong = |found| {
                file.invalid(format_args!("'{key}' is '{found}', expected a number above zero"))
            };
            file.text(key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
        };
        Ok(Self {
            search: SearchDefaults::from_json(json, &name)?,
            parameters,
            input_dim: dim("input_dim")?,
            output_dim: dim("output_dim")?,
        })
    }
}

/// Refuses a file of another format, or of a newer version.
pub fn check_format(file: &TensorFile<'_>, format: &str, version: usize) -> Result<()> {
    let found = file.text("format").unwrap_or("missing");
    if found != format {
        return Err(file.invalid(format_args!("'format' is {found}, expected '{format}'")));
    }
    let found = file.text("format_version").unwrap_or("missing");
    match found.parse::<usize>() {
        Ok(number) if (1..=version).contains(&number) => Ok(()),
        _ => Err(file.invalid(format_args!(
            "'format_version' is {found}, expected up to {version}, which this version reads"
        ))),
    }
}

/// The texts of a model's file.
pub fn write(model: &Model, about: &Description) -> BTreeMap<&'static str, String> {
    let mut parameters = model.model_parameters().to_json(&about.training);
    let (hybrid_weight, unseen_offset) = (model.hybrid_weight(), model.unseen_offset());
    SearchDefaults { hybrid_weight, unseen_offset }.add_to(&mut parameters);
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
