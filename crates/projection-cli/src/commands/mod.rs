//! The commands, one file each.

pub mod batches;
pub mod distill;
pub mod embed;
pub mod evaluate;
pub mod explain;
pub mod export;
mod files;
pub mod import;
pub mod import_embeddings;
pub mod index;
pub mod inspect;
pub mod log;
pub mod models;
pub mod project;
pub mod query;
mod resources;
pub mod train;
pub mod try_file;

use projection_core::ErrorKind;
use projection_core::projection::{Model, Precision};

use crate::failure::Failure;

/// How a multi-head projection's vectors are kept, from the command line.
fn precision(text: &str) -> Result<Precision, String> {
    Precision::from_name(text).map_err(|error| error.to_string())
}

/// The model with its vectors kept as wanted, or as they are.
fn with_precision(model: Model, wanted: Option<Precision>) -> Result<Model, Failure> {
    let Some(wanted) = wanted else { return Ok(model) };
    // Which kinds can is for the user to know.
    model.with_precision(wanted).map_err(|error| match error.kind() {
        ErrorKind::InvalidArgument => Failure::Usage(format!("--precision: {error}")),
        _ => error.into(),
    })
}

/// A softmax temperature from the command line.
fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) => Err("expected a finite number above zero".into()),
        Err(error) => Err(error.to_string()),
    }
}
