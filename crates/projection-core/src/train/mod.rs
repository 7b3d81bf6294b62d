//! Training: from embedded question–answer pairs to a model in the store.

mod adapter;
mod centroid;
mod data;
mod lift;
mod multi_head;

mod residual;
mod solve;

pub use adapter::AdapterTraining;
pub use centroid::weighted_centroid;
pub use data::TrainingData;
pub use multi_head::{MultiHeadTraining, Trained, train_multi_head};

pub use residual::{ResidualTraining, train_residual};

/// How far training is, for a caller to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done, such as `adapter`.
    pub stage: &'static str,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage in all.
    pub steps: usize,
    /// The loss of the step, where there is one.
    pub loss: Option<f64>,
}
