//! `projection batches`: what was imported and how far it got.

use std::collections::HashSet;
use std::path::PathBuf;

use projection_store::{Batch, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen, optional};

/// List imports with status, counts, times and errors
///
/// Each version of a file is a batch: `embedding` waits for embeddings, `completed` is done,
/// `failed` has an error. A batch that stays `importing` was interrupted. `import --retry-failed`
/// retries failed and interrupted batches. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection batches lda.db
  projection import lda.db --retry-failed")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,
}

/// The batches in ascending order of id.
#[derive(Debug, Serialize)]
pub struct Batches {
    store: String,
    batches: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    batch: Batch,
    /// Whether the store's present version of the file came with this batch.
    current: bool,
}

pub fn run(args: &Args) -> Result<Batches, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let current: HashSet<i64> = store.sources()?.into_iter().map(|(_, id)| id).collect();
    let row = |batch: Batch| Row { current: current.contains(&batch.batch_id), batch };
    let batches = store.batches()?.into_iter().map(row).collect();
    Ok(Batches { store: args.store.display().to_string(), batches })
}

impl Report for Batches {
    fn render(&self, screen: &Screen) -> String {
        if self.batches.is_empty() {
            return "nothing was imported yet\n".to_string();
        }
        let rows = self.batches.iter().map(|Row { batch, current }| {
            vec![
                batch.batch_id.to_string(),
                batch.status.clone(),
                if *current { "yes" } else { "no" }.to_string(),
                optional(batch.num_clusters),
                optional(batch.num_questions),
                optional(batch.started_at.as_ref()),
                optional(batch.completed_at.as_ref()),
                batch.source_file.clone(),
                optional(batch.error_message.as_ref()),
            ]
        });
        let header = "batch status current clusters questions started ended file error";
        screen.table(&header.split(' ').collect::<Vec<_>>(), rows)
    }
}
