//! The transformer projection: a small network, distilled from another projection.

mod fold;
mod weights;

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Projection;
use super::query::{check_batch_buffers, check_buffer, checked_norm, checked_rows};
use crate::error::{Error, ErrorKind, Result};
use fold::Network;

pub use weights::{NamedTensor, TransformerShape, TransformerWeights};

/// A transformer over a sequence of length 1. Cheap to clone: clones share the weights.
///
/// It is the torch module of an input layer (Linear), `num_layers` post-norm encoder layers
/// with GELU (TransformerEncoderLayer, `norm_first=False`, layer norm epsilon 1e-5) and an
/// output layer (Linear). The query is used as it is, not normalised. There are no routing
/// weights.
///
/// ```no_run
/// use projection_core::projection::{Projection, TransformerProjection};
/// # fn main() -> projection_core::Result<()> {
/// let model = TransformerProjection::load("transformer.pt")?;
/// let (projected, _) = model.project(&vec![0.1; model.input_dim()])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TransformerProjection {
    weights: Arc<TransformerWeights>,
    network: Arc<Network>,
    /// See [`Projection::hybrid_weight`].
    pub(super) hybrid_weight: Option<f64>,
}

impl TransformerProjection {
    /// Makes a projection of weights.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] where a product of them is too large for float32.
    pub fn new(weights: TransformerWeights) -> Result<Self> {
        let network = Arc::new(Network::new(&weights)?);
        Ok(Self { weights: Arc::new(weights), network, hybrid_weight: None })
    }

    /// The sizes.
    pub fn shape(&self) -> &TransformerShape {
        self.weights.shape()
    }

    /// The weights as torch has them.
    pub fn weights(&self) -> &TransformerWeights {
        &self.weights
    }
}

/// Refuses a result that is too large for single precision.
fn check_result(projected: &[f32]) -> Result<()> {
    if projected.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFinite,
        "projected query overflows: the query is too large for the transformer's weights",
    ))
}

impl Projection for TransformerProjection {
    fn input_dim(&self) -> usize {
        self.weights.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.weights.output_dim()
    }

    fn head_ids(&self) -> &[i64] {
        &[]
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        check_buffer("the projected query", projected.len(), self.output_dim())?;
        if let Some(weights) = &weights {
            check_buffer("routing weights", weights.len(), 0)?;
        }
        checked_norm(query, self.input_dim())?;
        let mut results = vec![0.0; self.output_dim()];
        self.network.run(query, &mut results);
        check_result(&results)?;
        projected.copy_from_slice(&results);
        Ok(())
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        mut projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let rows = queries.nrows();
        let (queries, _) = checked_rows(queries, self.input_dim())?;
        check_batch_buffers(self, rows, &projected, weights.as_ref())?;
        let mut results = Array2::zeros((rows, self.output_dim()));
        let out = results.as_slice_mut().expect("a new array is row-major");
        self.network.run(queries.as_slice().expect("checked rows are row-major"), out);
        for (row, projected) in out.chunks(self.output_dim()).enumerate() {
            check_result(projected).map_err(|error| error.context(format!("row {row}")))?;
        }
        projected.assign(&results);
        Ok(())
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }
}
