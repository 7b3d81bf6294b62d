//! Importing embeddings that were computed elsewhere, by any embedding model.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use ndarray::Array2;
use projection_core::Result;
use projection_core::kernel::parallel::Poll;
use projection_core::npy::NpyArray;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::precomputed_files::{self, Content};
use super::replacement::{NewAnswer, Replacement};
use super::versions::{Version, source_name};
use super::{ImportOutcome, ImportReport};
use crate::batches::{BatchStatus, VectorBatch};
use crate::embeddings::{EmbeddingModel, EntityType};
use crate::publish::{NewVector, NewVectors, PreparedVectors, remove_list};
use crate::store::{Change, Store};

/// The files of precomputed embeddings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecomputedEmbeddings {
    /// The embedding model that made them.
    pub model_name: String,
    /// Embeddings of answers (M × d), `.npy` of float16, float32 or float64.
    pub answers: PathBuf,
    /// Embeddings of questions (n × d), as those of answers.
    pub questions: PathBuf,
    /// For each question the row of its answer, or −1 for none: `.npy` of any integers (n).
    pub labels: PathBuf,
    /// `{"answers": […], "questions": […]}`, a text for each row. Without it texts are
    /// placeholders such as `answer 12`, which are never embedded.
    pub texts: Option<PathBuf>,
}

/// What an import of precomputed embeddings brought. Each answer is a cluster, with its
/// questions. If nothing was imported, all numbers are zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedEmbeddings {
    /// The store's database.
    pub store: String,
    /// The embedding model.
    pub model: String,
    /// What became of the files.
    pub outcome: ImportOutcome,
    /// Dimension of the embeddings.
    pub dimension: usize,
    /// Number of answers.
    pub answers: usize,
    /// Number of questions.
    pub questions: usize,
    /// Number of texts of the older version that are gone.
    pub removed: usize,
    /// Answers that no question is labelled with: they are searched and have no head.
    pub answers_without_question: usize,
    /// Questions labelled −1: they are kept with their embeddings, in no cluster.
    pub questions_without_answer: usize,
}

impl From<ImportOutcome> for ImportedEmbeddings {
    /// The report of files that brought nothing.
    fn from(outcome: ImportOutcome) -> Self {
        Self {
            store: String::new(),
            model: String::new(),
            outcome,
            dimension: 0,
            answers: 0,
            questions: 0,
            removed: 0,
            answers_without_question: 0,
            questions_without_answer: 0,
        }
    }
}

impl ImportedEmbeddings {
    /// The same as a question–answer file's report.
    pub(super) fn report(&self) -> ImportReport {
        ImportReport {
            clusters: self.answers,
            answers: self.answers,
            questions: self.questions,
            removed: self.removed,
            ..self.outcome.into()
        }
    }
}

/// Imports precomputed embeddings: texts, clusters and embeddings become visible together.
///
/// The import is known by the path of its answers' file. If any of its files or the model's
/// name has changed, the new version replaces the earlier import: rows whose text is the same
/// keep their ids, in whatever order they are.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) or
/// [`ErrorKind::Io`](crate::ErrorKind::Io) if a file can't be read,
/// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch) if shapes don't fit
/// each other or the model in the store, and other kinds for values that are no embeddings,
/// labels or texts, and those of `poll`, which is called several times a second. The store keeps
/// what it had, and the batch is marked as failed.
pub fn import_embeddings(
    store: &mut Store,
    files: &PrecomputedEmbeddings,
    poll: &mut Poll<'_>,
) -> Result<ImportedEmbeddings> {
    let read = precomputed_files::read(files, poll)?;
    let name_of = |path| source_name(store.path(), path);
    let source = name_of(&files.answers)?;
    let batch = VectorBatch {
        model_name: files.model_name.clone(),
        questions_file: name_of(&files.questions)?,
        labels_file: name_of(&files.labels)?,
        texts_file: files.texts.as_deref().map(name_of).transpose()?,
    };
    let hash = read.hash.clone();
    let version = Version { source: &source, hash: &hash, vectors: Some(&batch) };
    let imported = version.import(store, |store, batch_id, outcome| {
        let content = read.check(files)?;
        replace(store, &source, batch_id, &files.model_name, &content, outcome, poll)
    })?;
    let store = store.path().display().to_string();
    Ok(ImportedEmbeddings { store, model: files.model_name.clone(), ..imported })
}

