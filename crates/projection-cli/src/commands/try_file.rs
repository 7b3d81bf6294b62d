//! `projection try`: from question–answer files to a measured projection, in one command.

use std::ops::ControlFlow;
use std::path::PathBuf;

use projection_core::{Error, ErrorKind};
use projection_embed::Embedder;
use projection_engine::{EvaluateRequest, evaluate};
use projection_train::Progress;
use projection_train::evaluation::{Evaluation, EvaluationReport, Method, ProtocolResult};
use serde::Serialize;

use super::evaluate::title;
use super::files::FileArgs;
use super::{embed, import, train};
use crate::failure::Failure;
use crate::output::{Report, Screen, count, heading, note, progress};

/// Questions that are shown with what became of them.
const GAINED: usize = 3;
const LOST: usize = 1;

/// Characters of an answer that are shown.
const SHOWN: usize = 100;

/// Find out in one command what a projection does for your questions
///
/// Imports the files into a new store, embeds the texts, trains a projection, and measures it on
/// questions that are left out in turn, beside cosine, BM25 and the nearest training question.
/// Shows questions that it answers now and one that it does not answer any more. Keeps the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  projection try faq.json --model-dir models/all-MiniLM-L6-v2")]
pub struct Args {
    /// Question–answer files, or folders of them, as for `projection import`
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// Folder of a sentence-transformers model
    #[arg(long, value_name = "DIR")]
    model_dir: PathBuf,

    /// The store's database
    #[arg(long, value_name = "STORE.db", default_value = "lda.db")]
    store: PathBuf,

    #[command(flatten)]
    reading: FileArgs,
}

/// What was found out.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// The projection's id; null if none was stored.
    projection: Option<i64>,
    evaluation: EvaluationReport,
    gained: Vec<Example>,
    lost: Vec<Example>,
    /// Why no projection was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip)]
    model_dir: PathBuf,
}

/// A question that one of cosine and projection answers.
#[derive(Debug, Serialize)]
struct Example {
    question: String,
    right_answer: String,
    wrong_answer: String,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Tried, Failure> {
    if args.store.exists() {
        return Err(Failure::Usage(format!(
            "--store: {} exists already, expected the name of a new store; to go on with that one, \
             see `projection train` and `projection evaluate`",
            args.store.display()
        )));
    }
    // Told before anything is stored.
    Embedder::load(&args.model_dir)?;
    let imported = import::run(&import::Args::of(&args.store, &args.files, &args.reading), screen)?;
    if !imported.succeeded() {
        // Each file's error has been printed.
        let what = "not all files could be imported, so there is nothing to measure yet";
        return Err(Error::new(ErrorKind::InvalidInput, what).into());
    }
    embed::run(&embed::Args::of(&args.store, &args.model_dir), screen)?;
    let (projection, refused) = match train::run(&train::Args::of(&args.store)) {
        Ok(trained) => (Some(trained.report.id), None),
        Err(Failure::Engine(error)) if error.kind() == ErrorKind::InvalidModel => {
            (None, Some(error.to_string()))
        }
        Err(failure) => return Err(failure),
    };
    let bar = progress("measuring", 0);
    let mut show = |progress: Progress| {
        bar.set_length(progress.steps as u64);
        bar.set_position(progress.step as u64);
        ControlFlow::Continue(())
    };
    let (found, evaluation) = evaluate(&args.store, &EvaluateRequest::default(), &mut show)?;
    bar.finish_and_clear();
    let (gained, lost) = examples(&found);
    let model_dir = args.model_dir.clone();
    Ok(Tried { projection, evaluation, gained, lost, refused, model_dir })
}

/// Questions that only the projection answers, and questions that only cosine answers.
fn examples(evaluation: &Evaluation) -> (Vec<Example>, Vec<Example>) {
    let Some(protocol) = evaluation.protocols.first() else { return Default::default() };
    let Some(own) = protocol.result(Method::Candidate(0)) else { return Default::default() };
    let (gained, lost) = protocol.gained_and_lost(own);
    let list = |numbers: &[usize], wrong: &[Option<usize>], most: usize| {
        let examples = numbers
            .iter()
            .filter_map(|number| example(evaluation, protocol, *number, wrong[*number]?));
        examples.take(most).collect()
    };
    (list(&gained, &protocol.cosine().found.first, GAINED), list(&lost, &own.found.first, LOST))
}

/// `None` if a text is not known.
fn example(
    evaluation: &Evaluation,
    protocol: &ProtocolResult,
    number: usize,
    wrong: usize,
) -> Option<Example> {
    let answer = |row: usize| evaluation.corpus.text(row).map(str::to_string);
    Some(Example {
        question: protocol.queries.text(number)?.to_string(),
        right_answer: answer(protocol.queries.answer(number))?,
        wrong_answer: answer(wrong)?,
    })
}

impl Report for Tried {
    fn render(&self, screen: &Screen) -> String {
        let mut text = String::new();
        for protocol in &self.evaluation.protocols {
            text += &heading(title(protocol));
            let rows = protocol.methods.iter().map(|method| {
                let all = &method.all;
                vec![
                    method.method.clone(),
                    all.recall_at_1.percent(),
                    all.mrr_at_10.number(),
                    all.gained.to_string(),
                    all.lost.to_string(),
                ]
            });
            let header = ["method", "recall@1 %", "MRR@10", "gained", "lost"];
            text += &format!(
                "{}\n{}\n",
                count(protocol.questions, "question"),
                screen.table(&header, rows)
            );
        }
        text += "In brackets: 95 % intervals. gained, lost: questions that only the method, or only \
                 cosine, answers first.\n";
        for (title, examples) in [
            ("answered now, not by cosine", &self.gained),
            ("answered by cosine, not any more", &self.lost),
        ] {
            for example in examples {
                text += &format!("\n{}", heading(title));
                for (what, value) in [
                    ("question", &example.question),
                    ("right", &example.right_answer),
                    ("first was", &example.wrong_answer),
                ] {
                    text += &format!("{what:9} {}\n", shorten(&screen.clean(value)));
                }
            }
        }
        for message in self.evaluation.notes.iter().chain(&self.evaluation.warnings) {
            text += &note(&screen.clean(message));
        }
        if let Some(refused) = &self.refused {
            text += &note(&format!("no projection was stored: {}", screen.clean(refused)));
        }
        let (store, dir) = (&self.evaluation.store, self.model_dir.display());
        text + &format!("\nnext: projection query {store} \"…\" --model-dir {dir}\n")
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_string(),
    }
}
