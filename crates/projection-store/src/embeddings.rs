//! Embedding models, and the embeddings that they made of answers and questions.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use projection_core::npy::NpyArray;
use projection_core::{Error, ErrorKind, Result};
use rusqlite::params;

use crate::batches::BatchStatus;
use crate::publish::{NewVector, NewVectors, remove_list};
use crate::rows::from_row;
use crate::store::{Change, Store};
use crate::texts::titled;

/// A row of `embedding_models`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EmbeddingModel {
    /// The model's id.
    pub model_id: i64,
    /// Its name, such as `all-MiniLM-L6-v2`.
    pub name: String,
    /// Dimension of its vectors.
    pub dimension: usize,
}

from_row!(EmbeddingModel { model_id, name, dimension });

/// What an embedding is of.
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

/// A text without an embedding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingText {
    /// Whether it is an answer or a question.
    pub entity_type: EntityType,
    /// Its id.
    pub entity_id: i64,
    /// The title of an answer, if it is to be embedded with the text.
    pub title: Option<String>,
    /// The text.
    pub text: String,
}

impl MissingText {
    /// What is to be embedded.
    pub fn titled_text(&self) -> String {
        titled(self.title.as_deref(), &self.text)
    }
}

/// An answer or question that has an embedding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedText {
    /// The answer's or question's id.
    pub id: i64,
    /// Its text.
    pub text: String,
    /// The file of its embedding.
    pub vector: PathBuf,
}

/// A cluster with the embeddings of its two sides, each in ascending order of id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedCluster {
    /// The cluster's id.
    pub cluster_id: i64,
    /// Files of its answers' embeddings.
    pub answers: Vec<PathBuf>,
    /// Files of its questions' embeddings.
    pub questions: Vec<PathBuf>,
}

impl Store {
    /// All embedding models in ascending order of id.
    pub fn embedding_models(&self) -> Result<Vec<EmbeddingModel>> {
        self.rows("SELECT * FROM embedding_models ORDER BY model_id", [])
    }

