//! The projections that are compared.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::projection::{Model, Precision};
use crate::store::{ModelKind, Store};

/// A projection that is compared.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its id in the store; `None` for a model in a file of its own.
    pub id: Option<i64>,
    /// That file.
    pub file: Option<PathBuf>,
    /// Its kind.
    pub kind: ModelKind,
    /// The text model that it was trained on; empty where that is not known.
    pub model_name: String,
    /// The place of the projection that it was rounded from, among those that are compared.
    pub exact: Option<usize>,
    pub(super) model: Model,
}

impl Chosen {
    /// Opens the projection `id`; the one with the highest id for `None`, or `None` where
    /// the store has none.
    ///
    /// # Errors
    /// As [`Model::open_kind`], and [`ErrorKind::AmbiguousModel`] where two have the id.
    ///
    /// [`ErrorKind::AmbiguousModel`]: crate::ErrorKind::AmbiguousModel
    pub fn open(store: &Store, id: Option<i64>) -> Result<Option<Self>> {
        let heads = store.multi_head_projections()?;
        let linear = store.linear_projections()?;
        let newest = heads.iter().map(|row| row.id).chain(linear.iter().map(|row| row.id)).max();
        let kind = match (id, newest) {
            (None, None) => return Ok(None),
            // Of two that share the highest id, the heads.
            (None, Some(newest)) => store.model_kinds(newest)?[0],
            (Some(id), _) => store.model_kind(id)?,
        };
        let id = id.or(newest).expect("one of them is there");
        let model_name = match kind {
            ModelKind::Linear => linear.into_iter().find(|row| row.id == id).map(|r| r.model_name),
            _ => heads.into_iter().find(|row| row.id == id).map(|row| row.model_name),
        };
        let model_name = model_name.unwrap_or_default();
        let model = Model::open_kind(store.path(), kind, id)?;
        Ok(Some(Self { id: Some(id), file: None, kind, model_name, exact: None, model }))
    }

    /// Opens a model in a file of its own, see [`Model::load_file`]. How it was trained is not
    /// known, so that only test questions measure it.
    ///
    /// # Errors
    /// As [`Model::load_file`].
    pub fn load_file(path: &Path) -> Result<Self> {
        let model = Model::load_file(path)?;
        Ok(Self {
            id: None,
            file: Some(path.to_path_buf()),
            kind: model.kind(),
            model_name: String::new(),
            exact: None,
            model,
        })
    }

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
