//! Projecting queries.

use super::{ResidualParts, ResidualProjection, Terms};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Scratch, gemm, parallel};
use crate::parameters::SearchDefaults;
use crate::projection::Projection;
use crate::projection::compute::{Compute, Queries, Results, RowError};
use crate::projection::query::checked_norm;
use crate::projection::residual::rotation::Near;

/// Least |z|; see the module's formula.
pub const MIN_NORM: f64 = 1e-12;

/// Similarities that a batch keeps at a time: queries times questions.
const SCORES: usize = 1 << 22;

impl Terms {
    /// Projects a query of the given norm. `nearest` are its nearest questions, `adapted` is the
    /// query at length 1 times the adapter; each is empty if it is not needed.
    fn finish(
        &self,
        (query, norm): (&[f32], f64),
        nearest: &[Near],
        adapted: &[f32],
        projected: &mut [f32],
    ) -> Result<()> {
        let scale = 1.0 / norm;
        let mut sum: Scratch<f64> = query.iter().map(|value| f64::from(*value) * scale).collect();
        let parts = &self.parts;
        if parts.rotation {
            parts.questions.add_rotation(query, norm, nearest, parts.gain, &mut sum);
        }
        for (sum, adapted) in sum.iter_mut().zip(adapted) {
            *sum += parts.gain * f64::from(*adapted);
        }
        let scale = 1.0 / sum_of_squares(&sum).sqrt().max(MIN_NORM);
        for value in sum.iter_mut() {
            *value *= scale;
        }
        // No early exit, so that the values are checked many at a time.
        if !sum.iter().fold(true, |finite, value| finite & (*value as f32).is_finite()) {
            return Err(Error::new(
                ErrorKind::NotFinite,
                "projected query overflows: the model's adapter is too large",
            ));
        }
        for (projected, value) in projected.iter_mut().zip(sum.iter()) {
            *projected = *value as f32;
        }
        Ok(())
    }

    /// Whether the nearest questions are needed.
    fn needs_questions(&self, weights_wanted: bool) -> bool {
        !self.parts.questions.is_empty() && (self.parts.rotation || weights_wanted)
    }

    fn route(&self, nearest: &[Near], weights: &mut [f32]) {
        let clusters = &self.parts.questions.facts().clusters;
        let mut sums = Scratch::filled(weights.len(), 0.0f64);
        let total: f64 = nearest.iter().map(|near| near.weight).sum();
        for near in nearest {
            let share = if total > 0.0 { near.weight } else { 1.0 / nearest.len() as f64 };
            sums[clusters[near.question]] += share;
        }
        for (weight, sum) in weights.iter_mut().zip(sums.iter()) {
            *weight = *sum as f32;
        }
    }
}

/// The sum of squares, in eight sums that the processor adds at once.
fn sum_of_squares(values: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (blocks, rest) = values.as_chunks::<8>();
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value * value;
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| value * value).sum::<f64>()
}

impl ResidualProjection {
    /// The nearest questions of a query of the given norm, which is also given at length 1.
    pub(in crate::projection) fn nearest(
        &self,
        query: &[f32],
        unit: &[f32],
        norm: f64,
    ) -> Scratch<Near> {
        let ResidualParts { questions, neighbours, temperature, .. } = &self.terms.parts;
        let (index, query) = (&self.terms.index, (query, unit));
        questions.nearest_by_index(index, query, norm, *neighbours, *temperature)
    }
}

impl Projection for ResidualProjection {
    fn compute(&self) -> &dyn Compute {
        self
    }

    fn input_dim(&self) -> usize {
        self.terms.parts.dim()
    }

    fn output_dim(&self) -> usize {
        self.terms.parts.dim()
    }

    /// The clusters that have training questions. Their routing weights are the rotation's weights,
    /// summed over the questions of a cluster. If the nearest questions are all equally near, so
    /// that the rotation is zero, they share the routing equally.
    fn head_ids(&self) -> &[i64] {
        self.cluster_ids()
    }

    fn search_defaults(&self) -> SearchDefaults {
        self.search
    }

    fn as_residual(&self) -> Option<&ResidualProjection> {
        Some(self)
    }
}

impl Compute for ResidualProjection {
    fn checked_norm(&self, query: &[f32]) -> Result<f64> {
        checked_norm(query, self.input_dim())
    }

    #[inline]
    fn validate(&self) -> Result<()> {
        self.terms.validation.validate_once(|| self.terms.check_values())
    }

    fn project_one(&self, query: &[f32], norm: f64, results: Results<'_>) -> Result<()> {
        let (terms, Results { projected, weights }) = (&*self.terms, results);
        let unit: Scratch<f32> = kernel::normalized(query, norm).collect();
        let mut nearest = Scratch::new();
        if terms.needs_questions(weights.is_some()) {
            nearest = self.nearest(query, &unit, norm);
        }
        let mut adapted = Scratch::new();
        if let Some(adapter) = &terms.parts.adapter {
            adapted.resize(unit.len(), 0.0);
            kernel::weighted_sum(&unit, adapter, &mut adapted);
        }
        terms.finish((query, norm), &nearest, &adapted, projected)?;
        if let Some(weights) = weights {
            terms.route(&nearest, weights);
        }
        Ok(())
    }

    fn project_rows(&self, queries: Queries<'_>, mut results: Results<'_>) -> Result<(), RowError> {
        let (terms, total) = (&*self.terms, queries.norms.len());
        let ResidualParts { questions, neighbours, temperature, .. } = &terms.parts;
        let dim = questions.dim();
        let needs_questions = terms.needs_questions(results.weights.is_some());
        // An approximate index finds the nearest questions sooner than products with all of them.
        let by_index = needs_questions && terms.index.approximate().is_some();
        let count = if needs_questions && !by_index { questions.len() } else { 0 };
        let block = (SCORES / count.max(1)).clamp(1, parallel::BLOCK_ROWS);
        for start in (0..total).step_by(block) {
            let range = start..(start + block).min(total);
            let units = range
                .clone()
                .flat_map(|row| kernel::normalized(queries.row(row), queries.norms[row]));
            let units: Vec<f32> = units.collect();
            let mut dots = vec![0.0; count * range.len()];
            if count > 0 {
                gemm::matmul_nt(&units, questions.vectors(), dim, &mut dots);
            }
            let mut adapted = Vec::new();
            if let Some(adapter) = &terms.parts.adapter {
                adapted.resize(units.len(), 0.0);
                gemm::matmul(&units, adapter, dim, &mut adapted);
            }
            for row in range {
                let (query, norm, at) = (queries.row(row), queries.norms[row], row - start);
                let nearest = if by_index {
                    self.nearest(query, &units[at * dim..(at + 1) * dim], norm)
                } else if needs_questions {
                    let dots = &mut dots[at * count..(at + 1) * count];
                    questions.nearest(query, norm, dots, *neighbours, *temperature)
                } else {
                    Scratch::new()
                };
                let adapted = adapted.get(at * dim..(at + 1) * dim).unwrap_or_default();
                let Results { projected, weights } = results.rows(row..row + 1, total);
                terms
                    .finish((query, norm), &nearest, adapted, projected)
                    .map_err(|error| (row, error))?;
                if let Some(weights) = weights {
                    terms.route(&nearest, weights);
                }
            }
        }
        Ok(())
    }
}
