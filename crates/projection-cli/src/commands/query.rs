//! `projection query`: a question in words, the nearest answers of a store.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use projection_core::projection::MultiHeadProjection;
use projection_core::search::{Hit, Searcher};
use projection_core::store::{MultiHeadRow, Store};
use projection_core::{Error, ErrorKind};
use projection_embed::Embedder;
use serde::Serialize;

use super::folder_name;
use crate::failure::Failure;
use crate::output::{Report, Screen, bar, heading, note, spinner};

/// Routing weights that are shown to people.
const SHOWN_WEIGHTS: usize = 5;

/// Find the answers to a question
///
/// The question is embedded, projected and compared with the answers. Beside each answer
/// stands the rank that it has without a projection, by plain cosine.
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

    /// Projection to use [default: the newest of the store]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Search by plain cosine
    #[arg(long, conflicts_with = "projection")]
    no_projection: bool,

    /// Folder of the sentence-transformers model that the store was embedded with
    #[arg(long, value_name = "DIR")]
    model_dir: PathBuf,

    /// Write the question and the answers to the store's query log, for `projection log`
    #[arg(long)]
    log: bool,
}

/// The answers.
#[derive(Debug, Serialize)]
pub struct Found {
    query: String,
    model: String,
    /// What the user should know about the way it was found.
    notes: Vec<String>,
    /// None for plain cosine.
    projection_id: Option<i64>,
    temperature: Option<f64>,
    /// In ascending order of cluster id.
    weights: Vec<Weight>,
    hits: Vec<FoundHit>,
    /// Where it was logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Weight {
    cluster_id: i64,
    /// None where the cluster was removed or never had a name.
    name: Option<String>,
    weight: f32,
}

#[derive(Debug, Serialize)]
struct FoundHit {
    rank: usize,
    answer_id: i64,
    score: f32,
    /// Rank and score without a projection, among all answers.
    cosine_rank: usize,
    cosine_score: f32,
    name: Option<String>,
    text: String,
}

pub fn run(args: &Args) -> Result<Found, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let mut notes = Vec::new();
    let row = choose_projection(&store, args, &mut notes)?;
    let model_name = choose_model(&store, args, row.as_ref(), &mut notes)?;
    let model = store.embedding_model(model_name.as_deref())?;
    let projection =
        row.map(|row| MultiHeadProjection::from_store(&store, row.id).map(|p| (row.id, p)));
    let projection = projection.transpose()?;
    let searcher = Searcher::from_store(&store, Some(&model.name))?;

    let loading = spinner("loading the text model");
    let embedder = Embedder::load(&args.model_dir)?;
    if embedder.dim() != model.dimension {
        let message = format!(
            "{}: vectors of dimension {}, expected {} as those of the text model '{}' in {}",
            args.model_dir.display(),
            embedder.dim(),
            model.dimension,
            model.name,
            args.store.display()
        );
        return Err(Error::new(ErrorKind::DimensionMismatch, message).into());
    }
    let query = embedder.embed(&args.text)?;
    loading.finish_and_clear();

    let weights = match &projection {
        Some((_, projection)) => name_weights(&store, projection, &query)?,
        None => Vec::new(),
    };
    let model_of = projection.as_ref().map(|(_, projection)| projection as _);
    let hits = searcher.vector_search_with_projection(&query, model_of, args.k)?;
    let by_cosine = searcher.vector_search(&query, searcher.index().len())?;
    let log_id = match args.log {
        true => {
            let answers: Vec<i64> = hits.iter().map(|hit| hit.answer_id).collect();
            let projection_id = projection.as_ref().map(|(id, _)| *id);
            let mut log = Store::open(&args.store)?;
            Some(log.log_query(&args.text, Some(model.model_id), projection_id, &answers)?)
        }
        false => None,
    };
    Ok(Found {
        query: args.text.clone(),
        model: model.name,
        notes,
        projection_id: projection.as_ref().map(|(id, _)| *id),
        temperature: projection.as_ref().map(|(_, projection)| projection.temperature()),
        weights,
        hits: describe(&store, &searcher, &hits, &by_cosine),
        log_id,
    })
}

fn choose_projection(
    store: &Store,
    args: &Args,
    notes: &mut Vec<String>,
) -> Result<Option<MultiHeadRow>, Failure> {
    if args.no_projection {
        return Ok(None);
    }
    if let Some(id) = args.projection {
        return Ok(Some(store.multi_head_projection(id)?));
    }
    let newest = store.multi_head_projections()?.pop();
    if newest.is_none() {
        notes.push("the store has no projection yet, `projection train` makes one".into());
    }
    Ok(newest)
}

