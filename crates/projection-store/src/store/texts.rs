//! Texts and what they belong to, for judging a model by questions with known answers.

use rusqlite::OptionalExtension;

use super::{EmbeddingModel, Store};
use crate::error::Result;

/// An answer as it is known to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerText {
    /// The answer's id.
    pub answer_id: i64,
    /// The answer's name in the document that it comes from.
    pub record_id: Option<String>,
    /// The text; `None` where vectors were imported without texts.
    pub text: Option<String>,
}

/// A question in a cluster that has an answer, both with vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusteredQuestion {
    /// The cluster.
    pub cluster_id: i64,
    /// The text; `None` where vectors were imported without texts.
    pub text: Option<String>,
}

/// Rows whose texts only say that there is none.
const PLACEHOLDERS: &str = "SELECT i.entity_type, i.entity_id FROM engine_imports i \
     JOIN engine_sources s USING (source_file) JOIN engine_vector_batches b USING (batch_id) \
     WHERE b.texts_file IS NULL";

impl Store {
    /// All answers in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn answer_texts(&self) -> Result<Vec<AnswerText>> {
        let sql = "SELECT answer_id, record_id, CASE WHEN ('answer', answer_id) NOT IN \
                   (PLACEHOLDERS) THEN text END FROM answers ORDER BY answer_id";
        let sql = sql.replace("PLACEHOLDERS", self.placeholders()?);
        self.query(&sql, [], |row| {
            Ok(AnswerText { answer_id: row.get(0)?, record_id: row.get(1)?, text: row.get(2)? })
        })
    }

    /// Cluster and answer for all answers that have a vector by `model` and are in a
    /// cluster, in ascending order.
    ///
    /// # Errors
    /// As [`answer_texts`](Self::answer_texts).
    pub fn clustered_answers(&self, model: &EmbeddingModel) -> Result<Vec<(i64, i64)>> {
        let sql = "SELECT cluster_id, answer_id FROM cluster_answers JOIN answers \
                   USING (answer_id) JOIN embeddings ON entity_type = 'answer' AND \
                   entity_id = answer_id WHERE model_id = ?1 ORDER BY cluster_id, answer_id";
        self.query(sql, [model.model_id], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// All questions that have a vector by `model` in clusters whose answers have one too,
    /// in ascending order of cluster and question: a question in two clusters comes twice.
    ///
    /// # Errors
    /// As [`answer_texts`](Self::answer_texts).
    pub fn clustered_questions(&self, model: &EmbeddingModel) -> Result<Vec<ClusteredQuestion>> {
        let sql = "SELECT c.cluster_id, CASE WHEN ('question', c.question_id) NOT IN \
                   (PLACEHOLDERS) THEN q.text END FROM cluster_questions c \
                   JOIN embeddings e ON e.entity_type = 'question' AND \
                   e.entity_id = c.question_id LEFT JOIN questions q USING (question_id) \
                   WHERE e.model_id = ?1 AND c.cluster_id IN (SELECT a.cluster_id FROM \
                   cluster_answers a JOIN embeddings e ON e.entity_type = 'answer' AND \
                   e.entity_id = a.answer_id WHERE e.model_id = ?1) \
                   ORDER BY c.cluster_id, c.question_id";
        let sql = sql.replace("PLACEHOLDERS", self.placeholders()?);
        self.query(&sql, [model.model_id], |row| {
            Ok(ClusteredQuestion { cluster_id: row.get(0)?, text: row.get(1)? })
        })
    }

    /// λ and μ that the linear projection with the given id was trained with, where they are
    /// recorded.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn linear_regularisation(&self, id: i64) -> Result<(Option<f64>, Option<f64>)> {
        let sql = "SELECT lambda_reg, ridge FROM projections WHERE projection_id = ?1";
        let found = self
            .connection
            .query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(self.reading())?;
        Ok(found.unwrap_or_default())
    }

    /// A query for the rows whose texts are placeholders. Their table is made by whatever
    /// brings them.
    fn placeholders(&self) -> Result<&'static str> {
        let known: bool = self
            .connection
            .query_row(
                "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND \
                 name = 'engine_vector_batches'",
                [],
                |row| row.get(0),
            )
            .map_err(self.reading())?;
        Ok(if known { PLACEHOLDERS } else { "SELECT NULL, NULL WHERE 0" })
    }
}
