//! Importing vectors that were made elsewhere, by any text model.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use ndarray::ArrayView1;
use rusqlite::params;

use super::moved::known_by_another_path;
use super::own_vectors::{self, Content};
use super::tracked::Tracked;
use super::{ImportOutcome, ImportReport, source_name};
use crate::error::Result;
use crate::layout;
use crate::npy::NpyArray;
use crate::store::{
    BatchStatus, Change, EmbeddingModel, EntityType, NewVectors, Store, VectorBatch, remove_list,
};

/// Where own vectors are, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorFiles {
    /// The text model that gave them.
    pub model_name: String,
    /// Vectors of answers (M × d), `.npy` of float16, float32 or float64.
    pub answers: PathBuf,
    /// Vectors of questions (n × d), as those of answers.
    pub questions: PathBuf,
    /// For each question the row of its answer, or −1 for none: `.npy` of any integers (n).
    pub labels: PathBuf,
    /// `{"answers": […], "questions": […]}`, a text for each row. Without it texts are
    /// placeholders such as `answer 12`, which are never embedded.
    pub texts: Option<PathBuf>,
}

/// What the files brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnVectors {
    /// What became of them. Each answer is a cluster, with its questions.
    pub report: ImportReport,
    /// Dimension of the vectors; zero where nothing has changed.
    pub dimension: usize,
    /// Answers that no question is labelled with: they are searched and have no head.
    pub answers_without_question: usize,
    /// Questions labelled −1: they are kept with their vectors, in no cluster.
    pub questions_without_answer: usize,
}

impl OwnVectors {
    /// Of files that brought nothing.
    const fn nothing(outcome: ImportOutcome) -> Self {
        Self {
            report: ImportReport::nothing(outcome),
            dimension: 0,
            answers_without_question: 0,
            questions_without_answer: 0,
        }
    }
}

/// Imports own vectors: texts, clusters and vectors become visible together.
///
/// The import is known by the path of its answers' file. Where any of its files or the
/// model's name has changed, the new version replaces what the last one brought: rows whose
/// text is the same keep their ids, in whatever order they are.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) or
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where a file can't be read,
/// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch) where shapes don't
/// fit each other or the model in the store, and other kinds for values that are no vectors,
/// labels or texts. The store keeps what it had, and the batch is marked as failed.
pub fn import_vectors(store: &mut Store, files: &VectorFiles) -> Result<OwnVectors> {
    let read = own_vectors::read(files)?;
    let source = source_name(store.path(), &files.answers)?;
    let texts_file = files.texts.as_ref().map(|path| source_name(store.path(), path));
    let batch = VectorBatch {
        model_name: files.model_name.clone(),
        questions_file: source_name(store.path(), &files.questions)?,
        labels_file: source_name(store.path(), &files.labels)?,
        texts_file: texts_file.transpose()?,
    };
    let current = store.current_batch(&source)?;
    if current.as_ref().is_some_and(|current| current.file_hash == read.hash) {
        return Ok(OwnVectors::nothing(ImportOutcome::Unchanged));
    }
    if current.is_none()
        && let Some(outcome) = known_by_another_path(store, &source, &read.hash, Some(&batch))?
    {
        return Ok(OwnVectors::nothing(outcome));
    }
    let batch_id = store.register_batch(&source, &read.hash, Some(&batch))?;
    store.set_batch_status(batch_id, BatchStatus::Importing, None)?;
    let outcome = match current {
        Some(_) => ImportOutcome::Replaced,
        None => ImportOutcome::Imported,
    };
    let imported = read
        .check(files)
        .and_then(|content| replace(store, &source, batch_id, files, &content, outcome));
    if let Err(error) = &imported {
        // The first error is the one to report.
        let _ = store.set_batch_status(batch_id, BatchStatus::Failed, Some(&error.to_string()));
    }
    imported
}

