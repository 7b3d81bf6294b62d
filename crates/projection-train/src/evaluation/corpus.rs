//! What is searched when methods are compared: the embedded answers of a store, which of
//! them are right for which question, and the training questions.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, ErrorKind, Result};
use crate::projection::{Model, Projection};
use crate::search::LexicalIndex;
use crate::{TrainingData, unit_rows};

/// The answers of a store and the questions that can be trained on.
#[derive(Debug)]
pub struct Corpus {
    parts: CorpusParts,
    rows: HashMap<i64, usize>,
    /// The rows of each cluster's answers.
    clusters: HashMap<i64, Vec<usize>>,
    clusters_of: Vec<Vec<i64>>,
}

/// What a [`Corpus`] is made of.
#[derive(Debug)]
pub struct CorpusParts {
    /// Ids of the answers (m).
    pub ids: Vec<i64>,
    /// Names of the answers (m), if they have any.
    pub names: Vec<Option<String>>,
    /// Texts of the answers (m), if they are known.
    pub texts: Vec<Option<String>>,
    /// An index of these texts by row.
    pub index: Option<Box<dyn LexicalIndex>>,
    /// The answers at length 1 (m × d), row-major.
    pub units: Vec<f32>,
    /// Dimension d.
    pub dim: usize,
    /// Clusters and the ids of their answers.
    pub members: Vec<(i64, i64)>,
    /// The questions that can be trained on, if there are any.
    pub training: Option<TrainingData>,
    /// Their texts, one a question, if they are known.
    pub training_texts: Vec<Option<String>>,
}

/// Questions of a file with the answers that are right for them.
#[derive(Debug, Clone)]
pub struct TestCluster {
    /// Its name.
    pub name: String,
    /// Names, if they have any, and texts of the answers.
    pub answers: Vec<(Option<String>, String)>,
    /// Whether all these answers are right and no others. If not, they are wordings of one answer,
    /// and whatever shares a cluster with one of them is right too.
    pub exact: bool,
    /// The questions.
    pub questions: Vec<String>,
}

/// A question with its right answers.
#[derive(Debug, Clone)]
pub struct TestQuestion {
    /// The question.
    pub text: String,
    /// The id of the first right answer.
    pub label: i64,
    /// The rows of all of them.
    right: Vec<usize>,
}

/// Questions with their right answers.
#[derive(Debug, Clone)]
pub struct EvaluationQueries {
    /// The embedded questions (n × d), of any length above zero.
    pub(super) queries: Array2<f32>,
    /// Row of the right answer of each, the first if there are several.
    pub(super) answers: Vec<usize>,
    /// Rows of all right answers of each.
    pub(super) right: Vec<Vec<usize>>,
    /// The questions, if they are known.
    pub(super) texts: Vec<Option<String>>,
}

impl EvaluationQueries {
    /// Number of questions.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The question with this number, where its text is known.
    pub fn text(&self, number: usize) -> Option<&str> {
        self.texts[number].as_deref()
    }

    /// The row of the right answer to the question with this number.
    pub fn answer(&self, number: usize) -> usize {
        self.answers[number]
    }
}

impl Corpus {
    /// Takes the parts of a corpus.
    ///
    /// # Panics
    /// If the parts are not of one length.
    pub fn new(parts: CorpusParts) -> Self {
        let count = parts.ids.len();
        assert!(count == parts.names.len() && count == parts.texts.len());
        assert!(parts.units.len() == count * parts.dim);
        let rows: HashMap<i64, usize> =
            parts.ids.iter().enumerate().map(|(row, id)| (*id, row)).collect();
        let mut clusters: HashMap<i64, Vec<usize>> = HashMap::new();
        let mut clusters_of = vec![Vec::new(); count];
        for (cluster, answer) in &parts.members {
            if let Some(row) = rows.get(answer) {
                clusters.entry(*cluster).or_default().push(*row);
                clusters_of[*row].push(*cluster);
            }
        }
        Self { parts, rows, clusters, clusters_of }
    }

    /// The answers at length 1 (m × d), row-major.
    pub(super) fn units(&self) -> &[f32] {
        &self.parts.units
    }

    /// Dimension of all vectors.
    pub(super) fn dim(&self) -> usize {
        self.parts.dim
    }

