//! `projection embed`: embeddings of the texts of a store.

use std::ops::ControlFlow;
use std::path::PathBuf;

use projection_engine::embed_store_with;
use projection_store::Store;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen, count, progress};

/// Embed every text of a store that has no embedding yet
///
/// Interrupted work is kept: run the same command again to continue.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  projection embed lda.db --model-dir models/all-MiniLM-L6-v2")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Folder of a sentence-transformers model
    #[arg(long, value_name = "DIR")]
    model_dir: PathBuf,

    /// Name of the embedding model in the store [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
}

/// What was embedded.
#[derive(Debug, Serialize)]
pub struct Embedded {
    store: String,
    model: String,
    dimension: usize,
    answers: usize,
    questions: usize,
}

pub fn run(args: &Args) -> Result<Embedded, Failure> {
    let mut store = Store::open(&args.store)?;
    let bar = progress("embedding", 0);
    let name = args.model_name.as_deref();
    let report = embed_store_with(&mut store, &args.model_dir, name, &mut |progress| {
        bar.set_length(progress.steps as u64);
        bar.set_position(progress.step as u64);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    Ok(Embedded {
        store: args.store.display().to_string(),
        model: report.model.name,
        dimension: report.model.dimension,
        answers: report.answers,
        questions: report.questions,
    })
}

impl Report for Embedded {
    fn render(&self, _: &Screen) -> String {
        let by = format!("by {} (dimension {})", self.model, self.dimension);
        if self.answers + self.questions == 0 {
            return format!("nothing to embed, every text has an embedding {by}\n");
        }
        let (answers, questions) =
            (count(self.answers, "answer"), count(self.questions, "question"));
        format!("embedded {answers} and {questions} {by}\n")
    }
}
