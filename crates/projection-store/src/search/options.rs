//! What is searched for, and how answers are scored.
//!
//! An answer's score is made in up to three steps:
//!
//! ```text
//! s  = cos(p, a)                         p the query, or its projection; a the answer
//!      or max(cos(p, a), 0.8·n)          n the nearest training question of a's cluster
//! s' = s + offset                        for unseen answers: those that no head is for. The
//!                                         projection's own offset by default
//! f  = (1 − w)·(s' + 1)/(S + 1) + w·b/B  b the answer's BM25; S, B the largest s' and b
//! ```
//!
//! The fusion f is the convex combination of scores, scaled from their least possible value
//! to the query's largest, of S. Bruch, S. Gai and A. Ingber, "An Analysis of Fusion
//! Functions for Hybrid Retrieval", ACM Transactions on Information Systems 42(1), 2023,
//! arXiv 2210.11934 (TM2C2 there, with −1 and 0 as the least possible values of cosine and
//! BM25). They find it better than reciprocal-rank fusion, and find that their weight of 0.8 for
//! the vectors holds for data sets that it was not tuned on: hence w = 0.2 here, unless training
//! chose another.

use std::fmt;

use projection_core::projection::Projection;
use projection_core::{Error, ErrorKind, Result};

use super::{DEFAULT_HYBRID_WEIGHT, Hit};

/// Weight of a training question's similarity relative to an answer's. Questions are nearer to
/// each other than to their answers.
pub const NEAREST_QUESTION_FACTOR: f32 = 0.8;

/// A query.
#[derive(Debug, Clone, Copy)]
pub struct SearchQuery<'a> {
    /// The question's embedding (d).
    pub vector: &'a [f32],
    /// The question; needed by hybrid search.
    pub text: Option<&'a str>,
}

impl<'a> SearchQuery<'a> {
    /// A query without a text.
    pub fn of_vector(vector: &'a [f32]) -> Self {
        Self { vector, text: None }
    }
}

/// The weight of words that a query and an answer share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Hybrid {
    /// Only vectors count.
    #[default]
    Off,
    /// The weight that training chose for the projection, or [`DEFAULT_HYBRID_WEIGHT`].
    OfModel,
    /// This weight of BM25, from 0 (only vectors) to 1 (only words).
    Weight(f64),
}

/// How vectors score an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ScoreMode {
    /// The cosine of the (projected) query and the answer, plus an offset for unseen answers:
    /// [`SearchOptions::unseen_offset`], or if that is 0 the one that training chose for the
    /// projection. Without a projection, with one that has no offset, and in a searcher that does
    /// not know its answers' clusters, it is the cosine alone;
    /// [`SearchResult::unseen_offset`] tells which.
    #[default]
    SeenUnseen,
    /// The cosine alone, without the projection's offset.
    Cosine,
    /// The cosine, or [`NEAREST_QUESTION_FACTOR`] times the cosine of the query and the nearest
    /// training question of the answer's cluster, whichever is more. Needs a residual projection
    /// and a searcher that knows its answers' clusters.
    MaxNearestQuestion,
}

/// How answers are found and scored.
#[derive(Clone, Copy)]
pub struct SearchOptions<'a> {
    /// Number of answers.
    pub k: usize,
    /// The projection of the query; `None` for plain cosine.
    pub projection: Option<&'a dyn Projection>,
    /// The weight of words.
    pub hybrid: Hybrid,
    /// How vectors score an answer.
    pub score_mode: ScoreMode,
    /// Added to the vectors' score of unseen answers, those that no head of the projection is
    /// for. A projection draws queries towards the answers that it was trained on; the offset
    /// makes up for that, or for how rarely the others are right. Needs a projection with heads
    /// and a searcher that knows its answers' clusters. 0 is the one that training chose with
    /// [`ScoreMode::SeenUnseen`], else none.
    pub unseen_offset: f64,
    /// The ids of the answers that may be found, in any order; `None` for all. Scores do not
    /// depend on it, and unknown ids are ignored.
    pub allowed: Option<&'a [i64]>,
    /// Number of threads, 0 counts as 1. They share the queries of a batch, or the answers for
    /// one query, and end before the search does. Results do not depend on it.
    pub threads: usize,
}

impl Default for SearchOptions<'_> {
    /// Ten answers by plain cosine.
    fn default() -> Self {
        Self {
            k: 10,
            projection: None,
            hybrid: Hybrid::Off,
            score_mode: ScoreMode::SeenUnseen,
            unseen_offset: 0.0,
            allowed: None,
            threads: 1,
        }
    }
}

impl fmt::Debug for SearchOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchOptions")
            .field("k", &self.k)
            .field("projection", &self.projection.map(|_| "…"))
            .field("hybrid", &self.hybrid)
            .field("score_mode", &self.score_mode)
            .field("unseen_offset", &self.unseen_offset)
            .field("allowed", &self.allowed.map(<[i64]>::len))
            .field("threads", &self.threads)
            .finish()
    }
}

impl SearchOptions<'_> {
    /// The weight of BM25.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is from 0 to 1.
    pub fn hybrid_weight(&self) -> Result<f64> {
        match self.hybrid {
            Hybrid::Off => Ok(0.0),
            Hybrid::OfModel => {
                let chosen = self.projection.and_then(|projection| projection.hybrid_weight());
                Ok(chosen.unwrap_or(DEFAULT_HYBRID_WEIGHT))
            }
            Hybrid::Weight(weight) if (0.0..=1.0).contains(&weight) => Ok(weight),
            Hybrid::Weight(weight) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("hybrid weight {weight}, expected a number from 0 to 1"),
            )),
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SearchResult {
    /// The min(k, all) best answers, best first, equal ones by ascending id.
    pub hits: Vec<Hit>,
    /// The weight of BM25 in the scores; 0 if words did not count.
    pub hybrid_weight: f64,
    /// The offset of unseen answers; 0 if there was none.
    pub unseen_offset: f64,
}
