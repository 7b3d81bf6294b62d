//! Training: from embedded question–answer pairs to a model in the store.

mod centroid;
mod multi_head;

pub use centroid::weighted_centroid;
pub use multi_head::{MultiHeadTraining, Trained, train_multi_head};
