//! `projection batches`: what was imported and how far it got.

use std::collections::HashSet;
use std::path::PathBuf;

use projection_store::{Batch, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen, optional};

/// List what was imported into a store, with status, numbers, times and errors
///
/// Each version of a file is a batch: `embedding` waits for vectors, `completed` is done,
/// `failed` names its error. `importing` for long means that the import was interrupted.
/// `import --retry-failed` tries those again. Times are in UTC.
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
    id: i64,
    file: String,
    sha256: String,
    status: String,
    /// Whether it brought what the store has of the file now.
    current: bool,
    model: Option<String>,
    clusters: Option<usize>,
    questions: Option<usize>,
    created_at: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    error: Option<String>,
}

pub fn run(args: &Args) -> Result<Batches, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let current: HashSet<i64> =
        store.sources()?.into_iter().map(|(_, batch_id)| batch_id).collect();
    let row = |batch: Batch| Row {
        id: batch.batch_id,
        file: batch.source_file,
        sha256: batch.file_hash,
        status: batch.status,
        current: current.contains(&batch.batch_id),
        model: batch.model_name,
        clusters: batch.num_clusters,
        questions: batch.num_questions,
        created_at: batch.created_at,
        started_at: batch.started_at,
        completed_at: batch.completed_at,
        error: batch.error_message,
    };
    let batches = store.batches()?.into_iter().map(row).collect();
    Ok(Batches { store: args.store.display().to_string(), batches })
}

impl Report for Batches {
    fn render(&self, screen: &Screen) -> String {
        if self.batches.is_empty() {
            return "nothing was imported yet\n".to_string();
        }
        let rows = self.batches.iter().map(|batch| {
            vec![
                batch.id.to_string(),
                batch.status.clone(),
                if batch.current { "yes" } else { "no" }.to_string(),
                optional(batch.clusters),
                optional(batch.questions),
                optional(batch.started_at.as_ref()),
                optional(batch.completed_at.as_ref()),
                batch.file.clone(),
                optional(batch.error.as_ref()),
            ]
        });
        let header = [
            "batch",
            "status",
            "current",
            "clusters",
            "questions",
            "started",
            "ended",
            "file",
            "error",
        ];
        screen.table(&header, rows)
    }
}
