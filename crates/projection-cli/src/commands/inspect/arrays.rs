//! Checking one array file.

use std::path::Path;

use projection_core::ErrorKind;
use projection_core::npy::NpyArray;

use super::Problems;

/// What a readable file holds.
pub(super) struct Array {
    pub dtype: &'static str,
    pub shape: Vec<usize>,
}

impl Array {
    /// The length of a vector, (d,) or (1, d).
    pub fn len(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }
}

/// What a file should hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A vector that is compared by cosine.
    Direction,
    /// A vector that is added to others.
    Vector,
    /// A matrix.
    Matrix,
}

/// Reads the file at `path`, which `what` describes. `None` where it is of no use.
pub(super) fn check(
    path: &Path,
    what: &str,
    content: Content,
    problems: &mut Problems,
) -> Option<Array> {
    let array = match NpyArray::load(path) {
        Ok(array) => array,
        Err(error) => {
            problems.error(&error.context(what));
            return None;
        }
    };
    // Every readable array is a matrix of one or more rows.
    if content != Content::Matrix
        && let Err(error) = array.vector_len()
    {
        problems.error(&error.context(what));
        return None;
    }
    let place = format!("{what}: {}", path.display());
    let values = array.to_f64();
    let odd = values.iter().filter(|value| !value.is_finite()).count();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let message = format!("{place}: the value {} at index {at}, {odd} such in all", values[at]);
        problems.of_kind(ErrorKind::NotFinite, message);
    } else if content == Content::Direction && values.iter().all(|value| *value == 0.0) {
        let message = format!("{place}: all values are zero, there is no direction");
        problems.of_kind(ErrorKind::ZeroVector, message);
    }
    Some(Array { dtype: array.dtype().name(), shape: array.shape().to_vec() })
}

/// Compares the length of a vector with that of the others.
pub(super) fn check_len(
    array: &Array,
    path: &Path,
    what: &str,
    expected: usize,
    problems: &mut Problems,
) {
    if array.len() != expected {
        let message = format!(
            "{what}: {}: vector of dimension {}, expected {expected}",
            path.display(),
            array.len()
        );
        problems.of_kind(ErrorKind::DimensionMismatch, message);
    }
}
