//! Projecting one query or many.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::MultiHeadProjection;
use crate::error::Result;
use crate::kernel;
use crate::kernel::Scratch;
use crate::projection::query::{
    check_batch_buffers, check_buffer, checked_norm, checked_norm_in_single, checked_rows,
    project_rows, put_rows,
};

/// Queries of a batch that pass by the heads together.
const BLOCK: usize = 128;

impl MultiHeadProjection {
    /// Projects one query (d). Gives the projected query (o) and the routing weights in the
    /// order of [`cluster_ids`](Self::cluster_ids).
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    ///
    /// [`Projection::project_into`]: crate::projection::Projection::project_into
    pub fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut projected = vec![0.0; self.output_dim()];
        let mut weights = vec![0.0; self.cluster_ids().len()];
        self.project_into(query, &mut projected, Some(&mut weights))?;
        Ok((projected, weights))
    }

    /// [`project`](Self::project) into the caller's buffers.
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    ///
    /// [`Projection::project_into`]: crate::projection::Projection::project_into
    pub fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        let heads = &*self.heads;
        check_buffer("the projected query", projected.len(), heads.output_dim)?;
        if let Some(weights) = &weights {
            check_buffer("routing weights", weights.len(), heads.ids.len())?;
        }
        let norm = self.norm_check()(query, heads.dim)?;
        heads.check_values()?;
        if let (Some(factor), true) = (self.single_factor(norm), heads.matrices.is_empty()) {
            kernel::attend_one(query, factor, heads.vectors(), weights, projected);
            return Ok(());
        }
        if let Some(parts) = self.nearest_parts(query, norm) {
            heads.combine_parts(query, &parts, projected)?;
            if let Some(weights) = weights {
                weights.fill(0.0);
                parts.iter().for_each(|(head, weight)| weights[*head] = *weight);
            }
            return Ok(());
        }
        // Weights always succeed, but a matrix may overflow: then nothing is written.
        let mut routed = Scratch::filled(heads.ids.len(), 0.0);
        self.route(query, norm, &mut routed);
        heads.combine(query, &routed, projected)?;
        if let Some(weights) = weights {
            weights.copy_from_slice(&routed);
        }
        Ok(())
    }

    /// What gives the norms of queries as precisely as is needed.
    fn norm_check(&self) -> fn(&[f32], usize) -> Result<f64> {
        if self.is_single() { checked_norm_in_single } else { checked_norm }
    }

    /// Projects the rows of `queries` (n × d). Gives projected queries (n × o) and routing
    /// weights (n × heads).
    ///
    /// # Errors
    /// As [`Projection::project_batch_into`].
    ///
    /// [`Projection::project_batch_into`]: crate::projection::Projection::project_batch_into
    pub fn project_batch(
        &self,
        queries: ArrayView2<'_, f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let mut projected = Array2::zeros((queries.nrows(), self.output_dim()));
        let mut weights = Array2::zeros((queries.nrows(), self.cluster_ids().len()));
        self.project_batch_into(queries, projected.view_mut(), Some(weights.view_mut()))?;
        Ok((projected, weights))
    }

    /// [`project_batch`](Self::project_batch) into the caller's buffers.
    ///
    /// # Errors
    /// As [`Projection::project_batch_into`].
    ///
    /// [`Projection::project_batch_into`]: crate::projection::Projection::project_batch_into
    pub fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.project_batch_on(1, queries, projected, weights)
    }

    /// [`project_batch_into`](Self::project_batch_into) on up to `threads` threads, which end
    /// before it returns; 0 counts as 1. How the queries are shared out may change last bits.
    ///
    /// # Errors
    /// As [`Projection::project_batch_into`].
    ///
    /// [`Projection::project_batch_into`]: crate::projection::Projection::project_batch_into
    pub fn project_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        mut projected: ArrayViewMut2<'_, f32>,
        mut weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let (queries, norms) = checked_rows(queries, self.input_dim(), self.norm_check())?;
        check_batch_buffers(self, norms.len(), &projected, weights.as_ref())?;
        self.heads.check_values()?;
        if self.project_nearest(threads, &queries, &norms, &mut projected, &mut weights)? {
            return Ok(());
        }
        let work = (&queries[..], &norms[..]);
        let in_place = (projected.is_standard_layout() && self.heads.matrices.is_empty())
            && weights.as_ref().is_none_or(|weights| weights.is_standard_layout());
        if let (true, Some(projected)) = (in_place, projected.as_slice_mut()) {
            let weights = weights.as_mut().and_then(|weights| weights.as_slice_mut());
            self.share_out(threads, work, projected, weights);
            return Ok(());
        }
        // Columns can't be written to directly, and a matrix may overflow on a later row, when
        // nothing may have been written.
        let mut results = vec![0.0; norms.len() * self.output_dim()];
        let mut routed = vec![0.0; norms.len() * self.cluster_ids().len()];
        if self.heads.matrices.is_empty() {
            self.share_out(threads, work, &mut results, Some(&mut routed));
        } else {
            project_rows(self, &queries, &mut results, &mut routed)?;
        }
        put_rows(&results, &mut projected);
        if let Some(weights) = &mut weights {
            put_rows(&routed, weights);
        }
        Ok(())
    }

    /// [`project_blocks`](Self::project_blocks) on up to so many threads, of which the
    /// caller's is one.
    fn share_out(
        &self,
        threads: usize,
        (queries, norms): (&[f32], &[f64]),
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) {
        let (h, dim, out) = (self.heads.ids.len(), self.heads.dim, self.heads.output_dim);
        let share = norms.len().div_ceil(threads.max(1)).max(1);
        let parts = norms.len().div_ceil(share);
        // Without files there are no threads either.
        if parts <= 1 || cfg!(target_arch = "wasm32") {
            return self.project_blocks((queries, norms), projected, weights);
        }
        let mut weights: Vec<Option<&mut [f32]>> = match weights {
            Some(weights) => weights.chunks_mut(share * h).map(Some).collect(),
            None => (0..parts).map(|_| None).collect(),
        };
        let work = queries.chunks(share * dim).zip(norms.chunks(share));
        let rest = work.zip(projected.chunks_mut(share * out)).zip(weights.drain(..));
        let mut rest = rest.map(|((work, projected), weights)| (work, projected, weights));
        let first = rest.next();
        std::thread::scope(|scope| {
            for (work, projected, weights) in rest {
                scope.spawn(move || self.project_blocks(work, projected, weights));
            }
            if let Some((work, projected, weights)) = first {
                self.project_blocks(work, projected, weights);
            }
        });
    }

    /// Projects row-major queries of known norms into row-major buffers, without matrices.
    fn project_blocks(
        &self,
        (queries, norms): (&[f32], &[f64]),
        projected: &mut [f32],
        mut weights: Option<&mut [f32]>,
    ) {
        let heads = &*self.heads;
        let (h, dim, out) = (heads.ids.len(), heads.dim, heads.output_dim);
        for (block, norms) in norms.chunks(BLOCK).enumerate() {
            let queries = &queries[block * BLOCK * dim..][..norms.len() * dim];
            let projected = &mut projected[block * BLOCK * out..][..norms.len() * out];
            let weights = weights.as_deref_mut();
            let mut weights = weights.map(|all| &mut all[block * BLOCK * h..][..norms.len() * h]);
            let mut factors = [0.0; BLOCK];
            let all_single = norms.iter().zip(&mut factors).all(|(norm, factor)| {
                self.single_factor(*norm).map(|found| *factor = found).is_some()
            });
            if all_single {
                let factors = &factors[..norms.len()];
                kernel::attend((queries, factors), heads.vectors(), weights, projected);
                continue;
            }
            let mut scratch = vec![0.0; if weights.is_some() { 0 } else { h }];
            let rows = queries.chunks_exact(dim).zip(norms).zip(projected.chunks_exact_mut(out));
            for (row, ((query, norm), projected)) in rows.enumerate() {
                let routed = match &mut weights {
                    Some(weights) => &mut weights[row * h..(row + 1) * h],
                    None => &mut scratch,
                };
                self.route(query, *norm, routed);
                heads.vectors().1.weighted_sum(routed, 0, true, 1.0, projected);
            }
        }
    }
}
