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

/// The greatest length of an answer, so that weighted sums of any number of them stay finite in
/// single precision.
pub const MAX_ANSWER_LENGTH: f64 = 1e30;

/// Refuses rows with NaN or infinity. `what` names the tensor.
pub fn check_rows_finite(what: &str, rows: &Rows) -> Result<()> {
    check_rows(what, rows, f64::MAX)
}

/// Refuses rows with NaN or infinity, and those that are longer than `most`.
pub fn check_rows(what: &str, rows: &Rows, most: f64) -> Result<()> {
    // In double precision the sum of the squares cannot overflow, so that it is finite if the
    // values are.
    let unsound = |row: &usize| !(0.0..=most).contains(&kernel::norm(rows.row(*row)));
    let Some(row) = (0..rows.count()).find(unsound) else { return Ok(()) };
    let values = rows.row(row);
    let found = match values.iter().position(|value| !value.is_finite()) {
        Some(column) => {
            format!("the value {} in row {row}, column {column}", values[column])
                + ", expected finite numbers"
        }
        None => {
            let length = kernel::norm(values);
            format!("length {length:e} of row {row}, expected at most {most:e}")
        }
    };
    Err(Error::new(ErrorKind::NotFinite, format!("tensor '{what}': {found}")))
}

/// Refuses an answer with NaN or infinity, or one that is too long.
pub fn check_answer(answer: &[f32]) -> Result<()> {
    check_finite(answer)?;
    let length = kernel::norm(answer);
    if length <= MAX_ANSWER_LENGTH {
        return Ok(());
    }
    let what = format!("length {length:e}, expected at most {MAX_ANSWER_LENGTH:e}");
    Err(Error::new(ErrorKind::NotFinite, what))
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
