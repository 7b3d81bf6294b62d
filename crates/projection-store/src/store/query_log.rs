//! The log of queries, and what users said of the answers.
//!
//! Nothing is logged by itself: a program that answers queries logs those it was asked to.

use rusqlite::{OptionalExtension, Row, params};

use super::{Change, Store};
use crate::error::{Error, ErrorKind, Result};

/// A row of `query_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedQuery {
    /// The row's id.
    pub log_id: i64,
    /// The query in words.
    pub query_text: String,
    /// The text model whose vectors were searched.
    pub model_id: Option<i64>,
    /// The projection that was used; none for plain cosine.
    pub projection_id: Option<i64>,
    /// The answers found, best first.
    pub results: Vec<i64>,
    /// The answer that was right, as far as somebody said so.
    pub selected_answer_id: Option<i64>,
    /// Whether the answers helped, as far as somebody said so.
    pub was_helpful: Option<bool>,
    /// When it was asked, in UTC.
    pub created_at: Option<String>,
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

const COLUMNS: &str = "SELECT log_id, query_text, model_id, projection_id, results, \
                       selected_answer_id, was_helpful, created_at FROM query_log";

impl Store {
    /// Logs a query and gives the row's id.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] or [`ErrorKind::Io`] where the database can't be written.
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
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn query_log(&self, limit: usize) -> Result<Vec<LoggedQuery>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(&format!("{COLUMNS} ORDER BY log_id DESC LIMIT ?1"), [limit], read)
    }

    /// The logged query with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none.
    pub fn logged_query(&self, log_id: i64) -> Result<LoggedQuery> {
        self.connection
            .query_row(&format!("{COLUMNS} WHERE log_id = ?1"), [log_id], read)
            .optional()
            .map_err(self.reading())?
            .ok_or_else(|| self.not_found(format!("no logged query {log_id}")))
    }

    /// Records what a user says of the answers to logged query `log_id`, in place of what was
    /// said before. A question that came from that is taken back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such query or answer,
    /// [`ErrorKind::InvalidArgument`] where no answer is given and none was found.
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
        change.own_tables()?;
        change.forget_feedback(log_id)?;
        change.execute(
            "UPDATE query_log SET selected_answer_id = ?2, was_helpful = ?3 WHERE log_id = ?1",
            params![log_id, selected, selected.is_some()],
        )?;
        change.commit()?;
        self.remove_discarded_files();
        self.logged_query(log_id)
    }
}

impl Change<'_> {
    /// Takes back the question that came from the feedback on a logged query, unless another
    /// one gave the same.
    fn forget_feedback(&self, log_id: i64) -> Result<()> {
        let questions = self.query(
            "SELECT question_id FROM engine_feedback f WHERE log_id = ?1 AND question_id IS NOT \
             NULL AND NOT EXISTS (SELECT 1 FROM engine_feedback o WHERE o.question_id = \
             f.question_id AND o.log_id <> ?1)",
            [log_id],
            |row| row.get::<_, i64>(0),
        )?;
        self.delete_questions(&questions)?;
        self.execute("DELETE FROM engine_feedback WHERE log_id = ?1", [log_id])?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<LoggedQuery> {
    // Other programs may have logged something else than ids.
    let results: Option<String> = row.get(4)?;
    let results = serde_json::from_str::<Vec<i64>>(&results.unwrap_or_default());
    Ok(LoggedQuery {
        log_id: row.get(0)?,
        query_text: row.get(1)?,
        model_id: row.get(2)?,
        projection_id: row.get(3)?,
        results: results.unwrap_or_default(),
        selected_answer_id: row.get(5)?,
        was_helpful: row.get(6)?,
        created_at: row.get(7)?,
    })
}
