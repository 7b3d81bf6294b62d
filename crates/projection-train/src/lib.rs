//! Training, evaluation and distillation of semantic projections on data in memory.

#![allow(missing_docs)]

pub mod compare;
pub mod evaluate;
pub mod train;

pub use projection_core::{Error, ErrorKind, Result};
pub(crate) use projection_core::{error, kernel, projection, search};