/// Replaces what `source` brought by `content`, in one change.
fn replace(
    store: &mut Store,
    source: &str,
    batch_id: i64,
    files: &VectorFiles,
    content: &Content,
    outcome: ImportOutcome,
) -> Result<OwnVectors> {
    let folder = store.embeddings_folder(&files.model_name);
    let (database, dimension) = (store.path().to_path_buf(), content.answers.ncols());
    let change = store.begin()?;
    change.own_tables()?;
    let model = change.embedding_model(&files.model_name, dimension, "imported", None)?;
    drop_other_models(&change, source, &model)?;
    let present = Present::of(&change, source, &model)?;
    let mut new = NewVectors::begin(&change, &folder, &model)?;
    new.keep_list()?;
    let mut replacement = Replacement {
        change: &change,
        tracked: Tracked::new(&change, source),
        new,
        source,
        present,
        database: &database,
        model_name: &model.name,
    };
    let mut clusters = Vec::with_capacity(content.answers.nrows());
    for (row, vector) in content.answers.rows().into_iter().enumerate() {
        clusters.push(replacement.add_answer(row, &content.answer_texts[row], vector)?);
    }
    for (row, vector) in content.questions.rows().into_iter().enumerate() {
        let cluster_id = content.labels[row].map(|label| clusters[label]);
        replacement.add_question(cluster_id, &content.question_texts[row], vector)?;
    }
    let Replacement { tracked, new, .. } = replacement;
    let (answers, questions) = (content.answers.nrows(), content.questions.nrows());
    let removed = tracked.finish(batch_id, answers, questions)?;
    change.execute(
        "UPDATE training_batches SET model_name = ?2 WHERE batch_id = ?1",
        params![batch_id, model.name],
    )?;
    change.set_batch_status(batch_id, BatchStatus::Completed, None)?;
    new.publish()?;
    change.commit()?;
    remove_list(&folder);
    store.remove_discarded_files();

    let mut asked = vec![false; answers];
    content.labels.iter().flatten().for_each(|label| asked[*label] = true);
    Ok(OwnVectors {
        report: ImportReport { outcome, clusters: answers, answers, questions, removed },
        dimension,
        answers_without_question: asked.iter().filter(|asked| !**asked).count(),
        questions_without_answer: content.labels.iter().filter(|label| label.is_none()).count(),
    })
}

/// Deletes the vectors that the last version brought, where that was by another model.
fn drop_other_models(change: &Change<'_>, source: &str, model: &EmbeddingModel) -> Result<()> {
    let brought = "FROM embeddings WHERE model_id IN (SELECT model_id FROM embedding_models m \
                   JOIN engine_vector_batches b ON b.model_name = m.name JOIN engine_sources \
                   USING (batch_id) WHERE source_file = ?1) AND model_id <> ?2 AND \
                   (entity_type, entity_id) IN (SELECT entity_type, entity_id FROM \
                   engine_imports WHERE source_file = ?1)";
    let values = params![source, model.model_id];
    let paths = change.query(&format!("SELECT vector_path {brought}"), values, |row| row.get(0))?;
    change.discard_files(&paths)?;
    change.execute(&format!("DELETE {brought}"), values)?;
    Ok(())
}

/// A text that the last version of a source brought.
struct PresentText {
    id: i64,
    /// The first cluster that it is in.
    cluster_id: Option<i64>,
    /// The recorded path of its vector.
    vector_path: Option<String>,
}

/// What the last version of a source brought. Equal texts are taken in order.
struct Present {
    answers: HashMap<String, VecDeque<PresentText>>,
    /// By cluster and text.
    questions: HashMap<(Option<i64>, String), VecDeque<PresentText>>,
}

impl Present {
    fn of(change: &Change<'_>, source: &str, model: &EmbeddingModel) -> Result<Self> {
        let texts = |kind: &str| {
            let clusters = change.query(
                &format!(
                    "SELECT {kind}_id, min(cluster_id) FROM cluster_{kind}s WHERE cluster_id IN \
                     (SELECT entity_id FROM engine_imports WHERE source_file = ?1 AND \
                     entity_type = 'cluster') GROUP BY {kind}_id"
                ),
                [source],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let clusters: HashMap<i64, i64> = clusters.into_iter().collect();
            let sql = format!(
                "SELECT t.text, t.{kind}_id, e.vector_path FROM engine_imports i \
                 JOIN {kind}s t ON t.{kind}_id = i.entity_id LEFT JOIN embeddings e ON \
                 e.model_id = ?2 AND e.entity_type = i.entity_type AND e.entity_id = i.entity_id \
                 WHERE i.source_file = ?1 AND i.entity_type = '{kind}' ORDER BY t.{kind}_id"
            );
            change.query(&sql, params![source, model.model_id], |row| {
                let (id, vector_path) = (row.get(1)?, row.get(2)?);
                let cluster_id = clusters.get(&id).copied();
                Ok((row.get::<_, String>(0)?, PresentText { id, cluster_id, vector_path }))
            })
        };
        let mut present = Self { answers: HashMap::new(), questions: HashMap::new() };
        for (text, answer) in texts("answer")? {
            present.answers.entry(text).or_default().push_back(answer);
        }
        for (text, question) in texts("question")? {
            let key = (question.cluster_id, text);
            present.questions.entry(key).or_default().push_back(question);
        }
        Ok(present)
    }
}

/// A new version that is being put in the place of the last one.
struct Replacement<'a> {
    change: &'a Change<'a>,
    tracked: Tracked<'a>,
    new: NewVectors<'a>,
    source: &'a str,
    present: Present,
    database: &'a Path,
    model_name: &'a str,
}

