//! The trained models of a store, of every kind: what the database says of them, and opening
//! them.
//!
//! A multi-head or residual model is a row of `multi_head_projections` with its heads in
//! `cluster_heads`, a linear one a row of `projections`. What these tables have no columns for
//! is in `engine_models`, which models of other programs are not in.

use std::path::{Path, PathBuf};

use projection_core::ivf::IndexStats;
use projection_core::kernel::progress::OnProgress;
use projection_core::layout::{self, HeadFiles, Resolver};
use projection_core::model_file::Description;
use projection_core::parameters::SearchDefaults;
use projection_core::projection::{
    LinearProjection, Model, MultiHeadProjection, ResidualProjection,
};
use projection_core::{Error, ErrorKind, Result};
use rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::rows::{Column, FromRow, value};
use crate::store::{Store, path_in_database};
use crate::{ModelKind, ModelParameters, Searcher};

/// A trained model as the database describes it. Serializes to JSON with the field names `id`,
/// `kind`, `name`, `model`, `answer_model`, `temperature`, `heads`, `created_at`, `metrics`,
/// `active` and `default`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoredModel {
    /// The model's id.
    pub id: i64,
    /// The model's kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: ModelKind,
    /// A name for people, if it has one.
    pub name: Option<String>,
    /// The embedding model of queries; empty if the database does not know it.
    #[serde(rename = "model")]
    pub model_name: String,
    /// The embedding model of answers, which differs from that of queries for some linear
    /// models only.
    pub answer_model: String,
    /// Softmax temperature; `None` for linear models.
    pub temperature: Option<f64>,
    /// Number of heads that it was trained with; `None` for linear models.
    pub heads: Option<usize>,
    /// When it was stored, in UTC.
    pub created_at: Option<String>,
    /// What was measured when it was trained, such as `recall_at_1`; null if nothing was.
    pub metrics: Value,
    /// Whether it is the active one of its embedding model.
    pub active: bool,
    /// Whether it is the one that answers where neither a projection nor an embedding model is
    /// named.
    pub default: bool,
    /// λ and μ of the training of a linear model, if they are recorded.
    #[serde(skip)]
    pub regularisation: (Option<f64>, Option<f64>),
    /// The JSON of kind, parameters and training, if the model is in `engine_models`.
    #[serde(skip)]
    parameters: Option<String>,
    /// The path in the database of the matrix of a linear model.
    #[serde(skip)]
    matrix: String,
}

