//! Which embedding model made the vectors: the fingerprint that is recorded with them.

use std::path::PathBuf;

use projection_core::Result;

use crate::embeddings::{EmbeddedText, EmbeddingModel};
use crate::store::Store;
use crate::texts::titled;

/// Rows among which texts to compare are chosen.
const LOOKED_AT: usize = 100;

impl Store {
    /// The fingerprint, as text, that was recorded with the vectors of `model`. Vectors of other
    /// programs have none.
    pub fn recorded_fingerprint(&self, model: &EmbeddingModel) -> Result<Option<String>> {
        if !self.has_table("engine_embedding_models")? {
            return Ok(None);
        }
        let sql = "SELECT fingerprint FROM engine_embedding_models WHERE model_id = ?1";
        let row: Option<(String,)> = self.row(sql, [model.model_id])?;
        Ok(row.map(|(fingerprint,)| fingerprint))
    }

    /// Records, or replaces, the fingerprint of the embedding model `model`.
    pub fn record_fingerprint(&mut self, model: &EmbeddingModel, fingerprint: &str) -> Result<()> {
        let change = self.begin()?;
        change.create_own_tables()?;
        change.execute(
            "INSERT OR REPLACE INTO engine_embedding_models (model_id, fingerprint) VALUES (?1, ?2)",
            (model.model_id, fingerprint),
        )?;
        change.commit()
    }

    /// Whether the store has a vector by `model`.
    pub fn has_vectors(&self, model: &EmbeddingModel) -> Result<bool> {
        self.exists("SELECT 1 FROM embeddings WHERE model_id = ?1", [model.model_id])
    }

    /// Up to `count` short texts, as they were embedded, whose vectors by `model` can be read.
    pub fn short_embedded_texts(
        &self,
        model: &EmbeddingModel,
        count: usize,
    ) -> Result<Vec<EmbeddedText>> {
        let mut found: Vec<(String, EmbeddedText)> = Vec::new();
        let titles = self.embeds_titles(model)?;
        for entity in ["answer", "question"] {
            let title = match titles && entity == "answer" {
                true => self.title_of("answer_id")?,
                false => "NULL".into(),
            };
            let sql = format!(
                "SELECT {entity}_id, {title}, text, vector_path FROM {entity}s JOIN embeddings e \
                 ON e.entity_type = '{entity}' AND e.entity_id = {entity}_id AND e.model_id = ?1 \
                 WHERE typeof(text) = 'text' AND typeof(vector_path) = 'text' AND \
                 ('{entity}', {entity}_id) NOT IN ({}) LIMIT {LOOKED_AT}",
                self.placeholders()?
            );
            let rows: Vec<(i64, Option<String>, String, String)> =
                self.rows(&sql, [model.model_id])?;
            found.extend(rows.into_iter().map(|(id, title, text, path)| {
                let text = titled(title.as_deref(), &text);
                (path, EmbeddedText { id, text, vector: PathBuf::new() })
            }));
        }
        found.sort_by_key(|(_, text)| text.text.len());
        let readable = found.into_iter().filter_map(|(path, text)| {
            let vector = self.resolve_path(&path, &model.name).ok()?;
            model.load([&vector]).is_ok().then_some(EmbeddedText { vector, ..text })
        });
        Ok(readable.take(count).collect())
    }
}
