//! `projection train`: a model from the vectors of a store.

use std::path::PathBuf;

use clap::ValueEnum;
use projection_core::store::Store;
use projection_core::train::{
    Progress, ResidualTraining, TrainReport, TrainRequest, Validated, train,
};
use projection_embed::add_feedback;

use super::temperature;
use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, steps};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

impl From<Method> for projection_core::train::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Auto => Self::Auto,
            Method::Residual => Self::Residual,
            Method::MultiHead => Self::MultiHead,
            Method::Linear => Self::Linear,
            Method::Ridge => Self::Ridge,
        }
    }
}

pub fn run(args: &Args) -> Result<TrainReport, Failure> {
    let mut store = Store::open(&args.store)?;
    let bar = steps("training");
    let mut progress = |progress| show(&bar, progress);
    let model_name = args.model_name.as_deref();
    let feedback_questions = match &args.model_dir {
        Some(dir) => Some(add_feedback(&mut store, model_name, dir, &mut progress)?),
        None => None,
    };
    let request = TrainRequest {
        method: args.method.into(),
        tune: args.tune,
        unheaded: args.unheaded,
        seed: args.seed,
        force: args.force,
        temperature: args.temperature,
        name: args.name.clone(),
        model_name: args.model_name.clone(),
    };
    let trained = train(&mut store, &request, &mut progress);
    bar.finish_and_clear();
    Ok(TrainReport { feedback_questions, ..trained? })
}

fn show(bar: &indicatif::ProgressBar, progress: Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    bar.set_message(match progress.loss {
        Some(loss) => format!("{}, loss {loss:.4}", progress.stage),
        None => progress.stage.to_string(),
    });
}

/// Cross-validation for people: cosine, the fixed parameters, and the best candidates.
fn validation_table(trained: &TrainReport, screen: &Screen) -> Option<String> {
    let tuned = trained.tuned.as_ref()?;
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

impl Report for TrainReport {
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
        text += &validation_table(self, screen).unwrap_or_default();
        for message in &self.notes {
            text += &note(message);
        }
        text
    }
}
