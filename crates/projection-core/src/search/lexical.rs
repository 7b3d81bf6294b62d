//! Ranking texts by the words they share with a query.

use std::fmt::Debug;

use crate::error::Result;

/// An index of numbered texts, scored by the words that they share with a query (BM25). The
/// store crate implements it; training and evaluation only need the scores.
pub trait LexicalIndex: Debug + Send + Sync {
    /// The score, above zero, of each text that shares a word with `query`, by ascending
    /// number.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if memory runs out.
    fn scores(&self, query: &str) -> Result<Vec<(i64, f64)>>;
}
