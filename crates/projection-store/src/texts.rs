//! Answers, questions, and the clusters that join them.

use std::collections::BTreeMap;

use projection_core::{ErrorKind, Result};
use serde_json::value::RawValue;

use crate::embeddings::EmbeddingModel;
use crate::rows::from_row;
use crate::store::{Change, Store};

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
    /// `default`, or the name of the embedding model that this wording is for.
    pub text_variant: Option<String>,
}

from_row!(Answer { answer_id, source_file, record_id, text, text_variant });

/// An answer as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerText {
    /// The answer's id.
    pub answer_id: i64,
    /// The answer's name in the document that it comes from.
    pub record_id: Option<String>,
    /// The title that its file gives it, if any.
    pub title: Option<String>,
    /// The text; `None` if its embedding was imported without one.
    pub text: Option<String>,
}

from_row!(AnswerText { answer_id, record_id, title, text });

impl AnswerText {
    /// Title and text, in which words are searched for.
    pub fn titled_text(&self) -> Option<String> {
        Some(titled(self.title.as_deref(), self.text.as_deref()?))
    }
}

/// An answer's title and text as they are embedded and searched: with a space between them, as the
/// models that were measured on BEIR have it.
pub(crate) fn titled(title: Option<&str>, text: &str) -> String {
    title.map_or_else(|| text.to_string(), |title| format!("{title} {text}"))
}

/// A row of `qa_clusters` with the sizes of its two sides.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cluster {
    /// The cluster's id.
    pub cluster_id: i64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Number of its answers.
    pub answers: usize,
    /// Number of its questions.
    pub questions: usize,
}

from_row!(Cluster { cluster_id, name, answers, questions });

/// A question in a cluster that has an answer, both with embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusteredQuestion {
    /// The cluster.
    pub cluster_id: i64,
    /// The text; `None` if its embedding was imported without one.
    pub text: Option<String>,
}

from_row!(ClusteredQuestion { cluster_id, text });

impl Store {
    /// The answer with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn answer(&self, answer_id: i64) -> Result<Answer> {
        self.row("SELECT * FROM answers WHERE answer_id = ?1", [answer_id])?
            .ok_or_else(|| self.error(ErrorKind::NotFound, format!("no answer {answer_id}")))
    }

    /// What an answer's file says of it beside its texts, a JSON object, if it says anything.
    pub fn answer_metadata(&self, answer_id: i64) -> Result<Option<String>> {
        if !self.has_table("engine_metadata")? {
            return Ok(None);
        }
        let sql = "SELECT metadata FROM engine_metadata WHERE answer_id = ?1";
        Ok(self.row(sql, [answer_id])?.map(|(metadata,)| metadata))
    }

    /// [`Store::answer_metadata`] of every answer that has some, by answer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] if a row is not a JSON object.
    pub fn metadata(&self) -> Result<BTreeMap<i64, Box<RawValue>>> {
        if !self.has_table("engine_metadata")? {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(i64, String)> =
            self.rows("SELECT answer_id, metadata FROM engine_metadata", [])?;
        let parsed = rows.into_iter().map(|(answer_id, json)| match RawValue::from_string(json) {
            Ok(metadata) if metadata.get().starts_with('{') => Ok((answer_id, metadata)),
            _ => Err(self.error(
                ErrorKind::InvalidStore,
                format!("engine_metadata: answer {answer_id}: expected a JSON object"),
            )),
        });
        parsed.collect()
    }

    /// An expression for the title of the answer whose id is the expression `id`: the field `title`
    /// of its metadata, if that is a text with something in it.
    pub(crate) fn title_of(&self, id: &str) -> Result<String> {
        Ok(match self.has_table("engine_metadata")? {
            true => format!(
                "(SELECT CASE WHEN json_valid(metadata) THEN CASE json_type(metadata, '$.title') \
                 WHEN 'text' THEN nullif(trim(json_extract(metadata, '$.title')), '') END END \
                 FROM engine_metadata AS titles WHERE titles.answer_id = {id})"
            ),
            false => "NULL".into(),
        })
    }

    /// The title of an answer, if it has one.
    pub fn answer_title(&self, answer_id: i64) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            self.row(&format!("SELECT {}", self.title_of("?1")?), [answer_id])?;
        Ok(row.and_then(|(title,)| title))
    }

    /// Numbers of answers and of questions.
    pub fn text_counts(&self) -> Result<(usize, usize)> {
        let sql = "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM questions)";
        Ok(self.row(sql, [])?.unwrap_or_default())
    }

    /// All answers in ascending order of id.
    pub fn answer_texts(&self) -> Result<Vec<AnswerText>> {
        let (placeholders, title) = (self.placeholders()?, self.title_of("answers.answer_id")?);
        let sql = format!(
            "SELECT answer_id, record_id, {title} AS title, CASE WHEN ('answer', answer_id) NOT IN \
             ({placeholders}) THEN text END AS text FROM answers ORDER BY answer_id"
        );
        self.rows(&sql, [])
    }

    /// All clusters in ascending order of id.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        self.rows(
            "SELECT cluster_id, name, \
             (SELECT count(*) FROM cluster_answers a WHERE a.cluster_id = c.cluster_id) \
             AS answers, \
             (SELECT count(*) FROM cluster_questions q WHERE q.cluster_id = c.cluster_id) \
             AS questions FROM qa_clusters c ORDER BY cluster_id",
            [],
        )
    }

    /// Which answers are in which clusters: cluster and answer ids, ascending.
    pub fn cluster_answers(&self) -> Result<Vec<(i64, i64)>> {
        self.rows(
            "SELECT DISTINCT cluster_id, answer_id FROM cluster_answers \
             ORDER BY cluster_id, answer_id",
            [],
        )
    }

    /// Cluster and answer ids, ascending, of all answers that are in a cluster and have an
    /// embedding by `model`.
    pub fn clustered_answers(&self, model: &EmbeddingModel) -> Result<Vec<(i64, i64)>> {
        self.rows(
            "SELECT cluster_id, answer_id FROM cluster_answers JOIN answers USING (answer_id) \
             JOIN embeddings ON entity_type = 'answer' AND entity_id = answer_id \
             WHERE model_id = ?1 ORDER BY cluster_id, answer_id",
            [model.model_id],
        )
    }

    /// All questions that have an embedding by `model` in clusters whose answers have one too,
    /// in ascending order of cluster and question. A question in two clusters comes twice.
    pub fn clustered_questions(&self, model: &EmbeddingModel) -> Result<Vec<ClusteredQuestion>> {
        let placeholders = self.placeholders()?;
        let sql = format!(
            "SELECT c.cluster_id AS cluster_id, CASE WHEN ('question', c.question_id) NOT IN \
             ({placeholders}) THEN q.text END AS text FROM cluster_questions c \
             JOIN embeddings e ON e.entity_type = 'question' AND e.entity_id = c.question_id \
             LEFT JOIN questions q USING (question_id) \
             WHERE e.model_id = ?1 AND c.cluster_id IN (SELECT a.cluster_id FROM \
             cluster_answers a JOIN embeddings e ON e.entity_type = 'answer' AND \
             e.entity_id = a.answer_id WHERE e.model_id = ?1) \
             ORDER BY c.cluster_id, c.question_id"
        );
        self.rows(&sql, [model.model_id])
    }

    /// A query for type and id of the rows whose text is only a placeholder, because their
    /// embeddings were imported without texts.
    pub(crate) fn placeholders(&self) -> Result<&'static str> {
        Ok(match self.has_table("engine_vector_batches")? {
            true => {
                "SELECT i.entity_type, i.entity_id FROM engine_imports i \
                 JOIN engine_sources s USING (source_file) \
                 JOIN engine_vector_batches b USING (batch_id) WHERE b.texts_file IS NULL"
            }
            false => "SELECT NULL, NULL WHERE 0",
        })
    }
}

