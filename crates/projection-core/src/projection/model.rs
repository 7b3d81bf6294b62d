//! A model of any kind, as a store holds it.

use std::path::Path;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{MultiHeadProjection, Projection};
use crate::error::Result;

/// A trained model of any kind. Cheap to clone: clones share their vectors.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Model {
    /// See [`MultiHeadProjection`].
    MultiHead(MultiHeadProjection),
}

impl Model {
    /// Opens projection `id` of the store whose database is `database`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where the database, the id or a
    /// file does not exist; otherwise as [`MultiHeadProjection::open`].
    pub fn open(database: impl AsRef<Path>, id: i64) -> Result<Self> {
        MultiHeadProjection::open(database, id).map(Self::MultiHead)
    }

    /// Loads projection `id` from its files in `folder`, see
    /// [`MultiHeadProjection::load_unified`].
    ///
    /// # Errors
    /// As [`MultiHeadProjection::load_unified`].
    pub fn load(folder: impl AsRef<Path>, id: i64, temperature: f64) -> Result<Self> {
        MultiHeadProjection::load_unified(folder, id, temperature).map(Self::MultiHead)
    }

    /// The softmax temperature of the routing.
    pub fn temperature(&self) -> f64 {
        match self {
            Self::MultiHead(model) => model.temperature(),
        }
    }

    /// The same model at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) unless it is a
    /// finite number above zero.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        match self {
            Self::MultiHead(model) => model.with_temperature(temperature).map(Self::MultiHead),
        }
    }

    fn as_projection(&self) -> &dyn Projection {
        match self {
            Self::MultiHead(model) => model,
        }
    }
}

impl Projection for Model {
    fn input_dim(&self) -> usize {
        self.as_projection().input_dim()
    }

    fn output_dim(&self) -> usize {
        self.as_projection().output_dim()
    }

    fn head_ids(&self) -> &[i64] {
        self.as_projection().head_ids()
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        self.as_projection().project_into(query, projected, weights)
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.as_projection().project_batch_into(queries, projected, weights)
    }
}
