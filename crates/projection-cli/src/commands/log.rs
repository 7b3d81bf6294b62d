//! `projection log`: logged queries and what users said of the answers.

use std::path::PathBuf;

use projection_store::{Feedback, LoggedQuery, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen, optional};

/// Show the query log, or record whether an answer helped
///
/// Only `projection query --log` logs queries. A helpful query becomes a training question of its
/// answer with the next `projection train --with-feedback`. Later feedback replaces earlier
/// feedback. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection log lda.db --limit 50
  projection log lda.db --helpful 7
  projection log lda.db --helpful 7 --answer 12
  projection log lda.db --unhelpful 8")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Number of queries, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Log id of a query that was answered well
    #[arg(long, value_name = "ID", conflicts_with_all = ["unhelpful", "limit"])]
    helpful: Option<i64>,

    /// Id of the answer that was right [default: the best that was found]
    #[arg(long, value_name = "ANSWER_ID", requires = "helpful")]
    answer: Option<i64>,

    /// Log id of a query that was not answered well
    #[arg(long, value_name = "ID", conflicts_with = "limit")]
    unhelpful: Option<i64>,
}

/// The queries, the newest first; after feedback, the one that it is about.
#[derive(Debug, Serialize)]
pub struct Log {
    store: String,
    queries: Vec<Query>,
}

#[derive(Debug, Serialize)]
struct Query {
    #[serde(flatten)]
    logged: LoggedQuery,
    /// The embedding model.
    model: Option<String>,
}

pub fn run(args: &Args) -> Result<Log, Failure> {
    let feedback = match (args.helpful, args.unhelpful) {
        (Some(log_id), _) => Some((log_id, Feedback::Helpful(args.answer))),
        (None, Some(log_id)) => Some((log_id, Feedback::Unhelpful)),
        (None, None) => None,
    };
    let (store, queries) = match feedback {
        Some((log_id, feedback)) => {
            let mut store = Store::open(&args.store)?;
            let query = store.record_feedback(log_id, feedback)?;
            (store, vec![query])
        }
        None => {
            let store = Store::open_read_only(&args.store)?;
            let queries = store.query_log(args.limit)?;
            (store, queries)
        }
    };
    let models = store.embedding_models()?;
    let name = |id: i64| models.iter().find(|model| model.model_id == id).map(|m| m.name.clone());
    let describe = |logged: LoggedQuery| Query { model: logged.model_id.and_then(name), logged };
    Ok(Log {
        store: args.store.display().to_string(),
        queries: queries.into_iter().map(describe).collect(),
    })
}

impl Report for Log {
    fn render(&self, screen: &Screen) -> String {
        if self.queries.is_empty() {
            return "no queries were logged; `projection query --log` logs them\n".to_string();
        }
        let rows = self.queries.iter().map(|Query { logged, .. }| {
            let answers: Vec<String> = logged.results.iter().map(i64::to_string).collect();
            let feedback = match (logged.was_helpful, logged.selected_answer_id) {
                (Some(true), Some(answer_id)) => format!("helpful, answer {answer_id}"),
                (Some(true), None) => "helpful".to_string(),
                (Some(false), _) => "unhelpful".to_string(),
                (None, _) => "-".to_string(),
            };
            vec![
                logged.log_id.to_string(),
                optional(logged.created_at.as_ref()),
                optional(logged.projection_id),
                answers.join(" "),
                feedback,
                logged.query_text.clone(),
            ]
        });
        screen.table(&["log id", "asked", "projection", "answers", "feedback", "query"], rows)
    }
}
