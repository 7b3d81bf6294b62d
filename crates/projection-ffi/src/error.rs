//! Statuses and errors.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use projection_core::{Error, ErrorKind};

/// The result code of a call: 0, or the number of an [`ErrorKind`]. The enumeration in the
/// header is generated from the table of kinds.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    pub const OK: Self = Self(0);
}

impl From<ErrorKind> for Status {
    fn from(kind: ErrorKind) -> Self {
        Self(kind.number())
    }
}

/// An error returned by a call. Free it with projection_error_free. Any number of threads may
/// read it at once.
pub struct ErrorHandle {
    status: Status,
    message: CString,
}

impl From<Error> for ErrorHandle {
    fn from(error: Error) -> Self {
        Self { status: error.kind().into(), message: without_nul(&error.to_string()) }
    }
}

/// A text for C, which cannot hold NUL.
pub fn without_nul(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// The status returned with `error`; PROJECTION_STATUS_OK for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_error_code(error: Option<&ErrorHandle>) -> Status {
    panic_boundary!(ErrorKind::Panic.into(), error.map_or(Status::OK, |error| error.status))
}

/// The message, in English, valid until the error is freed; "" for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_error_message(error: Option<&ErrorHandle>) -> *const c_char {
    panic_boundary!(c"".as_ptr(), error.map_or(c"".as_ptr(), |error| error.message.as_ptr()))
}

/// Frees an error. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_error_free(error: Option<Box<ErrorHandle>>) {
    panic_boundary!((), drop(error))
}

/// A short English name of a status, such as "dimension mismatch"; "unknown status" for other
/// numbers. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_status_name(status: i32) -> *const c_char {
    static NAMES: LazyLock<Vec<CString>> =
        LazyLock::new(|| ErrorKind::ALL.iter().map(|kind| without_nul(kind.name())).collect());
    panic_boundary!(c"".as_ptr(), {
        let known = ErrorKind::ALL.iter().position(|kind| kind.number() == status);
        match (status, known) {
            (0, _) => c"ok".as_ptr(),
            (_, Some(known)) => NAMES[known].as_ptr(),
            (_, None) => c"unknown status".as_ptr(),
        }
    })
}
