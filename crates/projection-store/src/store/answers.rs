//! Answers.

use rusqlite::OptionalExtension;

use super::Store;
use crate::error::Result;

/// A row of `answers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer's id.
    pub answer_id: i64,
    /// The document that the answer comes from.
    pub source_file: String,
    /// The answer's name in that document.
    pub record_id: Option<String>,
    /// The text.
    pub text: String,
    /// `default`, or the name of the text model that this wording is for.
    pub text_variant: Option<String>,
}

impl Store {
    /// The answer with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where there is none.
    pub fn answer(&self, answer_id: i64) -> Result<Answer> {
        self.connection
            .query_row(
                "SELECT answer_id, source_file, record_id, text, text_variant FROM answers \
                 WHERE answer_id = ?1",
                [answer_id],
                |row| {
                    Ok(Answer {
                        answer_id: row.get(0)?,
                        source_file: row.get(1)?,
                        record_id: row.get(2)?,
                        text: row.get(3)?,
                        text_variant: row.get(4)?,
                    })
                },
            )
            .optional()
            .map_err(self.reading())?
            .ok_or_else(|| self.not_found(format!("no answer {answer_id}")))
    }

    /// Numbers of answers and of questions.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn text_counts(&self) -> Result<(usize, usize)> {
        self.connection
            .query_row(
                "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM questions)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(self.reading())
    }
}
