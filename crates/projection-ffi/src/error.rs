//! Statuses and errors.

use std::ffi::{CStr, CString, c_char};

use projection_core::ErrorKind;

use crate::guard;

/// What became of a call. The numbers are stable and never reused; later versions may add
/// some.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// An argument is NULL, not UTF-8, or outside what the call accepts.
    InvalidArgument = 1,
    /// Two vectors, or a vector and a model, have different dimensions.
    DimensionMismatch = 2,
    /// A vector holds NaN or infinity.
    NotFinite = 3,
    /// A vector that needs a direction is zero.
    ZeroVector = 4,
    /// A file, folder, model or other named thing does not exist.
    NotFound = 5,
    /// The operating system refused to read or write.
    Io = 6,
    /// A .npy file is damaged or of a kind that is not read.
    InvalidArray = 7,
    /// The files or rows of a model do not fit together.
    InvalidModel = 8,
    /// A file is not a store of a schema that this version knows.
    InvalidStore = 9,
    /// A model id or name is missing or not enough to choose among several.
    AmbiguousModel = 10,
    /// Another process is writing to the store.
    Busy = 11,
    /// The files of a text model are damaged, do not fit together or are of an unknown kind.
    InvalidEmbedder = 12,
    /// A caller's buffer has the wrong length.
    BufferSize = 13,
    /// A question-answer file is of no known shape.
    InvalidInput = 14,
    /// A defect of the library.
    Internal = 15,
    /// A defect of the library that was stopped at this call.
    Panic = 16,
    /// The caller's progress function stopped the work.
    Cancelled = 17,
}

impl Status {
    fn name(code: i32) -> &'static CStr {
        match code {
            0 => c"ok",
            1 => c"invalid argument",
            2 => c"dimension mismatch",
            3 => c"not finite",
            4 => c"zero vector",
            5 => c"not found",
            6 => c"io",
            7 => c"invalid array",
            8 => c"invalid model",
            9 => c"invalid store",
            10 => c"ambiguous model",
            11 => c"busy",
            12 => c"invalid embedder",
            13 => c"buffer size",
            14 => c"invalid input",
            15 => c"internal",
            16 => c"panic",
            17 => c"cancelled",
            _ => c"unknown status",
        }
    }
}

impl From<ErrorKind> for Status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::DimensionMismatch => Self::DimensionMismatch,
            ErrorKind::NotFinite => Self::NotFinite,
            ErrorKind::ZeroVector => Self::ZeroVector,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Io => Self::Io,
            ErrorKind::InvalidArray => Self::InvalidArray,
            ErrorKind::InvalidModel => Self::InvalidModel,
            ErrorKind::InvalidStore => Self::InvalidStore,
            ErrorKind::AmbiguousModel => Self::AmbiguousModel,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::InvalidEmbedder => Self::InvalidEmbedder,
            ErrorKind::BufferSize => Self::BufferSize,
            ErrorKind::InvalidInput => Self::InvalidInput,
            _ => Self::Internal,
        }
    }
}

/// An error that a call gave. Free it with projection_error_free. May be read by many
/// threads at once.
pub struct ErrorHandle {
    status: Status,
    message: CString,
}

/// What a function's body fails with: the handle that the caller is going to get. A pointer,
/// so that results fit into registers and cost nothing where all is right.
pub type Failure = Box<ErrorHandle>;

impl ErrorHandle {
    pub fn new(status: Status, message: &str) -> Failure {
        let message: Vec<u8> = message.bytes().filter(|byte| *byte != 0).collect();
        Box::new(Self { status, message: CString::new(message).unwrap_or_default() })
    }

    pub fn status(&self) -> Status {
        self.status
    }
}

impl From<projection_core::Error> for Failure {
    #[cold]
    #[inline(never)]
    fn from(error: projection_core::Error) -> Self {
        ErrorHandle::new(error.kind().into(), &error.to_string())
    }
}

/// The status that the call which gave `error` returned; PROJECTION_STATUS_OK for NULL.
///
/// # Safety
/// `error` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_error_code(error: *const ErrorHandle) -> Status {
    guard::value("projection_error_code", Status::Panic, || {
        // SAFETY: the caller passes NULL or a live error.
        unsafe { error.as_ref() }.map_or(Status::Ok, |error| error.status)
    })
}

/// The message, in English, valid until the error is freed; "" for NULL.
///
/// # Safety
/// `error` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_error_message(error: *const ErrorHandle) -> *const c_char {
    guard::value("projection_error_message", c"".as_ptr(), || {
        // SAFETY: the caller passes NULL or a live error.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// Frees an error. NULL is allowed.
///
/// # Safety
/// `error` is NULL or a live error, which is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_error_free(error: *mut ErrorHandle) {
    // SAFETY: the caller gives the error back.
    guard::value("projection_error_free", (), || unsafe { guard::free(error) })
}

/// A short English name of a status, such as "dimension mismatch"; "unknown status" for
/// numbers that are none. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_status_name(status: i32) -> *const c_char {
    guard::value("projection_status_name", c"".as_ptr(), || Status::name(status).as_ptr())
}
