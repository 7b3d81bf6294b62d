//! Measuring a store's projections beside other methods.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use projection_core::kernel::parallel::Poll;
use projection_core::npy::load_integers;
use projection_core::projection::ModelKind;
use projection_core::projection::Precision;
use projection_core::search::LexicalIndex;
use projection_core::{Error, ErrorKind, Result};
use projection_embed::Embedder;
use projection_store::import::{FileOptions, read_test_questions};
use projection_store::search::Bm25;
use projection_store::{EmbeddingModel, Store};
use projection_train::evaluation::{
    Candidate, Corpus, CorpusParts, Evaluation, EvaluationQueries, EvaluationReport, Options,
    TestCluster,
};
use projection_train::{OnProgress, Progress};

use crate::data::{load_matrix, training_data};
use crate::feedback::load_for;
use crate::stored::recipe_of;

/// Where test questions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestQuestions {
    /// A question–answer file, whose answers the store has, and the folder of the embedding
    /// model of the store.
    File {
        /// The file, or BEIR folder.
        file: PathBuf,
        /// How it is read.
        options: FileOptions,
        /// The folder.
        model_dir: PathBuf,
    },
    /// Arrays.
    Vectors {
        /// Vectors (n × d), .npy.
        questions: PathBuf,
        /// Ids of their right answers (n), .npy of integers.
        labels: PathBuf,
    },
}

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluateRequest {
    /// The projections; if there are none, the active one of the embedding model, or of the store.
    pub projections: Vec<i64>,
    /// Models in files of their own, which need test questions: how to train them again on
    /// fewer questions is not known.
    pub models: Vec<PathBuf>,
    /// Precisions that multi-head models are measured in, beside single precision.
    pub precisions: Vec<Precision>,
    /// The test questions; without any, the store is cross-validated.
    pub test: Option<TestQuestions>,
    /// The embedding model whose embeddings are used; `None` for that of the projections, or
    /// the only one.
    pub model_name: Option<String>,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// Seed of the folds and of the bootstrap intervals.
    pub seed: u64,
    /// Whether to try other parameters.
    pub sweeps: bool,
    /// Whether to report every question.
    pub details: bool,
    /// Whether to embed test questions with another embedding model than the store's.
    pub force: bool,
}

impl Default for EvaluateRequest {
    fn default() -> Self {
        Self {
            projections: Vec::new(),
            models: Vec::new(),
            precisions: Vec::new(),
            test: None,
            model_name: None,
            folds: 4,
            seed: 0,
            sweeps: false,
            details: false,
            force: false,
        }
    }
}

