//! The rows that a source brought, and what of them its new version keeps.

use std::collections::HashSet;

use rusqlite::params;

use crate::error::Result;
use crate::store::{Change, id_list};

/// The rows of one source while a new version of it is put into the store.
pub(super) struct Tracked<'a> {
    change: &'a Change<'a>,
    source: &'a str,
    /// `cluster`, `answer` or `question`, and the id.
    kept: HashSet<(&'static str, i64)>,
}

impl<'a> Tracked<'a> {
    pub fn new(change: &'a Change<'a>, source: &'a str) -> Self {
        Self { change, source, kept: HashSet::new() }
    }

    /// Notes a row of the new version, whether it was there before or not.
    pub fn keep(&mut self, entity_type: &'static str, entity_id: i64) -> Result<()> {
        if self.kept.insert((entity_type, entity_id)) {
            self.change.execute(
                "INSERT OR IGNORE INTO engine_imports (source_file, entity_type, entity_id) \
                 VALUES (?1, ?2, ?3)",
                params![self.source, entity_type, entity_id],
            )?;
        }
        Ok(())
    }

    /// Number of rows of a kind in the new version.
    pub fn count(&self, entity_type: &str) -> usize {
        self.kept.iter().filter(|(kept, _)| *kept == entity_type).count()
    }

    /// Removes what the new version does not have, and records that the source's rows are
    /// now those of `batch_id`. Gives the number of removed texts.
    pub fn finish(self, batch_id: i64, clusters: usize, questions: usize) -> Result<usize> {
        let gone_answers = self.gone("answer")?;
        let gone_questions = self.gone("question")?;
        let gone_clusters = self.gone("cluster")?;
        self.change.delete_answers(&gone_answers)?;
        self.change.delete_questions(&gone_questions)?;
        // Trained heads keep the number and the name of their cluster.
        self.change.execute(
            "DELETE FROM qa_clusters WHERE cluster_id IN (SELECT value FROM json_each(?1)) \
             AND cluster_id NOT IN (SELECT cluster_id FROM cluster_heads) \
             AND cluster_id NOT IN (SELECT cluster_id FROM projection_clusters)",
            [id_list(&gone_clusters)],
        )?;
        for (entity_type, ids) in
            [("answer", &gone_answers), ("question", &gone_questions), ("cluster", &gone_clusters)]
        {
            self.change.execute(
                "DELETE FROM engine_imports WHERE source_file = ?1 AND entity_type = ?2 AND \
                 entity_id IN (SELECT value FROM json_each(?3))",
                params![self.source, entity_type, id_list(ids)],
            )?;
        }
        self.change.execute(
            "INSERT OR REPLACE INTO engine_sources (source_file, batch_id) VALUES (?1, ?2)",
            params![self.source, batch_id],
        )?;
        self.change.execute(
            "UPDATE training_batches SET num_clusters = ?2, num_questions = ?3 WHERE batch_id = ?1",
            params![batch_id, clusters, questions],
        )?;
        Ok(gone_answers.len() + gone_questions.len())
    }

    fn gone(&self, entity_type: &'static str) -> Result<Vec<i64>> {
        let mut ids = self.change.query(
            "SELECT entity_id FROM engine_imports WHERE source_file = ?1 AND entity_type = ?2",
            params![self.source, entity_type],
            |row| row.get::<_, i64>(0),
        )?;
        ids.retain(|id| !self.kept.contains(&(entity_type, *id)));
        Ok(ids)
    }
}