    /// The embedding model called `name`, or the only one that has embeddings.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::AmbiguousModel`] if `name` is
    /// `None` and several models have embeddings.
    pub fn embedding_model(&self, name: Option<&str>) -> Result<EmbeddingModel> {
        let names = |models: &[EmbeddingModel]| {
            models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if let Some(name) = name {
            let mut models = self.embedding_models()?;
            let found = models.iter().position(|model| model.name == name);
            return found.map(|at| models.swap_remove(at)).ok_or_else(|| {
                let known = if models.is_empty() { "none" } else { &names(&models) };
                let what = format!("no embedding model '{name}', the store has {known}");
                self.error(ErrorKind::NotFound, what)
            });
        }
        let mut in_use: Vec<EmbeddingModel> = self.rows(
            "SELECT * FROM embedding_models m WHERE EXISTS \
             (SELECT 1 FROM embeddings e WHERE e.model_id = m.model_id) ORDER BY model_id",
            [],
        )?;
        match in_use.len() {
            0 => Err(self.error(
                ErrorKind::NotFound,
                "no embeddings by any embedding model; embed the store first",
            )),
            1 => Ok(in_use.remove(0)),
            _ => Err(self.error(
                ErrorKind::AmbiguousModel,
                format!(
                    "embeddings by several embedding models ({}), expected the name of one",
                    names(&in_use)
                ),
            )),
        }
    }

    /// All answers that have an embedding by `model`, in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file does not exist.
    pub fn embedded_answers(&self, model: &EmbeddingModel) -> Result<Vec<EmbeddedText>> {
        let sql = "SELECT a.answer_id, a.text, e.vector_path FROM answers a JOIN embeddings e \
                   ON e.entity_type = 'answer' AND e.entity_id = a.answer_id AND \
                   e.model_id = ?1 ORDER BY a.answer_id";
        let rows = self.rows(sql, [model.model_id])?;
        self.with_files(model, "answer", rows)
    }

    /// The questions of a cluster that have an embedding by `model`, in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file does not exist.
    pub fn embedded_questions(
        &self,
        model: &EmbeddingModel,
        cluster_id: i64,
    ) -> Result<Vec<EmbeddedText>> {
        let sql = "SELECT q.question_id, q.text, e.vector_path FROM cluster_questions c \
                   JOIN questions q USING (question_id) JOIN embeddings e \
                   ON e.entity_type = 'question' AND e.entity_id = q.question_id \
                   AND e.model_id = ?1 WHERE c.cluster_id = ?2 ORDER BY q.question_id";
        let rows = self.rows(sql, [model.model_id, cluster_id])?;
        self.with_files(model, "question", rows)
    }

    fn with_files(
        &self,
        model: &EmbeddingModel,
        entity_type: &str,
        rows: Vec<(i64, String, String)>,
    ) -> Result<Vec<EmbeddedText>> {
        let texts = rows.into_iter().map(|(id, text, path)| {
            let vector = self.vector_file(model, entity_type, id, &path)?;
            Ok(EmbeddedText { id, text, vector })
        });
        texts.collect()
    }

    /// All clusters in ascending order of id, with those of their answers and questions that
    /// have an embedding by `model`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file does not exist.
    pub fn embedded_clusters(&self, model: &EmbeddingModel) -> Result<Vec<EmbeddedCluster>> {
        let rows: Vec<(i64, String, i64, String)> = self.rows(
            "SELECT c.cluster_id, e.entity_type, e.entity_id, e.vector_path FROM embeddings e \
             JOIN (SELECT cluster_id, 'answer' AS type, answer_id AS id FROM cluster_answers \
             UNION ALL SELECT cluster_id, 'question', question_id FROM cluster_questions) c \
             ON c.type = e.entity_type AND c.id = e.entity_id WHERE e.model_id = ?1 \
             ORDER BY c.cluster_id, e.entity_type, e.entity_id",
            [model.model_id],
        )?;
        let mut clusters: Vec<EmbeddedCluster> = Vec::new();
        for (cluster_id, entity_type, entity_id, path) in rows {
            let vector = self.vector_file(model, &entity_type, entity_id, &path)?;
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

    pub(crate) fn vector_file(
        &self,
        model: &EmbeddingModel,
        entity_type: &str,
        entity_id: i64,
        path_in_database: &str,
    ) -> Result<PathBuf> {
        self.resolve_path(path_in_database, &model.name)
            .map_err(|error| error.context(format!("vector of {entity_type} {entity_id}")))
    }

    /// Texts that have no embedding by the model called `model_name`. Wordings of an answer that
    /// are meant for another embedding model are left out, and so are the placeholders of
    /// embeddings that were imported without texts. Answers have their titles if `titles` is set.
    pub fn texts_without_vector(&self, model_name: &str, titles: bool) -> Result<Vec<MissingText>> {
        const MEANT_FOR_THE_MODEL: &str = "AND (text_variant = ?1 OR NOT EXISTS \
            (SELECT 1 FROM answer_relations r WHERE r.from_answer_id = t.answer_id \
            AND r.relation_type = 'variant_of'))";
        let placeholders = self.placeholders()?;
        let mut missing = Vec::new();
        for (entity_type, condition) in
            [(EntityType::Answer, MEANT_FOR_THE_MODEL), (EntityType::Question, "")]
        {
            let entity = entity_type.name();
            let title = match (entity_type, titles) {
                (EntityType::Answer, true) => self.title_of("t.answer_id")?,
                _ => "NULL".into(),
            };
            let sql = format!(
                "SELECT {entity}_id, {title}, text FROM {entity}s t WHERE NOT EXISTS (SELECT 1 FROM \
                 embeddings e JOIN embedding_models m USING (model_id) WHERE m.name = ?1 AND \
                 e.entity_type = '{entity}' AND e.entity_id = t.{entity}_id) {condition} \
                 AND ('{entity}', {entity}_id) NOT IN ({placeholders}) ORDER BY {entity}_id"
            );
            let texts: Vec<(i64, Option<String>, String)> = self.rows(&sql, [model_name])?;
            let texts = texts.into_iter();
            missing.extend(texts.map(|(entity_id, title, text)| MissingText {
                entity_type,
                entity_id,
                title,
                text,
            }));
        }
        Ok(missing)
    }

    /// Finds or registers the embedding model called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] if it is registered with another dimension.
    pub fn register_embedding_model(
        &mut self,
        name: &str,
        dimension: usize,
        backend: &str,
        max_tokens: Option<usize>,
    ) -> Result<EmbeddingModel> {
        let change = self.begin()?;
        let model = change.register_embedding_model(name, dimension, backend, max_tokens)?;
        change.commit()?;
        Ok(model)
    }

    /// Stores the embeddings (n × d) of n texts. Texts that were removed or changed in the
    /// meantime are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] if `vectors` is not n × the model's dimension,
    /// [`ErrorKind::Io`] if a file can't be written; nothing is stored then.
    pub fn add_embeddings(
        &mut self,
        model: &EmbeddingModel,
        texts: &[MissingText],
        vectors: ArrayView2<'_, f32>,
    ) -> Result<()> {
        model.check_shape(texts.len(), vectors)?;
        let change = self.begin()?;
        let mut new = NewVectors::new(&change, model)?;
        let titles = change.embeds_titles(model)?;
        let same_title = |text: &MissingText| match titles && text.entity_type == EntityType::Answer
        {
            true => Ok::<_, Error>(change.answer_title(text.entity_id)? == text.title),
            false => Ok(true),
        };
        for (text, vector) in texts.iter().zip(vectors.as_standard_layout().rows()) {
            let entity = text.entity_type.name();
            let sql = format!("SELECT text FROM {entity}s WHERE {entity}_id = ?1");
            let same = change.row(&sql, [text.entity_id])? == Some((text.text.clone(),));
            if same && same_title(text)? {
                let vector = vector.to_slice().expect("the layout is row-major");
                let vector = NewVector { values: vector, prepared: None };
                new.add(text.entity_type, text.entity_id, vector, None)?;
            }
        }
        let list = new.publish()?;
        change.commit()?;
        remove_list(&list);
        Ok(())
    }

    /// Whether `model` embeds answers with their titles.
    pub fn embeds_titles(&self, model: &EmbeddingModel) -> Result<bool> {
        let sql = "SELECT 1 FROM engine_titled_models WHERE model_id = ?1";
        Ok(self.has_table("engine_titled_models")? && self.exists(sql, [model.model_id])?)
    }

    /// Sets what [`embeds_titles`](Self::embeds_titles) returns.
    pub fn set_embeds_titles(&mut self, model: &EmbeddingModel, titles: bool) -> Result<()> {
        let change = self.begin()?;
        change.create_own_tables()?;
        let sql = match titles {
            true => "INSERT OR IGNORE INTO engine_titled_models VALUES (?1)",
            false => "DELETE FROM engine_titled_models WHERE model_id = ?1",
        };
        change.execute(sql, [model.model_id])?;
        change.commit()
    }

    /// Number of answers with a title that have an embedding by `model`.
    pub fn titled_vectors(&self, model: &EmbeddingModel) -> Result<usize> {
        let sql = format!(
            "SELECT count(*) FROM embeddings e WHERE model_id = ?1 AND entity_type = 'answer' AND \
             {} IS NOT NULL",
            self.title_of("e.entity_id")?
        );
        Ok(self.row(&sql, [model.model_id])?.map_or(0, |(count,)| count))
    }

    /// Deletes the embeddings by the model called `model_name` of all texts that the store has, so
    /// that they can be embedded again. Embeddings that were imported without texts stay.
    pub fn forget_embeddings(&mut self, model_name: &str) -> Result<()> {
        let placeholders = self.placeholders()?;
        let change = self.begin()?;
        change.create_own_tables()?;
        change.delete_embeddings(
            &format!(
                "FROM embeddings WHERE model_id IN (SELECT model_id FROM embedding_models WHERE \
                 name = ?1) AND (entity_type, entity_id) NOT IN ({placeholders})"
            ),
            [model_name],
        )?;
        change.commit()?;
        self.carry_out_deletes();
        Ok(())
    }

    /// Marks the batches that waited for embeddings as completed, and removes files that
    /// interrupted work left.
    pub fn complete_embedded_batches(&mut self, model_name: &str) -> Result<()> {
        let change = self.begin()?;
        let waiting = "SELECT batch_id FROM training_batches WHERE status = 'embedding'";
        for batch_id in change.ids(waiting, [])? {
            change.set_batch_model(batch_id, model_name)?;
            change.set_batch_status(batch_id, BatchStatus::Completed, None)?;
        }
        change.commit()?;
        self.carry_out_deletes();
        Ok(())
    }
}

impl EmbeddingModel {
    /// Loads embeddings by the model as the rows of a matrix.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or another kind that says what is wrong with a file;
    /// [`ErrorKind::DimensionMismatch`] for another dimension than the model's.
    pub fn load<P: AsRef<Path>>(&self, files: impl IntoIterator<Item = P>) -> Result<Array2<f32>> {
        let mut values = Vec::new();
        let mut rows = 0;
        for file in files {
            let array = NpyArray::load(&file)?;
            let found = array.vector_len()?;
            if found != self.dimension {
                let message = format!(
                    "{}: vector of dimension {found}, expected {} as the model '{}' has",
                    file.as_ref().display(),
                    self.dimension,
                    self.name
                );
                return Err(Error::new(ErrorKind::DimensionMismatch, message));
            }
            values.extend(array.to_f32()?);
            rows += 1;
        }
        Ok(Array2::from_shape_vec((rows, self.dimension), values)
            .expect("all rows have one length"))
    }

    /// Refuses vectors that are not `rows` × the model's dimension.
    pub(crate) fn check_shape(&self, rows: usize, vectors: ArrayView2<'_, f32>) -> Result<()> {
        let expected = (rows, self.dimension);
        if vectors.dim() == expected {
            return Ok(());
        }
        let message = format!("vectors of shape {:?}, expected {expected:?}", vectors.dim());
        Err(Error::new(ErrorKind::DimensionMismatch, message))
    }
}

impl Change<'_> {
    /// See [`Store::register_embedding_model`].
    pub(crate) fn register_embedding_model(
        &self,
        name: &str,
        dimension: usize,
        backend: &str,
        max_tokens: Option<usize>,
    ) -> Result<EmbeddingModel> {
        if name.trim().is_empty() {
            let message = "empty name of an embedding model";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let known: Option<EmbeddingModel> =
            self.row("SELECT * FROM embedding_models WHERE name = ?1", [name])?;
        match known {
            Some(model) if model.dimension == dimension => Ok(model),
            Some(model) => Err(self.error(
                ErrorKind::DimensionMismatch,
                format!(
                    "the embedding model '{name}' is registered with dimension {}, expected \
                     {dimension} as the model's vectors have",
                    model.dimension
                ),
            )),
            None => {
                let model_id = self.insert(
                    "INSERT INTO embedding_models (name, dimension, backend, max_tokens) \
                     VALUES (?1, ?2, ?3, ?4)",
                    params![name, dimension, backend, max_tokens],
                )?;
                Ok(EmbeddingModel { model_id, name: name.to_string(), dimension })
            }
        }
    }
}
