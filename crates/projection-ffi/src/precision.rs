//! How models keep their vectors.

use projection_core::projection::Precision;

use crate::argument::{Out, handle};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::model::ModelHandle;

/// How a model keeps its vectors.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecisionKind {
    /// Of NULL, or of a precision that has no number yet.
    Unknown = 0,
    /// Single precision.
    F32 = 1,
    /// bfloat16, in half the memory: the direction of projected queries changes by about a
    /// hundred-thousandth.
    Bf16 = 2,
    /// Bytes with a scale for each vector, in a quarter of the memory.
    Int8 = 3,
}

/// How a model keeps its vectors; PROJECTION_PRECISION_UNKNOWN for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_precision(model: *const ModelHandle) -> PrecisionKind {
    guard::value("projection_model_precision", PrecisionKind::Unknown, || {
        // SAFETY: the caller's promise.
        match unsafe { handle("model", model) }.map(|model| model.model.precision()) {
            Ok(Precision::F32) => PrecisionKind::F32,
            Ok(Precision::Bf16) => PrecisionKind::Bf16,
            Ok(Precision::Int8) => PrecisionKind::Int8,
            Err(_) => PrecisionKind::Unknown,
        }
    })
}

/// Makes a copy of `model` that keeps its vectors in `precision`, a projection_precision: it
/// takes less memory and is faster where there are many heads. projection_model_save_file
/// keeps the precision. Each of the two models is freed on its own. Only multi-head models do
/// that: for others, and for another precision than that of a model which is rounded already,
/// it is PROJECTION_STATUS_INVALID_ARGUMENT.
///
/// # Safety
/// `model` is NULL or live; `copy` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_with_precision(
    model: *const ModelHandle,
    precision: i32,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, out) = unsafe { (handle("model", model)?, Out::new("copy", copy)?) };
        out.give(ModelHandle::new(model.model.with_precision(precision_of(precision)?)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_with_precision", error, body) }
}

/// A precision by its number, which is not an enumeration of Rust: that must not hold any other
/// one.
pub(crate) fn precision_of(number: i32) -> Result<Precision, Failure> {
    match number {
        number if number == PrecisionKind::F32 as i32 => Ok(Precision::F32),
        number if number == PrecisionKind::Bf16 as i32 => Ok(Precision::Bf16),
        number if number == PrecisionKind::Int8 as i32 => Ok(Precision::Int8),
        number => {
            let message = format!("argument precision is {number}, expected 1, 2 or 3");
            Err(ErrorHandle::new(Status::InvalidArgument, &message))
        }
    }
}