fn kind_name<S: Serializer>(kind: &ModelKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

impl FromRow for StoredModel {
    fn from_row(row: &rusqlite::Row<'_>) -> Option<Self> {
        let kind: Option<String> = value(row, "kind")?;
        let metrics: Option<String> = value(row, "metrics")?;
        let metrics = metrics.and_then(|text| serde_json::from_str(&text).ok());
        let recall: Option<f64> = value(row, "recall_at_1")?;
        let mrr: Option<f64> = value(row, "mrr")?;
        Some(Self {
            id: value(row, "id")?,
            // A kind that this version does not know can be listed; opening it says more.
            kind: kind.as_deref().and_then(ModelKind::from_name).unwrap_or(ModelKind::MultiHead),
            name: value(row, "name")?,
            model_name: value(row, "model_name")?,
            answer_model: value(row, "answer_model")?,
            // One that is no number must not become the default: NaN is refused when it is used.
            temperature: match row.get_ref("temperature").ok()? {
                ValueRef::Null => None,
                found => Some(f64::read(found).unwrap_or(f64::NAN)),
            },
            heads: value(row, "heads")?,
            created_at: value(row, "created_at")?,
            // Other programs have two columns for what they measured.
            metrics: metrics.unwrap_or(match recall.is_some() || mrr.is_some() {
                true => json!({"recall_at_1": recall, "mrr": mrr}),
                false => Value::Null,
            }),
            active: false,
            default: false,
            regularisation: (value(row, "lambda_reg")?, value(row, "ridge")?),
            parameters: value(row, "parameters")?,
            matrix: value(row, "matrix")?,
        })
    }
}

impl StoredModel {
    /// Kind and parameters; `None` for models of other programs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] if they can't be read.
    pub fn parameters(&self) -> Result<Option<ModelParameters>> {
        let text = self.parameters.as_deref();
        text.map(|text| ModelParameters::from_json(text, &self.title())).transpose()
    }

    /// What training chose for search.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for values outside their range.
    pub fn search_defaults(&self) -> Result<SearchDefaults> {
        let text = self.parameters.as_deref();
        let values = text.map(|text| SearchDefaults::from_json(text, &self.title())).transpose()?;
        Ok(values.unwrap_or_default())
    }

    /// How it was trained, for people; null if that is not recorded.
    pub fn training(&self) -> Value {
        let json = self.parameters.as_deref().and_then(|text| serde_json::from_str(text).ok());
        json.map_or(Value::Null, |json: Value| json["training"].clone())
    }

    /// What a file of the model says of it beside its numbers.
    pub fn description(&self) -> Description {
        Description {
            name: self.name.clone(),
            training: self.training(),
            metrics: match self.parameters {
                Some(_) => self.metrics.clone(),
                None => Value::Null,
            },
        }
    }

    fn title(&self) -> String {
        format!("parameters of projection {}", self.id)
    }

    /// The model's file called `name`.
    pub(crate) fn file(&self, store: &Store, name: &str) -> Result<PathBuf> {
        store.resolve_path(&path_in_database(&self.model_name, name), &self.model_name)
    }

    /// The file of the matrix of a linear model.
    pub(crate) fn matrix(&self, store: &Store) -> Result<PathBuf> {
        store.resolve_path(&self.matrix, &self.model_name)
    }

    /// The folder of the model's files.
    fn folder(&self, store: &Store) -> PathBuf {
        let name = if self.kind == ModelKind::Linear { "" } else { &self.model_name };
        let folder = store.embeddings_folder(name);
        // Older stores have all files directly in `embeddings`.
        let parent = folder.parent().map(Path::to_path_buf);
        if folder.is_dir() { folder } else { parent.unwrap_or_default() }
    }
}

impl Store {
    /// All trained models in ascending order of id. Existing stores number linear models apart
    /// from the others; of two models with one id, the one with heads comes first.
    pub fn models(&self) -> Result<Vec<StoredModel>> {
        let records = match self.has_table("engine_models")? {
            true => "engine_models",
            false => {
                "(SELECT NULL AS mh_projection_id, NULL AS kind, NULL AS parameters, \
                 NULL AS metrics WHERE 0)"
            }
        };
        let sql = format!(
            "SELECT p.mh_projection_id AS id, e.kind AS kind, p.name AS name, \
             coalesce(m.name, '') AS model_name, coalesce(m.name, '') AS answer_model, \
             coalesce(p.temperature, 1.0) AS temperature, p.num_heads AS heads, \
             p.created_at AS created_at, e.metrics AS metrics, p.recall_at_1 AS recall_at_1, \
             p.mrr AS mrr, NULL AS lambda_reg, NULL AS ridge, e.parameters AS parameters, \
             '' AS matrix \
             FROM multi_head_projections p LEFT JOIN embedding_models m USING (model_id) \
             LEFT JOIN {records} e \
             ON e.mh_projection_id = p.mh_projection_id AND e.kind <> 'linear' \
             UNION ALL \
             SELECT p.projection_id, 'linear', p.name, coalesce(i.name, ''), \
             coalesce(o.name, ''), NULL, NULL, p.created_at, e.metrics, p.recall_at_1, p.mrr, \
             p.lambda_reg, p.ridge, e.parameters, p.W_path \
             FROM projections p LEFT JOIN embedding_models i ON i.model_id = p.input_model_id \
             LEFT JOIN embedding_models o ON o.model_id = p.output_model_id \
             LEFT JOIN {records} e ON e.mh_projection_id = p.projection_id AND e.kind = 'linear'"
        );
        let mut models: Vec<StoredModel> = self.rows(&sql, [])?;
        models.sort_by_key(|model| (model.id, model.kind == ModelKind::Linear));
        self.mark_active(&mut models)?;
        Ok(models)
    }

    /// The model with the given id, or the active one of the store. If the id is that of a linear
    /// model and of one with heads, it is the one with heads; see [`choose_kind`](Self::choose_kind).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none; the message names those there are.
    pub fn choose(&self, id: Option<i64>) -> Result<StoredModel> {
        let models = self.models()?;
        let mut ids: Vec<String> = models.iter().map(|model| model.id.to_string()).collect();
        let found = models.into_iter().find(|model| match id {
            Some(id) => model.id == id,
            None => model.default,
        });
        found.ok_or_else(|| {
            ids.dedup();
            let what = match id {
                Some(id) if ids.is_empty() => format!("no projection {id}, the store has none"),
                Some(id) => format!("no projection {id}, the store has {}", ids.join(", ")),
                None => "the store has no projection yet, `projection train` makes one".into(),
            };
            self.error(ErrorKind::NotFound, what)
        })
    }

    /// The model of `kind` with the given id. A residual model is a multi-head one too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none of the kind.
    pub fn choose_kind(&self, kind: ModelKind, id: i64) -> Result<StoredModel> {
        let is_of_kind = |model: &StoredModel| {
            let residual = model.kind == ModelKind::Residual;
            model.kind == kind || residual && kind == ModelKind::MultiHead
        };
        let mut models = self.models()?.into_iter();
        match models.find(|model| model.id == id && is_of_kind(model)) {
            Some(model) => Ok(StoredModel { kind, ..model }),
            None => {
                self.choose(Some(id))?;
                let what = format!("projection {id} is not a {} one", kind.name());
                Err(self.error(ErrorKind::NotFound, what))
            }
        }
    }

    /// The model with the given id as [`choose`](Self::choose) finds it, or with `linear` the
    /// linear one.
    ///
    /// # Errors
    /// As [`choose`](Self::choose) and [`choose_kind`](Self::choose_kind).
    pub fn choose_or_linear(&self, id: i64, linear: bool) -> Result<StoredModel> {
        match linear {
            true => self.choose_kind(ModelKind::Linear, id),
            false => self.choose(Some(id)),
        }
    }

    /// Opens projection `id`, of whatever kind, as [`choose`](Self::choose) finds it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the id or a file does not exist, [`ErrorKind::InvalidStore`]
    /// if the database is damaged or a path leads outside the store's folder, otherwise as
    /// [`Model::load`].
    pub fn model(&self, id: i64) -> Result<Model> {
        self.open_model(&self.choose(Some(id))?)
    }

    /// Opens the active projection for queries by the embedding model `model_name`, or of the
    /// store, see [`active_model`](Self::active_model).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none; otherwise as [`model`](Self::model).
    pub fn open_active_model(&self, model_name: Option<&str>) -> Result<Model> {
        self.open_model(&self.choose_active(model_name)?)
    }

    /// The active projection as [`active_model`](Self::active_model) finds it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn choose_active(&self, model_name: Option<&str>) -> Result<StoredModel> {
        match (self.active_model(model_name)?, model_name) {
            (Some(model), _) => Ok(model),
            (None, None) => self.choose(None),
            (None, Some(name)) => {
                let what = format!("no projection of queries by '{name}'");
                Err(self.error(ErrorKind::NotFound, what))
            }
        }
    }

    /// Opens projection `id` as a model of `kind`. A residual projection opens as a
    /// multi-head one too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none of the kind, otherwise as
    /// [`model`](Self::model).
    pub fn model_of_kind(&self, kind: ModelKind, id: i64) -> Result<Model> {
        self.open_model(&self.choose_kind(kind, id)?)
    }

    /// Opens projection `id` as a multi-head one, at the temperature in the database.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn multi_head_model(&self, id: i64) -> Result<MultiHeadProjection> {
        self.open_heads(&self.choose_kind(ModelKind::MultiHead, id)?)
    }

    /// Opens a model of [`models`](Self::models).
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn open_model(&self, model: &StoredModel) -> Result<Model> {
        let id = model.id;
        if model.temperature.is_some_and(f64::is_nan) {
            let what = format!("the temperature of projection {id} is not a number");
            return Err(self.error(ErrorKind::InvalidStore, what));
        }
        let in_database = |error: Error| error.context(self.path().display());
        let parameters = model.parameters().map_err(in_database)?;
        // A residual model that is opened as a multi-head one uses none of its own parameters.
        let as_recorded = parameters.as_ref().is_some_and(|found| found.kind() == model.kind);
        let opened = match (model.kind, parameters) {
            (ModelKind::MultiHead, Some(ModelParameters::MultiHead { top_k, .. })) => {
                Model::MultiHead(self.open_heads(model)?.with_top_k(top_k)?)
            }
            (ModelKind::MultiHead, _) => Model::MultiHead(self.open_heads(model)?),
            (ModelKind::Residual, Some(parameters @ ModelParameters::Residual { .. })) => {
                // Existing programs know, and may have changed, the temperature in their table.
                let file = |name: String| model.file(self, &name);
                let heads = self.head_files(model)?;
                ResidualProjection::load_files(&parameters, &heads, id, &file)
                    .and_then(|residual| match model.temperature {
                        Some(temperature) => residual.with_temperature(temperature),
                        None => Ok(residual),
                    })
                    .map(Model::Residual)
                    .map_err(|error| error.context(format!("projection {id}")))?
            }
            (ModelKind::Linear, _) => {
                let matrix = model.matrix(self);
                let matrix = matrix.map_err(|e| e.context(format!("matrix W of projection {id}")));
                LinearProjection::load_matrix(&matrix?)
                    .map(Model::Linear)
                    .map_err(|error| error.context(format!("projection {id}")))?
            }
            (kind, _) => {
                let what = format!("no {} projection {id}", kind.name());
                return Err(self.error(ErrorKind::NotFound, what));
            }
        };
        let values =
            if as_recorded { model.search_defaults() } else { Ok(SearchDefaults::default()) };
        let values = values.map_err(in_database)?;
        opened.with_stored_index(&model.folder(self), id).with_search_defaults(values)
    }

    fn open_heads(&self, model: &StoredModel) -> Result<MultiHeadProjection> {
        let files = self.head_files(model)?;
        if files.is_empty() {
            let what = format!("projection {} has no heads", model.id);
            return Err(self.error(ErrorKind::InvalidModel, what));
        }
        MultiHeadProjection::load_heads(&files, model.temperature.unwrap_or(1.0))
            .map_err(|error| error.context(format!("projection {}", model.id)))
    }

    /// The files of the heads of a model, in ascending order of cluster id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file does not exist, [`ErrorKind::InvalidStore`] if a path
    /// leads outside the store's folder.
    pub fn head_files(&self, model: &StoredModel) -> Result<Vec<HeadFiles>> {
        let rows: Vec<(i64, String, String, Option<String>)> = self.rows(
            "SELECT cluster_id, centroid_path, answer_emb_path, W_path FROM cluster_heads \
             WHERE mh_projection_id = ?1 ORDER BY cluster_id",
            [model.id],
        )?;
        let outside = self.allows_outside_paths();
        let mut paths = Resolver::new(self.path(), &model.model_name, outside);
        let heads = rows.into_iter().map(|(cluster_id, centroid, answer, matrix)| {
            let mut resolve = |path: &str| {
                let file = paths.resolve(path);
                file.map_err(|error| error.context(format!("head of cluster {cluster_id}")))
            };
            let matrix = matrix.filter(|path| !path.is_empty());
            Ok(HeadFiles {
                cluster_id,
                centroid: resolve(&centroid)?,
                answer: resolve(&answer)?,
                matrix: matrix.map(|path| resolve(&path)).transpose()?,
            })
        });
        heads.collect()
    }

    /// Builds an approximate index of the heads or training questions of projection `id` and
    /// stores it in a file beside the projection's others; see [`Model::store_index`].
    ///
    /// # Errors
    /// As [`model`](Self::model), [`ErrorKind::Io`] if the file can't be written, and
    /// [`ErrorKind::Cancelled`].
    pub fn build_index(
        &self,
        id: i64,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Option<IndexStats>> {
        let model = self.choose(Some(id))?;
        self.open_model(&model)?.store_index(&model.folder(self), id, threads, progress)
    }

    /// What was measured when the index of projection `id` was built; `None` if it has none.
    ///
    /// # Errors
    /// As [`Model::check_index`] and [`model`](Self::model).
    pub fn check_index(&self, id: i64) -> Result<Option<IndexStats>> {
        let model = self.choose(Some(id))?;
        let folder = model.folder(self);
        // Without an index there is nothing to check, also for a model that does not open.
        match folder.join(layout::index_name(id)).exists() {
            true => self.open_model(&model)?.check_index(&folder, id),
            false => Ok(None),
        }
    }

    /// The answers that have embeddings by the model called `model_name`, or by the only one
    /// there is, ready to be searched.
    ///
    /// # Errors
    /// As [`Searcher::open`].
    pub fn searcher(&self, model_name: Option<&str>) -> Result<Searcher> {
        Searcher::from_store(self, model_name)
    }
}
