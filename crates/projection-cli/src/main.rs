//! The `projection` command: import question–answer pairs, embed them, train a projection, query
//! it, and inspect a store.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage. Results go to standard output, errors
//! and progress to standard error.

mod commands;
mod failure;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    batches, distill, embed, evaluate, export, import, import_embeddings, index, inspect, log,
    models, project, query, train, try_file,
};
use failure::Failure;
use output::{Report, Screen};

/// Train semantic projections and search with them.
///
/// A store is a SQLite database, lda.db, with a folder `embeddings` beside it.
#[derive(Debug, Parser)]
#[command(name = "projection", version, after_help = EXAMPLE)]
struct Cli {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
What does it do for your questions?
  projection try faq.json --model-dir models/all-MiniLM-L6-v2

From questions and answers to the right answer:
  projection import lda.db faq.json
  projection embed lda.db --model-dir models/all-MiniLM-L6-v2
  projection train lda.db
  projection query lda.db \"How do I link it?\" --model-dir models/all-MiniLM-L6-v2

Exit codes: 0 success, 1 failure, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Try(try_file::Args),
    Import(import::Args),
    ImportEmbeddings(import_embeddings::Args),
    Batches(batches::Args),
    Embed(embed::Args),
    Train(train::Args),
    Evaluate(evaluate::Args),
    Models(models::ListArgs),
    Activate(models::ActivateArgs),
    Rollback(models::RollbackArgs),
    Rename(models::RenameArgs),
    Delete(models::DeleteArgs),
    Distill(distill::Args),
    Query(query::Args),
    Log(log::Args),
    Project(project::Args),
    Export(export::Args),
    Index(index::Args),
    Inspect(inspect::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            return Failure::Usage(first_paragraph(&error.to_string())).report(true);
        }
        Err(error) => error.exit(),
    };
    let screen = Screen::new(cli.json);
    let result = match cli.command {
        Command::Try(args) => try_file::run(&args, &screen).and_then(|r| finish(&r, &screen)),
        Command::Import(args) => import::run(&args, &screen).and_then(|r| finish(&r, &screen)),
        Command::ImportEmbeddings(args) => {
            import_embeddings::run(&args).and_then(|r| finish(&r, &screen))
        }
        Command::Batches(args) => batches::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Embed(args) => embed::run(&args, &screen).and_then(|r| finish(&r, &screen)),
        Command::Train(args) => train::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Evaluate(args) => evaluate::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Models(args) => models::list(&args).and_then(|r| finish(&r, &screen)),
        Command::Activate(args) => models::activate(&args).and_then(|r| finish(&r, &screen)),
        Command::Rollback(args) => models::roll_back(&args).and_then(|r| finish(&r, &screen)),
        Command::Rename(args) => models::rename(&args).and_then(|r| finish(&r, &screen)),
        Command::Delete(args) => models::delete(&args).and_then(|r| finish(&r, &screen)),
        Command::Distill(args) => distill::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Query(args) => query::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Log(args) => log::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Project(args) => project::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Export(args) => export::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Index(args) => index::run(&args).and_then(|r| finish(&r, &screen)),
        Command::Inspect(args) => inspect::run(&args).and_then(|r| finish(&r, &screen)),
    };
    result.unwrap_or_else(|failure| failure.report(cli.json))
}

/// Prints the report of a command.
fn finish<R: Report>(report: &R, screen: &Screen) -> Result<ExitCode, Failure> {
    screen.print(report)?;
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Whether a command line that can't be parsed asks for JSON.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// What a message of clap says before it explains the usage, in one line.
fn first_paragraph(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let first = message.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}
