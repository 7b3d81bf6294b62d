//! Trained multi-head projections, and residual ones, which are stored as such and more.

use ndarray::{Array2, ArrayView2};
use rusqlite::params;
use serde_json::Value;

use super::embeddings::recorded_path;
use super::publish::Publishing;
use super::{EmbeddingModel, ModelParameters, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, HeadFiles, Resolver};
use crate::parameters::SearchValues;

/// A row of `multi_head_projections`.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiHeadRow {
    /// The projection's id.
    pub id: i64,
    /// The text model whose vectors it was trained on.
    pub model_name: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Softmax temperature; 1.0 where the database has none.
    pub temperature: f64,
    /// Number of heads that it was trained with.
    pub num_heads: Option<usize>,
    /// When it was made, in UTC.
    pub created_at: Option<String>,
}

/// A head to be stored.
#[derive(Debug, Clone)]
pub struct NewHead {
    /// The cluster that the head answers for.
    pub cluster_id: i64,
    /// Mean question.
    pub centroid: Vec<f32>,
    /// Answer.
    pub answer: Vec<f32>,
    /// Matrix that is applied to the query instead of using the answer.
    pub matrix: Option<Array2<f32>>,
    /// Number of questions that the centroid was made of.
    pub num_questions: usize,
}

/// A multi-head or residual projection to be stored.
///
/// A residual one has the rows of a multi-head one too: programs that know only these can
/// use it as such.
#[derive(Debug, Clone)]
pub struct NewModel<'a> {
    /// A name for people.
    pub name: Option<&'a str>,
    /// Kind and parameters.
    pub parameters: ModelParameters,
    /// The heads.
    pub heads: &'a [NewHead],
    /// For a residual model, the training questions (m × d) of each head.
    pub questions: &'a [Array2<f32>],
    /// The adapter W (d × d), where the parameters name one.
    pub adapter: Option<ArrayView2<'a, f32>>,
    /// The lift's direction u (d), where the parameters name one.
    pub lift: Option<&'a [f32]>,
    /// The weight of BM25 in hybrid search, from 0 to 1, where training chose one.
    pub hybrid_weight: Option<f64>,
    /// The offset of answers that no head is for, where training chose one.
    pub unseen_offset: Option<f64>,
    /// How it was trained, for people.
    pub training: &'a Value,
    /// What was measured, with `recall_at_1` and `mrr_at_10`; null where nothing was.
    pub metrics: &'a Value,
}

