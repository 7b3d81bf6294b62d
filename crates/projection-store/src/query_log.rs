//! The log of queries, what users said of the answers, and making training questions of that.
//!
//! Nothing is logged by itself: a program that answers queries logs those it was asked to.

use ndarray::ArrayView2;
use projection_core::{Error, ErrorKind, Result};
use rusqlite::{Row, params};
use serde::Serialize;

use crate::embeddings::{EmbeddingModel, EntityType};
use crate::publish::{NewVector, NewVectors, remove_list};
use crate::rows::{FromRow, from_row, value};
use crate::store::{Change, Store};

/// A row of `query_log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedQuery {
    /// The row's id.
    pub log_id: i64,
    /// The query in words.
    #[serde(rename = "query")]
    pub query_text: String,
    /// The embedding model whose embeddings were searched.
    #[serde(skip)]
    pub model_id: Option<i64>,
    /// The projection that was used; `None` for plain cosine.
    pub projection_id: Option<i64>,
    /// The answers found, best first.
    #[serde(rename = "answers")]
    pub results: Vec<i64>,
    /// The answer that was right, if somebody said so.
    pub selected_answer_id: Option<i64>,
    /// Whether the answers helped, if somebody said so.
    #[serde(rename = "helpful")]
    pub was_helpful: Option<bool>,
    /// When it was asked, in UTC.
    pub created_at: Option<String>,
}

impl FromRow for LoggedQuery {
    fn from_row(row: &Row<'_>) -> Option<Self> {
        // Other programs may have logged something else than ids.
        let results: Option<String> = value(row, "results")?;
        let results = serde_json::from_str::<Vec<i64>>(&results.unwrap_or_default());
        Some(Self {
            log_id: value(row, "log_id")?,
            query_text: value(row, "query_text")?,
            model_id: value(row, "model_id")?,
            projection_id: value(row, "projection_id")?,
            results: results.unwrap_or_default(),
            selected_answer_id: value(row, "selected_answer_id")?,
            was_helpful: value(row, "was_helpful")?,
            created_at: value(row, "created_at")?,
        })
    }
}

/// What a user says of the answers to a logged query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// They helped. The right answer is the one with the given id, whether it was found or
    /// not, or else the best of those found.
    Helpful(Option<i64>),
    /// They did not.
    Unhelpful,
}

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

from_row!(FeedbackQuestion { log_id, text, answer_id });

impl Store {
    /// Logs a query and returns the row's id.
    pub fn log_query(
        &mut self,
        query_text: &str,
        model_id: Option<i64>,
        projection_id: Option<i64>,
        results: &[i64],
    ) -> Result<i64> {
        let results = serde_json::Value::from(results).to_string();
        let change = self.begin()?;
        let log_id = change.insert(
            "INSERT INTO query_log (query_text, model_id, projection_id, results) \
             VALUES (?1, ?2, ?3, ?4)",
            params![query_text, model_id, projection_id, results],
        )?;
        change.commit()?;
        Ok(log_id)
    }

