//! `projection export --format edge`: a folder to be served as static files.

use clap::ValueEnum;
use projection_core::ErrorKind;
use projection_core::answer_file::AnswerPrecision;
use projection_store::Store;
use projection_store::edge::{EdgeOptions, EdgeReport, export_edge};

use super::{Args, size};
use crate::failure::Failure;
use crate::output::{Report, Screen, count};

/// How the answers' vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswersPrecision {
    Int8,
    F32,
}

pub fn run(args: &Args) -> Result<EdgeReport, Failure> {
    let (Some(database), Some(folder)) = (&args.store, &args.folder) else {
        return Err(Failure::Usage(
            "--format edge without a folder, expected STORE.db FOLDER".into(),
        ));
    };
    let options = EdgeOptions {
        temperature: args.temperature,
        precision: args.precision,
        answers: match args.answers_precision {
            None | Some(AnswersPrecision::Int8) => AnswerPrecision::Int8,
            Some(AnswersPrecision::F32) => AnswerPrecision::F32,
        },
        force: args.force,
    };
    let store = Store::open_read_only(database)?;
    export_edge(&store, args.projection, &options, folder).map_err(|error| match error.kind() {
        ErrorKind::InvalidArgument => {
            Failure::Usage(format!("{error}; see --force, --temperature and --precision"))
        }
        _ => error.into(),
    })
}

impl Report for EdgeReport {
    fn render(&self, screen: &Screen) -> String {
        let total = self.parts.iter().map(|part| part.bytes).sum();
        let mut text = format!("{}, {}\n", screen.clean(&self.output), size(total));
        for part in &self.parts {
            text += &format!("  {:<20} {:>9}\n", part.name, size(part.bytes));
        }
        let questions = match self.questions {
            0 => String::new(),
            n => format!(", {}", count(n, "training question")),
        };
        text += &format!(
            "{} projection {}, {} in {}{questions}, embedding model {}\n",
            self.kind,
            self.projection_id,
            count(self.answers, "answer"),
            self.answers_precision,
            screen.clean(&self.embedding_model)
        );
        text
    }
}
