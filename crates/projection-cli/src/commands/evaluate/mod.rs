//! `projection evaluate`: how good the store's projections are, beside other methods.

mod charts;
mod page;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use ndarray::Array2;
use projection_core::compare::{Asked, Chosen, Corpus, Evaluation, Options};
use projection_core::import::read_test_questions;
use projection_core::npy::{NpyArray, load_integers};
use projection_core::store::{EmbeddingModel, Store};
use projection_core::{Error, ErrorKind};
use projection_embed::Embedder;

use crate::failure::Failure;
use crate::output::{progress, spinner};
use report::Evaluated;

/// Texts that are embedded at a time.
const BATCH: usize = 32;

/// Measure projections beside cosine, BM25 and the nearest training question
///
/// With test questions, the stored projections are asked these. Without, the store is
/// cross-validated: questions, and then answers with all their questions, are left out in
/// turn, and every method is trained again on the others, a projection with the parameters
/// of the stored one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  projection evaluate lda.db\n  projection evaluate lda.db \
                        --test held_aside.json --model-dir models/all-MiniLM-L6-v2 --html report.html")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Projections to measure [default: the newest of the store]
    #[arg(long, value_name = "ID", num_args = 1..)]
    projection: Vec<i64>,

    /// Question–answer file of test questions, whose answers the store has
    #[arg(long, value_name = "FILE.json", requires = "model_dir",
          conflicts_with_all = ["test_questions", "test_labels"])]
    test: Option<PathBuf>,

    /// Folder of the sentence-transformers model that the store was embedded with
    #[arg(long, value_name = "DIR", requires = "test")]
    model_dir: Option<PathBuf>,

    /// Vectors of test questions (n × d), .npy
    #[arg(long, value_name = "T.npy", requires = "test_labels")]
    test_questions: Option<PathBuf>,

    /// Ids of their right answers (n), .npy of integers
    #[arg(long, value_name = "L.npy", requires = "test_questions")]
    test_labels: Option<PathBuf>,

    /// Text model whose vectors are used [default: that of the projection, or the only one]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,

    /// Folds of the cross-validation
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    folds: usize,

    /// Seed of the folds and of the bootstrap intervals
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// With --json: also every question with its ranks, confusions, and other parameters
    #[arg(long)]
    details: bool,

    /// Write a report to be opened in a browser
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Evaluated, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let mut notes = Vec::new();
    let chosen = choose(&store, args, &mut notes)?;
    let model = choose_model(&store, args, &chosen)?;
    let corpus = Corpus::from_store(&store, &model)?;
    let options = Options {
        folds: args.folds,
        seed: args.seed,
        sweeps: args.details || args.html.is_some(),
        ..Options::default()
    };
    let asked = match (&args.test, &args.test_questions, &args.test_labels) {
        (Some(file), ..) => Some(from_file(&corpus, args, file, &model)?),
        (None, Some(questions), Some(labels)) => Some(from_vectors(&corpus, questions, labels)?),
        _ => None,
    };
    let bar = progress("evaluating", 0);
    let mut show = |progress: projection_core::train::Progress| {
        bar.set_message(progress.stage);
        bar.set_length(progress.steps as u64);
        bar.set_position(progress.step as u64);
    };
    let mut evaluation = match asked {
        Some(asked) => Evaluation::with_questions(corpus, chosen, asked, &options, &mut show)?,
        None => Evaluation::by_cross_validation(&store, corpus, chosen, &options, &mut show)?,
    };
    bar.finish_and_clear();
    evaluation.notes.splice(0..0, notes);
    let report = Evaluated::new(&evaluation, args, &model.name);
    if let Some(path) = &args.html {
        let page = page::page(&evaluation, &report);
        fs::write(path, page).map_err(|error| Error::io("writing", path, error))?;
    }
    Ok(report)
}

fn choose(store: &Store, args: &Args, notes: &mut Vec<String>) -> Result<Vec<Chosen>, Failure> {
    if args.projection.is_empty() {
        let newest = Chosen::open(store, None)?;
        if newest.is_none() {
            notes.push("the store has no projection yet, `projection train` makes one".into());
        }
        return Ok(newest.into_iter().collect());
    }
    let mut ids = args.projection.clone();
    ids.sort_unstable();
    ids.dedup();
    let open = |id: i64| Chosen::open(store, Some(id));
    Ok(ids.into_iter().map(open).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The text model whose vectors are searched: the one that is named, else the one that the
/// projections were trained on, else the only one.
fn choose_model(store: &Store, args: &Args, chosen: &[Chosen]) -> Result<EmbeddingModel, Failure> {
    let mut trained_on: Vec<&str> = chosen.iter().map(|c| c.model_name.as_str()).collect();
    trained_on.retain(|name| !name.is_empty());
    trained_on.dedup();
    match (&args.model_name, &trained_on[..]) {
        (Some(name), _) => Ok(store.embedding_model(Some(name))?),
        (None, []) => Ok(store.embedding_model(None)?),
        (None, [name]) => Ok(store.embedding_model(Some(name))?),
        (None, several) => Err(Failure::Usage(format!(
            "the projections were trained on vectors of different text models ({}), expected one",
            several.join(", ")
        ))),
    }
}

/// The questions of a question–answer file, embedded.
fn from_file(
    corpus: &Corpus,
    args: &Args,
    file: &Path,
    model: &EmbeddingModel,
) -> Result<Asked, Failure> {
    let named = |error: Error| error.context(file.display());
    let labelled = corpus.labels(&read_test_questions(file)?).map_err(named)?;
    let dir = args.model_dir.as_deref().unwrap_or(Path::new(""));
    let loading = spinner("loading the text model");
    let embedder = Embedder::load(dir)?;
    loading.finish_and_clear();
    if embedder.dim() != model.dimension {
        let message = format!(
            "{}: vectors of dimension {}, expected {} as those of the text model '{}' in {}",
            dir.display(),
            embedder.dim(),
            model.dimension,
            model.name,
            args.store.display()
        );
        return Err(Error::new(ErrorKind::DimensionMismatch, message).into());
    }
    let (texts, labels): (Vec<String>, Vec<i64>) = labelled.into_iter().unzip();
    let bar = progress("embedding", texts.len());
    let mut vectors = Array2::zeros((texts.len(), model.dimension));
    for (number, batch) in texts.chunks(BATCH).enumerate() {
        let start = number * BATCH;
        let embedded = embedder.embed_batch(batch)?;
        vectors.slice_mut(ndarray::s![start..start + batch.len(), ..]).assign(&embedded);
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let texts = texts.into_iter().map(Some).collect();
    Ok(corpus.asked(vectors.view(), &labels, texts).map_err(named)?)
}

/// Vectors and labels of questions.
fn from_vectors(corpus: &Corpus, questions: &Path, labels: &Path) -> Result<Asked, Failure> {
    let array = NpyArray::load(questions)?;
    let [_, _] = array.shape() else {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("{}: shape {:?}, expected (n, d)", questions.display(), array.shape()),
        )
        .into());
    };
    let shape = array.matrix_shape();
    let vectors = Array2::from_shape_vec(shape, array.to_f32()?).map_err(|error| {
        let message = format!("{}: {error}", questions.display());
        Error::new(ErrorKind::InvalidArray, message)
    })?;
    let ids = load_integers(labels)?;
    let asked = corpus.asked(vectors.view(), &ids, Vec::new()).map_err(|error| {
        error.context(format!("{} with {}", questions.display(), labels.display()))
    })?;
    Ok(asked)
}
