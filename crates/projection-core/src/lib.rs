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
//! Rooms, each importing only those after it: [`compare`], [`train`], [`evaluate`],
//! [`import`], [`search`], [`model_file`], [`onnx`], [`projection`], [`store`], [`layout`],
//! `tensors`, `torch`, [`npy`], `atomic`, `nearest`, `kernel`, [`error`].
//!
//! Models, indexes and searchers are immutable once made: share one among threads by
//! reference or `Arc`. A [`store::Store`] belongs to one thread at a time.

mod atomic;
pub mod compare;
pub mod error;
pub mod evaluate;
pub mod import;
mod kernel;
pub mod layout;
pub mod model_file;
mod nearest;
pub mod npy;
pub mod onnx;
pub mod projection;
pub mod search;
pub mod store;
mod tensors;
mod torch;
pub mod train;

#[doc(hidden)]
pub use kernel::limits;

pub use error::{Error, ErrorKind, Result};
