//! Training, evaluation and distillation of semantic projections, on data in memory.

#![allow(missing_docs)]

mod adapter;
mod calibrate;
mod centroid;
mod choose;
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
pub use data::{TrainingData, TrainingTexts, unit_rows};
pub use distill::{
    Agreement, Distillation, DistillationProgress, Distilled, HeldOut, agreement, distill,
    distill_model, distill_questions,
};
pub use linear::{LinearMethod, train_linear};
pub use model::{TrainedModel, train_model};
pub use options::{Method, TrainingOptions, Tuning};
pub use recipe::Recipe;
pub(crate) use recipe::multi_head;
pub use residual::{ResidualTraining, train_residual};
pub use validation::Validated;

pub use projection_core::{Error, ErrorKind, Result};
pub(crate) use projection_core::{error, kernel, projection, search};

/// How far training is, for a caller to show. Functions that are told of it are called on the
/// thread that called, and may unwind to stop the work: nothing is half stored then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done: `tuning`, a step of which is one training of an adapter for one
    /// fold, `adapter`, a step of which is one of Adam, or others without a loss.
    pub stage: &'static str,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage in all.
    pub steps: usize,
    /// The loss of the step, where there is one.
    pub loss: Option<f64>,
}
