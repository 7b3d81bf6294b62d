//! `projection train`: a model from the vectors of a store.

use std::path::PathBuf;

use clap::ValueEnum;
use projection_core::store::{EmbeddingModel, Store};
use projection_core::train::{
    LinearMethod, MultiHeadTraining, Progress, ResidualMethod, ResidualTraining, TrainingData,
    Tuned, Tuning, Validated, store_residual, train_linear_model, train_multi_head,
    train_residual_model,
};
use projection_core::{Error, ErrorKind};
use serde::Serialize;

use super::{feedback, temperature};
use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, spinner, steps};

/// Candidates that are listed for people.
const LISTED: usize = 5;

/// Train a projection and print its id
///
/// The texts must have been embedded. The first line of the output is `projection ID`; older
/// projections stay as they are. By default a residual projection is trained, its terms and
/// parameters chosen by cross-validation; one that finds fewer answers than plain cosine is
/// not stored.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection train lda.db
  projection train lda.db --method multi-head --temperature 0.1 --name faq
  projection train lda.db --with-feedback --model-dir models/all-MiniLM-L6-v2")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Kind of model
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    method: Method,

    /// Choose terms and parameters by cross-validation [default: with --method auto]
    #[arg(long)]
    tune: bool,

    /// Share of the questions to be expected whose answer has no training questions, 0 to 1
    /// [default: 0.5 where there are such answers, else 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    unheaded: Option<f64>,

    /// Seed: the same one gives the same model
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Store the model even where its validation is below plain cosine
    #[arg(long)]
    force: bool,

    /// Softmax temperature of routing or rotation: the lower, the more the nearest decides
    #[arg(long, value_name = "T", default_value_t = 0.1, value_parser = temperature)]
    temperature: f64,

    /// A name for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Text model whose vectors are used [default: the only one that has vectors]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,

    /// Make questions of logged queries with helpful feedback first, see `projection log`
    #[arg(long, requires = "model_dir")]
    with_feedback: bool,

    /// Folder of the sentence-transformers model that embeds these questions
    #[arg(long, value_name = "DIR", requires = "with_feedback")]
    model_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// Residual, tuned by cross-validation
    Auto,
    /// The query, moved by what training learned; fixed parameters unless tuned
    Residual,
    /// One head per cluster of questions
    MultiHead,
    /// One matrix, by linear discriminant analysis
    Linear,
    /// One matrix, by ridge regression drawn to leaving queries as they are
    Ridge,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".to_string()),
    }
}

/// The new model.
#[derive(Debug, Serialize)]
pub struct Trained {
    id: i64,
    method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    heads: usize,
    questions: usize,
    clusters_left_out: usize,
    /// What the model is made of, for kinds that have terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<serde_json::Value>,
    /// What cross-validation measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<serde_json::Value>,
    /// Questions that feedback added; None unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback_questions: Option<usize>,
    #[serde(skip)]
    tuned: Option<Tuned>,
    notes: Vec<String>,
}

pub fn run(args: &Args) -> Result<Trained, Failure> {
    let mut store = Store::open(&args.store)?;
    let feedback_questions = match &args.model_dir {
        Some(dir) => Some(feedback::add(&mut store, args.model_name.as_deref(), dir)?),
        None => None,
    };
    let trained = match args.method {
        Method::MultiHead => multi_head(args, &mut store),
        Method::Linear => linear(args, &mut store, LinearMethod::lda()),
        Method::Ridge => linear(args, &mut store, LinearMethod::RidgeToIdentity { ridge: 1.0 }),
        Method::Auto | Method::Residual => residual(args, &mut store),
    };
    trained.map(|trained| Trained { feedback_questions, ..trained })
}

fn multi_head(args: &Args, store: &mut Store) -> Result<Trained, Failure> {
    let training = MultiHeadTraining {
        model_name: args.model_name.clone(),
        temperature: args.temperature,
        name: args.name.clone(),
    };
    let spinner = spinner("training");
    let trained = train_multi_head(store, &training)?;
    spinner.finish_and_clear();
    Ok(Trained {
        id: trained.id,
        model: trained.model_name,
        temperature: Some(args.temperature),
        heads: trained.heads,
        questions: trained.questions,
        clusters_left_out: trained.clusters_left_out,
        ..Trained::new(args)
    })
}

fn linear(args: &Args, store: &mut Store, method: LinearMethod) -> Result<Trained, Failure> {
    let model = store.embedding_model(args.model_name.as_deref())?;
    let data = TrainingData::from_store(store, &model)?;
    let spinner = spinner("training");
    let id = train_linear_model(store, &model, &model, args.name.as_deref(), method)?;
    spinner.finish_and_clear();
    Ok(Trained { id, ..Trained::of(args, &model, &data) })
}

