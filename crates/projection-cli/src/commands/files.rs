//! Arguments that say how question–answer files are read.

use projection_store::import::{FileFormat, FileOptions};

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Reading files")]
pub struct FileArgs {
    /// Format of the files: json, jsonl, csv or tsv [default: what name and content say]
    #[arg(long, value_name = "FORMAT", value_parser = FileFormat::named)]
    format: Option<FileFormat>,

    /// Column or field with the questions [default: question, query or prompt]
    #[arg(long, value_name = "NAME")]
    question_column: Option<String>,

    /// Column or field with the answers [default: answer, response, text, passage, context or
    /// content]
    #[arg(long, value_name = "NAME")]
    answer_column: Option<String>,

    /// Column or field with the ids of the answers [default: answer_id, id or _id]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,

    /// Which qrels of a BEIR folder are read [default: train, of test questions test]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
}

impl FileArgs {
    pub fn options(&self) -> FileOptions {
        FileOptions {
            format: self.format,
            question_column: self.question_column.clone(),
            answer_column: self.answer_column.clone(),
            id_column: self.id_column.clone(),
            split: self.split.clone(),
        }
    }
}
