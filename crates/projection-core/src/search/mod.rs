//! Exact nearest answers by cosine, for plain and for projected queries.

mod bm25;
mod index;
mod searcher;

pub use bm25::Bm25;
pub use index::{Hit, Index};
pub use searcher::Searcher;
