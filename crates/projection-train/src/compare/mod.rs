//! Comparing methods of retrieval on the answers of a store: cosine, BM25, the nearest
//! training question, and projections, by questions with known answers.
//!
//! [`Evaluation::with_questions`] asks questions that were kept out of training;
//! [`Evaluation::by_cross_validation`] leaves the store's own questions out in turn and
//! trains every method again on the others.

mod chosen;
mod corpus;
mod evaluation;
mod folds;
mod methods;
mod report;
mod results;
mod sweep;
mod validation;

pub use chosen::Chosen;
pub use corpus::{Asked, Corpus, CorpusParts, TestCluster};
pub use evaluation::{Evaluation, Options};
pub use methods::{Found, Method, NOT_FOUND};
pub use report::{
    AgainstExact, EvaluationReport, MethodReport, MetricReport, PartReport, RegimeReport,
};
pub use results::{Against, Choice, Confusion, Measured, Outcome, Part, Regime};
pub use sweep::{Parameter, Sweep};
