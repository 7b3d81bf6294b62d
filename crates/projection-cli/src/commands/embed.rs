//! `projection embed`: embeddings of the texts of a store.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use projection_engine::{EmbedOptions, EmbedReport, embed_store_with};
use projection_store::Store;

use crate::failure::{Failure, warn};
use crate::output::{Report, Screen, count, progress};

/// Embed every text of a store that has no embedding yet
///
/// Interrupted work is kept: run the same command again to continue. Answers that have a title, a
/// column or field "title", are embedded as title and text with a space between them.
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

    /// Embed every text again, for a store whose vectors are wrong
    #[arg(long)]
    again: bool,

    /// Embed even if another embedding model made the vectors that are there
    #[arg(long)]
    force: bool,

    /// Embed the texts of answers without their titles
    #[arg(long)]
    no_titles: bool,
}

impl Args {
    /// Embeds the texts of `store` by the model in `model_dir`.
    pub fn of(store: &Path, model_dir: &Path) -> Self {
        let (store, model_dir) = (store.to_path_buf(), model_dir.to_path_buf());
        Self { store, model_dir, model_name: None, again: false, force: false, no_titles: false }
    }
}

pub fn run(args: &Args, screen: &Screen) -> Result<EmbedReport, Failure> {
    let mut store = Store::open(&args.store)?;
    if !args.again {
        warn(&store, screen.json)?;
    }
    let bar = progress("embedding", 0);
    let name = args.model_name.as_deref();
    let report = embed_store_with(
        &mut store,
        &args.model_dir,
        name,
        args.again,
        EmbedOptions { force: args.force, no_titles: args.no_titles },
        &mut |progress| {
            bar.set_length(progress.steps as u64);
            bar.set_position(progress.step as u64);
            ControlFlow::Continue(())
        },
    )?;
    bar.finish_and_clear();
    Ok(report)
}

impl Report for EmbedReport {
    fn render(&self, _: &Screen) -> String {
        let by = format!("by {} (dimension {})", self.model, self.dimension);
        let (answers, questions) =
            (count(self.answers, "answer"), count(self.questions, "question"));
        let mut text = match self.answers + self.questions {
            0 => format!("nothing to embed, every text has an embedding {by}\n"),
            _ => format!("embedded {answers} and {questions} {by}\n"),
        };
        self.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
        text
    }
}
