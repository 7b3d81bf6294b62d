//! The transformer projection: a small network, distilled from another projection.

mod fold;
mod weights;

use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Projection;
use super::query::{project_batch_unrouted, project_unrouted};
use crate::error::Result;
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
/// use projection_core::projection::{Model, Projection};
/// # fn main() -> projection_core::Result<()> {
/// let model = Model::load_file("transformer.safetensors")?;
/// let (projected, _) = model.project(&vec![0.1; model.input_dim()])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TransformerProjection {
    weights: Arc<TransformerWeights>,
    network: Arc<Network>,
    /// See [`Projection::hybrid_weight`].
    pub hybrid_weight: Option<f64>,
}

impl TransformerProjection {
    /// Makes a projection of weights.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`](crate::ErrorKind::NotFinite) where a product of them is too large for float32.
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

/// What a query can be too large for.
const WEIGHTS: &str = "the transformer's weights";

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
        let run = |query: &[f32], out: &mut [f32]| self.network.run(query, out);
        project_unrouted(self, WEIGHTS, query, projected, weights, run)
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let run = |queries: &[f32], out: &mut [f32]| self.network.run(queries, out);
        project_batch_unrouted(self, WEIGHTS, queries, projected, weights, run)
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }
}