/// Replaces what `source` brought by `content`, in one change. The vectors are written before it.
fn replace(
    store: &mut Store,
    source: &str,
    batch_id: i64,
    model_name: &str,
    content: &Content,
    outcome: ImportOutcome,
    poll: &mut Poll<'_>,
) -> Result<ImportedEmbeddings> {
    let dimension = content.answers.ncols();
    let mut prepared = PreparedVectors::new(store, model_name)?;
    let vectors = Vectors::new(store, source, model_name, content, &mut prepared, poll)?;
    prepared.sync()?;
    let change = store.begin()?;
    change.create_own_tables()?;
    let model = change.register_embedding_model(model_name, dimension, "imported", None)?;
    drop_other_models(&change, source, &model)?;
    let mut rows = Rows {
        known_answers: known(&change, source, EntityType::Answer, &model, |text, _| text)?,
        known_questions: known(&change, source, EntityType::Question, &model, |text, cluster| {
            (cluster, text)
        })?,
        replacement: Replacement::new(&change, source),
        new: NewVectors::new(&change, &model)?,
    };
    let (mut answer_vectors, mut question_vectors) =
        (vectors.answers.into_iter(), vectors.questions.into_iter());
    let mut clusters = Vec::with_capacity(content.answers.nrows());
    for (row, text) in content.answer_texts.iter().enumerate() {
        poll()?;
        clusters.push(rows.add_answer(row, text, answer_vectors.next().expect("one a row"))?);
    }
    for (row, text) in content.question_texts.iter().enumerate() {
        poll()?;
        let cluster_id = content.labels[row].map(|label| clusters[label]);
        rows.add_question(cluster_id, text, question_vectors.next().expect("one a row"))?;
    }
    let Rows { replacement, new, .. } = rows;
    let (answers, questions) = (content.answers.nrows(), content.questions.nrows());
    let removed = replacement.finish(batch_id, answers, questions)?;
    change.set_batch_model(batch_id, model_name)?;
    change.set_batch_status(batch_id, BatchStatus::Completed, None)?;
    let list = new.publish()?;
    change.commit()?;
    remove_list(&list);
    store.carry_out_deletes();

    let mut asked = vec![false; answers];
    content.labels.iter().flatten().for_each(|label| asked[*label] = true);
    Ok(ImportedEmbeddings {
        dimension,
        answers,
        questions,
        removed,
        answers_without_question: asked.iter().filter(|asked| !**asked).count(),
        questions_without_answer: content.labels.iter().filter(|label| label.is_none()).count(),
        ..outcome.into()
    })
}

/// A vector of a row.
struct Vector<'a> {
    values: &'a [f32],
    ready: Ready,
}

/// Where a vector is before the change begins.
enum Ready {
    /// In the file with this path in the database, which a text had before.
    Present(String),
    /// In a new file.
    Prepared(PathBuf),
}

/// The vectors of all rows.
struct Vectors<'a> {
    answers: Vec<Vector<'a>>,
    questions: Vec<Vector<'a>>,
}

impl<'a> Vectors<'a> {
    /// Writes the vectors that texts do not have already.
    fn new(
        store: &Store,
        source: &str,
        model_name: &str,
        content: &'a Content,
        prepared: &mut PreparedVectors,
        poll: &mut Poll<'_>,
    ) -> Result<Self> {
        let known_before = store.has_table("engine_imports")?;
        let mut models = store.embedding_models()?.into_iter();
        let model = models.find(|model| known_before && model.name == model_name);
        let mut vectors = |entity, texts: &[String], rows: &'a Array2<f32>| {
            let mut present = match &model {
                Some(model) => known(store, source, entity, model, |text, _| text)?,
                None => HashMap::new(),
            };
            let mut vectors = Vec::with_capacity(texts.len());
            for (text, row) in texts.iter().zip(rows.rows()) {
                poll()?;
                let values = row.to_slice().expect("rows of a matrix in row-major order");
                let known = present.get_mut(text).and_then(VecDeque::pop_front);
                let path = known.and_then(|known| known.vector_path);
                let ready = match path.filter(|path| holds(store, model_name, path, values)) {
                    Some(path) => Ready::Present(path),
                    None => Ready::Prepared(prepared.add(values)?),
                };
                vectors.push(Vector { values, ready });
            }
            Ok(vectors)
        };
        Ok(Self {
            answers: vectors(EntityType::Answer, &content.answer_texts, &content.answers)?,
            questions: vectors(EntityType::Question, &content.question_texts, &content.questions)?,
        })
    }
}

/// Whether the file with this path in the database holds a vector.
fn holds(store: &Store, model_name: &str, path: &str, values: &[f32]) -> bool {
    let present = store.resolve_path(path, model_name).and_then(NpyArray::load);
    present.and_then(|array| array.to_f32()).is_ok_and(|present| present == values)
}

