//! `projection import`: question–answer files into a store.

use std::path::PathBuf;

use projection_core::import::{ImportOutcome, ImportReport, import_file};
use projection_core::store::Store;
use serde::Serialize;

use crate::failure::{ErrorReport, Failure, kind_name, print_error};
use crate::output::{Report, Screen, count, progress};

/// Import question–answer files into a store
///
/// The store is made where there is none. A file whose content is known is skipped; a
/// changed one replaces what it brought before, and texts that it still has keep their ids
/// and vectors. A file that can't be imported does not keep the others from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  projection import lda.db faq.json guide.json")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Question–answer files, JSON
    #[arg(value_name = "FILE.json", required = true)]
    files: Vec<PathBuf>,
}

/// What became of every file.
#[derive(Debug, Serialize)]
pub struct Imported {
    store: String,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    /// `imported`, `replaced`, `unchanged` or `failed`.
    outcome: &'static str,
    clusters: usize,
    answers: usize,
    questions: usize,
    removed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Imported, Failure> {
    let mut store = Store::open_or_create(&args.store)?;
    let bar = progress("importing", args.files.len());
    let mut files = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let file = path.display().to_string();
        files.push(match import_file(&mut store, path) {
            Ok(report) => File::imported(file, &report),
            Err(error) => {
                bar.suspend(|| print_error(&kind_name(error.kind()), &error, screen.json));
                File::failed(file, (&error).into())
            }
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Imported { store: args.store.display().to_string(), files })
}

impl File {
    fn imported(file: String, report: &ImportReport) -> Self {
        Self {
            file,
            outcome: match report.outcome {
                ImportOutcome::Imported => "imported",
                ImportOutcome::Replaced => "replaced",
                ImportOutcome::Unchanged => "unchanged",
            },
            clusters: report.clusters,
            answers: report.answers,
            questions: report.questions,
            removed: report.removed,
            error: None,
        }
    }

    fn failed(file: String, error: ErrorReport) -> Self {
        Self {
            file,
            outcome: "failed",
            clusters: 0,
            answers: 0,
            questions: 0,
            removed: 0,
            error: Some(error),
        }
    }
}

impl Report for Imported {
    fn render(&self, screen: &Screen) -> String {
        let rows = self.files.iter().map(|file| {
            let read = matches!(file.outcome, "imported" | "replaced");
            let number = |n: usize| if read { n.to_string() } else { "-".to_string() };
            vec![
                file.file.clone(),
                file.outcome.to_string(),
                number(file.clusters),
                number(file.answers),
                number(file.questions),
                number(file.removed),
            ]
        });
        let header = ["file", "outcome", "clusters", "answers", "questions", "removed"];
        let mut text = screen.table(&header, rows);
        let failed = self.files.iter().filter(|file| file.error.is_some()).count();
        if failed > 0 {
            text += &format!("{} of {} failed\n", failed, count(self.files.len(), "file"));
        }
        text
    }

    fn succeeded(&self) -> bool {
        self.files.iter().all(|file| file.error.is_none())
    }
}