impl Change<'_> {
    /// Sets what [`Store::answer_metadata`] returns. An answer whose title has changed loses its
    /// embeddings that were made with it.
    pub(crate) fn set_metadata(&self, answer_id: i64, metadata: Option<&str>) -> Result<()> {
        let before = self.answer_title(answer_id)?;
        match metadata {
            Some(metadata) => self.execute(
                "INSERT OR REPLACE INTO engine_metadata (answer_id, metadata) VALUES (?1, ?2)",
                (answer_id, metadata),
            )?,
            None => {
                self.execute("DELETE FROM engine_metadata WHERE answer_id = ?1", [answer_id])?
            }
        };
        if self.answer_title(answer_id)? != before {
            self.delete_embeddings(
                "FROM embeddings WHERE entity_type = 'answer' AND entity_id = ?1 AND model_id IN \
                 (SELECT model_id FROM engine_titled_models)",
                [answer_id],
            )?;
        }
        Ok(())
    }

    /// Adds a question and puts it into a cluster, if one is given.
    pub(crate) fn add_question(
        &self,
        cluster_id: Option<i64>,
        text: &str,
        length_type: Option<&str>,
    ) -> Result<i64> {
        let question_id = self.insert(
            "INSERT INTO questions (text, length_type) VALUES (?1, ?2)",
            (text, length_type),
        )?;
        if let Some(cluster_id) = cluster_id {
            self.execute(
                "INSERT INTO cluster_questions (cluster_id, question_id) VALUES (?1, ?2)",
                [cluster_id, question_id],
            )?;
        }
        Ok(question_id)
    }

    /// Puts an answer into a cluster, unless it is there.
    pub(crate) fn put_into_cluster(&self, cluster_id: i64, answer_id: i64) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO cluster_answers (cluster_id, answer_id) VALUES (?1, ?2)",
            [cluster_id, answer_id],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_all_answers_keeps_its_digits_and_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
        assert!(store.metadata().unwrap().is_empty());
        for (json, valid) in
            [(r#"{"n": 12345678901234567890.50}"#, true), ("[1]", false), ("{", false)]
        {
            let change = store.begin().unwrap();
            change.create_own_tables().unwrap();
            change.set_metadata(7, Some(json)).unwrap();
            change.commit().unwrap();
            match store.metadata() {
                Ok(found) => assert_eq!((found[&7].get(), valid), (json, true)),
                Err(error) => {
                    assert_eq!((error.kind(), valid), (ErrorKind::InvalidStore, false));
                    assert!(error.to_string().contains("engine_metadata: answer 7"), "{error}");
                }
            }
        }
    }
}