impl Store {
    /// All multi-head projections in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn multi_head_projections(&self) -> Result<Vec<MultiHeadRow>> {
        self.query(
            "SELECT p.mh_projection_id, coalesce(m.name, ''), p.name, \
                 coalesce(p.temperature, 1.0), p.num_heads, p.created_at \
                 FROM multi_head_projections p LEFT JOIN embedding_models m USING (model_id) \
                 ORDER BY p.mh_projection_id",
            [],
            |row| {
                Ok(MultiHeadRow {
                    id: row.get(0)?,
                    model_name: row.get(1)?,
                    name: row.get(2)?,
                    temperature: row.get(3)?,
                    num_heads: row.get(4)?,
                    created_at: row.get(5)?,
                })
            },
        )
    }

    /// The multi-head projection with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none; the message names those there are.
    pub fn multi_head_projection(&self, id: i64) -> Result<MultiHeadRow> {
        let mut rows = self.multi_head_projections()?;
        match rows.iter().position(|row| row.id == id) {
            Some(at) => Ok(rows.swap_remove(at)),
            None => {
                let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
                let known = if ids.is_empty() { "none".to_string() } else { ids.join(", ") };
                Err(self.not_found(format!("no projection {id}, the store has {known}")))
            }
        }
    }

    /// The files of the heads of projection `id`, in ascending order of cluster id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the projection or a recorded file does not exist,
    /// [`ErrorKind::InvalidStore`] where a path leads outside the store's folder.
    pub fn cluster_heads(&self, id: i64) -> Result<Vec<HeadFiles>> {
        let model_name = self.multi_head_projection(id)?.model_name;
        let rows: Vec<_> = self.query(
            "SELECT cluster_id, centroid_path, answer_emb_path, W_path FROM cluster_heads \
                 WHERE mh_projection_id = ?1 ORDER BY cluster_id",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let mut paths = Resolver::new(&self.path, &model_name, self.allow_outside, 2 * rows.len());
        rows.into_iter()
            .map(|(cluster_id, centroid, answer, matrix): (i64, String, String, Option<String>)| {
                let mut resolve = |recorded: &str| {
                    paths
                        .resolve(recorded)
                        .map_err(|error| error.context(format!("head of cluster {cluster_id}")))
                };
                Ok(HeadFiles {
                    cluster_id,
                    centroid: resolve(&centroid)?,
                    answer: resolve(&answer)?,
                    matrix: matrix
                        .filter(|path| !path.is_empty())
                        .map(|path| resolve(&path))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Stores a trained multi-head projection and gives its new id. It is there as a whole
    /// when this returns, and not at all before or after an error or a crash.
    ///
    /// # Errors
    /// As [`add_model`](Self::add_model).
    pub fn add_multi_head_projection(
        &mut self,
        model: &EmbeddingModel,
        name: Option<&str>,
        temperature: f64,
        heads: &[NewHead],
    ) -> Result<i64> {
        let parameters = ModelParameters::MultiHead { temperature, top_k: None };
        self.add_model(model, &NewModel { name, heads, ..NewModel::new(parameters) })
    }

    /// Stores a trained multi-head or residual projection and gives its new id. It is there
    /// as a whole when this returns, and not at all before or after an error or a crash.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no heads, or where the parts are not those that the
    /// parameters name, [`ErrorKind::Io`] where a file can't be written,
    /// [`ErrorKind::Busy`] where another process keeps writing.
    pub fn add_model(&mut self, model: &EmbeddingModel, new: &NewModel<'_>) -> Result<i64> {
        new.check()?;
        let folder = self.embeddings_folder(&model.name);
        let change = self.begin()?;
        let mut publishing = Publishing::new(&change, &folder)?;
        let (id, staged) = (publishing.id(), &mut publishing.files);
        let measured = |key: &str| new.metrics.get(key).and_then(Value::as_f64);
        change.execute(
            "INSERT INTO multi_head_projections (mh_projection_id, model_id, name, temperature, \
             num_heads, recall_at_1, mrr) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id,
                model.model_id,
                new.name,
                new.temperature(),
                new.heads.len(),
                measured("recall_at_1"),
                measured("mrr_at_10"),
            ],
        )?;
        let recorded = |name: &String| recorded_path(&model.name, name);
        for head in new.heads {
            let cluster = head.cluster_id;
            let centroid = layout::centroid_name(id, cluster);
            let answer = layout::answer_name(id, cluster);
            staged.vector(&centroid, &head.centroid)?;
            staged.vector(&answer, &head.answer)?;
            let matrix = match &head.matrix {
                Some(matrix) => {
                    let name = layout::matrix_name(id, cluster);
                    staged.matrix(&name, matrix.view())?;
                    Some(name)
                }
                None => None,
            };
            change.execute(
                "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, \
                 answer_emb_path, W_path, num_questions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id,
                    cluster,
                    recorded(&centroid),
                    recorded(&answer),
                    matrix.as_ref().map(recorded),
                    head.num_questions
                ],
            )?;
        }
        for (head, questions) in new.heads.iter().zip(new.questions) {
            staged.matrix(&layout::questions_name(id, head.cluster_id), questions.view())?;
        }
        if let Some(adapter) = new.adapter {
            staged.matrix(&layout::adapter_name(id), adapter)?;
        }
        if let Some(lift) = new.lift {
            staged.vector(&layout::lift_name(id), lift)?;
        }
        if !new.is_plain() {
            change.own_tables()?;
            let mut parameters = new.parameters.to_json(new.training);
            let &NewModel { hybrid_weight, unseen_offset, .. } = new;
            SearchValues { hybrid_weight, unseen_offset }.add_to(&mut parameters);
            staged.text(&layout::model_name(id), &format!("{parameters:#}\n"))?;
            change.record_model(id, new.parameters.kind(), &parameters, new.metrics)?;
        }
        publishing.publish(change)?;
        Ok(id)
    }
}

impl NewModel<'_> {
    /// A model of these parameters, without any parts yet.
    pub fn new(parameters: ModelParameters) -> Self {
        Self {
            name: None,
            parameters,
            heads: &[],
            questions: &[],
            adapter: None,
            lift: None,
            hybrid_weight: None,
            unseen_offset: None,
            training: &Value::Null,
            metrics: &Value::Null,
        }
    }

    /// Whether the tables of existing programs hold all that there is to say.
    fn is_plain(&self) -> bool {
        let plain = matches!(self.parameters, ModelParameters::MultiHead { top_k: None, .. });
        let chosen = self.hybrid_weight.is_some() || self.unseen_offset.is_some();
        plain && !chosen && self.training.is_null() && self.metrics.is_null()
    }

    fn temperature(&self) -> Option<f64> {
        match self.parameters {
            ModelParameters::MultiHead { temperature, .. }
            | ModelParameters::Residual { temperature, .. } => Some(temperature),
            ModelParameters::Linear {} | ModelParameters::Transformer(_) => None,
        }
    }

    fn check(&self) -> Result<()> {
        let refuse = |what: &str| Err(Error::new(ErrorKind::InvalidModel, what));
        let (questions, adapter, lift) = match self.parameters {
            ModelParameters::Linear {} | ModelParameters::Transformer(_) => {
                return refuse("a projection of this kind has no heads");
            }
            ModelParameters::MultiHead { .. } => (0, false, false),
            ModelParameters::Residual { adapter, lift, .. } => {
                (self.heads.len(), adapter, lift.is_some())
            }
        };
        if self.hybrid_weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
            return refuse("a hybrid weight outside 0 to 1");
        }
        if self.unseen_offset.is_some_and(|offset| !offset.is_finite()) {
            return refuse("an offset that is not finite");
        }
        if self.heads.is_empty() {
            return refuse("a projection without heads");
        }
        if self.questions.len() != questions {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!(
                    "questions for {} heads, expected them for {questions}",
                    self.questions.len()
                ),
            ));
        }
        if (self.adapter.is_some(), self.lift.is_some()) != (adapter, lift) {
            return refuse("adapter and lift are not those that the parameters name");
        }
        Ok(())
    }
}
