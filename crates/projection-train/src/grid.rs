//! Ranks for many factors of the same three terms at once.
//!
//! The score of answer a for a query q with rotation Δ, adapter's term x = q W and lift u is
//! linear in the factors but for the norm of z = q + r·Δ + w·x, and this follows from the
//! dot products of the three: so three products with the answers serve all factors.

use crate::error::Result;
use crate::kernel;
use crate::kernel::{gemm, parallel};
use crate::ranks::rank_of;

/// Scores of one term that a thread keeps at a time.
const SCORES: usize = 1 << 18;

/// Factors of the three terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factors {
    pub rotation: f64,
    pub adapter: f64,
    pub lift: f64,
}

/// The terms of n queries, and what they are compared with.
pub(super) struct Terms<'a> {
    pub dim: usize,
    /// Unit queries, their Δ and q W (n × d each).
    pub queries: &'a [f32],
    pub rotations: &'a [f32],
    pub adapted: &'a [f32],
    /// The row of each query's answer.
    pub labels: &'a [usize],
    /// Unit answers (m × d).
    pub answers: &'a [f32],
    /// a·u for each of them.
    pub lifts: &'a [f32],
}

impl Terms<'_> {
    /// The rank of each query's answer for all `grid` factors: n × grid. Factors that differ
    /// in the lift only should be neighbours in the grid.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn ranks(
        &self,
        grid: &[Factors],
        threads: usize,
        poll: &mut parallel::Poll<'_>,
    ) -> Result<Vec<u32>> {
        let (dim, count) = (self.dim, self.answers.len() / self.dim);
        let mut ranks = vec![0; self.labels.len() * grid.len()];
        let rows = (SCORES / count).clamp(1, parallel::BLOCK_ROWS);
        let width = grid.len();
        parallel::parallel_chunks_until(
            threads,
            &mut ranks,
            width,
            rows,
            poll,
            |range, ranks, _| {
                let terms = [self.queries, self.rotations, self.adapted].map(|values| {
                    let values = &values[range.start * dim..range.end * dim];
                    let mut scores = vec![0.0; range.len() * count];
                    gemm::matmul_nt(values, self.answers, dim, &mut scores);
                    (values, scores)
                });
                let mut mixed = vec![0.0f32; count];
                let mut lifted = vec![0.0f32; count];
                for (row, ranks) in ranks.chunks_mut(grid.len()).enumerate() {
                    let label = self.labels[range.start + row];
                    let vectors = [0, 1, 2].map(|i| &terms[i].0[row * dim..(row + 1) * dim]);
                    let scores = [0, 1, 2].map(|i| &terms[i].1[row * count..(row + 1) * count]);
                    let mut last = None;
                    for (rank, factors) in ranks.iter_mut().zip(grid) {
                        let pair = (factors.rotation, factors.adapter);
                        if last != Some(pair) {
                            self.mix(vectors, scores, pair, &mut mixed);
                            last = Some(pair);
                        }
                        let scores = match factors.lift {
                            0.0 => &mixed,
                            lift => {
                                let lift = lift as f32;
                                let values = lifted.iter_mut().zip(&mixed).zip(self.lifts);
                                values.for_each(|((out, score), u)| *out = score + lift * u);
                                &lifted
                            }
                        };
                        *rank = rank_of(scores, scores[label]) as u32;
                    }
                }
            },
        )?;
        Ok(ranks)
    }

    /// Scores at the factors of rotation and adapter, for z brought to length 1.
    fn mix(
        &self,
        vectors: [&[f32]; 3],
        scores: [&[f32]; 3],
        (rotation, adapter): (f64, f64),
        out: &mut [f32],
    ) {
        let factors = [1.0, rotation, adapter];
        let mut norm = 0.0;
        for i in 0..3 {
            for j in 0..3 {
                if factors[i] * factors[j] != 0.0 {
                    let dot = kernel::dot_f64(vectors[i], vectors[j]);
                    norm += factors[i] * factors[j] * dot;
                }
            }
        }
        let scale = 1.0 / norm.max(1e-24).sqrt();
        let [q, r, w] = factors.map(|factor| (factor * scale) as f32);
        let values = out.iter_mut().zip(scores[0]).zip(scores[1]).zip(scores[2]);
        values.for_each(|(((out, a), b), c)| *out = q * a + r * b + w * c);
    }
}
