//! Training, evaluation and distillation of semantic projections, on data in memory.
//!
//! [`TrainingData`] are embedded answers, embedded questions, and which answers which. A
//! [`Recipe`] names a kind of model with all its parameters and trains it on such data.
//! [`train_model`] finds the recipe in four steps:
//!
//! 1. **Fixed.** Each kind has parameters that do well on most data, such as
//!    [`ResidualTraining::fixed`]. With [`Method::Residual`] and no tuning, this is all.
//! 2. **Fitted.** Questions, and answers with all of theirs, are left out in turn ([`Tuning`]).
//!    The terms of a residual projection are trained on the others, and a small convex fit on
//!    those left out finds how much each term should count, and how far the answers should be
//!    moved towards their questions.
//! 3. **Compared.** The other kinds are trained and measured on the same folds. One of them
//!    replaces the residual projection only if it is better by two standard errors of the
//!    difference.
//! 4. **Calibrated.** On the same left-out questions, as the chosen model projects them, the
//!    offset of unseen answers is fitted and the weight of BM25 in hybrid search chosen.
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
mod angle;
mod calibrate;
mod centroid;
mod choose;
mod compare;
mod data;
mod distill;
pub mod evaluation;
mod factors;
mod folds;
mod kinds;
mod linalg;
mod linear;
mod logit;
mod model;
mod options;
mod ranks;
mod recipe;
mod residual;
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
