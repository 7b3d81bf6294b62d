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
mod parts;
mod precision;
mod project;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Projection;
use super::stored_index::VectorIndex;
use super::validation::Validation;
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::{IvfIndex, UnitVectors};
use crate::parameters::SearchDefaults;

pub use heads::Head;
pub(super) use heads::HeadPart;
pub use parts::{HeadRows, MultiHeadParts};
pub use precision::Precision;

/// A multi-head projection. Cheap to clone: clones share their heads.
#[derive(Debug, Clone)]
pub struct MultiHeadProjection {
    heads: Arc<Heads>,
    temperature: f64,
    /// How many of the nearest heads take part; all of them if it is `None`.
    top_k: Option<usize>,
    pub(super) search: SearchDefaults,
}

/// What clones share.
#[derive(Debug, Clone)]
struct Heads {
    parts: MultiHeadParts,
    dim: usize,
    output_dim: usize,
    validation: Validation,
    /// Finds the nearest of many centroids if only few heads take part.
    index: VectorIndex,
}

impl MultiHeadProjection {
    /// Makes a projection of parts whose values have not been checked yet if they come from a
    /// `file`; its first use checks them then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a temperature that is not a finite number above zero,
    /// [`ErrorKind::InvalidModel`] for cluster ids that do not ascend,
    /// [`ErrorKind::DimensionMismatch`] for answers of another dimension than the centroids.
    pub(crate) fn from_parts(
        parts: MultiHeadParts,
        index: Option<Arc<IvfIndex>>,
        temperature: f64,
        file: Option<&str>,
    ) -> Result<Self> {
        check_temperature(temperature)?;
        parts.check_shapes()?;
        let heads = Heads {
            dim: parts.centroids.dim(),
            output_dim: parts.answers.dim(),
            parts,
            validation: file.map_or_else(Validation::passed, Validation::pending),
            index: VectorIndex::of(index),
        };
        let search = SearchDefaults::default();
        Ok(Self { heads: Arc::new(heads), temperature, top_k: None, search })
    }

    /// Centroids, answers and matrices.
    pub fn parts(&self) -> &MultiHeadParts {
        &self.heads.parts
    }

    /// The clusters of the heads, ascending: the order of routing weights.
    pub fn cluster_ids(&self) -> &[i64] {
        &self.heads.parts.cluster_ids
    }

    /// The softmax temperature τ.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The same heads at another temperature; the vectors are shared.
    ///
    /// A model of more than [`MultiHeadParts::EXACT_BYTES`] of centroids in float64 that was
    /// made at a temperature of 0.02 or above has only kept them in float32. At a temperature τ
    /// its weights are then off by up to 6e-8/τ of themselves. Load such a model at the low
    /// temperature instead.
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

    /// A model with the same heads that only uses the `top_k` nearest to a query, or all for
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

    /// Finds the nearest heads.
    pub(crate) fn index(&self) -> &VectorIndex {
        &self.heads.index
    }

    /// The same model with this index instead of its own.
    pub(super) fn with_index(mut self, index: Arc<IvfIndex>) -> Self {
        Arc::make_mut(&mut self.heads).index = VectorIndex::of(Some(index));
        self
    }

    /// Calls `work` with the centroids.
    pub(super) fn with_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        let centroids = &self.heads.parts.centroids;
        let copy_row = |head: usize, unit: &mut [f32]| centroids.copy_row(head, unit);
        work(UnitVectors {
            count: self.cluster_ids().len(),
            dim: self.heads.dim,
            copy_row: &copy_row,
        })
    }

    /// [`Projection::project`], also without the trait in scope.
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    pub fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        Projection::project(self, query)
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
