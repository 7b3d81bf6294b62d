//! Deleting texts with everything that belongs to them.

use rusqlite::params;

use super::Change;
use crate::error::Result;

impl Change<'_> {
    /// Deletes questions with everything that belongs to them. Files of their vectors are
    /// noted to be removed.
    pub(crate) fn delete_questions(&self, questions: &[i64]) -> Result<()> {
        let ids = id_list(questions);
        self.delete_vectors("question", questions)?;
        for sql in [
            "DELETE FROM cluster_questions WHERE question_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM questions WHERE question_id IN (SELECT value FROM json_each(?1))",
        ] {
            self.execute(sql, [&ids])?;
        }
        Ok(())
    }

    /// Deletes answers with everything that belongs to them: vectors, relations, and
    /// questions that came from feedback. Feedback on them counts as used, since a later
    /// answer may get the same id.
    pub(crate) fn delete_answers(&self, answers: &[i64]) -> Result<()> {
        let ids = id_list(answers);
        let questions = self.query(
            "SELECT question_id FROM engine_feedback JOIN query_log USING (log_id) WHERE \
             selected_answer_id IN (SELECT value FROM json_each(?1)) AND question_id IS NOT NULL",
            [&ids],
            |row| row.get::<_, i64>(0),
        )?;
        self.delete_questions(&questions)?;
        self.delete_vectors("answer", answers)?;
        for sql in [
            "INSERT OR REPLACE INTO engine_feedback (log_id, question_id) SELECT log_id, NULL \
             FROM query_log WHERE selected_answer_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM answer_relations WHERE from_answer_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM answer_relations WHERE to_answer_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM cluster_answers WHERE answer_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM answers WHERE answer_id IN (SELECT value FROM json_each(?1))",
        ] {
            self.execute(sql, [&ids])?;
        }
        Ok(())
    }

    /// Deletes the rows of vectors, which are wrong or not needed any more. Their files are
    /// noted to be removed.
    pub(crate) fn delete_vectors(&self, entity_type: &str, entities: &[i64]) -> Result<()> {
        let values = params![entity_type, id_list(entities)];
        self.discard_files(&self.query(
            "SELECT vector_path FROM embeddings WHERE entity_type = ?1 AND entity_id IN \
             (SELECT value FROM json_each(?2))",
            values,
            |row| row.get(0),
        )?)?;
        self.execute(
            "DELETE FROM embeddings WHERE entity_type = ?1 AND entity_id IN \
             (SELECT value FROM json_each(?2))",
            values,
        )?;
        Ok(())
    }
}

/// Ids as one value for `json_each`, so that many rows are deleted in one pass.
pub(crate) fn id_list(ids: &[i64]) -> String {
    serde_json::Value::from(ids).to_string()
}
