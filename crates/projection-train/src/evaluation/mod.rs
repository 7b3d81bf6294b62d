//! Comparing methods of retrieval on the answers of a store: cosine, BM25, the nearest
//! training question, and projections, by questions with known answers.
//!
//! [`Evaluation::with_questions`] asks questions that were kept out of training;
//! [`Evaluation::by_cross_validation`] leaves the store's own questions out in turn and
//! trains every method again on the others.

mod candidate;
mod corpus;
mod cross_validation;
mod evaluator;
pub mod metrics;
mod report;
mod results;
mod run;
mod sweep;

pub use crate::ranks::ranks;
pub use candidate::Candidate;
pub use corpus::{Corpus, CorpusParts, EvaluationQueries, TestCluster};
pub use evaluator::{Found, Method, NOT_FOUND};
pub use metrics::{Interval, Metrics};
pub use report::{
    AgainstExact, EvaluationReport, MethodReport, MetricReport, PartReport, ProtocolReport,
};
pub use results::{Confusion, Measured, MethodResult, PairedTest, Part, Protocol, ProtocolResult};
pub use run::{Evaluation, Options};
pub use sweep::{Parameter, Sweep};
