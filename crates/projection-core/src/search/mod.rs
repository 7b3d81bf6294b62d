//! Exact nearest answers by cosine, for plain and for projected queries.

mod index;
mod searcher;

pub use index::{Hit, Index};
pub use searcher::Searcher;
