//! `projection train`: a model from the vectors of a store.

use std::path::PathBuf;

use clap::ValueEnum;
use projection_core::store::Store;
use projection_core::train::{MultiHeadTraining, train_multi_head};
use serde::Serialize;

use super::temperature;
use crate::failure::Failure;
use crate::output::{Report, Screen, count, spinner};

/// Train a projection and print its id
///
/// The texts must have been embedded. The first line of the output is `projection ID`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  projection train lda.db --temperature 0.1 --name faq")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Kind of model
    #[arg(long, value_enum, default_value_t = Method::MultiHead)]
    method: Method,

    /// Softmax temperature: the lower, the more the nearest cluster decides
    #[arg(long, value_name = "T", default_value_t = 0.1, value_parser = temperature)]
    temperature: f64,

    /// A name for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Text model whose vectors are used [default: the only one that has vectors]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// One head per cluster of questions
    MultiHead,
}

/// The new model.
#[derive(Debug, Serialize)]
pub struct Trained {
    id: i64,
    method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    model: String,
    temperature: f64,
    heads: usize,
    questions: usize,
    clusters_left_out: usize,
}

pub fn run(args: &Args) -> Result<Trained, Failure> {
    let mut store = Store::open(&args.store)?;
    let training = MultiHeadTraining {
        model_name: args.model_name.clone(),
        temperature: args.temperature,
        name: args.name.clone(),
    };
    let spinner = spinner("training");
    let trained = match args.method {
        Method::MultiHead => train_multi_head(&mut store, &training)?,
    };
    spinner.finish_and_clear();
    Ok(Trained {
        id: trained.id,
        method: args.method,
        name: args.name.clone(),
        model: trained.model_name,
        temperature: args.temperature,
        heads: trained.heads,
        questions: trained.questions,
        clusters_left_out: trained.clusters_left_out,
    })
}

impl Report for Trained {
    fn render(&self, _: &Screen) -> String {
        let mut text = format!(
            "projection {}\n{} from {} by {}, temperature {}\n",
            self.id,
            count(self.heads, "head"),
            count(self.questions, "question"),
            self.model,
            self.temperature
        );
        if self.clusters_left_out > 0 {
            text += &format!(
                "{} left out, without vectors of both questions and answers\n",
                count(self.clusters_left_out, "cluster")
            );
        }
        text
    }
}
