//! Text models and the vectors they gave.

use std::path::PathBuf;

use ndarray::ArrayView2;
use rusqlite::params;

use super::{BatchStatus, Change, NewVectors, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::layout;

/// A row of `embedding_models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The model's id.
    pub model_id: i64,
    /// Its name, such as `all-MiniLM-L6-v2`.
    pub name: String,
    /// Dimension of its vectors.
    pub dimension: usize,
}

/// What a vector belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityType {
    /// A row of `answers`.
    Answer,
    /// A row of `questions`.
    Question,
}

impl EntityType {
    /// The name in the database and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Question => "question",
        }
    }
}

/// A text without a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingText {
    /// Whether it is an answer or a question.
    pub entity_type: EntityType,
    /// Its id.
    pub entity_id: i64,
    /// The text.
    pub text: String,
}

/// An answer that has a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedAnswer {
    /// The answer's id.
    pub answer_id: i64,
    /// Its text.
    pub text: String,
    /// The file of its vector.
    pub vector: PathBuf,
}

/// A cluster with the vectors of its two sides, each in ascending order of id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedCluster {
    /// The cluster's id.
    pub cluster_id: i64,
    /// Files of its answers' vectors.
    pub answers: Vec<PathBuf>,
    /// Files of its questions' vectors.
    pub questions: Vec<PathBuf>,
}

