//! Semantic projections: small models that move the embedding of a question to where its
//! answer lies, trained once and run with the same numbers in every runtime.
//!
//! The crate holds everything numeric and everything stored. It has no text model (see
//! `projection-embed`), no network and prints nothing.
//!
//! ```no_run
//! use projection_core::projection::MultiHeadProjection;
//! use projection_core::search::Searcher;
//! # fn main() -> projection_core::Result<()> {
//! let projection = MultiHeadProjection::load_unified("embeddings/all-MiniLM-L6-v2", 1, 0.1)?;
//! let searcher = Searcher::open("lda.db", None)?;
//! # let query = vec![0.0f32; 384];
//! for hit in searcher.vector_search_with_projection(&query, Some(&projection), 10)? {
//!     println!("{:.3} {}", hit.score, searcher.text(hit.answer_id).unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Rooms, each importing only those after it: [`edge`], [`compare`], [`train`], [`evaluate`],
//! [`import`], [`answer_file`], [`search`], [`model_file`], [`onnx`], [`projection`],
//! [`store`], [`layout`], `parameters`, `tensors`, `torch`, [`npy`], `atomic`, `json`,
//! `nearest`, `kernel`, [`error`], `shown`.
//!
//! Without the default feature `store` there are no files, no threads, no training and no
//! lists, which only save time: models come from bytes ([`projection::Model::from_bytes`]), are searched with in memory,
//! and build for WebAssembly.
//!
//! Models, indexes and searchers are immutable once made: share one among threads by
//! reference or `Arc`. A [`store::Store`] belongs to one thread at a time.

// What only training and files use.
#![cfg_attr(not(feature = "store"), allow(dead_code))]

pub mod answer_file;
#[cfg(feature = "store")]
mod atomic;
#[cfg(feature = "store")]
pub mod compare;
#[cfg(feature = "store")]
pub mod edge;
#[cfg(feature = "store")]
pub mod evaluate;
#[cfg(feature = "store")]
pub mod import;
mod json;
#[cfg(feature = "store")]
pub mod layout;
pub mod model_file;
#[cfg(feature = "store")]
pub mod npy;
#[cfg(feature = "store")]
pub mod onnx;
mod parameters;
pub mod projection;
pub mod search;
mod shown;
#[cfg(feature = "store")]
pub mod store;
mod tensors;
#[cfg(feature = "store")]
mod torch;
#[cfg(feature = "store")]
pub mod train;

#[doc(hidden)]
pub use projection_kernel::peak;

#[doc(hidden)]
pub mod products {
    pub use crate::kernel::{add_weighted, dots_batch};
}

pub use error::{Error, ErrorKind, Result};
pub use projection_kernel::error;
pub(crate) use projection_kernel::{self as kernel, ivf};
