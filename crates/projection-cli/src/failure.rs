//! Why a command failed, and how that is told.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use projection_core::{Error, ErrorKind};
use projection_store::Store;
use serde::Serialize;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The arguments don't fit together: exit code 2.
    Usage(String),
    /// The engine refused: exit code 1.
    Engine(Error),
    /// The results can't be printed: exit code 1.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl Failure {
    /// Tells of the failure on standard error and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        match self {
            Self::Usage(message) => print_error("usage", message, json),
            Self::Engine(error) => print_error(&kind_name(error.kind()), error, json),
            Self::Output(error) => {
                print_error("io", format_args!("writing to standard output: {error}"), json);
            }
        }
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Engine(_) | Self::Output(_) => ExitCode::from(1),
        }
    }
}

/// An error as programs get it.
#[derive(Debug, Serialize)]
pub struct ErrorReport {
    kind: String,
    message: String,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self { kind: kind_name(error.kind()), message: error.to_string() }
    }
}

/// The name of an error kind in JSON, such as `dimension_mismatch`.
pub fn kind_name(kind: ErrorKind) -> String {
    kind.name().replace(' ', "_")
}

/// Prints what a person should know before a store is changed: `warning: …`, or an object in one
/// line each.
pub fn warn(store: &Store, json: bool) -> Result<(), Error> {
    let mut stderr = io::stderr().lock();
    for warning in store.warnings()? {
        let _ = if json {
            writeln!(stderr, "{}", serde_json::json!({ "warning": warning }))
        } else {
            let label = console::style("warning:").yellow().bold().for_stderr();
            writeln!(stderr, "{label} {warning}")
        };
    }
    Ok(())
}

/// Prints one error: `error: …`, or an object in one line.
pub fn print_error(kind: &str, message: impl Display, json: bool) {
    // Where standard error is closed there is nobody to tell.
    let mut stderr = io::stderr().lock();
    let _ = if json {
        let error = ErrorReport { kind: kind.to_string(), message: message.to_string() };
        writeln!(stderr, "{}", serde_json::json!({ "error": error }))
    } else {
        let label = console::style("error:").red().bold().for_stderr();
        writeln!(stderr, "{label} {message}")
    };
}
