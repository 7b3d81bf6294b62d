//! `projection import`: question–answer files into a store.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use projection_store::Store;
use projection_store::import::{
    ImportOptions, ImportOutcome, Imported, ImportedFile, import_paths,
};

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
/// A folder stands for all *.json files in it and below it, except for names that begin with a
/// dot and the store's own folder `embeddings`. Files that were imported from the folder earlier
/// and are missing now are reported; the store keeps their texts.
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

    /// Retry failed and interrupted imports, see `projection batches`
    #[arg(long)]
    retry_failed: bool,

    /// Leave out entries that are wrong instead of refusing their whole file, and name them
    #[arg(long)]
    skip_invalid: bool,
}

impl Args {
    /// Imports `files` into `store`.
    pub fn of(store: &Path, files: &[PathBuf]) -> Self {
        let (store, files) = (store.to_path_buf(), files.to_vec());
        Self { store, files, retry_failed: false, skip_invalid: false }
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
    let options =
        ImportOptions { retry_failed: args.retry_failed, skip_invalid: args.skip_invalid };
    let imported = import_paths(&mut store, &args.files, options, &mut show);
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
