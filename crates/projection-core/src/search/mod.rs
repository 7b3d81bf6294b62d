//! Exact nearest answers by cosine, for plain and for projected queries, by words, and by
//! both.

#[cfg(feature = "store")]
mod bm25;
#[cfg(feature = "store")]
mod explain;
mod index;
#[cfg(feature = "store")]
mod options;
#[cfg(feature = "store")]
mod score;
#[cfg(feature = "store")]
mod searcher;

#[cfg(feature = "store")]
pub use bm25::Bm25;
#[cfg(feature = "store")]
pub use explain::{ExplainedHit, ExplainedQuestion, Explanation};
pub use index::{Hit, Index};
#[cfg(feature = "store")]
pub use options::{
    DEFAULT_HYBRID_WEIGHT, Hybrid, NEAREST_QUESTION_FACTOR, ScoreMode, SearchOptions, SearchQuery,
    SearchResult,
};
#[cfg(feature = "store")]
pub(crate) use score::fuse;
#[cfg(feature = "store")]
pub use searcher::Searcher;
