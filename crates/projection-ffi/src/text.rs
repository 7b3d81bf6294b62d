//! Texts that calls give.

use std::ffi::{CString, c_char};

use serde::Serialize;

use crate::argument::handle;
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;

/// A text that a call gave, UTF-8. Free it with projection_text_free. May be read by many
/// threads at once.
pub struct TextHandle(CString);

impl TextHandle {
    /// A report as JSON. JSON escapes control characters, so it holds no NUL.
    pub fn json(report: &impl Serialize) -> Result<Self, Failure> {
        let failed = |error: String| ErrorHandle::new(Status::Internal, &error);
        let json = serde_json::to_string(report).map_err(|error| failed(error.to_string()))?;
        Ok(Self(CString::new(json).map_err(|error| failed(error.to_string()))?))
    }
}

/// The text, which ends with NUL, valid until it is freed; "" for NULL.
///
/// # Safety
/// `text` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_text_data(text: *const TextHandle) -> *const c_char {
    guard::value("projection_text_data", c"".as_ptr(), || {
        // SAFETY: the caller's promise.
        unsafe { handle("text", text) }.map_or(c"".as_ptr(), |text| text.0.as_ptr())
    })
}

/// Its length in bytes without the NUL; 0 for NULL.
///
/// # Safety
/// `text` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_text_len(text: *const TextHandle) -> usize {
    guard::value("projection_text_len", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("text", text) }.map_or(0, |text| text.0.as_bytes().len())
    })
}

/// Frees a text. NULL is allowed.
///
/// # Safety
/// `text` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_text_free(text: *mut TextHandle) {
    // SAFETY: the caller gives the text back.
    guard::value("projection_text_free", (), || unsafe { guard::free(text) })
}
