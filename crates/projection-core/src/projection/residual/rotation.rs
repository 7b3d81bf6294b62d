//! The rotation term of a residual projection, and the training questions that it needs.
//!
//! For a unit query q and its k nearest training questions c_j with answers a_j, all of
//! unit length, R_j is the smallest rotation that takes c_j to a_j, and
//!
//! ```text
//! Δ = Σ_j w_j (R_j q − q)        w_j ∝ exp(s_j/τ) − exp(s_next/τ),  s_j = c_j·q
//! ```
//!
//! with s_next the similarity of the nearest question that is left out, so that a question
//! enters and leaves the k nearest at weight 0. In closed form, with t = a·q and
//! b = (s + t)/(1 + c·a), R q − q = (2s − b) a − b c.
//!
//! Single precision finds the candidates; their similarities are then taken in double
//! precision, because an error of ε in a similarity is one of ε/τ in a weight and more
//! where the weights are differences of nearly equal numbers.

use std::cmp::Ordering;

use super::Questions;
use crate::ivf::{UnitVectors, prefetched};
use crate::kernel::{self, Scratch, top_k};
use crate::projection::stored_index::VectorIndex;

/// How far single precision may misjudge a similarity, with a wide margin.
const MARGIN: f32 = 2e-6;

/// If the weights before normalisation sum to no more, all neighbours are equally near within
/// rounding: none stands out, and the query is not rotated.
pub const MIN_TOTAL_WEIGHT: f64 = 1e-9;

/// Least 1 + c·a: a question opposite to its answer has no smallest rotation.
pub const MIN_ALIGNMENT: f64 = 1e-6;

/// A training question near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Number of the question.
    pub question: usize,
    /// Its cosine with the query.
    pub similarity: f64,
    /// Its weight; all weights sum to 1, or are all 0.
    pub weight: f64,
}

impl Questions {
    /// The k nearest questions to a query of the given norm, nearest first, then by number; one
    /// fewer than there are if k is not less, since one must be left out.
    ///
    /// `dots` holds the dot product of every question with any positive multiple of the
    /// query, in single precision, or −∞ for questions to be passed over; it is overwritten.
    pub fn nearest(
        &self,
        query: &[f32],
        norm: f64,
        dots: &mut [f32],
        k: usize,
        temperature: f64,
    ) -> Scratch<Near> {
        let mut available = 0;
        for (dot, scale) in dots.iter_mut().zip(&self.facts().scales) {
            *dot *= *scale as f32;
            available += usize::from(*dot > f32::NEG_INFINITY);
        }
        let k = k.saturating_add(1).min(available);
        if k == 0 {
            return Scratch::new();
        }
        let shortlist = top_k::near_top_k(dots, k, MARGIN);
        self.rerank(query, norm, &shortlist, k, temperature)
    }

    /// [`nearest`](Self::nearest) among all questions, for a query that is also given at length 1.
    /// The index shortlists some of many questions first. The result is the same, except for
    /// questions that an approximate index misses.
    pub(super) fn nearest_by_index(
        &self,
        index: &VectorIndex,
        (query, unit): (&[f32], &[f32]),
        norm: f64,
        neighbours: usize,
        temperature: f64,
    ) -> Scratch<Near> {
        let k = neighbours.saturating_add(1).min(self.len());
        let copy_row = |number: usize, row: &mut [f32]| self.copy_unit(number, row);
        let units = UnitVectors { count: self.len(), dim: self.dim(), copy_row: &copy_row };
        let shortlist = index.get(units).and_then(|index| index.shortlist(unit, k, None));
        let Some(shortlist) = shortlist.filter(|shortlist| !shortlist.is_empty()) else {
            let mut dots = Scratch::filled(self.len(), 0.0);
            kernel::dots(unit, self.vectors(), &mut dots);
            return self.nearest(query, norm, &mut dots, neighbours, temperature);
        };
        // As `nearest` does with all of them.
        let (k, scales) = (k.min(shortlist.len()), &self.facts().scales);
        let mut dots = Scratch::new();
        for number in prefetched(&shortlist, self.vectors()) {
            let mut dot = [0.0];
            kernel::dots(unit, self.question(number), &mut dot);
            dots.push(dot[0] * scales[number] as f32);
        }
        let best = top_k::near_top_k(&dots, k, MARGIN);
        let shortlist: Scratch<usize> = best.iter().map(|at| shortlist[*at]).collect();
        self.rerank(query, norm, &shortlist, k, temperature)
    }

    /// The k nearest of a shortlist, one of which is left out; see [`nearest`](Self::nearest).
    fn rerank(
        &self,
        query: &[f32],
        norm: f64,
        shortlist: &[usize],
        k: usize,
        temperature: f64,
    ) -> Scratch<Near> {
        let scales = &self.facts().scales;
        let near = shortlist.iter().map(|question| {
            let dot = kernel::dot_f64(query, self.question(*question));
            Near { question: *question, similarity: dot * scales[*question] / norm, weight: 0.0 }
        });
        let mut near: Scratch<Near> = near.collect();
        near.sort_unstable_by(nearer_first);
        near.truncate(k);
        let (top, next) = (near[0].similarity, near[k - 1].similarity);
        let floor = ((next - top) / temperature).exp();
        for near in &mut near[..k - 1] {
            near.weight = ((near.similarity - top) / temperature).exp() - floor;
        }
        let total: f64 = near.iter().map(|near| near.weight).sum();
        for near in near.iter_mut() {
            near.weight = if total > MIN_TOTAL_WEIGHT { near.weight / total } else { 0.0 };
        }
        // The question that is left out stays if it is the only one, or if none stands out:
        // all share the routing equally then.
        if total > MIN_TOTAL_WEIGHT {
            near.truncate(k - 1);
        }
        near
    }

