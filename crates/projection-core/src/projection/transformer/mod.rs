//! The transformer projection: a small network, distilled from another projection.

mod fold;
mod weights;

use std::sync::Arc;

use super::Projection;
use super::compute::{Compute, Queries, Results, RowError};
use super::query::{check_projected_rows, checked_norm};
use crate::error::Result;
use crate::parameters::SearchDefaults;
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
    pub(super) search: SearchDefaults,
}

impl TransformerProjection {
    /// Makes a projection of weights.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`](crate::ErrorKind::NotFinite) if a product of them is too large
    /// for float32.
    pub fn new(weights: TransformerWeights) -> Result<Self> {
        let network = Arc::new(Network::new(&weights)?);
        Ok(Self { weights: Arc::new(weights), network, search: SearchDefaults::default() })
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
const PARAMETERS: &str = "the transformer's weights";

impl Projection for TransformerProjection {
    fn compute(&self) -> &dyn Compute {
        self
    }

    fn input_dim(&self) -> usize {
        self.weights.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.weights.output_dim()
    }

    fn search_defaults(&self) -> SearchDefaults {
        self.search
    }
}

impl Compute for TransformerProjection {
    fn checked_norm(&self, query: &[f32]) -> Result<f64> {
        checked_norm(query, self.input_dim())
    }

    fn project_rows(&self, queries: Queries<'_>, results: Results<'_>) -> Result<(), RowError> {
        self.network.run(queries.values, results.projected);
        check_projected_rows(results.projected, self.output_dim(), PARAMETERS)
    }
}
