//! Models that move a query's embedding to where its answer lies.

mod deferred;
mod linear;
pub mod list_tensors;
mod load;
pub mod load_kinds;
mod model;
mod multi_head;
mod neighbours;
mod query;
mod residual;
pub mod rotation;
mod similarities;
mod stored_index;
mod transformer;
use ndarray::{Array2, Axis};
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::error::Result;

pub use crate::ivf::IndexStats;
pub use crate::parameters::{ModelKind, ModelParameters};
pub use linear::LinearProjection;
pub use model::Model;
pub use multi_head::{Head, MultiHeadProjection, Precision};
pub use neighbours::Neighbour;
pub use residual::{QuestionHead, ResidualParts, ResidualProjection};
pub use transformer::{NamedTensor, TransformerProjection, TransformerShape, TransformerWeights};

pub use multi_head::{HeadVectors, StoredHeads};
pub use query::row_major;
pub use residual::LEAST_NORM;
pub use residual::StoredTerms;
pub use rotation::StoredQuestions;
pub use rotation::{LEAST_ALIGNMENT, LEAST_TOTAL};

/// What all model kinds have in common.
///
/// `d` is [`input_dim`](Self::input_dim), `o` is [`output_dim`](Self::output_dim), `h` the
/// number of [`head_ids`](Self::head_ids). Models do not change once made and may be shared
/// by any number of threads.
pub trait Projection: Send + Sync {
    /// Dimension `d` of queries.
    fn input_dim(&self) -> usize;

    /// Dimension `o` of projected queries.
    fn output_dim(&self) -> usize;

    /// Cluster ids of the heads, ascending: the order of routing weights. Empty for kinds
    /// that do not route.
    fn head_ids(&self) -> &[i64];

    /// Projects `query` (d) into `projected` (o) and, where wanted, writes the routing
    /// weights (h), which sum to 1. The buffers are written only on success.
    ///
    /// What else is needed, a thread keeps for its next query: after a few, none of them takes
    /// memory from the system.
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
    ) -> Result<()>;

    /// Projects one query (d). Gives the projected query (o) and the routing weights (h).
    ///
    /// # Errors
    /// As [`project_into`](Self::project_into).
    fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut projected = vec![0.0; self.output_dim()];
        let mut weights = vec![0.0; self.head_ids().len()];
        self.project_into(query, &mut projected, Some(&mut weights))?;
        Ok((projected, weights))
    }

    /// Projects the rows of `queries` (n × d) into the rows of `projected` (n × o) and,
    /// where wanted, writes routing weights (n × h).
    ///
    /// # Errors
    /// As [`project_into`](Self::project_into), naming the row. All queries are checked
    /// before anything is written.
    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()>;

    /// [`project_batch_into`](Self::project_batch_into) on up to `threads` threads, which end
    /// before it returns; 0 counts as 1. How the queries are shared out may change last bits.
    ///
    /// # Errors
    /// As [`project_batch_into`](Self::project_batch_into).
    fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        mut projected: ArrayViewMut2<'_, f32>,
        mut weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let (rows, threads) = (queries.nrows(), threads.min(queries.nrows()));
        if threads <= 1 {
            return self.project_batch_into(queries, projected, weights);
        }
        query::check_batch_buffers(self, rows, &projected, weights.as_ref())?;
        let share = rows.div_ceil(threads);
        let mut results = Array2::zeros((rows, self.output_dim()));
        let heads = if weights.is_some() { self.head_ids().len() } else { 0 };
        let mut routed = Array2::zeros((rows, heads));
        let done = std::thread::scope(|scope| {
            let shares = queries.axis_chunks_iter(Axis(0), share);
            let shares = shares.zip(results.axis_chunks_iter_mut(Axis(0), share));
            let shares = shares.zip(routed.axis_chunks_iter_mut(Axis(0), share));
            let wanted = weights.is_some();
            let work = |((queries, results), routed): ((_, _), _)| {
                move || self.project_batch_into(queries, results, wanted.then_some(routed)).is_ok()
            };
            let running: Vec<_> = shares.map(|share| scope.spawn(work(share))).collect();
            let mut done = true;
            for share in running {
                // A panic of a share goes on here.
                done &= share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            done
        });
        if !done {
            // Says which row of all of them it is.
            return self.project_batch_into(queries, projected, weights);
        }
        projected.assign(&results);
        if let Some(weights) = &mut weights {
            weights.assign(&routed);
        }
        Ok(())
    }

    /// The weight of BM25 in hybrid search that training chose, from 0 to 1, if it did.
    fn hybrid_weight(&self) -> Option<f64> {
        None
    }

    /// The offset that training chose for the scores of answers that no head is for, if it
    /// did; see [`ScoreMode::SeenUnseen`](crate::search::ScoreMode::SeenUnseen).
    fn unseen_offset(&self) -> Option<f64> {
        None
    }

    /// The residual projection that this is, if it is one: it holds training questions.
    fn as_residual(&self) -> Option<&ResidualProjection> {
        None
    }
}
