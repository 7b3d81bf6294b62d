//! The multi-head projection: one head per cluster of questions with a common answer.
//!
//! For a query q, heads k with unit centroids c_k and answers a_k, and temperature τ:
//!
//! ```text
//! w         = softmax_k(cos(q, c_k) / τ)
//! projected = Σ_k w_k a_k        where head k has a matrix W_k, its term is w_k W_k q
//! ```
//!
//! This is attention over the clusters, in the form of UnifyWeaver's book, chapter
//! "Cross-Target Deployment".

mod heads;
mod nearest;
mod precision;
mod project;
mod route;
mod similarities;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Projection;
use crate::error::{Error, ErrorKind, Result};
use heads::Heads;

pub use heads::Head;
pub use heads::HeadPart;
pub use heads::HeadVectors;
pub use precision::Precision;
pub use stored::StoredHeads;

/// What is wrong where a matrix makes values that are not finite.
const OVERFLOWS: &str = "projected query overflows: the query is too large for the heads' matrices";

/// A multi-head projection. Cheap to clone: clones share their heads.
#[derive(Debug, Clone)]
pub struct MultiHeadProjection {
    heads: Arc<Heads>,
    temperature: f64,
    /// Only so many of the nearest heads take part; all of them where it is `None`.
    top_k: Option<usize>,
    /// See [`Projection::hybrid_weight`].
    pub hybrid_weight: Option<f64>,
    /// See [`Projection::unseen_offset`].
    pub unseen_offset: Option<f64>,
}

impl MultiHeadProjection {
    /// Dimension of queries.
    pub fn input_dim(&self) -> usize {
        self.heads.dim
    }

    /// Dimension of projected queries.
    pub fn output_dim(&self) -> usize {
        self.heads.output_dim
    }

    /// The clusters of the heads, ascending: the order of routing weights.
    pub fn cluster_ids(&self) -> &[i64] {
        &self.heads.ids
    }

    /// The softmax temperature τ.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The same heads at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number above zero.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        check_temperature(temperature)?;
        Ok(Self { temperature, ..self.clone() })
    }

    /// How many of the nearest heads take part, or `None` for all.
    pub fn top_k(&self) -> Option<usize> {
        self.top_k
    }

    /// The same heads, of which only the `top_k` nearest to a query take part, or all for
    /// `None`; the others have weight 0. Of equally near heads the lower cluster id counts
    /// as nearer. The vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0.
    pub fn with_top_k(&self, top_k: Option<usize>) -> Result<Self> {
        if top_k == Some(0) {
            return Err(Error::new(ErrorKind::InvalidArgument, "top_k 0, expected at least 1"));
        }
        Ok(Self { top_k, ..self.clone() })
    }
}

pub fn check_temperature(temperature: f64) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("temperature {temperature}, expected a finite number above zero"),
    ))
}

impl Projection for MultiHeadProjection {
    fn input_dim(&self) -> usize {
        self.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.output_dim()
    }

    fn head_ids(&self) -> &[i64] {
        self.cluster_ids()
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        self.project_into(query, projected, weights)
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.project_batch_into(queries, projected, weights)
    }
    fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.project_batch_on(threads, queries, projected, weights)
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }

    fn unseen_offset(&self) -> Option<f64> {
        self.unseen_offset
    }
}
