//! What an import of own vectors brought, as a report that serialises to JSON.

use serde::Serialize;

use super::{OwnVectors, VectorFiles};
use crate::store::Store;

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedVectors {
    /// The store's database.
    pub store: String,
    /// The text model that gave the vectors.
    pub model: String,
    /// `imported`, `replaced` or `unchanged`; of the latter the numbers are zero.
    pub outcome: &'static str,
    /// Dimension of the vectors.
    pub dimension: usize,
    /// Answers that came.
    pub answers: usize,
    /// Questions that came.
    pub questions: usize,
    /// Texts of the older version that are gone.
    pub removed: usize,
    /// Answers without a question: searched, but without a head.
    pub answers_without_question: usize,
    /// Questions without an answer: kept, but not trained on.
    pub questions_without_answer: usize,
}

impl ImportedVectors {
    /// The report of what [`import_vectors`](super::import_vectors) brought.
    pub fn new(store: &Store, files: &VectorFiles, brought: &OwnVectors) -> Self {
        Self {
            store: store.path().display().to_string(),
            model: files.model_name.clone(),
            outcome: brought.report.outcome.name(),
            dimension: brought.dimension,
            answers: brought.report.answers,
            questions: brought.report.questions,
            removed: brought.report.removed,
            answers_without_question: brought.answers_without_question,
            questions_without_answer: brought.questions_without_answer,
        }
    }
}
