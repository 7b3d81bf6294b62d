//! The one error type of the engine.
//!
//! An [`Error`] has a [`kind`](Error::kind) for programs, which the C ABI maps one to one
//! to its status codes, and a message for people that names the file or argument, what was
//! expected and what was found.

use std::fmt;
use std::path::Path;

macro_rules! error_kinds {
    ($($(#[doc = $description:literal])* $kind:ident = $number:literal, $name:literal;)*) => {
        /// What went wrong, for programs to branch on.
        ///
        /// The one table of kinds: the C interface's status codes, the header and Go's error
        /// codes are generated from it. Numbers are stable and never reused; 0 is success.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $description])* $kind = $number,)*
        }

        impl ErrorKind {
            /// All kinds, in ascending order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The kind in a few words, such as `dimension mismatch`. Stable.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The kind in a sentence.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($description),*).trim_ascii(),)*
                }
            }

            /// The stable number of the kind.
            pub const fn number(self) -> i32 {
                self as i32
            }
        }
    };
}

error_kinds! {
    /// An argument is outside what the call accepts, such as a temperature of zero.
    InvalidArgument = 1, "invalid argument";
    /// Two vectors, or a vector and a model, have different dimensions.
    DimensionMismatch = 2, "dimension mismatch";
    /// A vector holds NaN or infinity.
    NotFinite = 3, "not finite";
    /// A vector that needs a direction is zero.
    ZeroVector = 4, "zero vector";
    /// A file, folder, model, answer or other named thing does not exist.
    NotFound = 5, "not found";
    /// The operating system refused to read or write.
    Io = 6, "io";
    /// A .npy file is damaged or of an unsupported type.
    InvalidArray = 7, "invalid array";
    /// The files or rows of a model do not fit together.
    InvalidModel = 8, "invalid model";
    /// A file is not a store of a schema that this version knows.
    InvalidStore = 9, "invalid store";
    /// An id or name is missing, or matches more than one model.
    AmbiguousModel = 10, "ambiguous model";
    /// Another process is writing to the store.
    Busy = 11, "busy";
    /// The files of an embedding model are damaged, do not fit together or are of an unknown
    /// kind.
    InvalidEmbedder = 12, "invalid embedder";
    /// A buffer of the caller has the wrong length.
    BufferSize = 13, "buffer size";
    /// A question-answer file does not have a known format.
    InvalidInput = 14, "invalid input";
    /// A defect of the engine.
    Internal = 15, "internal";
    /// A defect of the engine that was caught at the boundary to another language.
    Panic = 16, "panic";
    /// The caller cancelled the work.
    Cancelled = 17, "cancelled";
}

/// An error of the engine: a kind for programs and a message for people.
///
/// It is one pointer wide, so that results are handed on by few instructions.
pub struct Error(Box<Content>);

struct Content {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The engine's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Content { kind, message: message.into(), source: None }))
    }

    /// Keeps the error that caused this one. The message should already say what it said:
    /// callers over the C ABI see only the message.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// An operating system error met while doing `action` ("reading", "creating") on `path`.
    pub fn io(action: &str, path: &Path, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("{action} {}: {source}", path.display())).with_source(source)
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error with `context` (usually which head, file or step) before its message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Content { kind, message, source } = &*self.0;
        let mut error = f.debug_struct("Error");
        error.field("kind", kind).field("message", message).field("source", source).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