    /// The texts of the training questions.
    pub(super) fn training_texts(&self) -> &[Option<String>] {
        &self.parts.training_texts
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.parts.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.ids.is_empty()
    }

    /// Whether there is an answer with this id.
    pub fn has(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    /// The id of the answer in a row.
    pub fn id(&self, row: usize) -> i64 {
        self.parts.ids[row]
    }

    /// The name of the answer in a row.
    pub fn name(&self, row: usize) -> String {
        self.parts.names[row].clone().unwrap_or_else(|| format!("answer {}", self.parts.ids[row]))
    }

    /// The text of the answer in a row, if it is known.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.parts.texts[row].as_deref()
    }

    /// The questions that can be trained on, if there are any.
    pub fn training(&self) -> Option<&TrainingData> {
        self.parts.training.as_ref()
    }

    /// Number of training questions.
    pub fn training_questions(&self) -> usize {
        self.parts.training.as_ref().map_or(0, |data| data.labels().len())
    }

    /// The rows of the answers that are right where that of `row` is: its own and those of
    /// its clusters, such as other wordings.
    pub(super) fn right(&self, row: usize) -> Vec<usize> {
        let mut right: Vec<usize> = self.clusters_of[row]
            .iter()
            .flat_map(|cluster| &self.clusters[cluster])
            .copied()
            .collect();
        right.push(row);
        right.sort_unstable();
        right.dedup();
        right
    }

    /// The rows of the answers of each row of `data`, which is of this store.
    pub(super) fn rows_of_labels(&self, data: &TrainingData) -> Vec<Vec<usize>> {
        let rows = |cluster: &Option<i64>| {
            cluster.and_then(|cluster| self.clusters.get(&cluster)).cloned().unwrap_or_default()
        };
        data.clusters().iter().map(rows).collect()
    }

    /// Whether each answer, or one that is right with it, has a question in `data`.
    pub(super) fn seen(&self, data: Option<&TrainingData>) -> Vec<bool> {
        let labels = data.iter().flat_map(|data| data.labels().iter().map(|l| data.clusters()[*l]));
        self.in_clusters(labels.flatten())
    }