fn residual(args: &Args, store: &mut Store) -> Result<Trained, Failure> {
    let model = store.embedding_model(args.model_name.as_deref())?;
    let data = TrainingData::from_store(store, &model)?;
    let method = if args.tune || args.method == Method::Auto {
        ResidualMethod::Tuned(Tuning {
            unheaded: args.unheaded,
            seed: args.seed,
            ..Tuning::default()
        })
    } else {
        let mut training = ResidualTraining::fixed(&data);
        training.temperature = args.temperature;
        training.adapter_training.seed = args.seed;
        ResidualMethod::Fixed(training)
    };
    let bar = steps("training");
    let trained = train_residual_model(&data, &method, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let trained = trained?;
    let mut notes = Vec::new();
    match &trained.tuned {
        Some(tuned) if tuned.is_below_cosine() => {
            let (ours, cosine) = (tuned.validated.score, tuned.cosine.score);
            let message = format!(
                "on its validation the model is below plain cosine, MRR@10 {ours:.3} against \
                 {cosine:.3}"
            );
            if !args.force {
                let message = format!("{message}: not stored; --force stores it all the same");
                return Err(Error::new(ErrorKind::InvalidModel, message).into());
            }
            notes.push(message);
        }
        Some(tuned) if tuned.kept_fixed(&data) => {
            notes.push("the validation gave no reason to leave the fixed parameters".into());
        }
        Some(_) => {}
        None if args.method == Method::Auto => {
            notes.push("too few questions to tune, so the parameters are the fixed ones".into());
        }
        None => {}
    }
    let id = store_residual(store, &model, args.name.as_deref(), &trained)?;
    Ok(Trained {
        id,
        temperature: Some(trained.training.temperature),
        terms: Some(trained.training.to_json()),
        validation: trained.tuned.as_ref().map(Tuned::to_json),
        tuned: trained.tuned,
        notes,
        ..Trained::of(args, &model, &data)
    })
}

fn show(bar: &indicatif::ProgressBar, progress: Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    bar.set_message(match progress.loss {
        Some(loss) => format!("{}, loss {loss:.4}", progress.stage),
        None => progress.stage.to_string(),
    });
}

impl Trained {
    fn new(args: &Args) -> Self {
        Self {
            id: 0,
            method: args.method,
            name: args.name.clone(),
            model: String::new(),
            temperature: None,
            heads: 0,
            questions: 0,
            clusters_left_out: 0,
            terms: None,
            validation: None,
            feedback_questions: None,
            tuned: None,
            notes: Vec::new(),
        }
    }

    fn of(args: &Args, model: &EmbeddingModel, data: &TrainingData) -> Self {
        let headed = data.headed().iter().filter(|headed| **headed).count();
        Self {
            model: model.name.clone(),
            heads: headed,
            questions: data.labels().len(),
            clusters_left_out: data.headed().len() - headed,
            ..Self::new(args)
        }
    }

    /// Cross-validation for people: cosine, the fixed parameters, and the best candidates.
    fn validation_table(&self, screen: &Screen) -> Option<String> {
        let tuned = self.tuned.as_ref()?;
        let row = |name: String, v: &Validated| {
            let unheaded = match v.unheaded.questions {
                0 => "-".to_string(),
                _ => format!("{:.3}", v.unheaded.mrr_at_10),
            };
            let recall = format!("{:.1} %", 100.0 * v.headed.recall_at_1);
            vec![
                name,
                format!("{:.3}", v.score),
                format!("{:.3}", v.headed.mrr_at_10),
                unheaded,
                recall,
            ]
        };
        let terms = |t: &ResidualTraining| {
            format!("rotation {} + adapter {} + lift {}", t.rotation, t.adapter, t.lift)
        };
        let mut rows = vec![
            row("plain cosine".into(), &tuned.cosine),
            row("fixed parameters".into(), &tuned.fixed),
            row(format!("chosen: {}", terms(&tuned.training)), &tuned.validated),
        ];
        for tried in tuned.tried.iter().take(LISTED) {
            rows.push(row(format!("tried: {}", terms(&tried.training)), &tried.validated));
        }
        let headed = tuned.validated.headed.questions;
        let unheaded = tuned.validated.unheaded.questions;
        Some(format!(
            "\ncross-validation on {} of answers with and {} of answers without training \
             questions, {} tried\n{}",
            count(headed, "question"),
            count(unheaded, "question"),
            count(tuned.tried.len(), "candidate"),
            screen.table(&["", "MRR@10", "with", "without", "recall@1 with"], rows)
        ))
    }
}

impl Report for Trained {
    fn render(&self, screen: &Screen) -> String {
        let temperature =
            self.temperature.map(|t| format!(", temperature {t}")).unwrap_or_default();
        let mut text = format!(
            "projection {}\n{} from {} by {}{temperature}\n",
            self.id,
            count(self.heads, "head"),
            count(self.questions, "question"),
            self.model,
        );
        if let Some(questions) = self.feedback_questions {
            text += &format!("{} added from feedback\n", count(questions, "question"));
        }
        if self.clusters_left_out > 0 {
            text += &format!(
                "{} without vectors of both questions and answers\n",
                count(self.clusters_left_out, "cluster")
            );
        }
        text += &self.validation_table(screen).unwrap_or_default();
        for message in &self.notes {
            text += &note(message);
        }
        text
    }
}
