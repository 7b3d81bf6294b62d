//! `projection lists`: lists of a projection's many heads or training questions, kept in the
//! store.

use std::path::PathBuf;

use projection_core::projection::IndexStats;
use projection_store::Store;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen};

/// Make lists of a projection's many heads or training questions, and keep them in the store
///
/// With lists, the nearest of 16,384 and more are found without looking at each; in return, up
/// to 1% of the true nearest may be missed, which is measured when they are made. Where that
/// cannot be kept, and for fewer, none are made. Whatever opens the projection from the store
/// then uses them, as long as its vectors stay the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection lists lda.db
  projection lists lda.db --projection 3 --check")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Projection to make lists of [default: the newest of the store]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Threads to work on [default: as many as the machine has]
    #[arg(long, value_name = "N", conflicts_with = "check")]
    threads: Option<usize>,

    /// Make none, but say what is kept, and fail where it is damaged or of other vectors
    #[arg(long)]
    check: bool,
}

/// What is kept.
#[derive(Debug, Serialize)]
pub struct Lists {
    projection_id: i64,
    /// None where there are no lists.
    lists: Option<IndexStats>,
}

pub fn run(args: &Args) -> Result<Lists, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let id = store.choose(args.projection)?.id;
    let threads = || std::thread::available_parallelism().map_or(1, usize::from);
    let lists = match args.check {
        true => store.check_index(id)?,
        false => store.build_index(id, args.threads.unwrap_or_else(threads))?,
    };
    Ok(Lists { projection_id: id, lists })
}

impl Report for Lists {
    fn render(&self, _: &Screen) -> String {
        let id = self.projection_id;
        match self.lists {
            Some(found) => format!(
                "projection {id}: {} lists, which find {:.1}% of the true nearest and read {:.1}% \
                 of all\n",
                found.lists,
                100.0 * found.recall,
                100.0 * found.read
            ),
            None => format!("projection {id}: no lists, all of its vectors are looked at\n"),
        }
    }
}