    /// The answers (m × d) where a model moves them, at length 1.
    pub(super) fn moved_by(&self, model: &Model) -> Result<Cow<'_, [f32]>> {
        let mut moved = Cow::Borrowed(self.units());
        if let Some(residual) = model.as_residual().filter(|residual| residual.moves_answers()) {
            let answers = moved.to_mut().chunks_mut(self.dim());
            for (answer, clusters) in answers.zip(&self.clusters_of) {
                let head = |id| residual.cluster_ids().binary_search(id).ok();
                if let Some(head) = clusters.iter().filter_map(head).min() {
                    let there = residual.moved_answer(head, answer)?;
                    answer.copy_from_slice(&there);
                }
            }
        }
        Ok(moved)
    }

    /// Whether each answer is in one of these clusters.
    pub(super) fn in_clusters(&self, clusters: impl Iterator<Item = i64>) -> Vec<bool> {
        let wanted: HashSet<i64> = clusters.collect();
        let any = |clusters: &Vec<i64>| clusters.iter().any(|own| wanted.contains(own));
        self.clusters_of.iter().map(any).collect()
    }

    /// The index of the answers' texts, if any is known.
    pub fn lexical(&self) -> Option<&dyn LexicalIndex> {
        self.parts.index.as_deref()
    }

    /// Questions (n × d) with the ids of their right answers.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] if there are not as many labels as questions or
    /// these have another dimension than the answers, [`ErrorKind::NotFound`] for a label
    /// that is no answer with a vector, [`ErrorKind::InvalidInput`] for no questions,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`] for unusable vectors. They name
    /// the row.
    pub fn queries(
        &self,
        queries: ArrayView2<'_, f32>,
        labels: &[i64],
        mut texts: Vec<Option<String>>,
    ) -> Result<EvaluationQueries> {
        let (dim, count) = (self.parts.dim, labels.len());
        let (kind, message) = if queries.nrows() != count {
            let message = format!("{count} labels for {} questions", queries.nrows());
            (ErrorKind::DimensionMismatch, message)
        } else if count == 0 {
            (ErrorKind::InvalidInput, "no questions".into())
        } else if queries.ncols() != dim {
            let found = queries.ncols();
            let message =
                format!("questions of dimension {found}, expected {dim} as the answers have");
            (ErrorKind::DimensionMismatch, message)
        } else if let Some(at) = labels.iter().position(|label| !self.rows.contains_key(label)) {
            let message = format!("label {} of question {at}: no answer with a vector", labels[at]);
            (ErrorKind::NotFound, message)
        } else {
            unit_rows(queries).map_err(|error| error.context("test: questions"))?;
            let answers: Vec<usize> = labels.iter().map(|label| self.rows[label]).collect();
            let right = answers.iter().map(|row| self.right(*row)).collect();
            texts.resize(count, None);
            return Ok(EvaluationQueries { queries: queries.to_owned(), answers, right, texts });
        };
        Err(Error::new(kind, message))
    }

    /// Embedded questions of a file (n × d), as [`labels`](Self::labels) returned them.
    ///
    /// # Errors
    /// As [`queries`](Self::queries).
    pub fn test_queries(
        &self,
        queries: ArrayView2<'_, f32>,
        questions: Vec<TestQuestion>,
    ) -> Result<EvaluationQueries> {
        let labels: Vec<i64> = questions.iter().map(|question| question.label).collect();
        let (texts, right) =
            questions.into_iter().map(|question| (Some(question.text), question.right)).unzip();
        Ok(EvaluationQueries { right, ..self.queries(queries, &labels, texts)? })
    }

    /// Questions of a file with their right answers: those of the same text as in the file, of
    /// which one of the same name is preferred, else those called as in the file. Answers that
    /// are gone or have no vector are `left_out`, each with the reason.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if that are all of them, [`ErrorKind::InvalidInput`] for an answer
    /// that unlike answers are called like.
    pub fn labels(
        &self,
        clusters: &[TestCluster],
        left_out: &mut Vec<String>,
    ) -> Result<Vec<TestQuestion>> {
        let mut by_text = HashMap::<&str, Vec<usize>>::new();
        let mut by_name = HashMap::<&str, Vec<usize>>::new();
        for row in 0..self.len() {
            if let Some(text) = self.text(row) {
                by_text.entry(text).or_default().push(row);
            }
            if let Some(name) = &self.parts.names[row] {
                by_name.entry(name).or_default().push(row);
            }
        }
        let of_text = |(name, text): &(Option<String>, String)| -> Option<usize> {
            let rows = by_text.get(text.as_str())?;
            let named = rows.iter().find(|row| name.is_some() && self.parts.names[**row] == *name);
            Some(*named.unwrap_or(&rows[0]))
        };
        let of_name = |name: &Option<String>| -> Result<Option<usize>> {
            let Some(name) = name else { return Ok(None) };
            let called = by_name.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let Some(first) = called.first() else { return Ok(None) };
            let right = self.right(*first);
            match called.iter().all(|row| right.contains(row)) {
                true => Ok(Some(*first)),
                false => Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "'{name}': no answer has this text, and {} are called so",
                        called.len()
                    ),
                )),
            }
        };
        let mut questions = Vec::new();
        for cluster in clusters {
            let wordings = if cluster.exact { 1 } else { cluster.answers.len().max(1) };
            let mut right = Vec::new();
            for answers in cluster.answers.chunks(wordings) {
                let row = match answers.iter().find_map(of_text) {
                    Some(row) => Some(row),
                    None => of_name(&answers[0].0)?,
                };
                let Some(row) = row else {
                    let name = answers[0].0.as_ref().unwrap_or(&cluster.name);
                    left_out
                        .push(format!("'{name}': no answer with a vector has this text or name"));
                    continue;
                };
                let names = &self.parts.names;
                let same = |other: &usize| names[row].is_some() && names[*other] == names[row];
                right.push(row);
                right.extend(self.right(row).into_iter().filter(|r| !cluster.exact || same(r)));
            }
            let Some(first) = right.first() else { continue };
            let label = self.parts.ids[*first];
            let question =
                |text: &String| TestQuestion { text: text.clone(), label, right: right.clone() };
            questions.extend(cluster.questions.iter().map(question));
        }
        match left_out.first() {
            Some(first) if questions.is_empty() => {
                Err(Error::new(ErrorKind::NotFound, first.as_str()))
            }
            _ => Ok(questions),
        }
    }
}
