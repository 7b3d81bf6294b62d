//! The commands, one file each.

pub mod batches;
pub mod distill;
pub mod embed;
pub mod evaluate;
pub mod explain;
pub mod import;
pub mod import_vectors;
pub mod inspect;
pub mod log;
pub mod project;
pub mod query;
mod resources;
pub mod train;

/// A softmax temperature from the command line.
fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) => Err("expected a finite number above zero".into()),
        Err(error) => Err(error.to_string()),
    }
}
