//! `projection train`: a model from the vectors of a store.

mod report;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use projection_engine::{TrainReport, TrainRequest, add_feedback, train};
use projection_store::Store;
use projection_train::{self as training, Progress, TrainingOptions, Tuning};

use super::resources::Resources;
use super::temperature;
use crate::failure::Failure;
use crate::output::steps;
use report::Trained;

/// Train a projection and print its id
///
/// The texts must have been embedded. The first line of the output is `projection ID`; older
/// projections stay as they are. The new one becomes the active one, which answers by default,
/// unless cross-validation finds it worse than the active one, see `projection models`. By default kind, terms and parameters are chosen by
/// cross-validation, which nearly always ends with a residual projection. A model that finds
/// fewer answers than plain cosine there is not stored.
///
/// Programs that know only multi-head projections use a residual one as such, and answer
/// differently: what they will find is in the columns `recall_at_1` and `mrr` of the database.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection train lda.db
  projection train lda.db --method multi-head --temperature 0.05 --name faq --force
  projection train lda.db --with-feedback --model-dir models/all-MiniLM-L6-v2")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Kind of model
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    method: Method,

    /// Choose parameters by cross-validation [default: with --method auto]
    #[arg(long)]
    tune: bool,

    /// Train the query side only: leave answers where they are, for an index outside of this store
    /// that holds the answers' own vectors
    #[arg(long)]
    query_only: bool,

    /// Share of the questions to be expected whose answer has no training questions, 0 to 1
    /// [default: 0.5 where there are such answers, else 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    unseen: Option<f64>,

    /// Seed: the same one gives the same model
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Store the model even where its validation is below plain cosine, and embed feedback even
    /// with another embedding model than the store's
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
    /// The best in a cross-validation; residual unless another is clearly better
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

impl Args {
    /// Trains on `store` as by default.
    pub fn of(store: &Path) -> Self {
        Self {
            store: store.to_path_buf(),
            method: Method::Auto,
            tune: false,
            query_only: false,
            unseen: None,
            seed: 0,
            force: false,
            temperature: 0.1,
            name: None,
            model_name: None,
            with_feedback: false,
            model_dir: None,
        }
    }

    fn options(&self) -> TrainingOptions {
        TrainingOptions {
            method: match self.method {
                Method::Auto => training::Method::Auto,
                Method::Residual => training::Method::Residual,
                Method::MultiHead => training::Method::MultiHead,
                Method::Linear => training::Method::Lda,
                Method::Ridge => training::Method::Ridge,
            },
            tune: self.tune,
            query_only: self.query_only,
            temperature: self.temperature,
            tuning: Tuning { unseen: self.unseen, seed: self.seed, ..Tuning::default() },
        }
    }
}

pub fn run(args: &Args) -> Result<Trained, Failure> {
    let resources = Resources::start();
    let mut store = Store::open(&args.store)?;
    let bar = steps("training");
    let mut progress = |progress| {
        show(&bar, progress);
        ControlFlow::Continue(())
    };
    let model_name = args.model_name.as_deref();
    let feedback_questions = match &args.model_dir {
        Some(dir) => Some(add_feedback(&mut store, model_name, dir, args.force, &mut progress)?),
        None => None,
    };
    let request = TrainRequest {
        options: args.options(),
        force: args.force,
        name: args.name.clone(),
        model_name: args.model_name.clone(),
    };
    let trained = train(&mut store, &request, &mut progress);
    bar.finish_and_clear();
    let report = TrainReport { feedback_questions, ..trained? };
    Ok(Trained { report, resources: resources.finish() })
}

fn show(bar: &indicatif::ProgressBar, progress: Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    bar.set_message(match progress.loss {
        Some(loss) => format!("{}, loss {loss:.4}", progress.stage),
        None => progress.stage.to_string(),
    });
}
