//! Clusters: questions with a common answer.

use super::Store;
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

impl Store {
    /// All clusters in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT cluster_id, name, \
                 (SELECT count(*) FROM cluster_answers a WHERE a.cluster_id = c.cluster_id), \
                 (SELECT count(*) FROM cluster_questions q WHERE q.cluster_id = c.cluster_id) \
                 FROM qa_clusters c ORDER BY cluster_id",
            )
            .map_err(self.reading())?;
        statement
            .query_map([], |row| {
                Ok(Cluster {
                    cluster_id: row.get(0)?,
                    name: row.get(1)?,
                    answers: row.get(2)?,
                    questions: row.get(3)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(self.reading())
    }
}
