//! Putting the rows of a file into a store, in place of those that its last version brought.

use std::collections::HashSet;

use projection_core::Result;
use rusqlite::params;

use crate::deletion::id_list;
use crate::store::Change;

/// The rows of one source while a new version of it is put into the store. The `known` ids are
/// those of rows that its last version brought, and which this one has too.
pub(super) struct Replacement<'a> {
    pub change: &'a Change<'a>,
    pub source: &'a str,
    /// `cluster`, `answer` or `question`, and the id.
    kept: HashSet<(&'static str, i64)>,
}

/// An answer of a new version.
pub(super) struct NewAnswer<'a> {
    /// The document that it comes from.
    pub document: &'a str,
    /// Its name in the document, if it has one.
    pub name: Option<&'a str>,
    /// `default`, or the embedding model that the wording is for.
    pub variant: &'a str,
    pub text: &'a str,
}

impl<'a> Replacement<'a> {
    pub fn new(change: &'a Change<'a>, source: &'a str) -> Self {
        Self { change, source, kept: HashSet::new() }
    }

    /// Adds or keeps a cluster, and returns its id.
    pub fn add_cluster(&mut self, known: Option<i64>, name: &str) -> Result<i64> {
        let cluster_id = match known {
            Some(cluster_id) => {
                self.change.execute(
                    "UPDATE qa_clusters SET name = ?2 WHERE cluster_id = ?1",
                    params![cluster_id, name],
                )?;
                cluster_id
            }
            None => self.change.insert("INSERT INTO qa_clusters (name) VALUES (?1)", [name])?,
        };
        self.keep("cluster", cluster_id)
    }

    /// Adds or keeps an answer, and returns its id. An answer whose text has changed loses its
    /// embeddings.
    pub fn add_answer(&mut self, known: Option<i64>, answer: &NewAnswer<'_>) -> Result<i64> {
        let NewAnswer { document, name, variant, text } = answer;
        let answer_id = match known {
            Some(answer_id) => {
                let reworded = "SELECT 1 FROM answers WHERE answer_id = ?1 AND text <> ?2";
                if self.change.exists(reworded, params![answer_id, text])? {
                    self.change.delete_vectors("answer", &[answer_id])?;
                }
                self.change.execute(
                    "UPDATE answers SET source_file = ?2, record_id = ?3, text = ?4 \
                     WHERE answer_id = ?1",
                    params![answer_id, document, name, text],
                )?;
                answer_id
            }
            None => self.change.insert(
                "INSERT INTO answers (source_file, record_id, text, text_variant) \
                 VALUES (?1, ?2, ?3, ?4)",
                params![document, name, text, variant],
            )?,
        };
        self.keep("answer", answer_id)
    }

    /// Adds or keeps a question, and returns its id.
    pub fn add_question(
        &mut self,
        known: Option<i64>,
        cluster_id: Option<i64>,
        text: &str,
        length_type: Option<&str>,
    ) -> Result<i64> {
        let question_id = match known {
            Some(question_id) => {
                self.change.execute(
                    "UPDATE questions SET length_type = ?2 WHERE question_id = ?1",
                    params![question_id, length_type],
                )?;
                question_id
            }
            None => self.change.add_question(cluster_id, text, length_type)?,
        };
        self.keep("question", question_id)
    }

    fn keep(&mut self, entity_type: &'static str, entity_id: i64) -> Result<i64> {
        if self.kept.insert((entity_type, entity_id)) {
            self.change.execute(
                "INSERT OR IGNORE INTO engine_imports (source_file, entity_type, entity_id) \
                 VALUES (?1, ?2, ?3)",
                params![self.source, entity_type, entity_id],
            )?;
        }
        Ok(entity_id)
    }

    /// Number of rows of a type in the new version.
    pub fn count(&self, entity_type: &str) -> usize {
        self.kept.iter().filter(|(kept, _)| *kept == entity_type).count()
    }

    /// Removes what the new version does not have, and records that the source's rows are
    /// now those of `batch_id`. Returns the number of removed texts.
    pub fn finish(self, batch_id: i64, clusters: usize, questions: usize) -> Result<usize> {
        let gone = |entity_type: &'static str| -> Result<Vec<i64>> {
            let mut ids = self.change.ids(
                "SELECT entity_id FROM engine_imports WHERE source_file = ?1 AND entity_type = ?2",
                [self.source, entity_type],
            )?;
            ids.retain(|id| !self.kept.contains(&(entity_type, *id)));
            Ok(ids)
        };
        let (gone_answers, gone_questions) = (gone("answer")?, gone("question")?);
        let gone_clusters = gone("cluster")?;
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
}
