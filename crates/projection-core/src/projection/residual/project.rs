//! Projecting one query or many.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{LEAST_NORM, ResidualProjection, Terms};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Scratch;
use crate::kernel::{self, gemm, parallel};
use crate::projection::Projection;
use crate::projection::query::{
    check_batch_buffers, check_buffer, checked_norm, checked_rows, put_rows,
};
use crate::projection::rotation::Near;

/// Similarities that a batch keeps at a time: queries times questions.
const SCORES: usize = 1 << 22;

impl Terms {
    /// Projects a query of the given norm. `dots` holds the dot products of the query at
    /// length 1 with all questions, `adapted` the query at length 1 times the adapter;
    /// either is empty where it is not needed.
    fn finish(
        &self,
        (query, norm): (&[f32], f64),
        nearest: &[Near],
        adapted: &[f32],
        projected: &mut [f32],
    ) -> Result<()> {
        let scale = 1.0 / norm;
        let mut sum: Scratch<f64> = query.iter().map(|value| f64::from(*value) * scale).collect();
        if self.rotation {
            self.questions.add_rotation(query, norm, nearest, self.gain, &mut sum);
        }
        for (sum, adapted) in sum.iter_mut().zip(adapted) {
            *sum += self.gain * f64::from(*adapted);
        }
        let scale = 1.0 / sum_of_squares(&sum).sqrt().max(LEAST_NORM);
        for value in sum.iter_mut() {
            *value *= scale;
        }
        if let Some(lift) = &self.lift {
            for (value, direction) in sum.iter_mut().zip(&lift.direction) {
                *value += lift.factor * f64::from(*direction);
            }
        }
        // Without leaving at the first that is not, which would take them one by one.
        if !sum.iter().fold(true, |finite, value| finite & (*value as f32).is_finite()) {
            return Err(Error::new(
                ErrorKind::NotFinite,
                "projected query overflows: the model's adapter or lift is too large",
            ));
        }
        for (projected, value) in projected.iter_mut().zip(sum.iter()) {
            *projected = *value as f32;
        }
        Ok(())
    }

    /// Whether the nearest questions are needed.
    fn routes(&self, weights_wanted: bool) -> bool {
        !self.ids.is_empty() && (self.rotation || weights_wanted)
    }

    fn route(&self, nearest: &[Near], weights: &mut [f32]) {
        let mut sums = Scratch::filled(weights.len(), 0.0f64);
        let total: f64 = nearest.iter().map(|near| near.weight).sum();
        for near in nearest {
            let share = if total > 0.0 { near.weight } else { 1.0 / nearest.len() as f64 };
            sums[self.questions.cluster_of(near.question)] += share;
        }
        for (weight, sum) in weights.iter_mut().zip(sums.iter()) {
            *weight = *sum as f32;
        }
    }
}

/// In eight sums side by side, which the processor adds at once.
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

pub fn unit(query: &[f32], norm: f64) -> impl Iterator<Item = f32> {
    query.iter().map(move |value| (f64::from(*value) / norm) as f32)
}

impl Projection for ResidualProjection {
    fn input_dim(&self) -> usize {
        self.terms.dim
    }

    fn output_dim(&self) -> usize {
        self.terms.dim
    }

    fn head_ids(&self) -> &[i64] {
        self.cluster_ids()
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        let terms = &*self.terms;
        check_buffer("the projected query", projected.len(), terms.dim)?;
        if let Some(weights) = &weights {
            check_buffer("routing weights", weights.len(), terms.ids.len())?;
        }
        let norm = checked_norm(query, terms.dim)?;
        terms.check_values()?;
        let unit: Scratch<f32> = unit(query, norm).collect();
        let mut nearest = Scratch::new();
        if terms.routes(weights.is_some()) {
            let (k, temperature) = (terms.neighbours, self.temperature);
            nearest = terms.questions.nearest_to((query, &unit), norm, k, temperature);
        }
        let mut adapted = Scratch::new();
        if let Some(adapter) = &terms.adapter {
            adapted.resize(terms.dim, 0.0);
            kernel::weighted_sum(&unit, adapter, &mut adapted);
        }
        terms.finish((query, norm), &nearest, &adapted, projected)?;
        if let Some(weights) = weights {
            terms.route(&nearest, weights);
        }
        Ok(())
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        mut projected: ArrayViewMut2<'_, f32>,
        mut weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let terms = &*self.terms;
        let (dim, heads) = (terms.dim, terms.ids.len());
        let (queries, norms) = checked_rows(queries, dim, checked_norm)?;
        let rows = norms.len();
        let query_of = |row: usize| &queries[row * dim..][..dim];
        check_batch_buffers(self, rows, &projected, weights.as_ref())?;
        terms.check_values()?;
        // Projections may overflow on a later row, and then nothing may have been written.
        let mut results = vec![0.0; rows * dim];
        let mut routed = vec![0.0; if weights.is_some() { rows * heads } else { 0 }];
        let routes = terms.routes(weights.is_some());
        // Lists find the nearest questions sooner than products with all of them.
        let by_lists = routes && terms.questions.stats().is_some();
        let count = if routes && !by_lists { terms.questions.len() } else { 0 };
        let block = (SCORES / count.max(1)).clamp(1, parallel::BLOCK_ROWS);
        for start in (0..rows).step_by(block) {
            let range = start..(start + block).min(rows);
            let units: Vec<f32> =
                range.clone().flat_map(|row| unit(query_of(row), norms[row])).collect();
            let mut dots = vec![0.0; count * range.len()];
            if count > 0 {
                gemm::matmul_nt(&units, terms.questions.vectors(), dim, &mut dots);
            }
            let mut adapted = Vec::new();
            if let Some(adapter) = &terms.adapter {
                adapted.resize(units.len(), 0.0);
                gemm::matmul(&units, adapter, dim, &mut adapted);
            }
            for row in range {
                let query = query_of(row);
                let (norm, at) = (norms[row], row - start);
                let (k, temperature) = (terms.neighbours, self.temperature);
                let nearest = if by_lists {
                    let unit = &units[at * dim..(at + 1) * dim];
                    terms.questions.nearest_to((query, unit), norm, k, temperature)
                } else if routes {
                    let dots = &mut dots[at * count..(at + 1) * count];
                    terms.questions.nearest(query, norm, dots, k, temperature)
                } else {
                    Scratch::new()
                };
                let adapted = adapted.get(at * dim..(at + 1) * dim).unwrap_or_default();
                let result = &mut results[row * dim..][..dim];
                terms
                    .finish((query, norm), &nearest, adapted, result)
                    .map_err(|error| error.context(format!("row {row}")))?;
                if weights.is_some() {
                    terms.route(&nearest, &mut routed[row * heads..][..heads]);
                }
            }
        }
        put_rows(&results, &mut projected);
        if let Some(weights) = &mut weights {
            put_rows(&routed, weights);
        }
        Ok(())
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }

    fn unseen_offset(&self) -> Option<f64> {
        self.unseen_offset
    }

    fn as_residual(&self) -> Option<&ResidualProjection> {
        Some(self)
    }
}
