//! The one error type of the engine.
//!
//! An [`Error`] has a [`kind`](Error::kind) for programs, which the C ABI maps one to one
//! to its status codes, and a message for people that names the file or argument, what was
//! expected and what was found.

use std::fmt;
use std::path::Path;

/// What went wrong, for programs to branch on.
///
/// The C ABI gives each kind a stable number; add kinds at the end and never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is outside what the call accepts, such as a temperature of zero.
    InvalidArgument,
    /// Two vectors, or a vector and a model, have different dimensions.
    DimensionMismatch,
    /// A vector holds NaN or infinity.
    NotFinite,
    /// A vector that needs a direction has none.
    ZeroVector,
    /// A file, folder, model, answer or other named thing does not exist.
    NotFound,
    /// The operating system refused to read or write.
    Io,
    /// A `.npy` file is damaged or of a kind that the engine does not read.
    InvalidArray,
    /// The files or rows of a model do not fit together.
    InvalidModel,
    /// A file is not a store of a schema that this version knows.
    InvalidStore,
    /// A model id names more than one model.
    AmbiguousModel,
    /// Another process is writing to the store.
    Busy,
    /// The files of a text-embedding model are damaged, do not fit together or are of an
    /// unknown kind.
    InvalidEmbedder,
    /// A caller's buffer has the wrong length.
    BufferSize,
    /// A question–answer file does not have one of the known shapes.
    InvalidInput,
    /// A defect of the engine itself.
    Internal,
}

impl ErrorKind {
    /// The kind in a few words, such as `dimension mismatch`. Stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid argument",
            Self::DimensionMismatch => "dimension mismatch",
            Self::NotFinite => "not finite",
            Self::ZeroVector => "zero vector",
            Self::NotFound => "not found",
            Self::Io => "io",
            Self::InvalidArray => "invalid array",
            Self::InvalidModel => "invalid model",
            Self::InvalidStore => "invalid store",
            Self::AmbiguousModel => "ambiguous model",
            Self::Busy => "busy",
            Self::InvalidEmbedder => "invalid embedder",
            Self::BufferSize => "buffer size",
            Self::InvalidInput => "invalid input",
            Self::Internal => "internal",
        }
    }
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
