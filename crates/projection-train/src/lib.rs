//! Training, evaluation and distillation of semantic projections, on data in memory.
//!
//! [`TrainingData`] are embedded answers, embedded questions, and which answers which. A
//! [`Recipe`] names a kind of model with all its parameters and trains it on such data.
//! [`train_model`] finds the recipe in four steps:
//!
//! 1. **Fixed.** Each kind has parameters that do well on most data, such as
//!    [`ResidualTraining::fixed`]. With [`Method::Residual`] and no tuning, this is all.
//! 2. **Tuned.** Questions, and answers with all of theirs, are left out in turn ([`Tuning`]).
//!    Every candidate is trained on the others and ranks the answers to those left out. One
//!    training of an adapter serves all factors of the terms, one product of the questions
//!    every ridge.
//! 3. **Chosen.** Few questions compare many candidates, so the best one is often only lucky:
//!    the choice is the candidate nearest to the fixed parameters that is not worse than the
//!    best by more than the standard error of the difference. A simpler kind than the residual
//!    one has to be better by two.
//! 4. **Calibrated.** On the same left-out questions, as the chosen model projects them, the
//!    weight of BM25 in hybrid search and the offset of unseen answers are chosen.
//!
//! [`Validation`] reports what was measured on the way, next to plain cosine. [`evaluation`]
//! compares finished models with each other and with simple methods; [`distill_model`] trains
//! a transformer to project as another model does.
//!
//! Training knows no store: it takes arrays and returns a [`TrainedModel`]. The same data,
//! options and seed give the same model, with any number of threads. Long work calls an
//! [`OnProgress`] callback, which can cancel it.

mod adam;
mod adapter;
mod calibrate;
mod centroid;
mod choose;
mod compare;
mod data;
mod distill;
pub mod evaluation;
mod folds;
mod grid;
mod kinds;
mod lift;
mod linalg;
mod linear;
mod model;
mod options;
mod ranks;
mod recipe;
mod residual;
mod tune;
mod validation;

pub use adapter::AdapterTraining;
pub use calibrate::Calibrated;
pub use centroid::weighted_centroid;
pub use choose::{Trial, Validation};
pub use compare::{Comparison, Incumbent, compare};
pub use data::{TrainingData, TrainingTexts, unit_rows};
pub use distill::{Agreement, Distillation, Distilled, Teacher, distill_model};
pub use kernel::progress::{OnProgress, Progress, ignore_progress};
pub use linear::{LinearMethod, train_linear};
pub use model::{TrainedModel, train_model};
pub use options::{Method, TrainingOptions, Tuning};
pub use recipe::Recipe;
pub(crate) use recipe::multi_head;
pub use residual::{ResidualTraining, train_residual};
pub use validation::Validated;

pub use projection_core::{Error, ErrorKind, Result};
pub(crate) use projection_core::{error, kernel, projection, search};
