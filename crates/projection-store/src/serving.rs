//! What a server needs of a store beside models and a searcher: the answers' texts and vectors
//! for another database, the centroids of a model's heads, and a query log that takes feedback in
//! batches.

use std::collections::HashMap;

use ndarray::Array2;
use projection_core::npy::NpyArray;
use projection_core::search::Index;
use projection_core::{Error, ErrorKind, Result};
use rusqlite::params;
use serde::Deserialize;

use crate::deletion::id_list;
use crate::{EmbeddingModel, Store};

/// A query with what a user said of its answers, for [`Store::log_feedback`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredQuery {
    /// The query in words.
    pub query: String,
    /// Whether the answers helped.
    pub helpful: bool,
    /// The right answer, which only helpful feedback has.
    #[serde(default)]
    pub selected: Option<i64>,
    /// The answers that were shown, best first.
    #[serde(default)]
    pub results: Vec<i64>,
    /// The projection that was used.
    #[serde(default)]
    pub projection_id: Option<i64>,
    /// The embedding model whose vectors were searched.
    #[serde(default)]
    pub model_name: Option<String>,
}

impl Store {
    /// Ids and texts of the answers that have a vector by `model`, in ascending order of id.
    pub fn embedded_texts(&self, model: &EmbeddingModel) -> Result<Vec<(i64, String)>> {
        self.rows(
            "SELECT a.answer_id, a.text FROM answers a JOIN embeddings e ON \
             e.entity_type = 'answer' AND e.entity_id = a.answer_id AND e.model_id = ?1 \
             ORDER BY a.answer_id",
            [model.model_id],
        )
    }

    /// The vectors of the answers `ids` by `model`, as they are stored, in the order of the ids.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if an answer has no embedding or a file does not exist, otherwise
    /// as [`EmbeddingModel::load`].
    pub fn answer_vectors(&self, model: &EmbeddingModel, ids: &[i64]) -> Result<Array2<f32>> {
        let paths: Vec<(i64, String)> = self.rows(
            "SELECT entity_id, vector_path FROM embeddings WHERE entity_type = 'answer' AND \
             model_id = ?1 AND entity_id IN (SELECT value FROM json_each(?2))",
            params![model.model_id, id_list(ids)],
        )?;
        let paths: HashMap<i64, String> = paths.into_iter().collect();
        let files = ids.iter().map(|id| {
            let path = paths.get(id).ok_or_else(|| {
                let what = format!("no embedding of answer {id} by '{}'", model.name);
                self.error(ErrorKind::NotFound, what)
            })?;
            self.vector_file(model, "answer", *id, path)
        });
        model.load(files.collect::<Result<Vec<_>>>()?)
    }

    /// The centroids of the heads of projection `id`, by cluster.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the projection has no heads, otherwise as
    /// [`head_files`](Self::head_files) and [`NpyArray::load`].
    pub fn head_index(&self, id: i64) -> Result<Index> {
        let stored = self.choose(Some(id))?;
        let heads = self.head_files(&stored)?;
        let no_heads = || self.error(ErrorKind::NotFound, format!("projection {id} has no heads"));
        let first = heads.first().ok_or_else(no_heads)?;
        let dimension = NpyArray::load(&first.centroid)?.vector_len()?;
        let model = EmbeddingModel { model_id: 0, name: stored.model_name, dimension };
        let centroids = model.load(heads.iter().map(|head| &head.centroid))?;
        let clusters: Vec<i64> = heads.iter().map(|head| head.cluster_id).collect();
        Index::from_vectors(&clusters, centroids.view())
    }

    /// Adds queries with feedback to the query log in one change, and returns the id of each new
    /// row. A query whose right answer the store does not have is not added and has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a right answer without helpful feedback.
    pub fn log_feedback(&mut self, entries: &[AnsweredQuery]) -> Result<Vec<Option<i64>>> {
        if let Some(entry) = entries.iter().find(|e| e.selected.is_some() && !e.helpful) {
            let message = format!("query '{}' has a right answer and is not helpful", entry.query);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let change = self.begin()?;
        let mut ids = Vec::with_capacity(entries.len());
        for entry in entries {
            let known = "SELECT 1 FROM answers WHERE answer_id = ?1";
            if entry.selected.is_some() && !change.exists(known, [entry.selected])? {
                ids.push(None);
                continue;
            }
            let results = serde_json::Value::from(entry.results.as_slice()).to_string();
            ids.push(Some(change.insert(
                "INSERT INTO query_log (query_text, model_id, projection_id, results, \
                 selected_answer_id, was_helpful) VALUES (?1, (SELECT model_id FROM \
                 embedding_models WHERE name = ?2), ?3, ?4, ?5, ?6)",
                params![
                    entry.query,
                    entry.model_name,
                    entry.projection_id,
                    results,
                    entry.selected,
                    entry.helpful
                ],
            )?));
        }
        change.commit()?;
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_logged_unless_its_answer_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
        let change = store.begin().unwrap();
        change.insert("INSERT INTO answers (source_file, text) VALUES ('f', 'a')", []).unwrap();
        change.commit().unwrap();
        let entry = |selected| AnsweredQuery {
            query: "why?".into(),
            helpful: true,
            selected,
            ..AnsweredQuery::default()
        };
        let ids = store.log_feedback(&[entry(Some(1)), entry(Some(9)), entry(None)]).unwrap();
        assert_eq!(ids, [Some(1), None, Some(2)]);
        assert_eq!(store.logged_query(1).unwrap().selected_answer_id, Some(1));
        let wrong = AnsweredQuery { helpful: false, ..entry(Some(1)) };
        let refused = store.log_feedback(&[wrong]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert_eq!(store.query_log(10).unwrap().len(), 2);
    }
}
