//! `projection evaluate`: how good the store's projections are, beside other methods.

mod charts;
mod page;
mod report;

pub use report::title;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::ArgGroup;
use clap::builder::RangedU64ValueParser;
use projection_core::atomic;
use projection_core::projection::Precision;
use projection_engine::{EvaluateRequest, TestQuestions, evaluate};
use projection_train::Progress;
use projection_train::evaluation::EvaluationReport;

use super::files::FileArgs;
use super::precision;
use crate::failure::Failure;
use crate::output::progress;

/// Measure projections beside cosine, BM25 and the nearest training question
///
/// With test questions, the stored projections are asked these. Without, the store is
/// cross-validated: questions, and then answers with all their questions, are left out in
/// turn, and every method is trained again on the others, a projection with the parameters
/// of the stored one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  projection evaluate lda.db\n  projection evaluate lda.db \
                        --test held_aside.json --model-dir models/all-MiniLM-L6-v2 --html report.html\n  \
                        projection evaluate lda.db --projection 2 --precision bf16 int8")]
#[command(group(ArgGroup::new("questions").args(["test", "test_questions"])))]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Projections to measure [default: the active one, see `projection models`]
    #[arg(long, value_name = "ID", num_args = 1..)]
    projection: Vec<i64>,

    /// Models in files of their own, .safetensors or a transformer's .pt, to measure beside them
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "questions")]
    model: Vec<PathBuf>,

    /// Measure multi-head projections in bf16 or int8 too, beside what they are in f32
    #[arg(long, value_name = "P", num_args = 1.., value_parser = precision)]
    precision: Vec<Precision>,

    /// File of test questions, in any format that `projection import` reads, or BEIR folder. The
    /// store has their answers
    #[arg(long, value_name = "FILE", requires = "model_dir",
          conflicts_with_all = ["test_questions", "test_labels"])]
    test: Option<PathBuf>,

    /// Folder of the sentence-transformers model that the store was embedded with
    #[arg(long, value_name = "DIR", requires = "test")]
    model_dir: Option<PathBuf>,

    /// Use this embedding model even if it is not the one that the store was embedded with
    #[arg(long, requires = "model_dir")]
    force: bool,

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

    #[command(flatten)]
    reading: FileArgs,
}

pub fn run(args: &Args) -> Result<EvaluationReport, Failure> {
    let test = match (&args.test, &args.model_dir, &args.test_questions, &args.test_labels) {
        (Some(file), Some(dir), ..) => {
            let (file, model_dir) = (file.clone(), dir.clone());
            Some(TestQuestions::File { file, options: args.reading.options(), model_dir })
        }
        (_, _, Some(questions), Some(labels)) => {
            Some(TestQuestions::Vectors { questions: questions.clone(), labels: labels.clone() })
        }
        _ => None,
    };
    let request = EvaluateRequest {
        projections: args.projection.clone(),
        test,
        model_name: args.model_name.clone(),
        models: args.model.clone(),
        precisions: args.precision.clone(),
        folds: args.folds,
        seed: args.seed,
        sweeps: args.details || args.html.is_some(),
        details: args.details,
        force: args.force,
    };
    let bar = progress("evaluating", 0);
    let mut show = |progress: Progress| {
        bar.set_message(progress.stage);
        bar.set_length(progress.steps as u64);
        bar.set_position(progress.step as u64);
        ControlFlow::Continue(())
    };
    let (evaluation, mut report) = evaluate(&args.store, &request, &mut show)?;
    bar.finish_and_clear();
    if let Some(path) = &args.html {
        let page = page::page(&evaluation, &report);
        atomic::write(path, |file| file.write_all(page.as_bytes()))?;
        report.html = Some(path.display().to_string());
    }
    Ok(report)
}
