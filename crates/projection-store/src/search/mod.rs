//! Search over the answers of a store, by vectors, by words and by both.

mod bm25;
mod explain;
mod options;
mod score;
mod searcher;

pub use bm25::Bm25;
pub use explain::{ExplainedHit, ExplainedQuestion, Explanation};
pub use options::{
    Hybrid, NEAREST_QUESTION_FACTOR, ScoreMode, SearchOptions, SearchQuery, SearchResult,
};
pub use projection_core::search::{DEFAULT_HYBRID_WEIGHT, Hit, Index, fuse};
pub use searcher::Searcher;
