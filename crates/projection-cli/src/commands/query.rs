//! `projection query`: a question in words, the nearest answers of a store.

mod choose;
mod found;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use projection_core::projection::{Model, Precision, Projection};
use projection_embed::Embedder;
use projection_engine::check_embedder;
use projection_store::search::{Hit, Hybrid, ScoreMode, SearchOptions, SearchQuery, Searcher};
use projection_store::{EntityType, Store};
use serde::Serialize;
use serde_json::value::RawValue;

use super::explain::Explained;
use super::precision;
use crate::failure::Failure;
use crate::output::{count, spinner};
use choose::{choose_model, choose_projection};
use found::{FoundHit, Weight};

pub use found::Found;

/// Find the answers to a question
///
/// Embeds the question, projects it and searches the answers. Each answer is shown with its rank
/// by plain cosine, without a projection.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  projection query lda.db \"How do I link it?\" \
                        --model-dir models/all-MiniLM-L6-v2")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// The question
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    text: String,

    /// Number of answers
    #[arg(short, value_name = "K", default_value_t = 5,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: usize,

    /// Projection to use [default: the active one, see `projection models`]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Search by plain cosine
    #[arg(long, conflicts_with = "projection")]
    no_projection: bool,

    /// One-file model to search with, as written by `export`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["projection", "no_projection"])]
    model: Option<PathBuf>,

    /// Precision of a multi-head projection's vectors: f32, bf16 (half the memory) or int8 (a
    /// quarter) [default: the model's own]
    #[arg(long, value_name = "P", value_parser = precision, conflicts_with = "no_projection")]
    precision: Option<Precision>,

    /// Add BM25 over the words that question and answer share [weight: chosen by training, else
    /// 0.2]
    #[arg(long)]
    hybrid: bool,

    /// Weight of BM25, from 0 (vectors only) to 1 (words only)
    #[arg(long, value_name = "W", requires = "hybrid", value_parser = weight)]
    hybrid_weight: Option<f64>,

    /// How vectors score an answer: by its cosine, with an offset for answers without training
    /// questions; by the cosine alone; or by the nearest training question of its cluster where
    /// 0.8 times that is more
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::SeenUnseen)]
    score_mode: Mode,

    /// Offset of answers without training questions: more finds them more often
    /// [default: with --score-mode seen-unseen the one that training chose, else 0]
    #[arg(long, value_name = "B", allow_negative_numbers = true, value_parser = offset)]
    unseen_offset: Option<f64>,

    /// Show what moved the query, how far, and the ranks before and after
    #[arg(long)]
    explain: bool,

    /// Folder of the sentence-transformers model that the store was embedded with
    #[arg(long, value_name = "DIR")]
    model_dir: PathBuf,

    /// Use this embedding model even if it is not the one that the store was embedded with
    #[arg(long)]
    force: bool,

    /// Record the question and the answers in the query log, see `projection log`
    #[arg(long)]
    log: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Cosine of the projected question and the answer, plus the offset that training chose if
    /// the answer has no training questions
    SeenUnseen,
    /// The cosine alone
    Cosine,
    /// The larger of that and 0.8 times the nearest training question's
    MaxNearest,
}