    /// The newest `limit` queries of the log, the newest first.
    pub fn query_log(&self, limit: usize) -> Result<Vec<LoggedQuery>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows("SELECT * FROM query_log ORDER BY log_id DESC LIMIT ?1", [limit])
    }

    /// The logged query with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn logged_query(&self, log_id: i64) -> Result<LoggedQuery> {
        self.row("SELECT * FROM query_log WHERE log_id = ?1", [log_id])?
            .ok_or_else(|| self.error(ErrorKind::NotFound, format!("no logged query {log_id}")))
    }

    /// Records what a user says of the answers to logged query `log_id`, in place of what was
    /// said before. A question that came from that is taken back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such query or answer,
    /// [`ErrorKind::InvalidArgument`] if no answer is given and none was found.
    pub fn record_feedback(&mut self, log_id: i64, feedback: Feedback) -> Result<LoggedQuery> {
        let query = self.logged_query(log_id)?;
        let selected = match feedback {
            Feedback::Unhelpful => None,
            Feedback::Helpful(Some(answer_id)) => Some(answer_id),
            Feedback::Helpful(None) => Some(*query.results.first().ok_or_else(|| {
                let message = format!(
                    "logged query {log_id} found no answers, expected the id of the right one"
                );
                Error::new(ErrorKind::InvalidArgument, message)
            })?),
        };
        if let Some(answer_id) = selected {
            self.answer(answer_id)?;
        }
        let change = self.begin()?;
        change.create_own_tables()?;
        change.forget_feedback(log_id)?;
        change.execute(
            "UPDATE query_log SET selected_answer_id = ?2, was_helpful = ?3 WHERE log_id = ?1",
            params![log_id, selected, selected.is_some()],
        )?;
        change.commit()?;
        self.carry_out_deletes();
        self.logged_query(log_id)
    }

    /// Logged queries whose right answer is known and has an embedding by `model`, and which
    /// are not training questions yet, in ascending order of log id.
    pub fn feedback_questions(&self, model: &EmbeddingModel) -> Result<Vec<FeedbackQuestion>> {
        let unused = match self.has_table("engine_feedback")? {
            true => "AND log_id NOT IN (SELECT log_id FROM engine_feedback)",
            false => "",
        };
        let sql = format!(
            "SELECT log_id, query_text AS text, answer_id FROM query_log \
             JOIN answers ON answer_id = selected_answer_id JOIN embeddings e \
             ON e.model_id = ?1 AND entity_type = 'answer' AND entity_id = answer_id \
             WHERE was_helpful {unused} ORDER BY log_id"
        );
        self.rows(&sql, [model.model_id])
    }

    /// Makes training questions of logged queries: each becomes a question of its answer's
    /// cluster, with its embedding, a row of `vectors` (n × d) by `model`. Queries that were
    /// used or corrected in the meantime are passed over. Returns the number of new questions;
    /// a question that the cluster has already is not added again.
    ///
    /// The questions stay until the feedback is corrected or the answer goes.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] if `vectors` is not n × the model's dimension,
    /// [`ErrorKind::Io`] if a file can't be written; nothing is stored then.
    pub fn add_feedback_questions(
        &mut self,
        model: &EmbeddingModel,
        questions: &[FeedbackQuestion],
        vectors: ArrayView2<'_, f32>,
    ) -> Result<usize> {
        model.check_shape(questions.len(), vectors)?;
        let change = self.begin()?;
        change.create_own_tables()?;
        let mut new = NewVectors::new(&change, model)?;
        let mut added = 0;
        for (question, vector) in questions.iter().zip(vectors.as_standard_layout().rows()) {
            let still_valid = change.exists(
                "SELECT 1 FROM query_log WHERE log_id = ?1 AND query_text = ?2 AND \
                 selected_answer_id = ?3 AND was_helpful AND \
                 log_id NOT IN (SELECT log_id FROM engine_feedback) AND \
                 EXISTS (SELECT 1 FROM answers WHERE answer_id = ?3)",
                params![question.log_id, question.text, question.answer_id],
            )?;
            if !still_valid {
                continue;
            }
            let cluster_id = change.cluster_of(question.answer_id)?;
            let known: Option<(i64, bool)> = change.row(
                "SELECT question_id, EXISTS (SELECT 1 FROM engine_feedback f WHERE \
                 f.question_id = q.question_id) FROM cluster_questions JOIN questions q \
                 USING (question_id) WHERE cluster_id = ?1 AND text = ?2",
                params![cluster_id, question.text],
            )?;
            let question_id = match known {
                // A question of a file is the file's: it is not taken back with the feedback.
                Some((question_id, from_feedback)) => from_feedback.then_some(question_id),
                None => {
                    let question_id =
                        change.add_question(Some(cluster_id), &question.text, None)?;
                    let vector = vector.to_slice().expect("the layout is row-major");
                    let vector = NewVector { values: vector, prepared: None };
                    new.add(EntityType::Question, question_id, vector, None)?;
                    added += 1;
                    Some(question_id)
                }
            };
            change.execute(
                "INSERT INTO engine_feedback (log_id, question_id) VALUES (?1, ?2)",
                params![question.log_id, question_id],
            )?;
        }
        let list = new.publish()?;
        change.commit()?;
        remove_list(&list);
        Ok(added)
    }
}

impl Change<'_> {
    /// Takes back the question that came from the feedback on a logged query, unless another
    /// query became the same question.
    fn forget_feedback(&self, log_id: i64) -> Result<()> {
        self.delete_questions(&self.ids(
            "SELECT question_id FROM engine_feedback f WHERE log_id = ?1 AND question_id IS NOT \
             NULL AND NOT EXISTS (SELECT 1 FROM engine_feedback o WHERE o.question_id = \
             f.question_id AND o.log_id <> ?1)",
            [log_id],
        )?)?;
        self.execute("DELETE FROM engine_feedback WHERE log_id = ?1", [log_id])?;
        Ok(())
    }

    /// The first cluster of an answer; a new one if it has none.
    fn cluster_of(&self, answer_id: i64) -> Result<i64> {
        let clusters = "SELECT cluster_id FROM cluster_answers WHERE answer_id = ?1 \
                        ORDER BY cluster_id LIMIT 1";
        if let Some(cluster_id) = self.ids(clusters, [answer_id])?.first() {
            return Ok(*cluster_id);
        }
        let cluster_id = self.insert(
            "INSERT INTO qa_clusters (name) SELECT record_id FROM answers WHERE answer_id = ?1",
            [answer_id],
        )?;
        self.put_into_cluster(cluster_id, answer_id)?;
        Ok(cluster_id)
    }
}
