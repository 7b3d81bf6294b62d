//! Clusters: questions with a common answer.

use std::path::PathBuf;

use super::{EmbeddingModel, Store};
use crate::error::Result;

/// A row of `qa_clusters` with the sizes of its two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id.
    pub cluster_id: i64,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Number of its answers.
    pub answers: usize,
    /// Number of its questions.
    pub questions: usize,
}

/// A question of a cluster that has a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedQuestion {
    /// The question's id.
    pub question_id: i64,
    /// Its text.
    pub text: String,
    /// The file of its vector.
    pub vector: PathBuf,
}

impl Store {
    /// All clusters in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        self.query(
            "SELECT cluster_id, name, \
                 (SELECT count(*) FROM cluster_answers a WHERE a.cluster_id = c.cluster_id), \
                 (SELECT count(*) FROM cluster_questions q WHERE q.cluster_id = c.cluster_id) \
                 FROM qa_clusters c ORDER BY cluster_id",
            [],
            |row| {
                Ok(Cluster {
                    cluster_id: row.get(0)?,
                    name: row.get(1)?,
                    answers: row.get(2)?,
                    questions: row.get(3)?,
                })
            },
        )
    }

    /// Which answers are in which clusters: cluster and answer ids, ascending.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn cluster_answers(&self) -> Result<Vec<(i64, i64)>> {
        self.query(
            "SELECT DISTINCT cluster_id, answer_id FROM cluster_answers \
                 ORDER BY cluster_id, answer_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The questions of a cluster that have a vector by `model`, in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where a recorded file does not
    /// exist.
    pub fn embedded_questions(
        &self,
        model: &EmbeddingModel,
        cluster_id: i64,
    ) -> Result<Vec<EmbeddedQuestion>> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT q.question_id, q.text, e.vector_path FROM cluster_questions c \
                 JOIN questions q USING (question_id) JOIN embeddings e \
                 ON e.entity_type = 'question' AND e.entity_id = q.question_id \
                 AND e.model_id = ?1 WHERE c.cluster_id = ?2 ORDER BY q.question_id",
            )
            .map_err(self.reading())?;
        let rows = statement
            .query_map([model.model_id, cluster_id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, String, String)>>>)
            .map_err(self.reading())?;
        rows.into_iter()
            .map(|(question_id, text, path)| {
                let vector = self
                    .resolve(&path, &model.name)
                    .map_err(|error| error.context(format!("vector of question {question_id}")))?;
                Ok(EmbeddedQuestion { question_id, text, vector })
            })
            .collect()
    }
}
