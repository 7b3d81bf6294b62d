//! `projection index`: an approximate index of a projection's many heads or training questions.

use std::path::PathBuf;

use projection_core::kernel::progress::ignore_progress;
use projection_core::projection::IndexStats;
use projection_store::Store;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen};

/// Build an approximate index of a projection's heads or training questions
///
/// With 16,384 or more of them, the index finds the nearest without comparing a query with each.
/// It may miss up to 1 % of the true nearest; the recall is measured while the index is built. If
/// it stays below 99 %, or there are fewer heads and questions, no index is stored. Whatever opens
/// the projection from the store uses the index as long as the projection's vectors stay the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection index lda.db
  projection index lda.db --projection 3 --check")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Projection to index [default: the active one, see `projection models`]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Threads to work on [default: as many as the machine has]
    #[arg(long, value_name = "N", conflicts_with = "check")]
    threads: Option<usize>,

    /// Build nothing; report the stored index and fail if it is damaged or of other vectors
    #[arg(long)]
    check: bool,
}

/// The stored index.
#[derive(Debug, Serialize)]
pub struct StoredIndex {
    projection_id: i64,
    /// `None` if no index is stored.
    index: Option<IndexStats>,
}

pub fn run(args: &Args) -> Result<StoredIndex, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let projection_id = store.choose(args.projection)?.id;
    let threads = || std::thread::available_parallelism().map_or(1, usize::from);
    let index = match args.check {
        true => store.check_index(projection_id)?,
        false => {
            let threads = args.threads.unwrap_or_else(threads);
            store.build_index(projection_id, threads, &mut ignore_progress)?
        }
    };
    Ok(StoredIndex { projection_id, index })
}

impl Report for StoredIndex {
    fn render(&self, _: &Screen) -> String {
        let id = self.projection_id;
        match self.index {
            Some(stats) => format!(
                "projection {id}: {} inverted lists, recall {:.1} %, {:.1} % of the vectors read\n",
                stats.lists,
                100.0 * stats.recall,
                100.0 * stats.read
            ),
            None => {
                format!("projection {id}: no index, every query is compared with all vectors\n")
            }
        }
    }
}
