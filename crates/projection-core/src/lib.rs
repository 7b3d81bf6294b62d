//! Semantic projections: small models that move the embedding of a question to where its
//! answer lies, trained once and run with the same numbers in every runtime.
//!
//! This crate holds what inference needs: arrays and folders of heads on disk, the model
//! kinds, the one-file format, and exact or approximate search in memory. It knows no database,
//! no embedding model and prints nothing.
//!
//! ```no_run
//! use projection_core::projection::{MultiHeadProjection, Projection};
//! # fn main() -> projection_core::Result<()> {
//! let projection = MultiHeadProjection::load_unified("embeddings/all-MiniLM-L6-v2", 1, 0.1)?;
//! # let query = vec![0.0f32; 384];
//! let (projected, weights) = projection.project(&query)?;
//! # Ok(())
//! # }
//! ```
//!
//! Models and indexes are immutable once made: share one among threads by reference or `Arc`.

#![allow(missing_docs)]

pub mod answer_file;
pub mod atomic;
pub mod layout;
pub mod model_file;
pub mod npy;
pub mod parameters;
pub mod projection;
pub mod search;
pub mod tensors;

pub use error::{Error, ErrorKind, Result};
pub use projection_kernel::error;
pub use projection_kernel::{self as kernel, ivf};
