//! Models that move a query's embedding to where its answer lies.
//!
//! Every kind implements [`Projection`]; [`Model`] is one of any kind. Models are loaded from the
//! files of a folder ([`Model::load`], [`MultiHeadProjection::load_unified`]) or from one file
//! ([`Model::load_file`]), or made of their parts.

mod compute;
mod explain;
mod linear;
mod load;
mod model;
mod multi_head;
mod query;
mod residual;
mod stored_index;
mod transformer;
mod validation;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::error::Result;
use crate::kernel::parallel::Poll;
use compute::{Compute, Results};

pub use crate::ivf::IndexStats;
pub use crate::parameters::{ModelKind, ModelParameters, SearchDefaults};
pub use explain::Neighbour;
pub use linear::LinearProjection;
pub use model::Model;
pub use multi_head::{Head, HeadRows, MultiHeadParts, MultiHeadProjection, Precision};
pub use residual::{
    MIN_ALIGNMENT, MIN_NORM, MIN_TOTAL_WEIGHT, Near, QuestionFacts, Questions, ResidualParts,
    ResidualProjection, turned,
};
pub use transformer::{NamedTensor, TransformerProjection, TransformerShape, TransformerWeights};

pub(crate) use query::row_major;
pub(crate) use stored_index::{index_tensors, read_index};

/// What all model kinds have in common. Only the kinds of this crate implement it.
///
/// `d` is [`input_dim`](Self::input_dim), `o` is [`output_dim`](Self::output_dim), `h` the
/// number of [`head_ids`](Self::head_ids). Models are immutable and may be shared by any number
/// of threads.
pub trait Projection: Send + Sync {
    /// What the kind computes. The type is private, which seals the trait.
    #[doc(hidden)]
    fn compute(&self) -> &dyn Compute;

    /// Dimension `d` of queries.
    fn input_dim(&self) -> usize;

    /// Dimension `o` of projected queries.
    fn output_dim(&self) -> usize;

    /// Cluster ids of the heads, ascending: the order of routing weights. Empty for kinds
    /// that do not route.
    fn head_ids(&self) -> &[i64] {
        &[]
    }

    /// What training chose for search with this model.
    fn search_defaults(&self) -> SearchDefaults;

    /// The residual projection that this is, if it is one: it holds training questions.
    fn as_residual(&self) -> Option<&ResidualProjection> {
        None
    }

    /// The weight of BM25 in hybrid search that training chose, from 0 to 1, if it did.
    fn hybrid_weight(&self) -> Option<f64> {
        self.search_defaults().hybrid_weight
    }

    /// The offset that training chose for the scores of unseen answers, those without training
    /// questions, if it did.
    fn unseen_offset(&self) -> Option<f64> {
        self.search_defaults().unseen_offset
    }

    /// Projects `query` (d) into `projected` (o) and, if `weights` (h) is given, writes the
    /// routing weights, which sum to 1. The buffers are written only on success.
    ///
    /// A thread keeps its scratch buffers for its next query, so that a warm thread projects
    /// without allocating.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch),
    /// [`NotFinite`](crate::ErrorKind::NotFinite) or
    /// [`ZeroVector`](crate::ErrorKind::ZeroVector) for the query,
    /// [`BufferSize`](crate::ErrorKind::BufferSize) for a buffer of the wrong length.
    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        query::check_buffer("the projected query", projected.len(), self.output_dim())?;
        if let Some(weights) = &weights {
            query::check_buffer("routing weights", weights.len(), self.head_ids().len())?;
        }
        let compute = self.compute();
        let norm = compute.checked_norm(query)?;
        compute.validate()?;
        compute.project_one(query, norm, Results { projected, weights })
    }

    /// Projects one query (d). Returns the projected query (o) and the routing weights (h).
    ///
    /// # Errors
    /// As [`project_into`](Self::project_into).
    fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut projected = vec![0.0; self.output_dim()];
        let mut weights = vec![0.0; self.head_ids().len()];
        self.project_into(query, &mut projected, Some(&mut weights))?;
        Ok((projected, weights))
    }

    /// Projects the rows of `queries` (n × d) into the rows of `projected` (n × o) and, if
    /// `weights` (n × h) is given, writes the routing weights.
    ///
    /// # Errors
    /// As [`project_into`](Self::project_into), naming the row. Nothing is written then.
    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.project_batch_on(1, queries, projected, weights, &mut || Ok(()))
    }

    /// [`project_batch_into`](Self::project_batch_into) on up to `threads` threads, which end
    /// before it returns; 0 counts as 1. The number of threads may change last bits. `poll` is
    /// called several times a second.
    ///
    /// # Errors
    /// As [`project_batch_into`](Self::project_batch_into), and those of `poll`, after which some
    /// rows may be written.
    fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
        poll: &mut Poll<'_>,
    ) -> Result<()> {
        query::project_batch(self, threads, queries, projected, weights, poll)
    }

    /// Projects the rows of `queries` (n × d). Returns the projected queries (n × o) and the
    /// routing weights (n × h).
    ///
    /// # Errors
    /// As [`project_batch_into`](Self::project_batch_into).
    fn project_batch(&self, queries: ArrayView2<'_, f32>) -> Result<(Array2<f32>, Array2<f32>)> {
        let mut projected = Array2::zeros((queries.nrows(), self.output_dim()));
        let mut weights = Array2::zeros((queries.nrows(), self.head_ids().len()));
        self.project_batch_into(queries, projected.view_mut(), Some(weights.view_mut()))?;
        Ok((projected, weights))
    }
}
