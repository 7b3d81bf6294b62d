//! How good retrieval is: the rank of the right answer for each question, and what ranks
//! say. All of it pure functions.

mod metrics;
mod ranks;

pub use metrics::{Interval, Metrics, bootstrap, mcnemar};
pub(crate) use ranks::rank_of;
pub use ranks::ranks;
