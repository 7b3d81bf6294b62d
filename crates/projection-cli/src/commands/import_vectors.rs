//! `projection import-vectors`: vectors of any text model into a store.

use std::path::PathBuf;

use projection_store::Store;
use projection_store::import::{
    ImportOutcome, ImportedEmbeddings, PrecomputedEmbeddings, import_embeddings,
};

use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, spinner};

/// Import vectors of your own text model into a store
///
/// A holds the answers' vectors (M × d) and Q the questions' (n × d), .npy of float16,
/// float32 or float64. L holds n integers: for each question the row of its answer in A,
/// from 0, or -1 for none. T is JSON with a text for each row, {"answers": […],
/// "questions": […]}; without it texts are placeholders such as "answer 12".
///
/// Each answer becomes a cluster with its questions. An answer without a question is
/// searched and gets no head; a question without an answer is kept and not trained on.
///
/// The import is known by the path of A. It is skipped where no file has changed; otherwise
/// the new version replaces what the last one brought, and texts that it still has keep
/// their ids. Everything becomes visible together, or nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  projection import-vectors lda.db --model-name my-model --answers A.npy --questions Q.npy \\
      --labels L.npy --texts T.json
  projection train lda.db --model-name my-model")]
pub struct Args {
    /// The store's database, made where there is none
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Name of the text model that gave the vectors
    #[arg(long, value_name = "NAME")]
    model_name: String,

    /// Vectors of the answers
    #[arg(long, value_name = "A.npy")]
    answers: PathBuf,

    /// Vectors of the questions
    #[arg(long, value_name = "Q.npy")]
    questions: PathBuf,

    /// For each question the row of its answer
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
    let spinner = spinner("importing vectors");
    let brought = import_embeddings(&mut store, &files)?;
    spinner.finish_and_clear();
    Ok(brought)
}

impl Report for ImportedEmbeddings {
    fn render(&self, screen: &Screen) -> String {
        if matches!(self.outcome, ImportOutcome::Unchanged | ImportOutcome::Moved) {
            return format!("{}, the store has these vectors already\n", self.outcome);
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
            text += &format!("{} of the last version removed\n", count(self.removed, "text"));
        }
        if self.answers_without_question > 0 {
            let answers = count(self.answers_without_question, "answer");
            text += &note(&format!("{answers} without a question: searched, but without a head"));
        }
        if self.questions_without_answer > 0 {
            let questions = count(self.questions_without_answer, "question");
            text += &note(&format!("{questions} without an answer: kept, but not trained on"));
        }
        text
    }
}