/// Deletes the embeddings of the last version, if that was by another model.
fn drop_other_models(change: &Change<'_>, source: &str, model: &EmbeddingModel) -> Result<()> {
    change.delete_embeddings(
        "FROM embeddings WHERE model_id IN (SELECT model_id FROM embedding_models m \
         JOIN engine_vector_batches b ON b.model_name = m.name JOIN engine_sources \
         USING (batch_id) WHERE source_file = ?1) AND model_id <> ?2 AND \
         (entity_type, entity_id) IN (SELECT entity_type, entity_id FROM \
         engine_imports WHERE source_file = ?1)",
        params![source, model.model_id],
    )
}

/// A text that the last version of a source brought.
struct KnownText {
    id: i64,
    /// The first cluster that it is in.
    cluster_id: Option<i64>,
    /// The path in the database of its embedding.
    vector_path: Option<String>,
}

/// Groups the texts of an entity type that the last version of `source` brought, in ascending
/// order of id.
fn known<K: std::hash::Hash + Eq>(
    store: &Store,
    source: &str,
    entity: EntityType,
    model: &EmbeddingModel,
    key: impl Fn(String, Option<i64>) -> K,
) -> Result<HashMap<K, VecDeque<KnownText>>> {
    let entity = entity.name();
    let sql = format!(
        "SELECT t.text, t.{entity}_id, c.cluster_id, e.vector_path FROM engine_imports i \
         JOIN {entity}s t ON t.{entity}_id = i.entity_id \
         LEFT JOIN (SELECT {entity}_id, min(cluster_id) AS cluster_id FROM cluster_{entity}s \
         WHERE cluster_id IN (SELECT entity_id FROM engine_imports WHERE source_file = ?1 AND \
         entity_type = 'cluster') GROUP BY {entity}_id) c ON c.{entity}_id = i.entity_id \
         LEFT JOIN embeddings e ON e.model_id = ?2 AND e.entity_type = i.entity_type AND \
         e.entity_id = i.entity_id WHERE i.source_file = ?1 AND i.entity_type = '{entity}' \
         ORDER BY t.{entity}_id"
    );
    let rows: Vec<(String, i64, Option<i64>, Option<String>)> =
        store.rows(&sql, params![source, model.model_id])?;
    let mut known: HashMap<K, VecDeque<KnownText>> = HashMap::new();
    for (text, id, cluster_id, vector_path) in rows {
        let text_known = KnownText { id, cluster_id, vector_path };
        known.entry(key(text, cluster_id)).or_default().push_back(text_known);
    }
    Ok(known)
}

/// The rows of a new version, and those of the last one that are not used again yet.
struct Rows<'a> {
    known_answers: HashMap<String, VecDeque<KnownText>>,
    /// By cluster and text.
    known_questions: HashMap<(Option<i64>, String), VecDeque<KnownText>>,
    replacement: Replacement<'a>,
    new: NewVectors<'a>,
}

impl Rows<'_> {
    /// Adds an answer in a cluster of its own, and returns that.
    fn add_answer(&mut self, row: usize, text: &str, vector: Vector<'_>) -> Result<i64> {
        // What people see as the answer's name.
        let name = &format!("row {row}")[..];
        let known = self.known_answers.get_mut(text).and_then(VecDeque::pop_front);
        let known_cluster = known.as_ref().and_then(|known| known.cluster_id);
        let cluster_id = self.replacement.add_cluster(known_cluster, name)?;
        let document = self.replacement.source;
        let answer = NewAnswer { document, name: Some(name), variant: "default", text };
        let known_id = known.as_ref().map(|known| known.id);
        let answer_id = self.replacement.add_answer(known_id, &answer)?;
        self.replacement.change.put_into_cluster(cluster_id, answer_id)?;
        self.set_vector(EntityType::Answer, answer_id, known, vector)?;
        Ok(cluster_id)
    }

    fn add_question(
        &mut self,
        cluster_id: Option<i64>,
        text: &str,
        vector: Vector<'_>,
    ) -> Result<()> {
        let key = (cluster_id, text.to_string());
        let known = self.known_questions.get_mut(&key).and_then(VecDeque::pop_front);
        let known_id = known.as_ref().map(|known| known.id);
        let question_id = self.replacement.add_question(known_id, cluster_id, text, None)?;
        self.set_vector(EntityType::Question, question_id, known, vector)
    }

    /// Adds the embedding of a text, unless it has this very one.
    fn set_vector(
        &mut self,
        entity: EntityType,
        id: i64,
        known: Option<KnownText>,
        Vector { values, ready }: Vector<'_>,
    ) -> Result<()> {
        let present = known.and_then(|known| known.vector_path);
        let prepared = match ready {
            Ready::Present(path) if Some(&path) == present.as_ref() => return Ok(()),
            // Another row has it by now.
            Ready::Present(_) => None,
            Ready::Prepared(file) => Some(file),
        };
        self.new.add(entity, id, NewVector { values, prepared }, present.as_deref())
    }
}
