//! Storing trained models.

use ndarray::{Array2, ArrayView2};
use projection_core::kernel::parallel::Poll;
use projection_core::parameters::SearchDefaults;
use projection_core::{Error, ErrorKind, Result, layout};
use rusqlite::params;
use serde_json::Value;

use crate::embeddings::EmbeddingModel;
use crate::publish::ModelFiles;
use crate::store::{Change, Store};
use crate::{ModelKind, ModelParameters};

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

/// A multi-head or residual model to be stored.
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
    /// The adapter W (d × d), if the parameters name one.
    pub adapter: Option<ArrayView2<'a, f32>>,
    /// The weight of BM25 in hybrid search, from 0 to 1, if training chose one.
    pub hybrid_weight: Option<f64>,
    /// The offset of unseen answers, if training chose one.
    pub unseen_offset: Option<f64>,
    /// How it was trained, for people.
    pub training: &'a Value,
    /// What was measured, with `recall_at_1` and `mrr_at_10`; null if nothing was. For a residual
    /// model, `as_multi_head` has both for programs that use it as a multi-head one.
    pub metrics: &'a Value,
    /// Whether it becomes the active projection or the one that is stays so; `None` leaves the
    /// choice open, as programs do that do not know of active ones.
    pub active: Option<bool>,
}

/// A linear model to be stored.
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
    /// The weight of BM25 in hybrid search, from 0 to 1, if training chose one.
    pub hybrid_weight: Option<f64>,
    /// How it was trained, for people.
    pub training: &'a Value,
    /// What was measured; null if nothing was.
    pub metrics: &'a Value,
    /// Whether it becomes the active projection or the one that is stays so; `None` leaves the
    /// choice open, as programs do that do not know of active ones.
    pub active: Option<bool>,
}

impl Store {
    /// Stores a trained multi-head model and returns its new id; see
    /// [`add_model`](Self::add_model).
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
        let new = NewModel { name, heads, ..NewModel::new(parameters) };
        self.add_model(model, &new, &mut || Ok(()))
    }

    /// Tries whether a model on embeddings by `model` could be stored now, before one is trained.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the database or its folders can't be written to.
    pub fn check_writable(&mut self, model: &EmbeddingModel) -> Result<()> {
        let change = self.begin()?;
        change.create_own_tables()?;
        // Undone with the change.
        change.delete_file_later("")?;
        ModelFiles::new(&change, &model.name).map(drop)
    }

    /// Stores a trained multi-head or residual model and returns its new id. It is there
    /// as a whole when this returns, and not at all before or after an error or a crash.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no heads, or parts that are not those that the
    /// parameters name, [`ErrorKind::Io`] if a file can't be written,
    /// [`ErrorKind::Busy`] if another process keeps writing, and those of `poll`, which is called
    /// several times a second.
    pub fn add_model(
        &mut self,
        model: &EmbeddingModel,
        new: &NewModel<'_>,
        poll: &mut Poll<'_>,
    ) -> Result<i64> {
        new.check()?;
        // Existing programs use a residual model as a multi-head one, and read these columns.
        let as_multi_head = match new.parameters.kind() {
            ModelKind::Residual => &new.metrics["as_multi_head"],
            _ => new.metrics,
        };
        let change = self.begin()?;
        let mut files = ModelFiles::new(&change, &model.name)?;
        let id = files.id();
        change.settle_active(&model.name, (id, false), new.active)?;
        change.execute(
            "INSERT INTO multi_head_projections (mh_projection_id, model_id, name, temperature, \
             num_heads, recall_at_1, mrr) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id,
                model.model_id,
                new.name,
                new.temperature(),
                new.heads.len(),
                measured(as_multi_head, "recall_at_1"),
                measured(as_multi_head, "mrr_at_10"),
            ],
        )?;
        for head in new.heads {
            poll()?;
            let cluster = head.cluster_id;
            let centroid = files.vector(&layout::centroid_name(id, cluster), &head.centroid)?;
            let answer = files.vector(&layout::answer_name(id, cluster), &head.answer)?;
            let matrix = head.matrix.as_ref();
            let matrix = matrix
                .map(|matrix| files.matrix(&layout::matrix_name(id, cluster), matrix.view()))
                .transpose()?;
            change.execute(
                "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, \
                 answer_emb_path, W_path, num_questions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, cluster, centroid, answer, matrix, head.num_questions],
            )?;
        }
        for (head, questions) in new.heads.iter().zip(new.questions) {
            poll()?;
            files.matrix(&layout::questions_name(id, head.cluster_id), questions.view())?;
        }
        if let Some(adapter) = new.adapter {
            files.matrix(&layout::adapter_name(id), adapter)?;
        }
        if !new.is_plain() {
            let mut parameters = new.parameters.to_json(new.training);
            let &NewModel { hybrid_weight, unseen_offset, .. } = new;
            SearchDefaults { hybrid_weight, unseen_offset }.add_to(&mut parameters);
            files.text(&layout::model_name(id), &format!("{parameters:#}\n"))?;
            change.record_model(id, new.parameters.kind(), &parameters, new.metrics)?;
        }
        files.publish(change)?;
        Ok(id)
    }

    /// Stores a linear model and returns its new id. It becomes visible as a whole, once its
    /// file is on disk.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] for a matrix of another shape than the two embedding
    /// models have, [`ErrorKind::Io`] if the file can't be written, [`ErrorKind::Busy`] if
    /// another process keeps writing; nothing is stored then.
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
        check_search_defaults(linear.hybrid_weight, None)?;
        let change = self.begin()?;
        let mut files = ModelFiles::new(&change, &input.name)?;
        let id = files.id();
        change.settle_active(&input.name, (id, true), linear.active)?;
        let matrix = files.matrix(&layout::linear_name(id), linear.matrix)?;
        let (lambda, ridge) = linear.regularisation;
        change.execute(
            "INSERT INTO projections (projection_id, input_model_id, output_model_id, name, \
             W_path, lambda_reg, ridge, num_clusters, num_queries, recall_at_1, mrr) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                id,
                input.model_id,
                output.model_id,
                linear.name,
                matrix,
                lambda,
                ridge,
                linear.clusters.len(),
                linear.questions,
                measured(linear.metrics, "recall_at_1"),
                measured(linear.metrics, "mrr_at_10"),
            ],
        )?;
        for cluster in linear.clusters {
            change.execute(
                "INSERT OR IGNORE INTO projection_clusters (projection_id, cluster_id) \
                 VALUES (?1, ?2)",
                [id, *cluster],
            )?;
        }
        let mut parameters = ModelParameters::Linear {}.to_json(linear.training);
        if linear.hybrid_weight.is_some() {
            let hybrid_weight = linear.hybrid_weight;
            SearchDefaults { hybrid_weight, unseen_offset: None }.add_to(&mut parameters);
            // Without it, the matrix says everything.
            files.text(&layout::model_name(id), &format!("{parameters:#}\n"))?;
        }
        change.record_model(id, ModelKind::Linear, &parameters, linear.metrics)?;
        files.publish(change)?;
        Ok(id)
    }
}

