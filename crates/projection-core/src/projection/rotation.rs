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

mod stored;

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;

use crate::error::{Error, ErrorKind, Result};
use crate::ivf::MIN_INDEX_ROWS;
use crate::ivf::{IndexStats, IvfIndex, UnitVectors, prefetched, scan_pays_off};
use crate::kernel::Scratch;
use crate::kernel::{self, Rows, top_k};

pub use stored::StoredQuestions;

/// How far single precision may misjudge a similarity, with a wide margin.
const DOUBT: f32 = 2e-6;

/// Where the weights before normalisation sum to no more, all neighbours are equally near
/// within rounding: none stands out, and the query is not rotated.
pub const LEAST_TOTAL: f64 = 1e-9;

/// Least 1 + c·a: a question opposite to its answer has no smallest rotation.
pub const LEAST_ALIGNMENT: f64 = 1e-6;

/// Norms that single precision takes as they are. Other vectors are scaled to length 1.
const USUAL_NORMS: std::ops::Range<f64> = 1e-9..1e9;

/// Training questions with their answers, by cluster.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    dim: usize,
    /// Questions (n × d), with the factors that bring them to length 1.
    vectors: Rows,
    scales: Vec<f64>,
    /// Number of the cluster of each question, and c·a.
    cluster: Vec<usize>,
    alignment: Vec<f64>,
    /// Answers (h × d), with the factors that bring them to length 1.
    answers: Rows,
    answer_scales: Vec<f64>,
    /// What finds the nearest ones where there are many. Of a model in a mapped file without
    /// lists, it is made when it is first needed.
    lists: OnceLock<Option<Arc<IvfIndex>>>,
}

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
    /// No questions yet, of dimension `dim`.
    pub fn new(dim: usize) -> Self {
        Self { dim, vectors: Rows::new(dim), answers: Rows::new(dim), ..Self::default() }
    }

    /// Adds a cluster: its answer (d) and its questions (m × d). An error says which of
    /// them it is about.
    pub fn push(
        &mut self,
        answer: &[f32],
        questions: ArrayView2<'_, f32>,
    ) -> Result<(), (&'static str, Error)> {
        let cluster = self.answer_scales.len();
        let about = |part| move |error| (part, error);
        let (answer, answer_scale) = self.usable(answer).map_err(about("answer"))?;
        for (row, question) in questions.rows().into_iter().enumerate() {
            let (question, scale) = self
                .usable(&question.to_vec())
                .map_err(|error| ("questions", error.context(format!("row {row}"))))?;
            let dot = kernel::dot_f64(&question, &answer);
            self.alignment.push(dot * scale * answer_scale);
            self.vectors.push(&question);
            self.scales.push(scale);
            self.cluster.push(cluster);
        }
        self.answers.push(&answer);
        self.answer_scales.push(answer_scale);
        Ok(())
    }

    /// A vector with the factor that brings it to length 1.
    fn usable(&self, vector: &[f32]) -> Result<(Vec<f32>, f64)> {
        if vector.len() != self.dim {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("dimension {}, expected {}", vector.len(), self.dim),
            ));
        }
        if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
            return Err(Error::new(
                ErrorKind::NotFinite,
                format!("the value {} at index {at}, expected finite numbers", vector[at]),
            ));
        }
        let norm = kernel::norm(vector);
        if norm == 0.0 {
            return Err(Error::new(ErrorKind::ZeroVector, "all values are zero"));
        }
        if USUAL_NORMS.contains(&norm) {
            return Ok((vector.to_vec(), 1.0 / norm));
        }
        let scaled: Vec<f32> = vector.iter().map(|v| (f64::from(*v) / norm) as f32).collect();
        let scale = 1.0 / kernel::norm(&scaled);
        Ok((scaled, scale))
    }

    /// The same clusters without some of the questions.
    pub fn without(&self, left_out: &dyn Fn(&[f32]) -> bool) -> Result<Self> {
        let mut others = Self::new(self.dim);
        for cluster in 0..self.answer_scales.len() {
            let kept = (0..self.len())
                .filter(|number| self.cluster[*number] == cluster)
                .map(|number| self.question(number))
                .filter(|question| !left_out(question));
            let kept: Vec<f32> = kept.flatten().copied().collect();
            let kept = ArrayView2::from_shape((kept.len() / self.dim, self.dim), &kept);
            others
                .push(self.answer(cluster), kept.expect("rows are whole"))
                .map_err(|(_, error)| error)?;
        }
        Ok(others)
    }

    /// Number of questions.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Number of the cluster of a question.
    pub fn cluster_of(&self, question: usize) -> usize {
        self.cluster[question]
    }

    /// The questions (n × d), row-major, not normalised.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Makes similarities of the dot products of all questions with a query of length 1.
    pub fn scale(&self, dots: &mut [f32]) {
        for (dot, scale) in dots.iter_mut().zip(&self.scales) {
            *dot *= *scale as f32;
        }
    }

    pub fn question(&self, number: usize) -> &[f32] {
        self.vectors.row(number)
    }

    fn answer(&self, cluster: usize) -> &[f32] {
        self.answers.row(cluster)
    }

    /// The k nearest questions to a query of the given norm, nearest first, then by number;
    /// one fewer than there are where k is not less, since one must be left out.
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
        for (dot, scale) in dots.iter_mut().zip(&self.scales) {
            *dot *= *scale as f32;
            available += usize::from(*dot > f32::NEG_INFINITY);
        }
        let Some(k) = k.checked_add(1).map(|k| k.min(available)).filter(|k| *k > 0) else {
            return Scratch::new();
        };
        // The dots are those of a unit query up to a factor near 1, see `residual`.
        let candidates = top_k::near_top_k(dots, k, DOUBT);
        self.weigh(query, norm, &candidates, k, temperature)
    }

    /// Prepares [`nearest_to`](Self::nearest_to) where there are many questions; to be
    /// called after the last [`push`](Self::push).
    pub fn finish(&self) {
        self.lists();
    }

    fn lists(&self) -> Option<&Arc<IvfIndex>> {
        let one = || Arc::new(self.with_units(IvfIndex::flat));
        let lists = self.lists.get_or_init(|| scan_pays_off(self.len(), self.dim).then(one));
        lists.as_ref()
    }

    /// Puts these lists into the place of those there are.
    pub fn set_lists(&mut self, lists: Option<Arc<IvfIndex>>) {
        self.lists = lists.map_or_else(OnceLock::new, |lists| OnceLock::from(Some(lists)));
    }

    /// The same questions in lists, where these are worth it; see [`IvfIndex::build`].
    pub fn in_lists(&self, threads: usize) -> Self {
        let lists = match self.lists() {
            Some(one) if self.len() >= MIN_INDEX_ROWS && one.is_exact() => {
                let lists = self.with_units(|units| IvfIndex::build(units, &[], threads));
                Some(if lists.is_exact() { Arc::clone(one) } else { Arc::new(lists) })
            }
            known => known.cloned(),
        };
        Self { lists: OnceLock::from(lists), ..self.clone() }
    }

    /// What is known of the lists; `None` where all questions are looked at.
    pub fn stats(&self) -> Option<IndexStats> {
        self.approximate().map(|lists| lists.stats())
    }

    /// The lists where they may miss a question.
    pub fn approximate(&self) -> Option<&Arc<IvfIndex>> {
        self.lists.get()?.as_ref().filter(|lists| !lists.is_exact())
    }

    pub fn with_units<R>(&self, make: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        let copy = |number: usize, unit: &mut [f32]| {
            for (unit, value) in unit.iter_mut().zip(self.question(number)) {
                *unit = (f64::from(*value) * self.scales[number]) as f32;
            }
        };
        make(UnitVectors { count: self.len(), dim: self.dim, copy_row: &copy })
    }

    /// [`nearest`](Self::nearest) among all questions, for a query that is also given at
    /// length 1. With many questions, bytes rule out all but some of them first; what is
    /// found is the same, but for what lists miss.
    pub fn nearest_to(
        &self,
        (query, unit): (&[f32], &[f32]),
        norm: f64,
        neighbours: usize,
        temperature: f64,
    ) -> Scratch<Near> {
        let k = neighbours.saturating_add(1).min(self.len());
        if let Some(candidates) = self.lists().and_then(|lists| lists.shortlist(unit, k, None)) {
            // As `nearest` does with all of them.
            let k = k.min(candidates.len());
            let mut dots = Scratch::new();
            for number in prefetched(&candidates, &self.vectors) {
                let mut dot = [0.0];
                kernel::dots(unit, self.question(number), &mut dot);
                dots.push(dot[0] * self.scales[number] as f32);
            }
            let best = top_k::near_top_k(&dots, k, DOUBT);
            let candidates: Scratch<usize> = best.iter().map(|at| candidates[*at]).collect();
            return self.weigh(query, norm, &candidates, k, temperature);
        }
        let mut dots = Scratch::filled(self.len(), 0.0);
        kernel::dots(unit, &self.vectors, &mut dots);
        self.nearest(query, norm, &mut dots, neighbours, temperature)
    }

    /// The k nearest of the candidates, one of which is left out; see
    /// [`nearest`](Self::nearest).
    fn weigh(
        &self,
        query: &[f32],
        norm: f64,
        candidates: &[usize],
        k: usize,
        temperature: f64,
    ) -> Scratch<Near> {
        let mut near: Scratch<Near> = candidates
            .iter()
            .map(|question| {
                let dot = kernel::dot_f64(query, self.question(*question));
                let similarity = dot * self.scales[*question] / norm;
                Near { question: *question, similarity, weight: 0.0 }
            })
            .collect();
        near.sort_unstable_by(nearer_first);
        near.truncate(k);
        let (top, next) = (near[0].similarity, near[k - 1].similarity);
        let floor = ((next - top) / temperature).exp();
        for near in &mut near[..k - 1] {
            near.weight = ((near.similarity - top) / temperature).exp() - floor;
        }
        let total: f64 = near.iter().map(|near| near.weight).sum();
        for near in near.iter_mut() {
            near.weight = if total > LEAST_TOTAL { near.weight / total } else { 0.0 };
        }
        // The one that is left out stays where it is all there is, or where none stands out:
        // routing is shared equally among them then.
        if total > LEAST_TOTAL {
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
        let mut moving: Scratch<usize> =
            (0..nearest.len()).filter(|at| nearest[*at].weight != 0.0).collect();
        moving.sort_unstable_by_key(|at| (self.cluster[nearest[*at].question], *at));
        let mut terms = Pairs { first: None, sum };
        let cluster_of = |at: usize| self.cluster[nearest[at].question];
        for cluster in moving.chunk_by(|a, b| cluster_of(*a) == cluster_of(*b)) {
            let number = cluster_of(cluster[0]);
            let (answer, scale) = (self.answer(number), self.answer_scales[number]);
            let t = kernel::dot_f64(query, answer) * scale / norm;
            let mut to_answer = 0.0;
            for near in cluster.iter().map(|at| &nearest[*at]) {
                let s = near.similarity;
                let b = (s + t) / (1.0 + self.alignment[near.question]).max(LEAST_ALIGNMENT);
                let weight = factor * near.weight;
                to_answer += weight * (2.0 * s - b) * scale;
                let from_question = -weight * b * self.scales[near.question];
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
            questions.push(&answer, rows.view()).unwrap();
        }
        questions.finish();
        questions
    }

    #[test]
    fn bytes_first_finds_the_same_to_the_last_bit() {
        // Far apart, in overlapping clusters, and so near that bytes cannot tell.
        for (centres, spread, told_apart) in [(5000, 1.0, true), (40, 0.5, true), (1, 1e-3, false)]
        {
            let questions = questions(6000, centres, spread);
            let mut plain = questions.clone();
            plain.lists = OnceLock::from(None);
            for number in (0..6000).step_by(613) {
                let query: Vec<f32> =
                    questions.question(number).iter().map(|value| 3.0 * value + 0.01).collect();
                let norm = kernel::norm(&query);
                let unit: Vec<f32> = query.iter().map(|v| (f64::from(*v) / norm) as f32).collect();
                for k in [1, 32] {
                    let lists = questions.lists().unwrap();
                    let candidates = lists.shortlist(&unit, k + 1, None);
                    assert_eq!(candidates.is_some(), told_apart);
                    let found = questions.nearest_to((&query, &unit), norm, k, 0.1);
                    let exact = plain.nearest_to((&query, &unit), norm, k, 0.1);
                    assert!(found == exact && found.len() == k, "{found:?}, not {exact:?}");
                }
            }
            // More neighbours than questions.
            let query = questions.question(0);
            let norm = kernel::norm(query);
            let unit: Vec<f32> = query.iter().map(|v| (f64::from(*v) / norm) as f32).collect();
            assert_eq!(questions.nearest_to((query, &unit), norm, 9000, 0.1).len(), 5999);
        }
    }
}
