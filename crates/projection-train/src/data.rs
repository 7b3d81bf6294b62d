//! What models are trained on: answers, questions, and which answers which.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::projection::turned;
use crate::search::LexicalIndex;

/// Embedded answers and questions, all of length 1.
#[derive(Debug, Clone)]
pub struct TrainingData {
    /// Shared by the folds of a cross-validation, which differ in their questions.
    answers: Arc<Array2<f32>>,
    questions: Arc<Array2<f32>>,
    labels: Vec<usize>,
    clusters: Vec<Option<i64>>,
    texts: Option<Arc<TrainingTexts>>,
}

/// The texts of questions, and an index of the answers' texts.
#[derive(Debug)]
pub struct TrainingTexts {
    /// The answers' texts, by number.
    pub index: Box<dyn LexicalIndex>,
    /// The row of the answer that each text of the index belongs to: a cluster may have
    /// several answers.
    pub answer_rows: Vec<usize>,
    /// The text of every question.
    pub questions: Vec<String>,
}

impl TrainingData {
    /// Takes answers (m × d) and questions (n × d) of any length above zero; `labels[i]` is
    /// the row of the answer to question i. Answers may have no questions.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no answers or no questions,
    /// [`ErrorKind::DimensionMismatch`] if sizes do not fit together,
    /// [`ErrorKind::InvalidArgument`] for a label that is no row,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the row.
    pub fn new(
        answers: ArrayView2<'_, f32>,
        questions: ArrayView2<'_, f32>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let bad_label = labels.iter().position(|label| *label >= answers.nrows());
        let (kind, message) = if answers.is_empty() || questions.is_empty() {
            let found = format!("{} answers and {} questions", answers.nrows(), questions.nrows());
            (ErrorKind::InvalidModel, format!("{found}, expected at least one of each"))
        } else if answers.ncols() != questions.ncols() {
            let (found, expected) = (questions.ncols(), answers.ncols());
            let message =
                format!("questions of dimension {found}, expected {expected} as the answers have");
            (ErrorKind::DimensionMismatch, message)
        } else if labels.len() != questions.nrows() {
            let message = format!("{} labels for {} questions", labels.len(), questions.nrows());
            (ErrorKind::DimensionMismatch, message)
        } else if let Some(at) = bad_label {
            let (label, rows) = (labels[at], answers.nrows());
            let message =
                format!("label {label} of question {at}, expected a row of the {rows} answers");
            (ErrorKind::InvalidArgument, message)
        } else {
            return Self::checked(answers, questions, labels);
        };
        Err(Error::new(kind, message))
    }

    fn checked(
        answers: ArrayView2<'_, f32>,
        questions: ArrayView2<'_, f32>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let clusters = (0..answers.nrows() as i64).map(Some).collect();
        Ok(Self {
            answers: Arc::new(unit_rows(answers).map_err(|error| error.context("answers"))?),
            questions: Arc::new(unit_rows(questions).map_err(|error| error.context("questions"))?),
            labels,
            clusters,
            texts: None,
        })
    }

    /// The same data with the cluster of each answer (`None` for answers that are in no
    /// cluster) and, if they are known, the texts.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] unless there is one cluster an answer and one text a
    /// question.
    pub fn with_clusters(
        self,
        clusters: Vec<Option<i64>>,
        texts: Option<TrainingTexts>,
    ) -> Result<Self> {
        let questions = texts.as_ref().map_or(self.labels.len(), |texts| texts.questions.len());
        if (clusters.len(), questions) != (self.answers.nrows(), self.labels.len()) {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!(
                    "{} clusters and {questions} texts, expected {} and {}",
                    clusters.len(),
                    self.answers.nrows(),
                    self.labels.len()
                ),
            ));
        }
        Ok(Self { clusters, texts: texts.map(Arc::new), ..self })
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
    pub fn seen(&self) -> Vec<bool> {
        let mut seen = vec![false; self.answers.nrows()];
        self.labels.iter().for_each(|label| seen[*label] = true);
        seen
    }

    /// The texts of all questions and of some answers, if they are known.
    pub(super) fn texts(&self) -> Option<&TrainingTexts> {
        self.texts.as_deref()
    }

    /// The same answers with only those questions whose numbers are given, without texts.
    pub fn with_questions(&self, numbers: &[usize]) -> Self {
        Self {
            answers: Arc::clone(&self.answers),
            questions: Arc::new(self.questions.select(ndarray::Axis(0), numbers)),
            labels: numbers.iter().map(|number| self.labels[*number]).collect(),
            clusters: self.clusters.clone(),
            texts: None,
        }
    }

    /// The same questions with each answer turned towards the mean of its questions by at most
    /// `angle` radians.
    pub(super) fn with_moved_answers(&self, angle: f64) -> Self {
        let mut data = self.clone();
        if angle > 0.0 {
            let answers = Arc::make_mut(&mut data.answers);
            for (row, numbers) in self.numbers_by_answer() {
                let questions = self.questions.select(ndarray::Axis(0), &numbers);
                let mut answer = answers.row_mut(row);
                let moved = turned(answer.as_slice().expect("row-major"), questions.view(), angle);
                answer.assign(&ndarray::aview1(&moved));
            }
        }
        data
    }

    /// Rows of the answers that have questions, with the numbers of these.
    pub(super) fn numbers_by_answer(&self) -> Vec<(usize, Vec<usize>)> {
        let mut numbers = vec![Vec::new(); self.answers.nrows()];
        for (number, label) in self.labels.iter().enumerate() {
            numbers[*label].push(number);
        }
        let rows = numbers.into_iter().enumerate();
        rows.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    /// The answers, shared.
    pub(super) fn shared_answers(&self) -> Arc<Array2<f32>> {
        Arc::clone(&self.answers)
    }

    pub(super) fn answer_values(&self) -> &[f32] {
        self.answers.as_slice().expect("made row-major")
    }

    pub(super) fn question_values(&self) -> &[f32] {
        self.questions.as_slice().expect("made row-major")
    }
}

/// Rows brought to length 1.
pub fn unit_rows(rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    let mut units = rows.as_standard_layout().into_owned();
    for (row, mut values) in units.rows_mut().into_iter().enumerate() {
        let values = values.as_slice_mut().expect("made row-major");
        let norm = kernel::normalize(values);
        let refuse = |kind, what| Err(Error::new(kind, format!("row {row}: {what}")));
        if !norm.is_finite() {
            return refuse(ErrorKind::NotFinite, "NaN or infinity, expected finite numbers");
        }
        if norm == 0.0 {
            return refuse(ErrorKind::ZeroVector, "all values are zero");
        }
    }
    Ok(units)
}