impl Change<'_> {
    /// Adds a row to our own table of models.
    fn record_model(
        &self,
        id: i64,
        kind: ModelKind,
        parameters: &Value,
        metrics: &Value,
    ) -> Result<()> {
        self.create_own_tables()?;
        let metrics = (!metrics.is_null()).then(|| metrics.to_string());
        self.execute(
            "INSERT OR REPLACE INTO engine_models (mh_projection_id, kind, parameters, metrics) \
             VALUES (?1, ?2, ?3, ?4)",
            params![id, kind.name(), parameters.to_string(), metrics],
        )?;
        Ok(())
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
            hybrid_weight: None,
            unseen_offset: None,
            training: &Value::Null,
            metrics: &Value::Null,
            active: None,
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
            _ => None,
        }
    }

    fn check(&self) -> Result<()> {
        let (questions, adapter) = match self.parameters {
            ModelParameters::MultiHead { .. } => (0, false),
            ModelParameters::Residual { adapter, .. } => (self.heads.len(), adapter),
            _ => return refuse("a projection of this kind has no heads"),
        };
        check_search_defaults(self.hybrid_weight, self.unseen_offset)?;
        if self.heads.is_empty() {
            return refuse("a projection without heads");
        }
        if self.questions.len() != questions {
            let found = self.questions.len();
            return refuse(&format!("questions for {found} heads, expected them for {questions}"));
        }
        if self.adapter.is_some() != adapter {
            return refuse("an adapter where the parameters name none, or none where they do");
        }
        Ok(())
    }
}

fn check_search_defaults(hybrid_weight: Option<f64>, unseen_offset: Option<f64>) -> Result<()> {
    if hybrid_weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
        return refuse("a hybrid weight outside 0 to 1");
    }
    if unseen_offset.is_some_and(|offset| !offset.is_finite()) {
        return refuse("an offset that is not finite");
    }
    Ok(())
}

fn refuse(what: &str) -> Result<()> {
    Err(Error::new(ErrorKind::InvalidModel, what))
}

fn measured(metrics: &Value, key: &str) -> Option<f64> {
    metrics.get(key).and_then(Value::as_f64)
}
