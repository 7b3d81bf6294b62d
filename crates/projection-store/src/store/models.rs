//! Trained models of any kind: what the tables of the multi-head and linear projections
//! have in common, and the engine's own table `engine_models` beside them.

use std::path::PathBuf;

use ndarray::ArrayView2;
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::embeddings::recorded_path;
use super::publish::Publishing;
use super::{EmbeddingModel, ModelKind, ModelParameters, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::parameters::SearchValues;

/// A row of `projections`: a linear projection.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearRow {
    /// The projection's id.
    pub id: i64,
    /// The text model of queries.
    pub model_name: String,
    /// The text model of answers, which may be another one.
    pub output_model_name: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The file of its matrix, as recorded.
    pub recorded: String,
    /// When it was made, in UTC.
    pub created_at: Option<String>,
}

/// What the engine knows of a trained model beside its vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRecord {
    /// The model's id.
    pub id: i64,
    /// Its kind.
    pub kind: ModelKind,
    /// Kind, parameters and how it was trained; see [`ModelParameters`].
    pub parameters: Value,
    /// What was measured when it was trained; null where nothing was.
    pub metrics: Value,
}

impl ModelRecord {
    /// The weight of BM25 in hybrid search that training chose, if it did.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is not a number from 0 to 1.
    pub fn hybrid_weight(&self) -> Result<Option<f64>> {
        self.search_values().map(|values| values.hybrid_weight)
    }

    /// The offset of answers that no head is for that training chose, if it did.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is not a number.
    pub fn unseen_offset(&self) -> Result<Option<f64>> {
        self.search_values().map(|values| values.unseen_offset)
    }

    pub(crate) fn search_values(&self) -> Result<SearchValues> {
        SearchValues::from_json(
            &self.parameters.to_string(),
            &format!("parameters of projection {}", self.id),
        )
    }
}

/// A linear projection to be stored.
#[derive(Debug, Clone)]
pub struct NewLinear<'a> {
    /// A name for people.
    pub name: Option<&'a str>,
    /// The matrix W (o × d).
    pub matrix: ArrayView2<'a, f32>,
    /// λ and μ of its training.
    pub regularisation: (f64, f64),
    /// The clusters that it was trained on.
    pub clusters: &'a [i64],
    /// Number of questions that it was trained on.
    pub questions: usize,
    /// The weight of BM25 in hybrid search, from 0 to 1, where training chose one.
    pub hybrid_weight: Option<f64>,
    /// How it was trained, for people.
    pub training: &'a Value,
    /// What was measured; null where nothing was.
    pub metrics: &'a Value,
}

