//! Which heads a query is routed to, and with which weights.

use super::{HeadRows, Heads, MultiHeadParts, MultiHeadProjection};
use crate::ivf::scan_pays_off;
use crate::kernel::{self, Scratch, top_k};
use crate::projection::query::SINGLE_NORMS;

/// Below this temperature, and for queries outside [`SINGLE_NORMS`], cosines are taken in double
/// precision: an error of ε in a cosine is one of ε/τ in a weight, and single precision has
/// ε ≈ 1e-7.
pub const LOW_TEMPERATURE: f64 = 0.02;

/// A score that is this far below the best one has the weight 0 in single precision: exp(−104)
/// is less than half of its smallest number.
const WEIGHTLESS: f64 = 104.0;

/// Below this temperature most heads have weight 0, and finding them saves time.
const SPARSE_TEMPERATURE: f64 = 0.3 / WEIGHTLESS;

/// Twice what single precision may misjudge a cosine by, or the rounding of a query for quantized
/// heads, with a wide margin.
const MARGIN: f32 = 4e-6;
const QUANTIZED_MARGIN: f32 = 2e-3;

impl MultiHeadProjection {
    /// What turns dot products with a query of the given norm into exponents of the softmax,
    /// if single precision is enough and all heads take part.
    pub fn single_factor(&self, norm: f64) -> Option<f32> {
        (self.is_single() && SINGLE_NORMS.contains(&norm))
            .then(|| (1.0 / (norm * self.temperature)) as f32)
    }

    /// Whether single precision is enough for all but very long or short queries.
    pub fn is_single(&self) -> bool {
        self.few().is_none() && self.temperature >= LOW_TEMPERATURE
    }

    /// How many heads take part, if not all do.
    fn few(&self) -> Option<usize> {
        self.top_k.filter(|k| *k < self.cluster_ids().len())
    }

    /// The routing weights of a query of the given norm.
    pub fn route(&self, query: &[f32], norm: f64, weights: &mut [f32]) {
        let heads = &*self.heads;
        if let Some(factor) = self.single_factor(norm) {
            heads.parts.centroids.as_ref().dots(query, 0, weights);
            kernel::softmax(weights, factor);
            return;
        }
        // Which heads take part must not depend on rounding.
        let few = self.few();
        let needed = match few {
            _ if !SINGLE_NORMS.contains(&norm) => None,
            Some(k) => Some((k, 0.0)),
            None if self.temperature < SPARSE_TEMPERATURE => {
                Some((1, (WEIGHTLESS * self.temperature) as f32))
            }
            None => None,
        };
        let mut scores = match needed {
            Some((k, margin)) => heads.best_in_double(query, norm, k, margin),
            None => heads.parts.cosines(query, norm, 0..weights.len()).collect(),
        };
        if let Some(k) = few {
            let mut order: Scratch<usize> =
                (0..scores.len()).filter(|head| scores[*head] > f64::NEG_INFINITY).collect();
            order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
            order.iter().skip(k).for_each(|head| scores[*head] = f64::NEG_INFINITY);
        }
        kernel::softmax_f64(&scores, self.temperature, weights);
    }

    /// The heads that take part for a query of the given norm, with their weights, if these are
    /// few of many; `None` if all heads have to be scored.
    pub fn nearest(&self, query: &[f32], norm: f64) -> Option<Scratch<(usize, f32)>> {
        let (heads, k) = (&*self.heads, self.few()?);
        if !scan_pays_off(self.cluster_ids().len(), heads.dim) || !SINGLE_NORMS.contains(&norm) {
            return None;
        }
        let unit: Scratch<f32> = kernel::normalized(query, norm).collect();
        let index = self.with_units(|units| heads.index.get(units))?;
        let shortlist = index.shortlist(&unit, k, None)?;
        let shortlist = shortlist.iter().copied();
        let cosines = heads.parts.cosines(query, norm, shortlist.clone());
        let mut nearest: Scratch<(f64, usize)> = cosines.zip(shortlist).collect();
        nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        nearest.truncate(k);
        let cosines: Scratch<f64> = nearest.iter().map(|(cosine, _)| *cosine).collect();
        let mut weights = Scratch::filled(nearest.len(), 0.0);
        kernel::softmax_f64(&cosines, self.temperature, &mut weights);
        Some(nearest.iter().map(|(_, head)| *head).zip(weights.iter().copied()).collect())
    }
}

impl Heads {
    /// The cosines of at least the k nearest heads and of those whose cosine is not more than
    /// `margin` below the k-th, and −∞ for others.
    fn best_in_double(&self, query: &[f32], norm: f64, k: usize, margin: f32) -> Scratch<f64> {
        let centroids = &self.parts.centroids;
        let mut rough = Scratch::filled(self.parts.cluster_ids.len(), 0.0);
        centroids.as_ref().dots(query, 0, &mut rough);
        kernel::scale(&mut rough, (1.0 / norm) as f32);
        let rounding = match centroids {
            HeadRows::F32(_) => MARGIN,
            HeadRows::Quantized(_) => QUANTIZED_MARGIN,
        };
        let shortlist = top_k::near_top_k(&rough, k, margin + rounding);
        let mut cosines = Scratch::filled(rough.len(), f64::NEG_INFINITY);
        let exact = self.parts.cosines(query, norm, shortlist.iter().copied());
        for (head, cosine) in shortlist.iter().zip(exact) {
            cosines[*head] = cosine;
        }
        cosines
    }
}

impl MultiHeadParts {
    /// The cosines of a query of the given norm with the centroids of some heads, in double
    /// precision.
    pub(in crate::projection) fn cosines(
        &self,
        query: &[f32],
        norm: f64,
        heads: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = f64> {
        let is_quantized = matches!(self.centroids, HeadRows::Quantized(_));
        let mut decoded = Scratch::filled(if is_quantized { query.len() } else { 0 }, 0.0);
        heads.map(move |head| {
            let dot = match (&self.exact_centroids, &self.centroids) {
                (Some(exact), _) => dot_with_f64(query, exact.row(head)),
                (None, HeadRows::F32(rows)) => kernel::dot_f64(query, rows.row(head)),
                (None, HeadRows::Quantized(rows)) => {
                    rows.decode(head, &mut decoded);
                    kernel::dot_f64(query, &decoded)
                }
            };
            dot / norm
        })
    }
}

/// The dot product with a vector of double precision, in sums that the processor adds at once.
fn dot_with_f64(query: &[f32], row: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let ((queries, query_end), (rows, row_end)) =
        (query.as_chunks::<LANES>(), row.as_chunks::<LANES>());
    for (query, row) in queries.iter().zip(rows) {
        for lane in 0..LANES {
            sums[lane] += f64::from(query[lane]) * row[lane];
        }
    }
    let end = query_end.iter().zip(row_end).map(|(query, value)| f64::from(*query) * value);
    sums.iter().sum::<f64>() + end.sum::<f64>()
}
