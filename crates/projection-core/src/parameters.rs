//! What a trained model is, beside its vectors: its kind and its numbers, as JSON.
//!
//! The same JSON is in the store's own table `engine_models` and in `mh_{id}_model.json`
//! beside the vectors, so that a folder alone is enough. Other programs write multi-head models
//! without it.

use std::num::NonZeroUsize;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::files;
use crate::projection::TransformerShape;

/// The kinds of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// One head a cluster, mixed by softmax.
    MultiHead,
    /// The query and what training learned to add to it.
    Residual,
    /// One matrix.
    Linear,
    /// A distilled network, in a file of its own.
    Transformer,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::MultiHead, Self::Residual, Self::Linear, Self::Transformer];

    /// The name in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiHead => "multi_head",
            Self::Residual => "residual",
            Self::Linear => "linear",
            Self::Transformer => "transformer",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The kind of a model and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelParameters {
    /// Of a multi-head projection.
    MultiHead {
        /// Softmax temperature τ.
        temperature: f64,
        /// Only so many of the nearest heads take part.
        #[serde(default, deserialize_with = "above_zero_if_any")]
        top_k: Option<usize>,
    },
    /// Of a residual projection.
    Residual {
        /// Factor s of rotation and adapter.
        gain: f64,
        /// Temperature τ of the rotation.
        temperature: f64,
        /// Nearest training questions k of the rotation.
        #[serde(deserialize_with = "above_zero")]
        neighbours: usize,
        /// Whether the rotation is added.
        rotation: bool,
        /// Whether there is an adapter, in a file of its own.
        adapter: bool,
        /// The greatest angle by which answers are moved, in radians.
        #[serde(default, skip_serializing_if = "is_zero")]
        answer_angle: f64,
    },
    /// Of a linear projection: all in its matrix.
    Linear {},
    /// Of a transformer: its sizes.
    Transformer(TransformerShape),
}

impl ModelParameters {
    /// The model's kind.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::MultiHead { .. } => ModelKind::MultiHead,
            Self::Residual { .. } => ModelKind::Residual,
            Self::Linear {} => ModelKind::Linear,
            Self::Transformer(_) => ModelKind::Transformer,
        }
    }

    /// As a JSON object with the key `kind`. `training` says how the model was made and is for
    /// people; nothing reads it.
    pub fn to_json(&self, training: &Value) -> Value {
        let kind = self.kind().name();
        // Serde writes the kind around the parameters.
        let mut json = json!(self)[kind].take();
        json["kind"] = kind.into();
        if !training.is_null() {
            json["training"] = training.clone();
        }
        json
    }

    /// Reads the JSON that [`to_json`](Self::to_json) returns. `name` stands for the source in
    /// messages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the source and the key.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        let json = parse(text, name)?;
        let Some(kind) = json.get("kind").and_then(Value::as_str) else {
            let kinds = ModelKind::ALL.map(ModelKind::name).join(", ");
            let what = format!("{name}: expected an object with a 'kind', one of {kinds}");
            return Err(Error::new(ErrorKind::InvalidModel, what));
        };
        read(json!({ kind: json }), name)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and if the file can't be read.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_json(&read_text(path)?, &path.display().to_string())
    }
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

fn above_zero<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    NonZeroUsize::deserialize(value).map(usize::from)
}

fn above_zero_if_any<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    Ok(Option::<NonZeroUsize>::deserialize(value)?.map(usize::from))
}

/// What training chose for search, among the keys of a model's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SearchDefaults {
    /// The weight of BM25 in hybrid search, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hybrid_weight: Option<f64>,
    /// The offset of answers without training questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_offset: Option<f64>,
}

impl SearchDefaults {
    /// From the JSON of a model's parameters; `name` stands for the source.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the source and the key.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        let values: Self = read(parse(text, name)?, name)?;
        match values.hybrid_weight.filter(|weight| !(0.0..=1.0).contains(weight)) {
            Some(weight) => Err(Error::new(
                ErrorKind::InvalidModel,
                format!("{name}: hybrid_weight {weight}, expected a number from 0 to 1"),
            )),
            None => Ok(values),
        }
    }

    /// From the file at `path`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and if the file can't be read.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_json(&read_text(path)?, &path.display().to_string())
    }

    /// Adds what was chosen to the JSON of a model's parameters.
    pub fn add_to(&self, parameters: &mut Value) {
        if let (Value::Object(all), Value::Object(chosen)) = (parameters, json!(self)) {
            all.extend(chosen);
        }
    }
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(files::read(path)?).map_err(|error| {
        Error::new(ErrorKind::InvalidModel, format!("{}: {error}", path.display()))
    })
}

/// Parses the JSON of a model, whose source messages call `name`.
pub(crate) fn parse(text: &str, name: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("{name}: not JSON: {error}")))
}

/// What JSON holds. Messages name the source and the key.
pub(crate) fn read<T: DeserializeOwned>(json: Value, name: &str) -> Result<T> {
    serde_path_to_error::deserialize(json)
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_through_json() {
        let shape = TransformerShape {
            embed_dim: 8,
            num_heads: 2,
            num_layers: 1,
            ff_dim: 16,
            dropout: 0.1,
        };
        for parameters in [
            ModelParameters::MultiHead { temperature: 0.07, top_k: Some(3) },
            ModelParameters::MultiHead { temperature: 0.1, top_k: None },
            ModelParameters::Residual {
                gain: 0.35,
                temperature: 0.1,
                neighbours: 32,
                rotation: true,
                adapter: false,
                answer_angle: 0.5,
            },
            ModelParameters::Linear {},
            ModelParameters::Transformer(shape),
        ] {
            let mut json = parameters.to_json(&json!({"seed": 1}));
            assert_eq!(json["kind"], parameters.kind().name());
            let chosen = SearchDefaults { hybrid_weight: Some(0.25), unseen_offset: None };
            chosen.add_to(&mut json);
            let text = json.to_string();
            assert_eq!(ModelParameters::from_json(&text, "x").unwrap(), parameters);
            assert_eq!(SearchDefaults::from_json(&text, "x").unwrap(), chosen);
        }
    }

    #[test]
    fn says_which_key_is_wrong() {
        for (text, word) in [
            ("", "JSON"),
            ("[]", "object"),
            ("{}", "kind"),
            (r#"{"kind": "magic"}"#, "magic"),
            (r#"{"kind": "multi_head", "temperature": "warm"}"#, "temperature"),
            (r#"{"kind": "multi_head", "temperature": 1, "top_k": 0}"#, "top_k"),
            (r#"{"kind": "residual", "gain": 1, "temperature": 1}"#, "neighbours"),
            (r#"{"kind": "linear"} 1"#, "trailing"),
        ] {
            let error = ModelParameters::from_json(text, "file.json").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel);
            let message = error.to_string();
            assert!(message.contains(word) && message.contains("file.json"), "{message}");
        }
        let error = SearchDefaults::from_json(r#"{"hybrid_weight": 2}"#, "file.json").unwrap_err();
        assert!(error.to_string().contains("hybrid_weight 2"), "{error}");
    }
}
