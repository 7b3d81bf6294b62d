//! Semantic projections: small models that move the embedding of a question to where its
//! answer's embedding lies, trained once and run with the same numbers in every runtime.
//!
//! This crate holds what every request needs: models, files and search in memory. It knows no
//! database and no embedding model, and prints nothing.
//!
//! # The way of a query
//!
//! ```no_run
//! use projection_core::projection::{MultiHeadProjection, Projection};
//! use projection_core::search::Index;
//! # fn main() -> projection_core::Result<()> {
//! let projection = MultiHeadProjection::load_unified("embeddings/all-MiniLM-L6-v2", 1, 0.1)?;
//! # let (query, ids, vectors) = (vec![0.0f32; 384], [1], ndarray::Array2::zeros((1, 384)));
//! let (projected, weights) = projection.project(&query)?;
//!
//! let index = Index::from_vectors(&ids, vectors.view())?;
//! let hits = index.search(&query, Some(&projection), 10)?;
//! # Ok(())
//! # }
//! ```
//!
//! 1. A query is an embedding, a vector of dimension d. Whoever embeds texts is outside of this
//!    crate.
//! 2. A model projects it, see [`projection`]. The classic model has *heads*: a head is a cluster
//!    of questions with one answer. The model keeps the questions' centroid and the answer's
//!    vector. The softmax over the cosines of query and centroids weighs the answers,
//!    whose weighted sum is the projected query. The other kinds compute it otherwise; all
//!    implement [`Projection`](projection::Projection).
//! 3. An [`Index`](search::Index) finds the answers nearest to the projected query, exactly or,
//!    for many answers, by an approximate index.
//!
//! # Files
//!
//! A model is a folder of `.npy` arrays, whose names [`layout`] knows and [`npy`] reads, or one
//! `.safetensors` file, see [`model_file`], which is mapped instead of read. The answers of an
//! index fit into one file too, see [`answer_file`]. Nothing trusts a file: whatever is damaged
//! is refused by an [`Error`] that names the file, what was expected and what was found.
//!
//! Models and indexes are immutable once made: share them among threads by reference or `Arc`.

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
