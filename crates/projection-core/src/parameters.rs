//! What a trained model is, beside its vectors: its kind and its numbers, as JSON.
//!
//! The same JSON is in the store's own table `engine_models` and in `mh_{id}_model.json`
//! beside the vectors, so that a folder alone is enough. A multi-head model without it, as
//! other programs make them, has nothing to say here.
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::json::Json;

/// The keys of [`SearchValues`].
pub const HYBRID_WEIGHT: &str = "hybrid_weight";
pub const UNSEEN_OFFSET: &str = "unseen_offset";

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
#[derive(Debug, Clone, PartialEq)]
pub enum ModelParameters {
    /// Of a multi-head projection.
    MultiHead {
        /// Softmax temperature τ.
        temperature: f64,
        /// Only so many of the nearest heads take part.
        top_k: Option<usize>,
    },
    /// Of a residual projection.
    Residual {
        /// Factor s of rotation and adapter.
        gain: f64,
        /// Temperature τ of the rotation.
        temperature: f64,
        /// Nearest training questions k of the rotation.
        neighbours: usize,
        /// Whether the rotation is added.
        rotation: bool,
        /// Whether there is an adapter, in a file of its own.
        adapter: bool,
        /// Factor b of the lift, whose direction is in a file of its own.
        lift: Option<f64>,
    },
    /// Of a linear projection: all in its matrix.
    Linear,
}

impl ModelParameters {
    /// The model's kind.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::MultiHead { .. } => ModelKind::MultiHead,
            Self::Residual { .. } => ModelKind::Residual,
            Self::Linear => ModelKind::Linear,
        }
    }

    /// As JSON. `training` says how the model was made and is for people; nothing reads it.
    pub fn to_json(&self, training: &Value) -> Value {
        let mut json = match self {
            Self::MultiHead { temperature, top_k } => {
                json!({"temperature": temperature, "top_k": top_k})
            }
            Self::Residual { gain, temperature, neighbours, rotation, adapter, lift } => json!({
                "gain": gain,
                "temperature": temperature,
                "neighbours": neighbours,
                "rotation": rotation,
                "adapter": adapter,
                "lift": lift,
            }),
            Self::Linear => json!({}),
        };
        json["kind"] = self.kind().name().into();
        if !training.is_null() {
            json["training"] = training.clone();
        }
        json
    }

    /// Reads what [`to_json`](Self::to_json) gave. `name` stands for the source in messages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the source and the key.
    pub fn from_json(text: &str, name: &str) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidModel, format!("{name}: {what}"));
        let json = Json::parse(text).map_err(|error| invalid(format!("not JSON: {error}")))?;
        if json.entries().is_none() {
            return Err(invalid("expected a JSON object".into()));
        }
        let keys = Keys { json: &json, name };
        let kind = keys.get("kind").and_then(Json::text).ok_or_else(|| {
            invalid("expected 'kind' to be multi_head, residual or linear".to_string())
        })?;
        match ModelKind::from_name(kind) {
            Some(ModelKind::MultiHead) => Ok(Self::MultiHead {
                temperature: keys.number("temperature")?,
                top_k: keys.get("top_k").map(|_| keys.count("top_k")).transpose()?,
            }),
            Some(ModelKind::Residual) => Ok(Self::Residual {
                gain: keys.number("gain")?,
                temperature: keys.number("temperature")?,
                neighbours: keys.count("neighbours")?,
                rotation: keys.truth("rotation")?,
                adapter: keys.truth("adapter")?,
                lift: keys.get("lift").map(|_| keys.number("lift")).transpose()?,
            }),
            Some(ModelKind::Linear) => Ok(Self::Linear),
            // In a file of its own, never among those of a store.
            Some(ModelKind::Transformer) | None => Err(invalid(format!(
                "unknown kind '{kind}', expected multi_head, residual or linear"
            ))),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and where the file can't be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Error::io("reading", path, error))?;
        Self::from_json(&text, &path.display().to_string())
    }
}

/// What training chose for search, beside the parameters that [`ModelParameters`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SearchValues {
    /// The weight of BM25 in hybrid search, from 0 to 1.
    pub hybrid_weight: Option<f64>,
    /// The offset of answers that no head is for.
    pub unseen_offset: Option<f64>,
}

impl SearchValues {
    /// From the JSON of a model's parameters; `name` stands for the source.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the source and the key.
    pub fn of(text: &str, name: &str) -> Result<Self> {
        let json = Json::parse(text).map_err(|error| {
            Error::new(ErrorKind::InvalidModel, format!("{name}: not JSON: {error}"))
        })?;
        let keys = Keys { json: &json, name };
        let number = |key: &str, what: &str, valid: fn(&f64) -> bool| {
            let check = |value: &Json<'_>| keys.expect(key, what, value.number().filter(valid));
            keys.get(key).map(check).transpose()
        };
        Ok(Self {
            hybrid_weight: number(HYBRID_WEIGHT, "a number from 0 to 1", |weight| {
                (0.0..=1.0).contains(weight)
            })?,
            unseen_offset: number(UNSEEN_OFFSET, "a number", |offset| offset.is_finite())?,
        })
    }

    /// From the file at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Error::io("reading", path, error))?;
        Self::of(&text, &path.display().to_string())
    }
}

/// The values of a JSON object, checked.
struct Keys<'a> {
    json: &'a Json<'a>,
    name: &'a str,
}

impl<'a> Keys<'a> {
    /// A value that is there and not null.
    fn get(&self, key: &str) -> Option<&'a Json<'a>> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn expect<T>(&self, key: &str, what: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| {
            let value = self.json.get(key).map_or("nothing".to_string(), Json::to_string);
            Error::new(
                ErrorKind::InvalidModel,
                format!("{}: '{key}' is {value}, expected {what}", self.name),
            )
        })
    }

    fn number(&self, key: &str) -> Result<f64> {
        self.expect(key, "a number", self.get(key).and_then(Json::number))
    }

    fn count(&self, key: &str) -> Result<usize> {
        let value = self.get(key).and_then(Json::count);
        self.expect(key, "a whole number above zero", value.filter(|n| *n > 0))
    }

    fn truth(&self, key: &str) -> Result<bool> {
        self.expect(key, "true or false", self.get(key).and_then(Json::truth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_through_json() {
        for parameters in [
            ModelParameters::MultiHead { temperature: 0.07, top_k: Some(3) },
            ModelParameters::MultiHead { temperature: 0.1, top_k: None },
            ModelParameters::Residual {
                gain: 0.35,
                temperature: 0.1,
                neighbours: 32,
                rotation: true,
                adapter: false,
                lift: Some(0.04),
            },
            ModelParameters::Linear,
        ] {
            let text = parameters.to_json(&json!({"seed": 1})).to_string();
            assert_eq!(ModelParameters::from_json(&text, "x").unwrap(), parameters);
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
        ] {
            let error = ModelParameters::from_json(text, "file.json").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel);
            let message = error.to_string();
            assert!(message.contains(word) && message.contains("file.json"), "{message}");
        }
    }
}
