//! What models are trained on: answers, questions, and which answers which.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::npy::NpyArray;
use crate::store::{EmbeddingModel, Store};

/// Embedded answers and questions, all of length 1.
#[derive(Debug, Clone)]
pub struct TrainingData {
    answers: Array2<f32>,
    questions: Array2<f32>,
    labels: Vec<usize>,
    clusters: Vec<Option<i64>>,
}

impl TrainingData {
    /// Takes answers (m × d) and questions (n × d) of any length above zero; `labels[i]` is
    /// the row of the answer to question i. Answers may have no questions.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no answers or no questions,
    /// [`ErrorKind::DimensionMismatch`] where sizes do not fit together,
    /// [`ErrorKind::InvalidArgument`] for a label that is no row,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the row.
    pub fn new(
        answers: ArrayView2<'_, f32>,
        questions: ArrayView2<'_, f32>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        if answers.is_empty() || questions.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!(
                    "{} answers and {} questions, expected at least one of each",
                    answers.nrows(),
                    questions.nrows()
                ),
            ));
        }
        if answers.ncols() != questions.ncols() {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!(
                    "questions of dimension {}, expected {} as the answers have",
                    questions.ncols(),
                    answers.ncols()
                ),
            ));
        }
        if labels.len() != questions.nrows() {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("{} labels for {} questions", labels.len(), questions.nrows()),
            ));
        }
        if let Some(at) = labels.iter().position(|label| *label >= answers.nrows()) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "label {} of question {at}, expected a row of the {} answers",
                    labels[at],
                    answers.nrows()
                ),
            ));
        }
        let clusters = (0..answers.nrows() as i64).map(Some).collect();
        Ok(Self {
            answers: unit_rows(answers).map_err(|error| error.context("answers"))?,
            questions: unit_rows(questions).map_err(|error| error.context("questions"))?,
            labels,
            clusters,
        })
    }

    /// The embedded clusters and answers of a store: one answer row a cluster that has
    /// answers, the normalised mean where it has several, then each answer that is in no
    /// cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where no cluster has vectors of both sides, and
    /// whatever reading the vectors may give.
    pub fn from_store(store: &Store, model: &EmbeddingModel) -> Result<Self> {
        let dim = model.dimension;
        let (mut answers, mut questions) = (Vec::new(), Vec::new());
        let (mut labels, mut clusters) = (Vec::new(), Vec::new());
        let mut in_clusters = std::collections::HashSet::new();
        for cluster in store.embedded_clusters(model)? {
            if cluster.answers.is_empty() {
                continue;
            }
            let rows = load_rows(&cluster.answers, dim)
                .and_then(|rows| unit_rows(rows.view()))
                .map_err(|error| error.context(format!("cluster {}", cluster.cluster_id)))?;
            answers.extend(rows.sum_axis(ndarray::Axis(0)));
            in_clusters.extend(cluster.answers.iter().cloned());
            let rows = load_rows(&cluster.questions, dim)
                .map_err(|error| error.context(format!("cluster {}", cluster.cluster_id)))?;
            labels.extend(std::iter::repeat_n(clusters.len(), rows.nrows()));
            questions.extend(rows);
            clusters.push(Some(cluster.cluster_id));
        }
        if questions.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!(
                    "{}: no cluster has vectors of both questions and answers by '{}'",
                    store.path().display(),
                    model.name
                ),
            ));
        }
        for answer in store.embedded_answers(model)? {
            if !in_clusters.contains(&answer.vector) {
                answers.extend(load_rows(&[answer.vector], dim)?);
                clusters.push(None);
            }
        }
        let rows = |values: Vec<f32>| {
            Array2::from_shape_vec((values.len() / dim, dim), values).expect("rows are whole")
        };
        let (answers, questions) = (rows(answers), rows(questions));
        let data = Self::new(answers.view(), questions.view(), labels)?;
        Ok(Self { clusters, ..data })
    }

    /// Dimension of all vectors.
    pub fn dim(&self) -> usize {
        self.answers.ncols()
    }

    /// The answers (m × d).
    pub fn answers(&self) -> ArrayView2<'_, f32> {
        self.answers.view()
    }

    /// The questions (n × d).
    pub fn questions(&self) -> ArrayView2<'_, f32> {
        self.questions.view()
    }

    /// The row of the answer to each question.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The cluster of each answer; `None` for answers that are in no cluster.
    pub fn clusters(&self) -> &[Option<i64>] {
        &self.clusters
    }

    /// Whether each answer has a question.
    pub fn headed(&self) -> Vec<bool> {
        let mut headed = vec![false; self.answers.nrows()];
        self.labels.iter().for_each(|label| headed[*label] = true);
        headed
    }

    /// The same answers with only those questions whose numbers are given.
    pub fn with_questions(&self, numbers: &[usize]) -> Self {
        Self {
            answers: self.answers.clone(),
            questions: self.questions.select(ndarray::Axis(0), numbers),
            labels: numbers.iter().map(|number| self.labels[*number]).collect(),
            clusters: self.clusters.clone(),
        }
    }

    pub(super) fn answer_values(&self) -> &[f32] {
        self.answers.as_slice().expect("made row-major")
    }

    pub(super) fn question_values(&self) -> &[f32] {
        self.questions.as_slice().expect("made row-major")
    }
}

/// Rows brought to length 1.
pub(super) fn unit_rows(rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    let mut units = rows.as_standard_layout().into_owned();
    for (row, mut values) in units.rows_mut().into_iter().enumerate() {
        let values = values.as_slice_mut().expect("made row-major");
        let norm = kernel::norm(values);
        let refuse = |kind, what| Err(Error::new(kind, format!("row {row}: {what}")));
        if !norm.is_finite() {
            return refuse(ErrorKind::NotFinite, "NaN or infinity, expected finite numbers");
        }
        if norm == 0.0 {
            return refuse(ErrorKind::ZeroVector, "all values are zero");
        }
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
    Ok(units)
}

/// Loads vectors of dimension `dim` as the rows of a matrix.
pub(super) fn load_rows(files: &[PathBuf], dim: usize) -> Result<Array2<f32>> {
    let mut values = Vec::with_capacity(files.len() * dim);
    for file in files {
        let array = NpyArray::load(file)?;
        let found = array.vector_len()?;
        if found != dim {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("{}: vector of dimension {found}, expected {dim}", file.display()),
            ));
        }
        values.extend(array.to_f32()?);
    }
    Ok(Array2::from_shape_vec((files.len(), dim), values).expect("every file gave one row"))
}