/// The text model whose vectors are searched: the one that the projection was trained on,
/// else the one that is called like the model folder, else (`None`) the only one.
fn choose_model(
    store: &Store,
    args: &Args,
    row: Option<&MultiHeadRow>,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Failure> {
    let models = store.embedding_models()?;
    let folder = folder_name(&args.model_dir);
    let folder = folder.filter(|name| models.iter().any(|model| model.name == *name));
    let Some(trained_on) = row.map(|row| &row.model_name).filter(|name| !name.is_empty()) else {
        return Ok(folder);
    };
    if let Some(folder) = folder.filter(|folder| folder != trained_on) {
        notes.push(format!(
            "the projection was trained on vectors of '{trained_on}', which the model folder of \
             '{folder}' does not give"
        ));
    }
    Ok(Some(trained_on.clone()))
}

fn name_weights(
    store: &Store,
    projection: &MultiHeadProjection,
    query: &[f32],
) -> Result<Vec<Weight>, Failure> {
    let clusters = store.clusters()?.into_iter();
    let mut names: HashMap<i64, Option<String>> =
        clusters.map(|cluster| (cluster.cluster_id, cluster.name)).collect();
    let (_, weights) = projection.project(query)?;
    let weight = |(cluster_id, weight): (&i64, f32)| Weight {
        cluster_id: *cluster_id,
        name: names.remove(cluster_id).flatten(),
        weight,
    };
    Ok(projection.cluster_ids().iter().zip(weights).map(weight).collect())
}

/// `by_cosine` has all answers, so every hit is among them.
fn describe(store: &Store, searcher: &Searcher, hits: &[Hit], by_cosine: &[Hit]) -> Vec<FoundHit> {
    let plain: HashMap<i64, (usize, f32)> = (by_cosine.iter().enumerate())
        .map(|(number, hit)| (hit.answer_id, (number + 1, hit.score)))
        .collect();
    let describe = |(number, hit): (usize, &Hit)| {
        let (cosine_rank, cosine_score) = plain.get(&hit.answer_id).copied().unwrap_or_default();
        FoundHit {
            rank: number + 1,
            answer_id: hit.answer_id,
            score: hit.score,
            cosine_rank,
            cosine_score,
            // An answer that was removed a moment ago has no name any more.
            name: store.answer(hit.answer_id).ok().and_then(|answer| answer.record_id),
            text: searcher.text(hit.answer_id).unwrap_or_default().to_string(),
        }
    };
    hits.iter().enumerate().map(describe).collect()
}

impl Report for Found {
    fn render(&self, screen: &Screen) -> String {
        let how = match (self.projection_id, self.temperature) {
            (Some(id), Some(t)) => format!("projection {id}, temperature {t}"),
            _ => "plain cosine, no projection".to_string(),
        };
        let mut text = heading(&screen.clean(&self.query));
        text += &format!("{how}, text model {}\n", screen.clean(&self.model));
        for message in &self.notes {
            text += &note(&screen.clean(message));
        }
        text += "\n";
        if !self.weights.is_empty() {
            text += &self.render_weights(screen);
        }
        let rows = self.hits.iter().map(|hit| {
            let name = hit.name.clone().unwrap_or_else(|| format!("answer {}", hit.answer_id));
            let mut row = vec![
                hit.rank.to_string(),
                format!("{:.4}", hit.score),
                format!("{} ({:.4})", hit.cosine_rank, hit.cosine_score),
            ];
            if screen.is_terminal() {
                row.push(format!("{name}\n{}\n ", hit.text.trim_end()));
            } else {
                row.extend([name, hit.text.clone()]);
            }
            row
        });
        let header: &[_] = match screen.is_terminal() {
            true => &["rank", "score", "cosine rank", "answer"],
            false => &["rank", "score", "cosine rank", "answer", "text"],
        };
        text += &screen.table(header, rows);
        if let Some(log_id) = self.log_id {
            text += &format!("logged as {log_id}\n");
        }
        text
    }
}

impl Found {
    /// The largest weights as bars, relative to the first.
    fn render_weights(&self, screen: &Screen) -> String {
        let mut weights: Vec<&Weight> = self.weights.iter().collect();
        weights.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.cluster_id.cmp(&b.cluster_id)));
        let (shown, others) = weights.split_at(weights.len().min(SHOWN_WEIGHTS));
        let top = shown.first().map_or(1.0, |weight| f64::from(weight.weight));
        let mut text = heading("routing weights");
        for weight in shown {
            let name = weight.name.clone();
            let name = name.unwrap_or_else(|| format!("cluster {}", weight.cluster_id));
            let share = f64::from(weight.weight);
            let name = screen.clean(&name);
            text += &format!("{:6.2} %  {}  {name}\n", share * 100.0, bar(share / top));
        }
        let rest: f64 = others.iter().map(|weight| f64::from(weight.weight)).sum();
        match others.len() {
            0 => {}
            1 => text += &format!("{:6.2} %  in 1 other\n", rest * 100.0),
            n => text += &format!("{:6.2} %  shared by {n} others\n", rest * 100.0),
        }
        text + "\n"
    }
}
