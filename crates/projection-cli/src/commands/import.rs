//! `projection import`: question–answer files into a store.

use std::path::{Path, PathBuf};

use projection_core::Error;
use projection_core::import::{
    ImportOutcome, ImportReport, import_file, question_answer_files, retry_batch,
};
use projection_core::store::Store;
use serde::Serialize;

use crate::failure::{ErrorReport, Failure, kind_name, print_error};
use crate::output::{Report, Screen, count, note, progress};

/// Import question–answer files into a store
///
/// The store is made where there is none. A file whose content is known is skipped; a
/// changed one replaces what it brought before, and texts that it still has keep their ids
/// and vectors. A file that can't be imported does not keep the others from it.
///
/// Of a folder all *.json files are taken, also those in folders below it. Names that begin
/// with a dot and the store's own folder `embeddings` are left out. Files that were imported
/// from the folder and are gone are reported; the store keeps what they brought.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection import lda.db faq.json guide.json
  projection import lda.db questions/
  projection import lda.db --retry-failed")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Question–answer files, JSON, or folders of them
    #[arg(value_name = "FILE.json|DIR", required_unless_present = "retry_failed")]
    files: Vec<PathBuf>,

    /// Try again what failed or was interrupted, see `projection batches`
    #[arg(long)]
    retry_failed: bool,
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
    /// `imported`, `replaced`, `unchanged`, `failed`, or `missing` where the folder had the
    /// file before.
    outcome: &'static str,
    clusters: usize,
    answers: usize,
    questions: usize,
    removed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Imported, Failure> {
    let mut store = match args.files.is_empty() {
        true => Store::open(&args.store)?,
        false => Store::open_or_create(&args.store)?,
    };
    // Listed before anything is imported: what fails now is not tried twice.
    let failed = if args.retry_failed { store.failed_batches()? } else { Vec::new() };
    let bar = progress("importing", failed.len() + args.files.len());
    let mut import = Import { files: Vec::new(), screen };
    for batch in &failed {
        let retried = retry_batch(&mut store, batch)?;
        bar.suspend(|| import.add(&retried.file, retried.result));
        bar.inc(1);
    }
    for path in &args.files {
        if path.is_dir() {
            match question_answer_files(&store, path) {
                Ok(folder) => {
                    bar.inc_length(folder.files.len() as u64);
                    for file in &folder.files {
                        let result = import_file(&mut store, file);
                        bar.suspend(|| import.add(file, result));
                        bar.inc(1);
                    }
                    let missing = folder.missing.iter();
                    import.files.extend(missing.map(|file| File::without(file, "missing", None)));
                }
                Err(error) => bar.suspend(|| import.add(path, Err(error))),
            }
        } else {
            let result = import_file(&mut store, path);
            bar.suspend(|| import.add(path, result));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Imported { store: args.store.display().to_string(), files: import.files })
}

/// The files so far.
struct Import<'a> {
    files: Vec<File>,
    screen: &'a Screen,
}

impl Import<'_> {
    fn add(&mut self, file: &Path, result: Result<ImportReport, Error>) {
        self.files.push(match result {
            Ok(report) => File::imported(file, &report),
            Err(error) => {
                print_error(&kind_name(error.kind()), &error, self.screen.json);
                File::without(file, "failed", Some((&error).into()))
            }
        });
    }
}

pub fn outcome_name(outcome: ImportOutcome) -> &'static str {
    match outcome {
        ImportOutcome::Imported => "imported",
        ImportOutcome::Replaced => "replaced",
        ImportOutcome::Unchanged => "unchanged",
    }
}

impl File {
    fn imported(file: &Path, report: &ImportReport) -> Self {
        Self {
            file: file.display().to_string(),
            outcome: outcome_name(report.outcome),
            clusters: report.clusters,
            answers: report.answers,
            questions: report.questions,
            removed: report.removed,
            error: None,
        }
    }

    /// A file that brought nothing.
    fn without(file: &Path, outcome: &'static str, error: Option<ErrorReport>) -> Self {
        Self {
            file: file.display().to_string(),
            outcome,
            clusters: 0,
            answers: 0,
            questions: 0,
            removed: 0,
            error,
        }
    }
}

impl Report for Imported {
    fn render(&self, screen: &Screen) -> String {
        if self.files.is_empty() {
            return "nothing to import\n".to_string();
        }
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
        let missing = self.files.iter().filter(|file| file.outcome == "missing").count();
        if missing > 0 {
            text += &note(&format!(
                "{} gone; the store keeps what they brought",
                count(missing, "imported file")
            ));
        }
        text
    }

    fn succeeded(&self) -> bool {
        self.files.iter().all(|file| file.error.is_none())
    }
}