/// Measures projections of the store `database`.
///
/// # Errors
/// [`ErrorKind::AmbiguousModel`] for projections on different embedding models,
/// [`ErrorKind::InvalidArgument`] for fewer than two folds, models in files without test
/// questions, and precisions that no projection can have; errors of reading, training and
/// projecting.
pub fn evaluate(
    database: &Path,
    request: &EvaluateRequest,
    progress: &mut OnProgress<'_>,
) -> Result<(Evaluation, EvaluationReport)> {
    if request.folds < 2 {
        let message = format!("folds is {}, expected at least 2", request.folds);
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    if let (Some(model), None) = (request.models.first(), &request.test) {
        let message = format!("{} without test questions, which it needs", model.display());
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let store = Store::open_read_only(database)?;
    let mut notes = store.warnings()?;
    let mut candidates = choose(&store, request, &mut notes)?;
    let model = choose_model(&store, request, &candidates)?;
    let poll = &mut || Progress::new("reading", 0, 1).send(progress);
    let corpus = corpus(&store, &model, poll)?;
    let options = Options {
        folds: request.folds,
        seed: request.seed,
        sweeps: request.sweeps,
        ..Options::default()
    };
    let asked = match &request.test {
        Some(TestQuestions::File { file, options, model_dir }) => {
            let (embedder, note) = load_for(&store, &model, model_dir, request.force, progress)?;
            notes.extend(note);
            let file = (file.as_path(), options);
            Some(from_file(&corpus, file, &embedder, &mut notes, progress)?)
        }
        Some(TestQuestions::Vectors { questions, labels }) => {
            Some(from_vectors(&corpus, questions, labels, &mut notes)?)
        }
        None => None,
    };
    let mut evaluation = match asked {
        Some(queries) => {
            Evaluation::with_questions(corpus, candidates, queries, &options, progress)?
        }
        None => {
            recipes(&store, &corpus, &mut candidates)?;
            Evaluation::by_cross_validation(corpus, candidates, &options, progress)
                .map_err(|error| error.context(database.display()))?
        }
    };
    evaluation.notes.splice(0..0, notes);
    let report =
        EvaluationReport::new(&evaluation, database, &model.name, request.seed, request.details);
    Ok((evaluation, report))
}

fn choose(
    store: &Store,
    request: &EvaluateRequest,
    notes: &mut Vec<String>,
) -> Result<Vec<Candidate>> {
    let mut ids: Vec<Option<i64>> = request.projections.iter().copied().map(Some).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        ids.push(None);
    }
    let mut candidates = Vec::new();
    for id in ids {
        candidates.extend(choose_stored(store, id, request.model_name.as_deref())?);
    }
    if candidates.is_empty() {
        notes.push("the store has no projection yet, `projection train` makes one".into());
    }
    for path in &request.models {
        candidates.push(choose_file(path)?);
    }
    let multi_head = |candidate: &&(usize, Candidate)| candidate.1.kind == ModelKind::MultiHead;
    let exact: Vec<(usize, Candidate)> = candidates.iter().cloned().enumerate().collect();
    for precision in &request.precisions {
        let (precision, mut any) = (*precision, false);
        for (place, exact) in exact.iter().filter(multi_head) {
            any = true;
            // Models that are rounded already stay as they are.
            if precision != Precision::F32 && exact.precision() == Precision::F32 {
                candidates.push(exact.rounded(*place, precision)?);
            }
        }
        if let (false, Some((_, other))) = (any, exact.first()) {
            // The error says why this precision is impossible.
            other.rounded(0, precision)?;
        }
    }
    Ok(candidates)
}

/// The embedding model whose embeddings are searched: the requested one, else the one that the
/// projections were trained on, else the only one.
fn choose_model(
    store: &Store,
    request: &EvaluateRequest,
    candidates: &[Candidate],
) -> Result<EmbeddingModel> {
    let mut trained_on: Vec<&str> = candidates.iter().map(|c| c.model_name.as_str()).collect();
    trained_on.retain(|name| !name.is_empty());
    trained_on.dedup();
    match (&request.model_name, &trained_on[..]) {
        (Some(name), _) => store.embedding_model(Some(name)),
        (None, []) => store.embedding_model(None),
        (None, [name]) => store.embedding_model(Some(name)),
        (None, several) => Err(Error::new(
            ErrorKind::AmbiguousModel,
            format!(
                "the projections were trained on different embedding models ({}), expected one",
                several.join(", ")
            ),
        )),
    }
}

/// The questions of a question–answer file, embedded.
fn from_file(
    corpus: &Corpus,
    (file, options): (&Path, &FileOptions),
    embedder: &Embedder,
    notes: &mut Vec<String>,
    progress: &mut OnProgress<'_>,
) -> Result<EvaluationQueries> {
    let named = |error: Error| error.context(file.display());
    let clusters: Vec<TestCluster> = read_test_questions(file, options)?
        .into_iter()
        .map(|c| TestCluster {
            name: c.name,
            answers: c.answers,
            exact: c.exact,
            questions: c.questions,
        })
        .collect();
    let mut left_out = Vec::new();
    let questions = corpus.labels(&clusters, &mut left_out).map_err(named)?;
    if let Some(first) = left_out.first() {
        let (count, file) = (left_out.len(), file.display());
        notes.push(format!("{file}: {count} left out, among them {first}"));
    }
    let texts: Vec<&str> = questions.iter().map(|question| &question.text[..]).collect();
    let vectors = embedder.embed_batch_with(&texts, progress)?;
    corpus.test_queries(vectors.view(), questions).map_err(named)
}

/// Embeddings and labels of questions.
fn from_vectors(
    corpus: &Corpus,
    questions: &Path,
    labels: &Path,
    notes: &mut Vec<String>,
) -> Result<EvaluationQueries> {
    let mut vectors = load_matrix(questions)?;
    let mut ids = load_integers(labels)?;
    let kept: Vec<usize> = (0..ids.len()).filter(|row| corpus.has(ids[*row])).collect();
    // If all are unknown or the lengths differ, the error says more.
    if !kept.is_empty() && kept.len() < ids.len() && ids.len() == vectors.nrows() {
        let gone = ids.iter().enumerate().find(|(_, id)| !corpus.has(**id));
        let (row, id) = gone.expect("one is not kept");
        notes.push(format!(
            "{}: {} of {} questions left out, among them question {row}: no answer {id} with a \
             vector",
            labels.display(),
            ids.len() - kept.len(),
            ids.len()
        ));
        vectors = vectors.select(ndarray::Axis(0), &kept);
        ids = kept.iter().map(|row| ids[*row]).collect();
    }
    corpus.queries(vectors.view(), &ids, Vec::new()).map_err(|error| {
        error.context(format!("{} with {}", questions.display(), labels.display()))
    })
}

/// Reads the answers and questions of a store that have embeddings by `model`.
///
/// # Errors
/// As [`Store::searcher`] and [`training_data`].
pub fn corpus(store: &Store, model: &EmbeddingModel, poll: &mut Poll<'_>) -> Result<Corpus> {
    poll()?;
    let (index, _) = store.searcher(Some(&model.name))?.into_parts();
    let ids = index.ids().to_vec();
    let rows: HashMap<i64, usize> = ids.iter().enumerate().map(|(row, id)| (*id, row)).collect();
    let (mut names, mut texts) = (vec![None; ids.len()], vec![None; ids.len()]);
    let mut known: Vec<(i64, String)> = Vec::new();
    for answer in store.answer_texts()? {
        if let Some(row) = rows.get(&answer.answer_id) {
            known.extend(answer.titled_text().map(|text| (*row as i64, text)));
            names[*row] = answer.record_id;
            texts[*row] = answer.text;
        }
    }
    let known_texts = known.iter().map(|(row, text)| (*row, text.as_str()));
    let index_of_texts: Option<Box<dyn LexicalIndex>> =
        if known.is_empty() { None } else { Some(Box::new(Bm25::new(known_texts)?)) };
    let questions = store.clustered_questions(model)?;
    let training = match questions.is_empty() {
        true => None,
        false => Some(training_data(store, model, poll)?),
    };
    let mut training_texts: Vec<_> = questions.into_iter().map(|q| q.text).collect();
    // Another process may have added some between the two readings.
    training_texts.resize(training.as_ref().map_or(0, |data| data.labels().len()), None);
    Ok(Corpus::new(CorpusParts {
        ids,
        names,
        texts,
        index: index_of_texts,
        units: index.units().to_vec(),
        dim: index.dim(),
        members: store.clustered_answers(model)?,
        training,
        training_texts,
    }))
}

/// Opens the projection `id`, or the active one of the embedding model `model_name`, or of the
/// store; `None` if there is none.
///
/// # Errors
/// As [`Store::model`].
pub fn choose_stored(
    store: &Store,
    id: Option<i64>,
    model_name: Option<&str>,
) -> Result<Option<Candidate>> {
    let stored = match id {
        Some(id) => Some(store.choose(Some(id))?),
        None => store.active_model(model_name)?,
    };
    let Some(stored) = stored else { return Ok(None) };
    let model = store.open_model(&stored)?;
    Ok(Some(Candidate {
        id: Some(stored.id),
        file: None,
        kind: stored.kind,
        model_name: stored.model_name,
        exact: None,
        recipe: None,
        model,
    }))
}

/// Opens a model in a file of its own.
///
/// # Errors
/// As [`projection_interop::load_file`].
pub fn choose_file(path: &Path) -> Result<Candidate> {
    let model = projection_interop::load_file(path)?;
    Ok(Candidate {
        id: None,
        file: Some(path.to_path_buf()),
        kind: model.kind(),
        model_name: String::new(),
        exact: None,
        recipe: None,
        model,
    })
}

/// Finds out how stored projections can be trained again.
fn recipes(store: &Store, corpus: &Corpus, candidates: &mut [Candidate]) -> Result<()> {
    let Some(data) = corpus.training() else { return Ok(()) };
    for candidate in candidates.iter_mut().filter(|candidate| candidate.exact.is_none()) {
        if let Some(id) = candidate.id {
            let stored = store.choose_kind(candidate.kind, id)?;
            candidate.recipe = recipe_of(store, &stored, data)?;
        }
    }
    Ok(())
}
