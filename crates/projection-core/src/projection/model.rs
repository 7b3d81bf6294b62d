//! A model of any kind, as a store holds it.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::TransformerProjection;
use super::{LinearProjection, MultiHeadProjection, Precision, Projection, ResidualProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IndexStats;
use crate::parameters::{ModelKind, SearchValues};

/// A trained model of any kind. Cheap to clone: clones share their vectors.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Model {
    /// See [`MultiHeadProjection`].
    MultiHead(MultiHeadProjection),
    /// See [`ResidualProjection`].
    Residual(ResidualProjection),
    /// See [`LinearProjection`].
    Linear(LinearProjection),
    /// See [`TransformerProjection`].
    Transformer(TransformerProjection),
}

impl Model {
    /// The model's kind.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::MultiHead(_) => ModelKind::MultiHead,
            Self::Residual(_) => ModelKind::Residual,
            Self::Linear(_) => ModelKind::Linear,
            Self::Transformer(_) => ModelKind::Transformer,
        }
    }

    /// The temperature of the routing; NaN for a linear projection or a transformer, which
    /// have none.
    pub fn temperature(&self) -> f64 {
        match self {
            Self::MultiHead(model) => model.temperature(),
            Self::Residual(model) => model.temperature(),
            Self::Linear(_) | Self::Transformer(_) => f64::NAN,
        }
    }

    /// The same model at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number above zero, and for a
    /// linear projection or a transformer, which have none.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        match self {
            Self::MultiHead(model) => model.with_temperature(temperature).map(Self::MultiHead),
            Self::Residual(model) => model.with_temperature(temperature).map(Self::Residual),
            Self::Linear(_) | Self::Transformer(_) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "temperature {temperature} for a {} projection, which has none",
                    self.kind().name()
                ),
            )),
        }
    }

    /// How the model keeps its vectors.
    pub fn precision(&self) -> Precision {
        match self {
            Self::MultiHead(model) => model.precision(),
            Self::Residual(_) | Self::Linear(_) | Self::Transformer(_) => Precision::F32,
        }
    }

    /// The same model with its vectors kept in less memory, see
    /// [`MultiHeadProjection::with_precision`]. Only multi-head models do that: residual ones
    /// turn queries by small differences of nearly equal vectors, which rounding would spoil,
    /// and look for their nearest questions among bytes anyway; the matrix of the others is
    /// small.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another kind in less than single precision, or for
    /// another precision than that of a model that is rounded already.
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        match self {
            Self::MultiHead(model) => model.with_precision(precision).map(Self::MultiHead),
            _ if precision == Precision::F32 => Ok(self.clone()),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "precision {} for a {} projection, expected f32: only multi_head ones keep \
                     their vectors in less memory",
                    precision.name(),
                    self.kind().name()
                ),
            )),
        }
    }

    /// The same model with its heads or training questions in lists, where it has many of
    /// them: see [`ResidualProjection::with_approximate_index`] and [`MultiHeadProjection::with_approximate_index`].
    ///
    /// # Errors
    /// As these.
    pub fn with_approximate_index(&self, threads: usize) -> Result<Self> {
        match self {
            Self::MultiHead(model) => model.with_approximate_index(threads).map(Self::MultiHead),
            Self::Residual(model) => model.with_approximate_index(threads).map(Self::Residual),
            Self::Linear(_) | Self::Transformer(_) => Ok(self.clone()),
        }
    }

    /// What was found out when the lists were made, where there are any.
    pub fn index_stats(&self) -> Option<IndexStats> {
        match self {
            Self::MultiHead(model) => model.index_stats(),
            Self::Residual(model) => model.index_stats(),
            Self::Linear(_) | Self::Transformer(_) => None,
        }
    }

    /// The same model with the weight of BM25 in hybrid search that training chose for it,
    /// or none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is from 0 to 1.
    pub fn with_hybrid_weight(&self, weight: Option<f64>) -> Result<Self> {
        self.clone().and_hybrid_weight(weight)
    }

    fn and_hybrid_weight(mut self, weight: Option<f64>) -> Result<Self> {
        if let Some(weight) = weight.filter(|weight| !(0.0..=1.0).contains(weight)) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("hybrid weight {weight}, expected a number from 0 to 1"),
            ));
        }
        *match &mut self {
            Self::MultiHead(model) => &mut model.hybrid_weight,
            Self::Residual(model) => &mut model.hybrid_weight,
            Self::Linear(model) => &mut model.hybrid_weight,
            Self::Transformer(model) => &mut model.hybrid_weight,
        } = weight;
        Ok(self)
    }

    /// The same model with the offset that training chose for answers that no head is for,
    /// or none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is finite, and for one of a model without
    /// heads.
    pub fn with_unseen_offset(&self, offset: Option<f64>) -> Result<Self> {
        self.clone().and_unseen_offset(offset)
    }

    fn and_unseen_offset(mut self, offset: Option<f64>) -> Result<Self> {
        let refuse = |what: &str| {
            let message = format!("unseen offset {}{what}", offset.unwrap_or_default());
            Err(Error::new(ErrorKind::InvalidArgument, message))
        };
        if offset.is_some_and(|offset| !offset.is_finite()) {
            return refuse(", expected a finite number");
        }
        match &mut self {
            Self::MultiHead(model) => model.unseen_offset = offset,
            Self::Residual(model) => model.unseen_offset = offset,
            _ if offset.is_none() => {}
            _ => return refuse(" for a model without heads"),
        }
        Ok(self)
    }

    /// The same model with what training chose for search.
    pub fn and_search_values(self, values: SearchValues) -> Result<Self> {
        self.and_hybrid_weight(values.hybrid_weight)?.and_unseen_offset(values.unseen_offset)
    }

    fn as_projection(&self) -> &dyn Projection {
        match self {
            Self::MultiHead(model) => model,
            Self::Residual(model) => model,
            Self::Linear(model) => model,
            Self::Transformer(model) => model,
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
    fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.as_projection().project_batch_on(threads, queries, projected, weights)
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.as_projection().hybrid_weight()
    }

    fn unseen_offset(&self) -> Option<f64> {
        self.as_projection().unseen_offset()
    }

    fn as_residual(&self) -> Option<&ResidualProjection> {
        self.as_projection().as_residual()
    }
}
