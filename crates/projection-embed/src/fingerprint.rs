//! What decides the vectors of an embedding model, in a few short values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use projection_kernel::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What decides the vectors of an embedding model: hashes of its weights and of its tokenizer,
/// and its settings. Vectors of two models with different fingerprints must not be compared.
///
/// It is recorded beside vectors as the JSON object that `Display` writes and `FromStr` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub(crate) BTreeMap<String, Value>);

impl Fingerprint {
    /// In which values this fingerprint differs from a recorded one, for people; `None` if they
    /// are the same.
    pub fn difference(&self, recorded: &Self) -> Option<String> {
        let names = self.0.keys().chain(recorded.0.keys().filter(|key| !self.0.contains_key(*key)));
        let value = |of: &Self, name: &str| of.0.get(name).cloned().unwrap_or_default();
        let differences: Vec<String> = names
            .map(|name| (name, value(self, name), value(recorded, name)))
            .filter(|(_, found, expected)| found != expected)
            .map(|(name, found, expected)| format!("{name} {found}, expected {expected}"))
            .collect();
        Some(differences.join("; ")).filter(|differences| !differences.is_empty())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from_iter(self.0.clone()).fmt(f)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| {
            let what = format!("fingerprint of an embedding model: {error}");
            Error::new(ErrorKind::InvalidArgument, what).with_source(error)
        })
    }
}
