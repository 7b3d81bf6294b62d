//! Training questions as a model keeps them, for files that hold a model as it is.

use std::sync::{Arc, OnceLock};

use super::{Questions, USUAL_NORMS};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IvfIndex;
use crate::kernel::{self, Rows};
use crate::projection::deferred::check_rows_finite;

/// How far recorded factors and cosines may be from those of the vectors.
const DOUBT: f64 = 1e-6;

/// n questions and h answers of dimension d.
pub struct StoredQuestions {
    /// Questions (n × d), with the factors that bring them to length 1 and the cosines with
    /// their answers.
    pub vectors: Rows,
    pub scales: Vec<f64>,
    pub alignments: Vec<f64>,
    /// Questions of each cluster (h), one cluster after another.
    pub counts: Vec<usize>,
    /// Answers (h × d), with the factors that bring them to length 1.
    pub answers: Rows,
    pub answer_scales: Vec<f64>,
    /// Where they may miss a question.
    pub lists: Option<Arc<IvfIndex>>,
}

impl Questions {
    /// The parts; the vectors are shared.
    pub fn stored(&self) -> StoredQuestions {
        let mut counts = vec![0; self.answer_scales.len()];
        self.cluster.iter().for_each(|cluster| counts[*cluster] += 1);
        StoredQuestions {
            vectors: self.vectors.clone(),
            scales: self.scales.clone(),
            alignments: self.alignment.clone(),
            counts,
            answers: self.answers.clone(),
            answer_scales: self.answer_scales.clone(),
            lists: self.approximate().cloned(),
        }
    }

    /// Questions of parts whose shapes fit together.
    pub fn from_stored(parts: StoredQuestions) -> Self {
        let counts = parts.counts.iter().enumerate();
        Self {
            dim: parts.vectors.width(),
            vectors: parts.vectors,
            scales: parts.scales,
            cluster: counts.flat_map(|(number, n)| std::iter::repeat_n(number, *n)).collect(),
            alignment: parts.alignments,
            answers: parts.answers,
            answer_scales: parts.answer_scales,
            lists: parts.lists.map_or_else(OnceLock::new, |lists| OnceLock::from(Some(lists))),
        }
    }

    /// Refuses values that no questions may have.
    pub fn read_values(&self) -> Result<()> {
        check_rows_finite("questions", &self.vectors)?;
        check_rows_finite("answers", &self.answers)?;
        check_scales("question_scales", &self.vectors, &self.scales)?;
        check_scales("answer_scales", &self.answers, &self.answer_scales)?;
        for (question, alignment) in self.alignment.iter().enumerate() {
            let cluster = self.cluster[question];
            let dot = kernel::dot_f64(self.question(question), self.answer(cluster));
            let cosine = dot * self.scales[question] * self.answer_scales[cluster];
            if !is_near(cosine, *alignment) {
                return Err(Error::new(
                    ErrorKind::InvalidModel,
                    format!(
                        "tensor 'question_alignments': {} for question {question}, \
                         whose cosine with its answer is {}",
                        *alignment, cosine
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// NaN is near nothing.
fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= DOUBT
}

fn check_scales(what: &str, vectors: &Rows, scales: &[f64]) -> Result<()> {
    for (row, scale) in scales.iter().enumerate() {
        let norm = kernel::norm(vectors.row(row));
        if !USUAL_NORMS.contains(&norm) || !is_near(scale * norm, 1.0) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("tensor '{what}': {scale} for row {row}, a vector of length {norm}"),
            ));
        }
    }
    Ok(())
}
