//! Exact nearest answers by cosine, for plain and for projected queries, by words, and by
//! both.

mod bm25;
mod explain;
mod index;
mod options;
mod score;
mod searcher;

pub use bm25::Bm25;
pub use explain::{ExplainedHit, ExplainedQuestion, Explanation};
pub use index::{Hit, Index};
pub use options::{
    DEFAULT_HYBRID_WEIGHT, Hybrid, NEAREST_QUESTION_FACTOR, ScoreMode, SearchOptions, SearchQuery,
    SearchResult,
};
pub(crate) use score::fuse;
pub use searcher::Searcher;
