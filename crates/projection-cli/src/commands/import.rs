//! `projection import`: question–answer files into a store.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use projection_store::Store;
use projection_store::import::{
    ImportOptions, ImportOutcome, Imported, ImportedFile, import_paths,
};

use super::files::FileArgs;
use crate::failure::{Failure, print_error, warn};
use crate::output::{Report, Screen, count, note, progress};

/// Import question–answer files into a store
///
/// Creates the store if it does not exist. Unchanged files are skipped, even if moved or copied. A
/// changed file replaces its earlier import; texts that are still present keep their ids and
/// embeddings. A file that can't be imported does not stop the others; all that is wrong with it is
/// listed. Fields of an entry that are not known, such as `url`, are kept as metadata of its
/// answers, see `query --json`.
///
/// Formats: JSON in our own shapes; JSON as a list of objects or an object a line (JSONL); SQuAD,
/// whose answers are whole paragraphs; CSV and TSV with a header; BEIR folders with corpus.jsonl,
/// queries.jsonl and qrels. Each may be compressed with gzip, and in UTF-8 or UTF-16; a compressed
/// file may hold 64 MiB, or a hundred times its own size. `-` is standard input, which replaces
/// what was read from it before.
///
/// Rows with the same answer, or the same id of it, are one answer with several questions; rows
/// without a question are answers without one. If a question has several answers, all of them are
/// right. Other columns are kept as metadata of the answers.
///
/// A folder stands for all such files in it and below it, except for names that begin with a
/// dot and the store's own folder `embeddings`. Files that were imported from the folder earlier
/// and are missing now are reported; the store keeps their texts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection import lda.db faq.json guide.json
  projection import lda.db questions/
  projection import lda.db support.csv --question-column Subject --answer-column Reply
  projection import lda.db beir/scifact --split train
  zcat faq.jsonl.gz | projection import lda.db -
  projection import lda.db --retry-failed")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Question–answer files, or folders of them
    #[arg(value_name = "FILE|DIR", required_unless_present = "retry_failed")]
    files: Vec<PathBuf>,

    /// Retry failed and interrupted imports, see `projection batches`
    #[arg(long)]
    retry_failed: bool,

    /// Leave out entries that are wrong instead of refusing their whole file, and name them
    #[arg(long)]
    skip_invalid: bool,

    #[command(flatten)]
    reading: FileArgs,
}

impl Args {
    /// Imports `files`, which are read as `reading` says, into `store`.
    pub fn of(store: &Path, files: &[PathBuf], reading: &FileArgs) -> Self {
        let (store, files) = (store.to_path_buf(), files.to_vec());
        let reading = reading.clone();
        Self { store, files, retry_failed: false, skip_invalid: false, reading }
    }
}

pub fn run(args: &Args, screen: &Screen) -> Result<Imported, Failure> {
    let mut store = match args.files.is_empty() {
        true => Store::open(&args.store)?,
        false => Store::open_or_create(&args.store)?,
    };
    warn(&store, screen.json)?;
    let bar = progress("importing", 0);
    let mut show = |done: usize, total: usize, file: Option<&ImportedFile>| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        if let Some(error) = file.and_then(|file| file.error.as_ref()) {
            bar.suspend(|| print_error(&error.kind, &error.message, screen.json));
        }
        ControlFlow::Continue(())
    };
    let options = ImportOptions {
        retry_failed: args.retry_failed,
        skip_invalid: args.skip_invalid,
        files: args.reading.options(),
    };
    let imported = import_paths(&mut store, &args.files, &options, &mut show);
    store.close_or_discard();
    bar.finish_and_clear();
    Ok(imported?)
}

impl Report for Imported {
    fn render(&self, screen: &Screen) -> String {
        if self.files.is_empty() {
            return "nothing to import\n".to_string();
        }
        let rows = self.files.iter().map(|file| {
            let report = &file.report;
            let read = matches!(report.outcome, ImportOutcome::Imported | ImportOutcome::Replaced);
            let number = |n: usize| if read { n.to_string() } else { "-".to_string() };
            vec![
                file.file.clone(),
                report.outcome.to_string(),
                number(report.clusters),
                number(report.answers),
                number(report.questions),
                number(report.removed),
            ]
        });
        let header = ["file", "outcome", "clusters", "answers", "questions", "removed"];
        let mut text = screen.table(&header, rows);
        let failed = self.files.iter().filter(|file| file.error.is_some()).count();
        if failed > 0 {
            text += &format!("{} of {} failed\n", failed, count(self.files.len(), "file"));
        }
        for ImportedFile { file, report, .. } in &self.files {
            for warning in &report.warnings {
                text += &note(&screen.clean(&format!("{file}: {warning}")));
            }
        }
        let is_missing = |file: &&ImportedFile| file.report.outcome == ImportOutcome::Missing;
        let missing = self.files.iter().filter(is_missing).count();
        if missing > 0 {
            text += &note(&format!(
                "{} missing; the store keeps their texts",
                count(missing, "imported file")
            ));
        }
        text
    }

    fn succeeded(&self) -> bool {
        self.files.iter().all(|file| file.error.is_none())
    }
}
