//! The projections that are compared.

use std::path::{Path, PathBuf};

use crate::Recipe;
use crate::error::Result;
use crate::projection::{Model, ModelKind, Precision};

/// A projection that is compared.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id in the store; `None` for a model in a file of its own.
    pub id: Option<i64>,
    /// That file.
    pub file: Option<PathBuf>,
    /// Its kind.
    pub kind: ModelKind,
    /// The embedding model that it was trained on; empty if that is not known.
    pub model_name: String,
    /// The place of the projection that it was rounded from, among those that are compared.
    pub exact: Option<usize>,
    /// How to train it again; `None` if that is not known.
    pub recipe: Option<Recipe>,
    /// The model.
    pub model: Model,
}

impl Candidate {
    /// The same projection with its vectors kept in `precision`, to be compared with this one,
    /// whose place is `place`.
    ///
    /// # Errors
    /// As [`Model::with_precision`].
    pub fn rounded(&self, place: usize, precision: Precision) -> Result<Self> {
        let model = self.model.with_precision(precision)?;
        Ok(Self { exact: Some(place), model, ..self.clone() })
    }

    /// How its vectors are kept.
    pub fn precision(&self) -> Precision {
        self.model.precision()
    }

    /// What it is called, such as `projection 3` or by the name of its file.
    pub fn short_name(&self) -> String {
        let file = self.file.as_deref().and_then(Path::file_name);
        match (self.id, file) {
            (Some(id), _) => format!("projection {id}"),
            (None, Some(name)) => name.to_string_lossy().into_owned(),
            (None, None) => "a model".into(),
        }
    }

    /// The same with its kind, and its precision where that is not single.
    pub fn name(&self) -> String {
        let precision = match self.precision() {
            Precision::F32 => String::new(),
            precision => format!(", {}", precision.name()),
        };
        format!("{} ({}{precision})", self.short_name(), self.kind.name())
    }
}