/// A weight from the command line.
fn weight(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(_) => Err("expected a number from 0 to 1".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// An offset from the command line.
fn offset(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("expected a finite number".into()),
        Err(error) => Err(error.to_string()),
    }
}

pub fn run(args: &Args) -> Result<Found, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let mut notes = store.warnings()?;
    let chosen = choose_projection(&store, args, &mut notes)?;
    let model_name = choose_model(&store, args, chosen.as_ref(), &mut notes)?;
    let model = store.embedding_model(model_name.as_deref())?;
    // The embedding model of questions, which may be another one than that of answers.
    let asked = match chosen.as_ref().map(|chosen| chosen.trained_on.as_str()) {
        None | Some("") => model.clone(),
        name => store.embedding_model(name)?,
    };
    let projection = chosen.map(|chosen| (chosen.id, chosen.projection));
    let dimension = projection.as_ref().map_or(asked.dimension, |(_, p)| p.input_dim());
    let searcher = store.searcher(Some(&model.name))?;
    let missing = store.texts_without_vector(&model.name, false)?;
    let missing = missing.iter().filter(|text| text.entity_type == EntityType::Answer).count();
    if missing > 0 {
        let answers = count(missing, "answer");
        let name = &model.name;
        notes.push(format!("{answers} without an embedding by {name} left out: embed the store"));
    }

    let loading = spinner("loading the embedding model");
    let embedder = Embedder::load(&args.model_dir)?;
    // A model in a file of its own may take vectors that the store does not have.
    if dimension == asked.dimension {
        notes.extend(check_embedder(&store, &asked, &embedder, args.force)?);
    }
    let query = embedder.embed(&args.text)?;
    loading.finish_and_clear();

    let clusters = store.clusters()?.into_iter();
    let names = clusters.map(|cluster| (cluster.cluster_id, cluster.name)).collect();
    let weights = match &projection {
        Some((_, projection)) => name_weights(&names, projection, &query)?,
        None => Vec::new(),
    };
    let question = SearchQuery { vector: &query, text: Some(&args.text) };
    let options = args.search_options(projection.as_ref().map(|(_, projection)| projection));
    let result = searcher.search(&question, &options)?;
    let hits = result.hits;
    let by_cosine = match query.len() == searcher.index().dim() {
        true => searcher.vector_search(&query, searcher.index().len())?,
        false => Vec::new(),
    };
    let explanation = match args.explain {
        true => {
            let explanation = searcher.explain(&question, &options)?;
            Some(Explained::new(explanation, &names, |id| name_of(&store, id)))
        }
        false => None,
    };
    let log_id = match args.log {
        true => {
            let answers: Vec<i64> = hits.iter().map(|hit| hit.answer_id).collect();
            let projection_id = projection.as_ref().and_then(|(id, _)| *id);
            let logged = Store::open(&args.store).and_then(|mut log| {
                log.log_query(&args.text, Some(model.model_id), projection_id, &answers)
            });
            // The answer is there all the same.
            logged.map_err(|error| notes.push(format!("not logged: {error}"))).ok()
        }
        false => None,
    };
    Ok(Found {
        query: args.text.clone(),
        model: model.name,
        notes,
        projection_id: projection.as_ref().and_then(|(id, _)| *id),
        model_file: args.model.as_ref().map(|file| file.display().to_string()),
        kind: projection.as_ref().map(|(_, projection)| projection.kind().name()),
        temperature: (projection.as_ref())
            .map(|(_, projection)| projection.temperature())
            .filter(|temperature| !temperature.is_nan()),
        precision: projection.as_ref().map(|(_, projection)| projection.precision()),
        score_mode: args.score_mode,
        hybrid_weight: args.hybrid.then_some(result.hybrid_weight),
        unseen_offset: result.unseen_offset,
        weights,
        hits: describe(&store, &searcher, &hits, &by_cosine),
        explanation,
        not_logged: args.log && log_id.is_none(),
        log_id,
    })
}

impl Args {
    fn search_options<'a>(&self, projection: Option<&'a Model>) -> SearchOptions<'a> {
        SearchOptions {
            k: self.k,
            projection: projection.map(|projection| projection as _),
            hybrid: match (self.hybrid, self.hybrid_weight) {
                (false, _) => Hybrid::Off,
                (true, None) => Hybrid::OfModel,
                (true, Some(weight)) => Hybrid::Weight(weight),
            },
            score_mode: match self.score_mode {
                Mode::Cosine => ScoreMode::Cosine,
                Mode::MaxNearest => ScoreMode::MaxNearestQuestion,
                Mode::SeenUnseen => ScoreMode::SeenUnseen,
            },
            unseen_offset: self.unseen_offset.unwrap_or_default(),
            threads: 1,
            allowed: None,
        }
    }
}

fn name_weights(
    names: &HashMap<i64, Option<String>>,
    projection: &Model,
    query: &[f32],
) -> Result<Vec<Weight>, Failure> {
    let mut projected = vec![0.0; projection.output_dim()];
    let mut weights = vec![0.0; projection.head_ids().len()];
    projection.project_into(query, &mut projected, Some(&mut weights))?;
    let weight = |(cluster_id, weight): (&i64, f32)| Weight {
        cluster_id: *cluster_id,
        name: names.get(cluster_id).cloned().flatten(),
        weight,
    };
    Ok(projection.head_ids().iter().zip(weights).map(weight).collect())
}

/// What an answer is called for people.
fn name_of(store: &Store, answer_id: i64) -> String {
    let name = store.answer(answer_id).ok().and_then(|answer| answer.record_id);
    name.unwrap_or_else(|| format!("answer {answer_id}"))
}

/// `by_cosine` has all answers, so every hit is among them, or none.
fn describe(store: &Store, searcher: &Searcher, hits: &[Hit], by_cosine: &[Hit]) -> Vec<FoundHit> {
    let plain: HashMap<i64, (usize, f32)> = (by_cosine.iter().enumerate())
        .map(|(number, hit)| (hit.answer_id, (number + 1, hit.score)))
        .collect();
    let describe = |(number, hit): (usize, &Hit)| {
        let (cosine_rank, cosine_score) = plain.get(&hit.answer_id).copied().unzip();
        FoundHit {
            rank: number + 1,
            answer_id: hit.answer_id,
            score: hit.score,
            cosine_rank,
            cosine_score,
            // An answer that was removed a moment ago has no name any more.
            name: store.answer(hit.answer_id).ok().and_then(|answer| answer.record_id),
            title: searcher.title(hit.answer_id).map(str::to_string),
            text: searcher.text(hit.answer_id).unwrap_or_default().to_string(),
            metadata: (store.answer_metadata(hit.answer_id).ok().flatten())
                .and_then(|json| RawValue::from_string(json).ok()),
        }
    };
    hits.iter().enumerate().map(describe).collect()
}
