//! Training: from embedded question–answer pairs to a model in the store.

mod adapter;
mod centroid;
mod data;
mod distill;
mod folds;
mod grid;
mod lift;
mod linear;
mod multi_head;

mod residual;
mod solve;
mod store;
mod tune;

pub use adapter::AdapterTraining;
pub use centroid::weighted_centroid;
pub use data::TrainingData;
pub use distill::{
    Agreement, Distillation, DistillationProgress, Distilled, HeldOut, agreement, distill,
    distill_model,
};
pub use linear::{LinearMethod, train_linear};
pub use multi_head::{MultiHeadTraining, Trained, train_multi_head};

pub use residual::{ResidualTraining, train_residual};
pub use store::{
    ResidualMethod, TrainedResidual, store_residual, train_linear_model, train_residual_model,
};
pub use tune::{Tried, Tuned, Tuning, Validated, tune_residual};

/// How far training is, for a caller to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done: `tuning`, a step of which is one training of an adapter for one
    /// fold, or `adapter`, a step of which is one of Adam.
    pub stage: &'static str,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage in all.
    pub steps: usize,
    /// The loss of the step, where there is one.
    pub loss: Option<f64>,
}
