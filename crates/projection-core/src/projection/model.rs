//! A model of any kind, as a store holds it.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::TransformerProjection;
use super::compute::Compute;
use super::{LinearProjection, MultiHeadProjection, Precision, Projection, ResidualProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::parallel::Poll;
use crate::parameters::{ModelKind, SearchDefaults};

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
    /// rotate queries by small differences of nearly equal vectors, which rounding would spoil;
    /// the matrices of the others are small.
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

    /// The same model with the weight of BM25 in hybrid search that training chose for it,
    /// or none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is from 0 to 1.
    pub fn with_hybrid_weight(&self, hybrid_weight: Option<f64>) -> Result<Self> {
        self.clone()
            .with_search_defaults(SearchDefaults { hybrid_weight, ..self.search_defaults() })
    }

    /// The same model with the offset that training chose for unseen answers, or none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is finite, and for a model without heads.
    pub fn with_unseen_offset(&self, unseen_offset: Option<f64>) -> Result<Self> {
        self.clone()
            .with_search_defaults(SearchDefaults { unseen_offset, ..self.search_defaults() })
    }

    /// The same model with what training chose for search.
    ///
    /// # Errors
    /// As [`with_hybrid_weight`](Self::with_hybrid_weight) and
    /// [`with_unseen_offset`](Self::with_unseen_offset).
    pub fn with_search_defaults(mut self, search: SearchDefaults) -> Result<Self> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        if let Some(weight) = search.hybrid_weight.filter(|weight| !(0.0..=1.0).contains(weight)) {
            return refuse(format!("hybrid weight {weight}, expected a number from 0 to 1"));
        }
        let routes = matches!(self, Self::MultiHead(_) | Self::Residual(_));
        match search.unseen_offset {
            Some(offset) if !offset.is_finite() => {
                return refuse(format!("unseen offset {offset}, expected a finite number"));
            }
            Some(offset) if !routes => {
                return refuse(format!("unseen offset {offset} for a model without heads"));
            }
            _ => {}
        }
        *match &mut self {
            Self::MultiHead(model) => &mut model.search,
            Self::Residual(model) => &mut model.search,
            Self::Linear(model) => &mut model.search,
            Self::Transformer(model) => &mut model.search,
        } = search;
        Ok(self)
    }

    /// Reads and checks all values of a model from a mapped file now. Otherwise its first use
    /// does. The values of other models have been checked.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidModel`], naming the file and the
    /// tensor.
    pub fn check_values(&self) -> Result<()> {
        self.compute().validate()
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
    fn compute(&self) -> &dyn Compute {
        self.as_projection().compute()
    }

    fn input_dim(&self) -> usize {
        self.as_projection().input_dim()
    }

    fn output_dim(&self) -> usize {
        self.as_projection().output_dim()
    }

    fn head_ids(&self) -> &[i64] {
        self.as_projection().head_ids()
    }

    fn search_defaults(&self) -> SearchDefaults {
        self.as_projection().search_defaults()
    }

    fn as_residual(&self) -> Option<&ResidualProjection> {
        self.as_projection().as_residual()
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        self.as_projection().project_into(query, projected, weights)
    }

    fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
        poll: &mut Poll<'_>,
    ) -> Result<()> {
        self.as_projection().project_batch_on(threads, queries, projected, weights, poll)
    }
}
