//! Putting the clusters of a question–answer file into a store, in place of those that the
//! file's last version brought.

use std::collections::HashMap;

use rusqlite::params;

use super::qa_file::QaCluster;
use super::tracked::Tracked;
use crate::error::Result;
use crate::store::{BatchStatus, Change, Store};

/// Replaces what `source` brought by `clusters`, in one change. Gives the numbers of
/// answers, removed texts, clusters and questions.
pub(super) fn replace(
    store: &mut Store,
    source: &str,
    batch_id: i64,
    clusters: &[QaCluster],
) -> Result<(usize, usize, usize, usize)> {
    let change = store.begin()?;
    change.own_tables()?;
    let mut replacement = Replacement::begin(&change, source)?;
    for cluster in clusters {
        replacement.add(cluster)?;
    }
    let (answers, questions) =
        (replacement.tracked.count("answer"), replacement.tracked.count("question"));
    let removed = replacement.tracked.finish(batch_id, clusters.len(), questions)?;
    change.set_batch_status(batch_id, BatchStatus::Embedding, None)?;
    change.commit()?;
    store.remove_discarded_files();
    Ok((answers, removed, clusters.len(), questions))
}

/// What a file's last version brought, and what of it the new version has too.
struct Replacement<'a> {
    change: &'a Change<'a>,
    source: &'a str,
    tracked: Tracked<'a>,
    old_clusters: HashMap<String, i64>,
    /// By record and variant.
    old_answers: HashMap<(String, String), i64>,
    /// By cluster and text.
    old_questions: HashMap<(i64, String), i64>,
}

impl<'a> Replacement<'a> {
    fn begin(change: &'a Change<'a>, source: &'a str) -> Result<Self> {
        let old_clusters = change.query(
            "SELECT name, cluster_id FROM qa_clusters JOIN engine_imports ON \
             entity_type = 'cluster' AND entity_id = cluster_id WHERE source_file = ?1",
            [source],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let old_answers = change.query(
            "SELECT record_id, text_variant, answer_id FROM answers JOIN engine_imports i ON \
             entity_type = 'answer' AND entity_id = answer_id WHERE i.source_file = ?1",
            [source],
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        )?;
        let old_questions = change.query(
            "SELECT cluster_id, text, question_id FROM questions JOIN cluster_questions \
             USING (question_id) JOIN engine_imports ON entity_type = 'question' AND \
             entity_id = question_id WHERE source_file = ?1",
            [source],
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        )?;
        Ok(Self {
            change,
            source,
            tracked: Tracked::new(change, source),
            old_clusters: old_clusters.into_iter().collect(),
            old_answers: old_answers.into_iter().collect(),
            old_questions: old_questions.into_iter().collect(),
        })
    }

    fn add(&mut self, cluster: &QaCluster) -> Result<()> {
        let cluster_id = match self.old_clusters.get(&cluster.name) {
            Some(cluster_id) => *cluster_id,
            None => {
                let sql = "INSERT INTO qa_clusters (name) VALUES (?1)";
                self.change.insert(sql, [&cluster.name])?
            }
        };
        self.tracked.keep("cluster", cluster_id)?;
        let mut default_answer = None;
        for (variant, text) in &cluster.answers {
            let answer_id = self.add_answer(cluster_id, cluster, variant, text)?;
            match default_answer {
                None => default_answer = Some(answer_id),
                Some(default) => {
                    self.change.execute(
                        "INSERT OR IGNORE INTO answer_relations \
                         (from_answer_id, to_answer_id, relation_type) \
                         VALUES (?1, ?2, 'variant_of')",
                        [answer_id, default],
                    )?;
                }
            }
        }
        for (length_type, text) in &cluster.questions {
            self.add_question(cluster_id, *length_type, text)?;
        }
        Ok(())
    }

    fn add_answer(
        &mut self,
        cluster_id: i64,
        cluster: &QaCluster,
        variant: &str,
        text: &str,
    ) -> Result<i64> {
        let document = cluster.answer_source.as_deref().unwrap_or(self.source);
        let key = (cluster.name.clone(), variant.to_string());
        let answer_id = match self.old_answers.get(&key) {
            Some(answer_id) => {
                let answer_id = *answer_id;
                let reworded = self.change.query(
                    "SELECT 1 FROM answers WHERE answer_id = ?1 AND text <> ?2",
                    params![answer_id, text],
                    |_| Ok(()),
                )?;
                if !reworded.is_empty() {
                    self.change.delete_vectors("answer", &[answer_id])?;
                }
                self.change.execute(
                    "UPDATE answers SET text = ?2, source_file = ?3 WHERE answer_id = ?1",
                    params![answer_id, text, document],
                )?;
                answer_id
            }
            None => self.change.insert(
                "INSERT INTO answers (source_file, record_id, text, text_variant) \
                     VALUES (?1, ?2, ?3, ?4)",
                params![document, cluster.name, text, variant],
            )?,
        };
        self.change.execute(
            "INSERT OR IGNORE INTO cluster_answers (cluster_id, answer_id) VALUES (?1, ?2)",
            [cluster_id, answer_id],
        )?;
        self.tracked.keep("answer", answer_id)?;
        Ok(answer_id)
    }

    fn add_question(
        &mut self,
        cluster_id: i64,
        length_type: Option<&str>,
        text: &str,
    ) -> Result<()> {
        let question_id = match self.old_questions.get(&(cluster_id, text.to_string())) {
            Some(question_id) => {
                self.change.execute(
                    "UPDATE questions SET length_type = ?2 WHERE question_id = ?1",
                    params![question_id, length_type],
                )?;
                *question_id
            }
            None => {
                let question_id = self.change.insert(
                    "INSERT INTO questions (text, length_type) VALUES (?1, ?2)",
                    params![text, length_type],
                )?;
                self.change.execute(
                    "INSERT INTO cluster_questions (cluster_id, question_id) VALUES (?1, ?2)",
                    [cluster_id, question_id],
                )?;
                question_id
            }
        };
        self.tracked.keep("question", question_id)
    }
}
