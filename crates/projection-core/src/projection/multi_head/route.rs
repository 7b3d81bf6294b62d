//! Which heads a query is routed to, and what their parts add up to.

use super::MultiHeadProjection;
use super::heads::{HeadVectors, Heads};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Scratch;
use crate::kernel::{self, top_k};

/// Below this temperature, and for queries outside this range of norms, cosines are taken
/// in double precision: an error of ε in a cosine is one of ε/τ in a weight, and single
/// precision has ε ≈ 1e-7. With centroids' tails ε is below 4.1e-9, see [`kernel::Tails`], so
/// that weights are exact to 1e-5 from τ = 0.0005 on.
const LOWEST_SINGLE_TEMPERATURE: f64 = 0.02;
pub const SINGLE_NORMS: std::ops::Range<f64> = 1e-12..1e12;

/// A score that lies this far below the best one has the weight 0 in single precision: exp(−104)
/// is less than half of its smallest number.
const WEIGHTLESS: f64 = 104.0;

/// Below this temperature many heads have no weight, and it is worth finding out which.
const LOWEST_WEIGHTY_TEMPERATURE: f64 = 0.3 / WEIGHTLESS;

/// Twice what single precision, and the rounding of a query for compact heads, may misjudge a
/// cosine by, with a wide margin.
const DOUBT: f32 = 4e-6;
const COMPACT_DOUBT: f32 = 2e-3;

impl MultiHeadProjection {
    /// What turns dot products with a query of the given norm into exponents of the softmax,
    /// where single precision is enough and all heads take part.
    pub fn single_factor(&self, norm: f64) -> Option<f32> {
        (self.is_single() && SINGLE_NORMS.contains(&norm))
            .then(|| (1.0 / (norm * self.temperature)) as f32)
    }

    /// Whether single precision is enough for all but very long or short queries.
    pub fn is_single(&self) -> bool {
        let all = self.top_k.is_none_or(|k| k >= self.heads.ids.len());
        all && self.temperature >= LOWEST_SINGLE_TEMPERATURE
    }

    /// The routing weights of a query of the given norm.
    pub fn route(&self, query: &[f32], norm: f64, weights: &mut [f32]) {
        let heads = &*self.heads;
        if let Some(factor) = self.single_factor(norm) {
            heads.vectors().0.dots(query, 0, weights);
            kernel::softmax(weights, factor);
        } else {
            // Which heads take part must not depend on rounding.
            let top_k = self.top_k.filter(|k| *k < heads.ids.len());
            let needed = match top_k {
                _ if !SINGLE_NORMS.contains(&norm) => None,
                Some(k) => Some((k, 0.0)),
                None if self.temperature < LOWEST_WEIGHTY_TEMPERATURE => {
                    Some((1, (WEIGHTLESS * self.temperature) as f32))
                }
                None => None,
            };
            let mut scores = match needed {
                Some(needed) => heads.best_in_double(query, norm, needed),
                None => heads.cosines_in_double(query, norm, 0..heads.ids.len()).collect(),
            };
            if let Some(k) = top_k {
                let mut order: Scratch<usize> =
                    (0..scores.len()).filter(|head| scores[*head] > f64::NEG_INFINITY).collect();
                order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
                order[k..].iter().for_each(|head| scores[*head] = f64::NEG_INFINITY);
            }
            kernel::softmax_f64(&scores, self.temperature, weights);
        }
    }
}

impl Heads {
    /// The cosines of a query of the given norm with the centroids of some heads.
    pub fn cosines_in_double(
        &self,
        query: &[f32],
        norm: f64,
        heads: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = f64> {
        let is_compact = matches!(self.vectors, HeadVectors::Compact { .. });
        let mut decoded = Scratch::filled(if is_compact { self.dim } else { 0 }, 0.0);
        heads.map(move |head| match &self.vectors {
            HeadVectors::Compact { centroids, .. } => {
                centroids.decode(head, &mut decoded);
                kernel::dot_f64(query, &decoded) / norm
            }
            HeadVectors::Single { centroids, centroid_tails, .. } => {
                centroid_tails.dot(head, query, centroids.row(head)) / norm
            }
        })
    }

    /// The cosines of at least the k nearest heads and of those whose cosine is not more than
    /// `margin` below the k-th, and −∞ for others.
    fn best_in_double(&self, query: &[f32], norm: f64, (k, margin): (usize, f32)) -> Scratch<f64> {
        let mut rough = Scratch::filled(self.ids.len(), 0.0);
        self.vectors().0.dots(query, 0, &mut rough);
        kernel::scale(&mut rough, (1.0 / norm) as f32);
        let doubt = match &self.vectors {
            HeadVectors::Single { .. } => DOUBT,
            HeadVectors::Compact { .. } => COMPACT_DOUBT,
        };
        let candidates = top_k::near_top_k(&rough, k, margin + doubt);
        let mut cosines = Scratch::filled(rough.len(), f64::NEG_INFINITY);
        let exact = self.cosines_in_double(query, norm, candidates.iter().copied());
        for (head, cosine) in candidates.iter().zip(exact) {
            cosines[*head] = cosine;
        }
        cosines
    }

    /// Σ w_k a_k, with w_k W_k q for heads that have a matrix.
    pub fn combine(&self, query: &[f32], weights: &[f32], projected: &mut [f32]) -> Result<()> {
        if self.matrices.is_empty() {
            self.vectors().1.weighted_sum(weights, 0, true, 1.0, projected);
            return Ok(());
        }
        let mut sum = Scratch::filled(self.output_dim, 0.0);
        let mut mapped = Scratch::filled(self.output_dim, 0.0);
        self.vectors().1.weighted_sum(weights, 0, true, 1.0, &mut sum);
        for (head, matrix) in &self.matrices {
            kernel::dots(query, matrix, &mut mapped);
            for (sum, mapped) in sum.iter_mut().zip(mapped.iter()) {
                *sum += weights[*head] * mapped;
            }
        }
        if sum.iter().any(|value| !value.is_finite()) {
            return Err(Error::new(ErrorKind::NotFinite, super::OVERFLOWS));
        }
        projected.copy_from_slice(&sum);
        Ok(())
    }
}
