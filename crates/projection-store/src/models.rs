//! Models of any kind, opened from a store.

use std::path::{Path, PathBuf};

use projection_core::ivf::IndexStats;
use projection_core::projection::load_kinds::{linear, residual, with_temperature};
use projection_core::projection::{Model, ModelKind, ModelParameters, MultiHeadProjection};
use projection_core::{Error, ErrorKind, Result};

use crate::store::Store;

impl Store {
    /// Opens projection `id`, of whatever kind. If an existing store has both a linear
    /// projection and one with heads of this id, it is the one with heads; see
    /// [`model_of_kind`](Self::model_of_kind).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the id or a file does not exist,
    /// [`ErrorKind::InvalidStore`] if the database is damaged or a path leads outside the
    /// store's folder, otherwise as [`MultiHeadProjection::load_unified`].
    pub fn model(&self, id: i64) -> Result<Model> {
        self.model_of_kind(self.model_kind(id)?, id)
    }

    /// Opens the newest projection, of whatever kind.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the store has none; otherwise as [`model`](Self::model).
    pub fn latest_model(&self) -> Result<Model> {
        self.model(self.newest_projection()?)
    }

    /// Opens projection `id` as a model of `kind`. A residual projection opens as a
    /// multi-head one too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none of the kind, otherwise as [`model`](Self::model).
    pub fn model_of_kind(&self, kind: ModelKind, id: i64) -> Result<Model> {
        from_store(self, kind, id)
    }

    /// Opens projection `id` as a multi-head one, at the temperature in the database.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn multi_head_model(&self, id: i64) -> Result<MultiHeadProjection> {
        let row = self.multi_head_projection(id)?;
        let files = self.cluster_heads(id)?;
        if files.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("{}: projection {id} has no heads", self.path().display()),
            ));
        }
        MultiHeadProjection::load_heads(&files, row.temperature)
            .map_err(|error| error.context(format!("projection {id}")))
    }

    /// Makes lists of the heads or training questions of projection `id` and keeps them in a
    /// file beside the projection's others; see [`Model::store_index`].
    ///
    /// # Errors
    /// As [`model`](Self::model), and [`ErrorKind::Io`] if the file can't be written.
    pub fn store_index(&self, id: i64, threads: usize) -> Result<Option<IndexStats>> {
        self.model(id)?.store_index(&self.model_folder(id)?, id, threads)
    }

    /// What was found out when the lists of projection `id` were made; see
    /// [`Model::check_index`].
    ///
    /// # Errors
    /// As [`Model::check_index`] and [`model`](Self::model).
    pub fn check_index(&self, id: i64) -> Result<Option<IndexStats>> {
        self.model(id)?.check_index(&self.model_folder(id)?, id)
    }

    /// The folder of the files of projection `id`.
    fn model_folder(&self, id: i64) -> Result<PathBuf> {
        folder(self, self.model_kind(id)?, id)
    }
}

/// Opens the model of `kind` with the given id in a store.
fn from_store(store: &Store, kind: ModelKind, id: i64) -> Result<Model> {
    let model = open(store, kind, id)?;
    let record = store.model_record(id)?.filter(|record| record.kind == kind);
    let values = record.map(|record| record.search_values()).transpose()?;
    let folder = folder(store, kind, id)?;
    model.with_stored_index(&folder, id).and_search_values(values.unwrap_or_default())
}

fn open(store: &Store, kind: ModelKind, id: i64) -> Result<Model> {
    let named = |error: Error| error.context(format!("projection {id}"));
    match kind {
        ModelKind::MultiHead => {
            let model = store.multi_head_model(id)?;
            match store.model_parameters(id)? {
                Some(ModelParameters::MultiHead { top_k, .. }) => {
                    model.with_top_k(top_k).map(Model::MultiHead)
                }
                _ => Ok(Model::MultiHead(model)),
            }
        }
        ModelKind::Residual => {
            let row = store.multi_head_projection(id)?;
            let Some(parameters @ ModelParameters::Residual { .. }) = store.model_parameters(id)?
            else {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("{}: projection {id} is not a residual one", store.path().display()),
                ));
            };
            let heads = store.cluster_heads(id)?;
            // An existing store records the temperature in its own table, where it may have
            // been changed.
            let parameters = with_temperature(parameters, Some(row.temperature));
            let file = |name: String| store.model_file(&row.model_name, &name);
            residual(&parameters, &heads, id, &file).map(Model::Residual).map_err(named)
        }
        ModelKind::Linear => linear(&store.linear_matrix(id)?).map(Model::Linear).map_err(named),
        ModelKind::Transformer => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{}: no transformer {id}: these are files, not in stores",
                store.path().display()
            ),
        )),
    }
}

/// The folder of a model's files.
fn folder(store: &Store, kind: ModelKind, id: i64) -> Result<PathBuf> {
    let name = match kind {
        ModelKind::MultiHead | ModelKind::Residual => store.multi_head_projection(id)?.model_name,
        ModelKind::Linear | ModelKind::Transformer => String::new(),
    };
    let folder = store.embeddings_folder(&name);
    // Older stores have all files directly in `embeddings`.
    let parent = folder.parent().map(Path::to_path_buf);
    Ok(if folder.is_dir() { folder } else { parent.unwrap_or_default() })
}
