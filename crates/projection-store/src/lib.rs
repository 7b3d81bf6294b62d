//! The store: the SQLite database `lda.db` and the vector files beside it, importing into it,
//! and search over its answers.

#![allow(missing_docs)]

pub mod import;
mod models;
pub mod search;
pub mod store;

pub use projection_core::{Error, ErrorKind, Result};
pub(crate) use projection_core::{error, kernel, layout, npy, parameters, projection};
pub use search::Searcher;
pub use store::Store;
