//! Helpful feedback as training questions.

use ndarray::ArrayView2;
use rusqlite::params;

use super::{Change, EmbeddingModel, EntityType, NewVectors, Store};
use crate::error::{Error, ErrorKind, Result};

/// A logged query whose right answer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackQuestion {
    /// The row of the log.
    pub log_id: i64,
    /// The query in words.
    pub text: String,
    /// The answer that was right.
    pub answer_id: i64,
}

impl Store {
    /// Logged queries whose right answer is known, has a vector by `model`, and which are no
    /// training questions yet, in ascending order of log id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn feedback_questions(&self, model: &EmbeddingModel) -> Result<Vec<FeedbackQuestion>> {
        let unused = match self.has_table("engine_feedback")? {
            true => "AND log_id NOT IN (SELECT log_id FROM engine_feedback)",
            false => "",
        };
        let sql = format!(
            "SELECT log_id, query_text, selected_answer_id FROM query_log \
             JOIN answers ON answer_id = selected_answer_id JOIN embeddings e \
             ON e.model_id = ?1 AND entity_type = 'answer' AND entity_id = answer_id \
             WHERE was_helpful {unused} ORDER BY log_id"
        );
        self.query(&sql, [model.model_id], |row| {
            Ok(FeedbackQuestion { log_id: row.get(0)?, text: row.get(1)?, answer_id: row.get(2)? })
        })
    }

    /// Makes training questions of logged queries: each becomes a question of its answer's
    /// cluster, with its vector, a row of `vectors` (n × d) by `model`. Queries that were
    /// used or corrected in the meantime are passed over. Gives the number of new questions;
    /// those that the cluster has already are not added again.
    ///
    /// The questions stay until the feedback is corrected or the answer goes.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] where the vectors are not n × the model's dimension,
    /// [`ErrorKind::Io`] where a file can't be written; nothing is stored then.
    pub fn add_feedback_questions(
        &mut self,
        model: &EmbeddingModel,
        questions: &[FeedbackQuestion],
        vectors: ArrayView2<'_, f32>,
    ) -> Result<usize> {
        if vectors.dim() != (questions.len(), model.dimension) {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!(
                    "vectors of shape {:?}, expected {:?}",
                    vectors.dim(),
                    (questions.len(), model.dimension)
                ),
            ));
        }
        let folder = self.embeddings_folder(&model.name);
        let change = self.begin()?;
        change.own_tables()?;
        let mut new = NewVectors::begin(&change, &folder, model)?;
        let vectors = vectors.as_standard_layout();
        let mut added = 0;
        for (question, vector) in questions.iter().zip(vectors.rows()) {
            let valid = change.query(
                "SELECT 1 FROM query_log WHERE log_id = ?1 AND query_text = ?2 AND \
                 selected_answer_id = ?3 AND was_helpful AND \
                 log_id NOT IN (SELECT log_id FROM engine_feedback) AND \
                 EXISTS (SELECT 1 FROM answers WHERE answer_id = ?3)",
                params![question.log_id, question.text, question.answer_id],
                |_| Ok(()),
            )?;
            if valid.is_empty() {
                continue;
            }
            let cluster_id = change.cluster_of(question.answer_id)?;
            let known = change.query(
                "SELECT question_id, EXISTS (SELECT 1 FROM engine_feedback f WHERE \
                 f.question_id = questions.question_id) FROM cluster_questions JOIN questions USING (question_id) \
                 WHERE cluster_id = ?1 AND text = ?2",
                params![cluster_id, question.text],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
            )?;
            let question_id = match known.first() {
                // A question of a file is the file's: it is not taken back with the feedback.
                Some((question_id, from_feedback)) => from_feedback.then_some(*question_id),
                None => {
                    let question_id = change
                        .insert("INSERT INTO questions (text) VALUES (?1)", [&question.text])?;
                    change.execute(
                        "INSERT INTO cluster_questions (cluster_id, question_id) VALUES (?1, ?2)",
                        [cluster_id, question_id],
                    )?;
                    let vector = vector.to_slice().expect("the layout is row-major");
                    new.add(EntityType::Question, question_id, vector)?;
                    added += 1;
                    Some(question_id)
                }
            };
            change.execute(
                "INSERT INTO engine_feedback (log_id, question_id) VALUES (?1, ?2)",
                params![question.log_id, question_id],
            )?;
        }
        new.publish()?;
        change.commit()?;
        Ok(added)
    }
}

impl Change<'_> {
    /// The first cluster of an answer, made where it has none.
    fn cluster_of(&self, answer_id: i64) -> Result<i64> {
        let clusters = self.query(
            "SELECT cluster_id FROM cluster_answers WHERE answer_id = ?1 ORDER BY cluster_id \
             LIMIT 1",
            [answer_id],
            |row| row.get::<_, i64>(0),
        )?;
        if let Some(cluster_id) = clusters.first() {
            return Ok(*cluster_id);
        }
        let cluster_id = self.insert(
            "INSERT INTO qa_clusters (name) SELECT record_id FROM answers WHERE answer_id = ?1",
            [answer_id],
        )?;
        self.execute(
            "INSERT INTO cluster_answers (cluster_id, answer_id) VALUES (?1, ?2)",
            [cluster_id, answer_id],
        )?;
        Ok(cluster_id)
    }
}