impl Store {
    /// The kinds of the models with the given id: none, one, or both a multi-head or
    /// residual one and a linear one, which existing stores count separately.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn model_kinds(&self, id: i64) -> Result<Vec<ModelKind>> {
        let has = |sql: &str| -> Result<bool> {
            self.connection.query_row(sql, [id], |row| row.get(0)).map_err(self.reading())
        };
        let mut kinds = Vec::new();
        if has("SELECT count(*) > 0 FROM multi_head_projections WHERE mh_projection_id = ?1")? {
            kinds.push(match self.model_record(id)? {
                Some(record) if record.kind != ModelKind::Linear => record.kind,
                _ => ModelKind::MultiHead,
            });
        }
        if has("SELECT count(*) > 0 FROM projections WHERE projection_id = ?1")? {
            kinds.push(ModelKind::Linear);
        }
        Ok(kinds)
    }

    /// The kind of the model with the given id. Existing stores count linear projections
    /// apart from the others: where the id is that of both, it is the kind of the one with
    /// heads. New ids are never the same.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none.
    pub fn model_kind(&self, id: i64) -> Result<ModelKind> {
        match self.model_kinds(id)?[..] {
            [] => {
                let mut ids: Vec<i64> =
                    self.multi_head_projections()?.iter().map(|row| row.id).collect();
                ids.extend(self.linear_projections()?.iter().map(|row| row.id));
                ids.sort_unstable();
                ids.dedup();
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                let known = if ids.is_empty() { "none".to_string() } else { ids.join(", ") };
                Err(self.not_found(format!("no projection {id}, the store has {known}")))
            }
            [kind, ..] => Ok(kind),
        }
    }

    /// What the engine recorded of the model with the given id; `None` for models of other
    /// programs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for a record that can't be read.
    pub fn model_record(&self, id: i64) -> Result<Option<ModelRecord>> {
        let known: bool = self
            .connection
            .query_row(
                "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND \
                 name = 'engine_models'",
                [],
                |row| row.get(0),
            )
            .map_err(self.reading())?;
        if !known {
            return Ok(None);
        }
        let row = self
            .connection
            .query_row(
                "SELECT kind, parameters, metrics FROM engine_models WHERE mh_projection_id = ?1",
                [id],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, Option<String>>(2)?,
                    ))
                },
            )
            .optional()
            .map_err(self.reading())?;
        let Some((kind, parameters, metrics)) = row else { return Ok(None) };
        let invalid = |what: String| {
            Error::new(ErrorKind::InvalidModel, format!("{}: {what}", self.record_name(id)))
        };
        let parse = |text: &str| {
            serde_json::from_str(text).map_err(|error| invalid(format!("not JSON: {error}")))
        };
        Ok(Some(ModelRecord {
            id,
            kind: ModelKind::from_name(&kind)
                .ok_or_else(|| invalid(format!("unknown kind '{kind}'")))?,
            parameters: parse(&parameters)?,
            metrics: metrics.as_deref().map_or(Ok(Value::Null), parse)?,
        }))
    }

    /// The parameters of the model with the given id, where the engine recorded them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for a record that can't be read.
    pub fn model_parameters(&self, id: i64) -> Result<Option<ModelParameters>> {
        let record = self.model_record(id)?;
        record
            .map(|record| {
                ModelParameters::from_json(&record.parameters.to_string(), &self.record_name(id))
            })
            .transpose()
    }

    fn record_name(&self, id: i64) -> String {
        format!("{}: parameters of projection {id}", self.path.display())
    }

    /// All linear projections in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn linear_projections(&self) -> Result<Vec<LinearRow>> {
        self.query(
            "SELECT p.projection_id, coalesce(i.name, ''), coalesce(o.name, ''), p.name, \
                 p.W_path, p.created_at FROM projections p \
                 LEFT JOIN embedding_models i ON i.model_id = p.input_model_id \
                 LEFT JOIN embedding_models o ON o.model_id = p.output_model_id \
                 ORDER BY p.projection_id",
            [],
            |row| {
                Ok(LinearRow {
                    id: row.get(0)?,
                    model_name: row.get(1)?,
                    output_model_name: row.get(2)?,
                    name: row.get(3)?,
                    recorded: row.get(4)?,
                    created_at: row.get(5)?,
                })
            },
        )
    }

    /// The id of the newest projection, of whatever kind.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the store has none yet.
    pub fn newest_projection(&self) -> Result<i64> {
        let routing = self.multi_head_projections()?.into_iter().map(|row| row.id);
        let linear = self.linear_projections()?.into_iter().map(|row| row.id);
        routing.chain(linear).max().ok_or_else(|| {
            let message = format!(
                "{}: the store has no projection yet, `projection train` makes one",
                self.path().display()
            );
            Error::new(ErrorKind::NotFound, message)
        })
    }

    /// The file of the matrix of the linear projection with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none, or its file does not exist.
    pub fn linear_matrix(&self, id: i64) -> Result<PathBuf> {
        let rows = self.linear_projections()?;
        let row = rows
            .iter()
            .find(|row| row.id == id)
            .ok_or_else(|| self.not_found(format!("no linear projection {id}")))?;
        self.resolve(&row.recorded, &row.model_name)
            .map_err(|error| error.context(format!("matrix W of projection {id}")))
    }

    /// The file called `file_name` of a model that was trained on vectors of `model_name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where it does not exist.
    pub fn model_file(&self, model_name: &str, file_name: &str) -> Result<PathBuf> {
        self.resolve(&recorded_path(model_name, file_name), model_name)
    }

    /// Stores a linear projection and gives its new id. It becomes visible as a whole, once
    /// its file is on disk.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file can't be written, [`ErrorKind::Busy`] where another
    /// process keeps writing; nothing is stored then.
    pub fn add_linear_projection(
        &mut self,
        input: &EmbeddingModel,
        output: &EmbeddingModel,
        linear: &NewLinear<'_>,
    ) -> Result<i64> {
        let expected = (output.dimension, input.dimension);
        if linear.matrix.dim() != expected {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("matrix W of shape {:?}, expected {expected:?}", linear.matrix.dim()),
            ));
        }
        if linear.hybrid_weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
            return Err(Error::new(ErrorKind::InvalidModel, "a hybrid weight outside 0 to 1"));
        }
        let folder = self.embeddings_folder(&input.name);
        let change = self.begin()?;
        change.own_tables()?;
        let mut publishing = Publishing::new(&change, &folder)?;
        let id = publishing.id();
        let file = layout::linear_name(id);
        publishing.files.matrix(&file, linear.matrix)?;
        let (lambda, ridge) = linear.regularisation;
        let measured = |key: &str| linear.metrics.get(key).and_then(Value::as_f64);
        change.execute(
            "INSERT INTO projections (projection_id, input_model_id, output_model_id, name, \
             W_path, lambda_reg, ridge, num_clusters, num_queries, recall_at_1, mrr) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                id,
                input.model_id,
                output.model_id,
                linear.name,
                recorded_path(&input.name, &file),
                lambda,
                ridge,
                linear.clusters.len(),
                linear.questions,
                measured("recall_at_1"),
                measured("mrr_at_10"),
            ],
        )?;
        for cluster in linear.clusters {
            change.execute(
                "INSERT OR IGNORE INTO projection_clusters (projection_id, cluster_id) \
                 VALUES (?1, ?2)",
                params![id, cluster],
            )?;
        }
        let mut parameters = ModelParameters::Linear {}.to_json(linear.training);
        if linear.hybrid_weight.is_some() {
            let hybrid_weight = linear.hybrid_weight;
            SearchValues { hybrid_weight, unseen_offset: None }.add_to(&mut parameters);
            // Without it there is nothing that the matrix does not say.
            publishing.files.text(&layout::model_name(id), &format!("{parameters:#}\n"))?;
        }
        change.record_model(id, ModelKind::Linear, &parameters, linear.metrics)?;
        publishing.publish(change)?;
        Ok(id)
    }
}

impl super::Change<'_> {
    /// Adds a row to the engine's own table of models.
    pub(super) fn record_model(
        &self,
        id: i64,
        kind: ModelKind,
        parameters: &Value,
        metrics: &Value,
    ) -> Result<()> {
        let metrics = (!metrics.is_null()).then(|| metrics.to_string());
        self.execute(
            "INSERT OR REPLACE INTO engine_models (mh_projection_id, kind, parameters, metrics) \
             VALUES (?1, ?2, ?3, ?4)",
            params![id, kind.name(), parameters.to_string(), metrics],
        )?;
        Ok(())
    }
}
