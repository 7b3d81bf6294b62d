//! Evaluation: methods of retrieval on the answers of a store, compared by questions with
//! known answers.
//!
//! The methods are cosine, BM25, the nearest training question, a multi-head baseline, and
//! any number of [`Candidate`]s, which are projections, alone and fused with BM25. A
//! [`Protocol`] says which questions are asked: [`Evaluation::with_questions`] takes questions
//! that were kept out of training; [`Evaluation::by_cross_validation`] leaves the store's own
//! questions out in turn (closed), and answers with all their questions (open), and trains
//! every method again on the others. Each method is measured by [`metrics`] with bootstrap
//! intervals and by a paired test against cosine, on all questions and on those of answers
//! that training has seen and has not seen.

mod candidate;
mod corpus;
mod evaluator;
pub mod metrics;
mod report;
mod results;
mod run;
mod sweep;

pub use crate::ranks::ranks;
pub use candidate::Candidate;
pub use corpus::{Corpus, CorpusParts, EvaluationQueries, TestCluster, TestQuestion};
pub use evaluator::{Found, Method, NOT_FOUND};
pub use metrics::Metrics;
pub use report::{AgainstExact, EvaluationReport, MethodReport, ProtocolReport};
pub use results::{Confusion, Estimate, MethodResult, Part, Protocol, ProtocolResult};
pub use run::{Evaluation, Options};
pub use sweep::{Parameter, Sweep};