    /// Adds factor·Δ of a query of the given norm to `sum`.
    pub fn add_rotation(
        &self,
        query: &[f32],
        norm: f64,
        nearest: &[Near],
        factor: f64,
        sum: &mut [f64],
    ) {
        // Neighbours of one cluster share their answer, so its product with the query is taken
        // once, and it is added once.
        let facts = self.facts();
        let cluster_of = |at: usize| facts.clusters[nearest[at].question];
        let mut moving: Scratch<usize> =
            (0..nearest.len()).filter(|at| nearest[*at].weight != 0.0).collect();
        moving.sort_unstable_by_key(|at| (cluster_of(*at), *at));
        let mut terms = Pairs { first: None, sum };
        for cluster in moving.chunk_by(|a, b| cluster_of(*a) == cluster_of(*b)) {
            let number = cluster_of(cluster[0]);
            let (answer, scale) = (self.targets().row(number), facts.target_scales[number]);
            let t = kernel::dot_f64(query, answer) * scale / norm;
            let mut to_answer = 0.0;
            for near in cluster.iter().map(|at| &nearest[*at]) {
                let s = near.similarity;
                let b = (s + t) / (1.0 + facts.alignments[near.question]).max(MIN_ALIGNMENT);
                let weight = factor * near.weight;
                to_answer += weight * (2.0 * s - b) * scale;
                let from_question = -weight * b * facts.scales[near.question];
                terms.add(from_question, self.question(near.question));
            }
            terms.add(to_answer, answer);
        }
        if let Some(last) = terms.first {
            kernel::add_difference(last, (0.0, last.1), terms.sum);
        }
    }
}

/// Adds vectors times factors to a sum, two at a time.
struct Pairs<'a> {
    /// The one that waits for its second.
    first: Option<(f64, &'a [f32])>,
    sum: &'a mut [f64],
}

impl<'a> Pairs<'a> {
    fn add(&mut self, factor: f64, vector: &'a [f32]) {
        match self.first.take() {
            None => self.first = Some((factor, vector)),
            Some(first) => kernel::add_difference(first, (-factor, vector), self.sum),
        }
    }
}

fn nearer_first(a: &Near, b: &Near) -> Ordering {
    b.similarity.total_cmp(&a.similarity).then(a.question.cmp(&b.question))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Random;
    use ndarray::Array2;

    const DIM: usize = 48;

    /// Questions around `centres` points, `spread` from them.
    fn questions(count: usize, centres: usize, spread: f32) -> Questions {
        let mut random = Random::new(7, 0);
        let mut value =
            || (0..4).map(|_| random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum::<f32>();
        let points = Array2::from_shape_simple_fn((centres, DIM), &mut value);
        let mut questions = Questions::new(DIM);
        for cluster in 0..count / 8 {
            let mut rows = Array2::from_shape_simple_fn((8, DIM), || spread * value());
            rows += &points.row(cluster % centres);
            let answer: Vec<f32> = rows.row(0).iter().map(|v| v + 0.1).collect();
            questions.push(cluster as i64, &answer, rows.view()).unwrap();
        }
        questions
    }

    #[test]
    fn an_exact_index_finds_the_same_to_the_last_bit() {
        // Far apart, in overlapping clusters, and so near that int8 can't tell them apart.
        for (centres, spread, told_apart) in [(5000, 1.0, true), (40, 0.5, true), (1, 1e-3, false)]
        {
            let questions = questions(6000, centres, spread);
            let index = VectorIndex::default();
            let copy_row = |number: usize, row: &mut [f32]| questions.copy_unit(number, row);
            let units = UnitVectors { count: 6000, dim: DIM, copy_row: &copy_row };
            let nearest = |query: &[f32], k: usize| {
                let norm = kernel::norm(query);
                let unit: Vec<f32> = kernel::normalized(query, norm).collect();
                let shortlist = index.get(units).unwrap().shortlist(&unit, k + 1, None);
                let found = questions.nearest_by_index(&index, (query, &unit), norm, k, 0.1);
                let mut dots = vec![0.0; 6000];
                kernel::dots(&unit, questions.vectors(), &mut dots);
                let exact = questions.nearest(query, norm, &mut dots, k, 0.1);
                assert!(found == exact, "{found:?}, not {exact:?}");
                (found.len(), shortlist.is_some())
            };
            for number in (0..6000).step_by(613) {
                let query: Vec<f32> =
                    questions.question(number).iter().map(|value| 3.0 * value + 0.01).collect();
                for k in [1, 32] {
                    assert_eq!(nearest(&query, k), (k, told_apart));
                }
            }
            // More neighbours than questions.
            assert_eq!(nearest(questions.question(0), 9000).0, 5999);
        }
    }
}