impl Replacement<'_> {
    /// Gives the answer's cluster.
    fn add_answer(&mut self, row: usize, text: &str, vector: ArrayView1<'_, f32>) -> Result<i64> {
        // What people see as the answer's name.
        let name = format!("row {row}");
        let present = self.present.answers.get_mut(text).and_then(VecDeque::pop_front);
        let answer_id = match &present {
            Some(present) => {
                self.change.execute(
                    "UPDATE answers SET record_id = ?2 WHERE answer_id = ?1",
                    params![present.id, name],
                )?;
                present.id
            }
            None => self.change.insert(
                "INSERT INTO answers (source_file, record_id, text) VALUES (?1, ?2, ?3)",
                params![self.source, name, text],
            )?,
        };
        let cluster_id = match present.as_ref().and_then(|present| present.cluster_id) {
            Some(cluster_id) => {
                self.change.execute(
                    "UPDATE qa_clusters SET name = ?2 WHERE cluster_id = ?1",
                    params![cluster_id, name],
                )?;
                cluster_id
            }
            None => {
                let sql = "INSERT INTO qa_clusters (name) VALUES (?1)";
                let cluster_id = self.change.insert(sql, [&name])?;
                self.change.execute(
                    "INSERT INTO cluster_answers (cluster_id, answer_id) VALUES (?1, ?2)",
                    [cluster_id, answer_id],
                )?;
                cluster_id
            }
        };
        self.tracked.keep("answer", answer_id)?;
        self.tracked.keep("cluster", cluster_id)?;
        self.set_vector(EntityType::Answer, answer_id, present, vector)?;
        Ok(cluster_id)
    }

    fn add_question(
        &mut self,
        cluster_id: Option<i64>,
        text: &str,
        vector: ArrayView1<'_, f32>,
    ) -> Result<()> {
        let key = (cluster_id, text.to_string());
        let present = self.present.questions.get_mut(&key).and_then(VecDeque::pop_front);
        let question_id = match &present {
            Some(present) => present.id,
            None => {
                let sql = "INSERT INTO questions (text) VALUES (?1)";
                let question_id = self.change.insert(sql, [text])?;
                if let Some(cluster_id) = cluster_id {
                    self.change.execute(
                        "INSERT INTO cluster_questions (cluster_id, question_id) VALUES (?1, ?2)",
                        [cluster_id, question_id],
                    )?;
                }
                question_id
            }
        };
        self.tracked.keep("question", question_id)?;
        self.set_vector(EntityType::Question, question_id, present, vector)
    }

    /// Adds the vector of a text, unless it has this very one.
    fn set_vector(
        &mut self,
        entity: EntityType,
        id: i64,
        present: Option<PresentText>,
        vector: ArrayView1<'_, f32>,
    ) -> Result<()> {
        let values = vector.to_slice().expect("rows of a matrix in row-major order");
        match present.and_then(|present| present.vector_path) {
            Some(path) if self.holds(&path, vector) => Ok(()),
            Some(path) => self.new.replace(entity, id, values, &path),
            None => self.new.add(entity, id, values),
        }
    }

    /// Whether the file recorded as `path` holds `vector`.
    fn holds(&self, path: &str, vector: ArrayView1<'_, f32>) -> bool {
        layout::resolve(self.database, path, self.model_name, false)
            .and_then(NpyArray::load)
            .and_then(|array| array.to_f32())
            .is_ok_and(|present| vector == ArrayView1::from(&present))
    }
}