impl Store {
    /// All text models in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn embedding_models(&self) -> Result<Vec<EmbeddingModel>> {
        self.query(
            "SELECT model_id, name, dimension FROM embedding_models ORDER BY model_id",
            [],
            |row| {
                Ok(EmbeddingModel {
                    model_id: row.get(0)?,
                    name: row.get(1)?,
                    dimension: row.get(2)?,
                })
            },
        )
    }

    /// The text model called `name`, or the only one that has vectors.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none, [`ErrorKind::AmbiguousModel`] where
    /// `name` is `None` and several models have vectors.
    pub fn embedding_model(&self, name: Option<&str>) -> Result<EmbeddingModel> {
        let mut models = self.embedding_models()?;
        let names = |models: &[EmbeddingModel]| {
            models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if let Some(name) = name {
            let found = models.iter().position(|model| model.name == name);
            return found.map(|at| models.swap_remove(at)).ok_or_else(|| {
                let known = if models.is_empty() { "none" } else { &names(&models) };
                self.not_found(format!("no text model '{name}', the store has {known}"))
            });
        }
        let mut in_use = self
            .connection
            .prepare("SELECT count(*) > 0 FROM embeddings WHERE model_id = ?1")
            .map_err(self.reading())?;
        let mut with_vectors = Vec::new();
        for model in models {
            let used = in_use
                .query_row([model.model_id], |row| row.get::<_, bool>(0))
                .map_err(self.reading())?;
            if used {
                with_vectors.push(model);
            }
        }
        match with_vectors.len() {
            0 => Err(self.not_found("no vectors by any text model; embed the store first")),
            1 => Ok(with_vectors.remove(0)),
            _ => Err(Error::new(
                ErrorKind::AmbiguousModel,
                format!(
                    "{}: vectors by several text models ({}), expected the name of one",
                    self.path.display(),
                    names(&with_vectors)
                ),
            )),
        }
    }

    /// All answers that have a vector by `model`, in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where a recorded file does not exist.
    pub fn embedded_answers(&self, model: &EmbeddingModel) -> Result<Vec<EmbeddedAnswer>> {
        let rows: Vec<(i64, String, String)> = self.query(
            "SELECT a.answer_id, a.text, e.vector_path FROM answers a JOIN embeddings e \
                 ON e.entity_type = 'answer' AND e.entity_id = a.answer_id AND e.model_id = ?1 \
                 ORDER BY a.answer_id",
            [model.model_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        rows.into_iter()
            .map(|(answer_id, text, path)| {
                let vector = self
                    .resolve(&path, &model.name)
                    .map_err(|error| error.context(format!("vector of answer {answer_id}")))?;
                Ok(EmbeddedAnswer { answer_id, text, vector })
            })
            .collect()
    }

    /// All clusters in ascending order of id, with those of their answers and questions
    /// that have a vector by `model`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where a recorded file does not exist.
    pub fn embedded_clusters(&self, model: &EmbeddingModel) -> Result<Vec<EmbeddedCluster>> {
        let rows: Vec<(i64, String, i64, String)> = self.query(
            "SELECT c.cluster_id, e.entity_type, e.entity_id, e.vector_path FROM embeddings e \
                 JOIN (SELECT cluster_id, 'answer' AS type, answer_id AS id FROM cluster_answers \
                 UNION ALL SELECT cluster_id, 'question', question_id FROM cluster_questions) c \
                 ON c.type = e.entity_type AND c.id = e.entity_id WHERE e.model_id = ?1 \
                 ORDER BY c.cluster_id, e.entity_type, e.entity_id",
            [model.model_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let mut clusters: Vec<EmbeddedCluster> = Vec::new();
        for (cluster_id, entity_type, entity_id, path) in rows {
            let vector = self
                .resolve(&path, &model.name)
                .map_err(|error| error.context(format!("vector of {entity_type} {entity_id}")))?;
            if clusters.last().is_none_or(|last| last.cluster_id != cluster_id) {
                clusters.push(EmbeddedCluster { cluster_id, ..Default::default() });
            }
            let cluster = clusters.last_mut().expect("one was just pushed");
            match entity_type.as_str() {
                "answer" => cluster.answers.push(vector),
                _ => cluster.questions.push(vector),
            }
        }
        Ok(clusters)
    }

    /// Texts that have no vector by the model called `model_name`. Wordings of an answer
    /// that are meant for another text model are left out, and so are placeholders of
    /// vectors that were imported without texts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn texts_without_vector(&self, model_name: &str) -> Result<Vec<MissingText>> {
        let mut missing = Vec::new();
        // Made where it is missing by whatever brings placeholders.
        let placeholders = match self.has_table("engine_vector_batches")? {
            true => {
                "SELECT i.entity_type, i.entity_id FROM engine_imports i JOIN engine_sources s \
                 USING (source_file) JOIN engine_vector_batches b USING (batch_id) \
                 WHERE b.texts_file IS NULL"
            }
            false => "SELECT NULL, NULL WHERE 0",
        };
        for (entity_type, sql) in [
            (
                EntityType::Answer,
                "SELECT answer_id, text FROM answers a WHERE NOT EXISTS (SELECT 1 FROM \
                 embeddings e JOIN embedding_models m USING (model_id) WHERE m.name = ?1 AND \
                 e.entity_type = 'answer' AND e.entity_id = a.answer_id) AND \
                 (text_variant = ?1 OR NOT EXISTS (SELECT 1 FROM answer_relations r WHERE \
                 r.from_answer_id = a.answer_id AND r.relation_type = 'variant_of')) \
                 AND ('answer', answer_id) NOT IN (PLACEHOLDERS) ORDER BY answer_id",
            ),
            (
                EntityType::Question,
                "SELECT question_id, text FROM questions q WHERE NOT EXISTS (SELECT 1 FROM \
                 embeddings e JOIN embedding_models m USING (model_id) WHERE m.name = ?1 AND \
                 e.entity_type = 'question' AND e.entity_id = q.question_id) \
                 AND ('question', question_id) NOT IN (PLACEHOLDERS) ORDER BY question_id",
            ),
        ] {
            let sql = sql.replace("PLACEHOLDERS", placeholders);
            let rows: Vec<_> = self.query(&sql, [model_name], |row| {
                Ok(MissingText { entity_type, entity_id: row.get(0)?, text: row.get(1)? })
            })?;
            missing.extend(rows);
        }
        Ok(missing)
    }

    /// Finds or registers the text model called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] where it is registered with another dimension.
    pub fn register_embedding_model(
        &mut self,
        name: &str,
        dimension: usize,
        backend: &str,
        max_tokens: Option<usize>,
    ) -> Result<EmbeddingModel> {
        let change = self.begin()?;
        let model = change.embedding_model(name, dimension, backend, max_tokens)?;
        change.commit()?;
        Ok(model)
    }

    /// Stores the vectors (n × d) of n texts, files first. Texts that were removed or
    /// changed in the meantime are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] where the vectors are not n × the model's
    /// dimension, [`ErrorKind::Io`] where a file can't be written; nothing is stored then.
    pub fn add_embeddings(
        &mut self,
        model: &EmbeddingModel,
        texts: &[MissingText],
        vectors: ArrayView2<'_, f32>,
    ) -> Result<()> {
        if vectors.dim() != (texts.len(), model.dimension) {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!(
                    "vectors of shape {:?}, expected {:?}",
                    vectors.dim(),
                    (texts.len(), model.dimension)
                ),
            ));
        }
        let folder = self.embeddings_folder(&model.name);
        let change = self.begin()?;
        let mut new = NewVectors::begin(&change, &folder, model)?;
        let vectors = vectors.as_standard_layout();
        for (text, vector) in texts.iter().zip(vectors.rows()) {
            let sql = match text.entity_type {
                EntityType::Answer => "SELECT 1 FROM answers WHERE answer_id = ?1 AND text = ?2",
                EntityType::Question => {
                    "SELECT 1 FROM questions WHERE question_id = ?1 AND text = ?2"
                }
            };
            if change.query(sql, params![text.entity_id, text.text], |_| Ok(()))?.is_empty() {
                continue;
            }
            let vector = vector.to_slice().expect("the layout is row-major");
            new.add(text.entity_type, text.entity_id, vector)?;
        }
        new.publish()?;
        change.commit()
    }

    /// Marks the batches that waited for vectors as completed.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] or [`ErrorKind::Io`] where the database can't be written.
    pub fn complete_embedded_batches(&mut self, model_name: &str) -> Result<()> {
        let change = self.begin()?;
        let waiting = change.query(
            "SELECT batch_id FROM training_batches WHERE status = 'embedding'",
            [],
            |row| row.get::<_, i64>(0),
        )?;
        for batch_id in waiting {
            change.execute(
                "UPDATE training_batches SET model_name = ?2 WHERE batch_id = ?1",
                params![batch_id, model_name],
            )?;
            change.set_batch_status(batch_id, BatchStatus::Completed, None)?;
        }
        change.commit()
    }
}

impl Change<'_> {
    /// Finds or registers the text model called `name`, see
    /// [`Store::register_embedding_model`].
    pub(crate) fn embedding_model(
        &self,
        name: &str,
        dimension: usize,
        backend: &str,
        max_tokens: Option<usize>,
    ) -> Result<EmbeddingModel> {
        if name.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "empty name of a text model"));
        }
        let found = self.query(
            "SELECT model_id, dimension FROM embedding_models WHERE name = ?1",
            [name],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)),
        )?;
        let model_id = match found[..] {
            [(model_id, found)] if found == dimension => model_id,
            [(_, found), ..] => {
                return Err(Error::new(
                    ErrorKind::DimensionMismatch,
                    format!(
                        "{}: the text model '{name}' is registered with dimension {found}, \
                         expected {dimension} as the model's vectors have",
                        self.path.display()
                    ),
                ));
            }
            [] => self.insert(
                "INSERT INTO embedding_models (name, dimension, backend, max_tokens) \
                 VALUES (?1, ?2, ?3, ?4)",
                params![name, dimension, backend, max_tokens],
            )?,
        };
        Ok(EmbeddingModel { model_id, name: name.to_string(), dimension })
    }
}

/// The path that the database records for a file of a text model: relative to the
/// database, with slashes on every system.
pub(super) fn recorded_path(model_name: &str, file_name: &str) -> String {
    format!("{}/{}/{file_name}", layout::EMBEDDINGS_FOLDER, layout::model_folder(model_name))
}
