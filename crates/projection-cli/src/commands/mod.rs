//! The commands, one file each.

pub mod batches;
pub mod distill;
pub mod embed;
pub mod evaluate;
pub mod explain;
pub mod export;
mod feedback;
pub mod import;
pub mod import_vectors;
pub mod inspect;
pub mod log;
pub mod project;
pub mod query;
pub mod train;

/// A softmax temperature from the command line.
fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) => Err("expected a finite number above zero".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// The name of a text model that is called like its folder.
fn folder_name(dir: &std::path::Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    dir.file_name()?.to_str().map(str::to_string)
}
