//! Lazy validation of the values in a mapped file.
//!
//! A large mapped file opens without being read. Its first use reads all of it anyway, so that is
//! when its values are checked.

use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows};

/// Whether the values of a model are known to be sound.
#[derive(Debug, Clone, Default)]
pub struct Validation {
    /// The file that the values come from, for messages.
    file: String,
    sound: OnceLock<()>,
}

impl Validation {
    /// Of values that have been checked.
    pub fn passed() -> Self {
        Self { file: String::new(), sound: OnceLock::from(()) }
    }

    /// Of values in a file that have not been checked yet.
    pub fn pending(file: &str) -> Self {
        Self { file: file.to_string(), sound: OnceLock::new() }
    }

    /// Runs `check`, unless it has succeeded before.
    #[inline]
    pub fn validate_once(&self, check: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.sound.get().is_none() {
            check().map_err(|error| error.context(&self.file))?;
            self.sound.get_or_init(|| ());
        }
        Ok(())
    }
}

/// Refuses rows with NaN or infinity. `what` names the tensor.
pub fn check_rows_finite(what: &str, rows: &Rows) -> Result<()> {
    // In double precision the sum of the squares cannot overflow, so that it is finite if the
    // values are.
    let unsound = |row: &usize| !kernel::norm(rows.row(*row)).is_finite();
    let Some(row) = (0..rows.count()).find(unsound) else { return Ok(()) };
    let values = rows.row(row);
    let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    let value = values[column];
    Err(Error::new(
        ErrorKind::NotFinite,
        format!(
            "tensor '{what}': the value {value} in row {row}, column {column}, expected finite \
             numbers"
        ),
    ))
}

/// Refuses NaN and infinity.
pub fn check_finite<T: Copy + Into<f64>>(values: &[T]) -> Result<()> {
    let is_finite = |value: &T| (*value).into().is_finite();
    // No early exit, so that the values are checked many at a time.
    if values.iter().fold(true, |finite, value| finite & is_finite(value)) {
        return Ok(());
    }
    let at = values.iter().position(|value| !is_finite(value)).unwrap_or(0);
    Err(Error::new(
        ErrorKind::NotFinite,
        format!("the value {} at index {at}, expected finite numbers", values[at].into()),
    ))
}

/// Refuses a vector of another dimension.
pub fn check_dim(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(ErrorKind::DimensionMismatch, format!("dimension {found}, expected {expected}")))
}
