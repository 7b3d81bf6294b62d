//! Projecting queries.

use super::{Heads, MultiHeadProjection};
use crate::error::Result;
use crate::kernel::{self, Scratch};
use crate::parameters::SearchDefaults;
use crate::projection::Projection;
use crate::projection::compute::{Compute, Queries, Results, RowError};
use crate::projection::query::{check_projected, checked_norm, checked_norm_in_single};

/// Queries of a batch whose factors are worked out together.
const BLOCK: usize = 128;

/// What a query can be too large for.
const PARAMETERS: &str = "the heads' matrices";

impl Projection for MultiHeadProjection {
    fn compute(&self) -> &dyn Compute {
        self
    }

    fn input_dim(&self) -> usize {
        self.heads.dim
    }

    fn output_dim(&self) -> usize {
        self.heads.output_dim
    }

    fn head_ids(&self) -> &[i64] {
        self.cluster_ids()
    }

    fn search_defaults(&self) -> SearchDefaults {
        self.search
    }
}

impl Compute for MultiHeadProjection {
    fn checked_norm(&self, query: &[f32]) -> Result<f64> {
        match self.is_single() {
            true => checked_norm_in_single(query, self.heads.dim),
            false => checked_norm(query, self.heads.dim),
        }
    }

    #[inline]
    fn validate(&self) -> Result<()> {
        self.heads.validation.validate_once(|| self.heads.parts.check_values())
    }

    fn may_overflow(&self) -> bool {
        !self.heads.parts.matrices.is_empty()
    }

    fn project_one(&self, query: &[f32], norm: f64, results: Results<'_>) -> Result<()> {
        let (heads, Results { projected, weights }) = (&*self.heads, results);
        if let (Some(factor), false) = (self.single_factor(norm), self.may_overflow()) {
            kernel::attend_one(query, factor, heads.parts.vectors(), weights, projected);
            return Ok(());
        }
        if let Some(nearest) = self.nearest(query, norm) {
            heads.combine_few(query, &nearest, projected)?;
            if let Some(weights) = weights {
                weights.fill(0.0);
                nearest.iter().for_each(|(head, weight)| weights[*head] = *weight);
            }
            return Ok(());
        }
        let mut routed = Scratch::filled(self.cluster_ids().len(), 0.0);
        self.route(query, norm, &mut routed);
        heads.combine(query, &routed, projected)?;
        if let Some(weights) = weights {
            weights.copy_from_slice(&routed);
        }
        Ok(())
    }

    fn project_rows(&self, queries: Queries<'_>, mut results: Results<'_>) -> Result<(), RowError> {
        let count = queries.norms.len();
        for start in (0..count).step_by(BLOCK) {
            let rows = start..(start + BLOCK).min(count);
            let mut factors = [0.0; BLOCK];
            let factors = &mut factors[..rows.len()];
            let mut known = queries.norms[rows.clone()].iter().zip(&mut *factors);
            let is_single = known
                .all(|(norm, factor)| self.single_factor(*norm).map(|f| *factor = f).is_some());
            if is_single && !self.may_overflow() {
                let block = (queries.rows(rows.clone()).values, &*factors);
                let Results { projected, weights } = results.rows(rows, count);
                kernel::attend(block, self.heads.parts.vectors(), weights, projected);
                continue;
            }
            for row in rows {
                let results = results.rows(row..row + 1, count);
                self.project_one(queries.row(row), queries.norms[row], results)
                    .map_err(|error| (row, error))?;
            }
        }
        Ok(())
    }
}

impl Heads {
    /// Σ w_k a_k, with w_k W_k q for heads that have a matrix.
    fn combine(&self, query: &[f32], weights: &[f32], projected: &mut [f32]) -> Result<()> {
        let answers = self.parts.answers.as_ref();
        if self.parts.matrices.is_empty() {
            answers.weighted_sum(weights, 0, true, 1.0, projected);
            return Ok(());
        }
        let mut sum = Scratch::filled(self.output_dim, 0.0);
        let mut mapped = Scratch::filled(self.output_dim, 0.0);
        answers.weighted_sum(weights, 0, true, 1.0, &mut sum);
        for (head, matrix) in &self.parts.matrices {
            kernel::dots(query, matrix, &mut mapped);
            for (sum, mapped) in sum.iter_mut().zip(mapped.iter()) {
                *sum += weights[*head] * mapped;
            }
        }
        check_projected(&sum, PARAMETERS)?;
        projected.copy_from_slice(&sum);
        Ok(())
    }

    /// [`combine`](Self::combine) for a few heads with their weights.
    fn combine_few(
        &self,
        query: &[f32],
        few: &[(usize, f32)],
        projected: &mut [f32],
    ) -> Result<()> {
        let (width, matrices) = (self.output_dim, &self.parts.matrices);
        let mut answers = Scratch::filled(few.len() * width, 0.0);
        for (answer, (head, _)) in answers.chunks_exact_mut(width).zip(few) {
            match matrices.binary_search_by_key(head, |(head, _)| *head) {
                Ok(at) => kernel::dots(query, &matrices[at].1, answer),
                Err(_) => self.parts.answers.copy_row(*head, answer),
            }
        }
        let weights: Scratch<f32> = few.iter().map(|(_, weight)| *weight).collect();
        let mut sum = Scratch::filled(width, 0.0);
        kernel::weighted_sum(&weights, &answers, &mut sum);
        check_projected(&sum, PARAMETERS)?;
        projected.copy_from_slice(&sum);
        Ok(())
    }
}
