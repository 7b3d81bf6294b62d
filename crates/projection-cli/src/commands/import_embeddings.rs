//! `projection import-embeddings`: precomputed embeddings into a store.

use std::path::PathBuf;

use projection_store::Store;
use projection_store::import::{
    ImportOutcome, ImportedEmbeddings, PrecomputedEmbeddings, import_embeddings,
};

use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, spinner};

/// Import precomputed embeddings into a store
///
/// A holds the answers' embeddings (M × d) and Q the questions' (n × d), .npy of float16, float32
/// or float64. L holds n integers: the row of each question's answer in A, from 0, or -1 for none.
/// T is JSON with one text per row, {"answers": […], "questions": […]}; without it, texts are
/// placeholders such as "answer 12".
///
/// Each answer becomes a cluster with its questions. Answers without questions are searchable but
/// not trained on; questions without an answer are kept but not trained on.
///
/// The path of A identifies the import. If no file has changed, it is skipped; otherwise it
/// replaces the earlier import, and texts that are still present keep their ids. The import
/// becomes visible as a whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  projection import-embeddings lda.db --model-name my-model --answers A.npy --questions Q.npy \\
      --labels L.npy --texts T.json
  projection train lda.db --model-name my-model")]
pub struct Args {
    /// The store's database, created if it does not exist
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Name of the embedding model
    #[arg(long, value_name = "NAME")]
    model_name: String,

    /// Embeddings of the answers
    #[arg(long, value_name = "A.npy")]
    answers: PathBuf,

    /// Embeddings of the questions
    #[arg(long, value_name = "Q.npy")]
    questions: PathBuf,

    /// Row of the answer to each question
    #[arg(long, value_name = "L.npy")]
    labels: PathBuf,

    /// The texts of both
    #[arg(long, value_name = "T.json")]
    texts: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ImportedEmbeddings, Failure> {
    if args.model_name.trim().is_empty() {
        return Err(Failure::Usage("--model-name: empty, expected the name of a model".into()));
    }
    let files = PrecomputedEmbeddings {
        model_name: args.model_name.clone(),
        answers: args.answers.clone(),
        questions: args.questions.clone(),
        labels: args.labels.clone(),
        texts: args.texts.clone(),
    };
    let mut store = Store::open_or_create(&args.store)?;
    let spinner = spinner("importing embeddings");
    let brought = import_embeddings(&mut store, &files, &mut || Ok(()));
    store.close_or_discard();
    spinner.finish_and_clear();
    Ok(brought?)
}

impl Report for ImportedEmbeddings {
    fn render(&self, screen: &Screen) -> String {
        if matches!(self.outcome, ImportOutcome::Unchanged | ImportOutcome::Moved) {
            return format!("{}, the store has these embeddings already\n", self.outcome);
        }
        let mut text = format!(
            "{} {} and {} by {} (dimension {})\n",
            self.outcome,
            count(self.answers, "answer"),
            count(self.questions, "question"),
            screen.clean(&self.model),
            self.dimension
        );
        if self.removed > 0 {
            text += &format!("{} of the earlier version removed\n", count(self.removed, "text"));
        }
        if self.answers_without_question > 0 {
            let answers = count(self.answers_without_question, "answer");
            text += &note(&format!("{answers} without a question: searchable but not trained on"));
        }
        if self.questions_without_answer > 0 {
            let questions = count(self.questions_without_answer, "question");
            text += &note(&format!("{questions} without an answer: kept but not trained on"));
        }
        text
    }
}
