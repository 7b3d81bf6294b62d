//! The training questions of a residual projection, with their answers.

use std::f64::consts::FRAC_PI_2;
use std::sync::OnceLock;

use ndarray::ArrayView2;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows};
use crate::projection::validation::{check_dim, check_finite, check_rows_finite};

/// Norms of vectors that single precision takes as they are. Vectors of other norms are scaled to
/// length 1 when they are added.
const USUAL_NORMS: std::ops::Range<f64> = 1e-9..1e9;

/// The least sine of the angle between an answer and the mean of its questions that has a
/// direction.
const MIN_SINE: f64 = 1e-9;

/// Training questions with their answers, by cluster: n questions and h answers of dimension d.
/// The vectors are not normalised.
#[derive(Debug, Clone)]
pub struct Questions {
    dim: usize,
    /// Clusters in ascending order, and the number of questions of each (h).
    cluster_ids: Vec<i64>,
    counts: Vec<usize>,
    /// Questions (n × d), one cluster after another.
    vectors: Rows,
    /// Answers (h × d).
    answers: Rows,
    /// The greatest angle between an answer and its moved place, in radians.
    answer_angle: f64,
    /// Worked out when it is first needed.
    facts: OnceLock<QuestionFacts>,
}

/// What follows from the vectors of training questions and answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QuestionFacts {
    /// The number of each question's cluster.
    pub clusters: Vec<usize>,
    /// The factors that bring questions to length 1.
    pub scales: Vec<f64>,
    /// The factors that bring [targets](Questions::targets) to length 1.
    pub target_scales: Vec<f64>,
    /// The cosine of each question with its target.
    pub alignments: Vec<f64>,
    /// The moved answers (h × d), if answers are moved.
    moved: Option<Rows>,
}

impl Questions {
    /// No questions yet, of dimension `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            cluster_ids: Vec::new(),
            counts: Vec::new(),
            vectors: Rows::new(dim),
            answers: Rows::new(dim),
            answer_angle: 0.0,
            facts: OnceLock::new(),
        }
    }

    /// Questions (n × d) of clusters with these numbers of questions, which sum to n, and answers
    /// (h × d). The values are not checked yet, see [`validate`](Self::validate).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for ids that do not ascend.
    pub(crate) fn from_rows(
        cluster_ids: Vec<i64>,
        counts: Vec<usize>,
        vectors: Rows,
        answers: Rows,
    ) -> Result<Self> {
        if let Some(pair) = cluster_ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("head {} after {}, expected ascending ids, each once", pair[1], pair[0]),
            ));
        }
        let dim = vectors.width();
        let new = Self { cluster_ids, counts, vectors, answers, ..Self::new(dim) };
        Ok(new)
    }

    /// Adds a cluster after those before: its answer (d) and its questions (m × d), of any length
    /// above zero.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] unless the cluster's id is above those before,
    /// [`ErrorKind::DimensionMismatch`], [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`]
    /// for unusable vectors.
    pub fn push(
        &mut self,
        cluster_id: i64,
        answer: &[f32],
        questions: ArrayView2<'_, f32>,
    ) -> Result<()> {
        let names = ["answer", "questions"].map(|part| format!("{part} of cluster {cluster_id}"));
        self.push_named(cluster_id, answer, questions, names.each_ref().map(String::as_str))
    }

    /// [`push`](Self::push), with what messages call answer and questions.
    pub(in crate::projection) fn push_named(
        &mut self,
        cluster_id: i64,
        answer: &[f32],
        questions: ArrayView2<'_, f32>,
        [answer_name, questions_name]: [&str; 2],
    ) -> Result<()> {
        if let Some(last) = self.cluster_ids.last().filter(|last| **last >= cluster_id) {
            let what = if *last == cluster_id { "two heads of cluster" } else { "not in order:" };
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("{what} {cluster_id}, expected ascending clusters, each once"),
            ));
        }
        let answer = self.usable(answer).map_err(|error| error.context(answer_name))?;
        let mut rows = Vec::with_capacity(questions.len());
        for (number, question) in questions.rows().into_iter().enumerate() {
            let usable = self.usable(&question.to_vec());
            let named =
                |error: Error| error.context(format!("row {number}")).context(questions_name);
            rows.extend(usable.map_err(named)?);
        }
        self.vectors.push(&rows);
        self.answers.push(&answer);
        self.cluster_ids.push(cluster_id);
        self.counts.push(questions.nrows());
        self.facts.take();
        Ok(())
    }

    /// A vector as it is, or at length 1 if its norm is unusual.
    fn usable(&self, vector: &[f32]) -> Result<Vec<f32>> {
        check_dim(vector.len(), self.dim)?;
        check_finite(vector)?;
        let norm = kernel::norm(vector);
        if norm == 0.0 {
            return Err(Error::new(ErrorKind::ZeroVector, "all values are zero"));
        }
        match USUAL_NORMS.contains(&norm) {
            true => Ok(vector.to_vec()),
            false => Ok(kernel::normalized(vector, norm).collect()),
        }
    }

    /// Refuses vectors that no questions may have.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidModel`].
    pub(super) fn validate(&self) -> Result<()> {
        if self.facts.get().is_none() {
            let facts = self.derive()?;
            self.facts.get_or_init(|| facts);
        }
        Ok(())
    }

    fn derive(&self) -> Result<QuestionFacts> {
        let scales = unit_scales("questions", &self.vectors)?;
        let mut target_scales = unit_scales("answers", &self.answers)?;
        let counts = self.counts.iter().enumerate();
        let clusters: Vec<usize> =
            counts.flat_map(|(cluster, count)| std::iter::repeat_n(cluster, *count)).collect();
        let mut moved = None;
        if self.answer_angle > 0.0 {
            let mut rows = Rows::with_capacity(self.dim, self.cluster_ids.len());
            for (_, answer, questions) in self.by_cluster() {
                rows.push(&turned(answer, questions, self.answer_angle));
            }
            target_scales = unit_scales("answers", &rows)?;
            moved = Some(rows);
        }
        let targets = moved.as_ref().unwrap_or(&self.answers);
        let alignment = |(question, cluster): (usize, &usize)| {
            let dot = kernel::dot_f64(self.question(question), targets.row(*cluster));
            dot * scales[question] * target_scales[*cluster]
        };
        let alignments = clusters.iter().enumerate().map(alignment).collect();
        Ok(QuestionFacts { clusters, scales, target_scales, alignments, moved })
    }

    /// What follows from vectors that are valid, as those that were pushed are.
    pub fn facts(&self) -> &QuestionFacts {
        self.facts.get_or_init(|| self.derive().expect("questions are validated before use"))
    }

    /// Dimension of all vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of questions.
    pub fn len(&self) -> usize {
        self.vectors.count()
    }

    /// Whether there are no questions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clusters, ascending; none if there are no questions.
    pub fn cluster_ids(&self) -> &[i64] {
        if self.is_empty() { &[] } else { &self.cluster_ids }
    }

    /// The number of questions of each cluster.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// The questions (n × d), row-major.
    pub fn vectors(&self) -> &Rows {
        &self.vectors
    }

    /// The answers (h × d), row-major.
    pub fn answers(&self) -> &Rows {
        &self.answers
    }

    /// The same questions with answers that are moved: each is turned towards the mean of its
    /// questions by at most `angle` radians. 0 leaves the answers where they are.
    ///
    /// Of all unit vectors within that angle of the answer, the moved one has the greatest mean
    /// cosine with the questions (Zeighami et al., ICLR 2025).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless the angle is from 0 to π/2.
    pub fn with_answer_angle(mut self, angle: f64) -> Result<Self> {
        if !(0.0..=FRAC_PI_2).contains(&angle) {
            let what = format!("answer angle {angle}, expected 0 to π/2");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        self.answer_angle = angle;
        self.facts.take();
        Ok(self)
    }

    /// The greatest angle by which answers are moved, in radians.
    pub fn answer_angle(&self) -> f64 {
        self.answer_angle
    }

    /// Where questions are moved to (h × d): the moved answers of length 1, or the answers
    /// themselves if these stay.
    pub fn targets(&self) -> &Rows {
        self.facts().moved.as_ref().unwrap_or(&self.answers)
    }

    /// An answer (d) to the questions of the cluster with this number where it is moved to, at
    /// length 1. A cluster may have more answers than the one that the questions are trained with.
    pub fn moved_answer(&self, cluster: usize, answer: &[f32]) -> Vec<f32> {
        let clusters = &self.facts().clusters;
        let start = clusters.partition_point(|of| *of < cluster);
        let values = &self.vectors[start * self.dim..(start + self.counts[cluster]) * self.dim];
        let questions = ArrayView2::from_shape((self.counts[cluster], self.dim), values);
        turned(answer, questions.expect("as many values as the shape has"), self.answer_angle)
    }

    /// A question by its number.
    pub fn question(&self, number: usize) -> &[f32] {
        self.vectors.row(number)
    }

    /// An answer by the number of its cluster.
    pub fn answer(&self, cluster: usize) -> &[f32] {
        self.answers.row(cluster)
    }

    /// Each cluster's id, answer (d) and questions (m × d).
    pub fn by_cluster(&self) -> impl Iterator<Item = (i64, &[f32], ArrayView2<'_, f32>)> {
        let mut start = 0;
        let heads = self.cluster_ids.iter().zip(&self.counts).enumerate();
        heads.map(move |(cluster, (id, count))| {
            let values = &self.vectors[start * self.dim..(start + count) * self.dim];
            start += count;
            let rows = ArrayView2::from_shape((*count, self.dim), values);
            (*id, self.answer(cluster), rows.expect("as many values as the shape has"))
        })
    }

    /// The same clusters without some of the questions, by number.
    pub(super) fn without(&self, left_out: &[bool]) -> Result<Self> {
        let (mut others, mut left_out) = (Self::new(self.dim), left_out.iter());
        for (id, answer, questions) in self.by_cluster() {
            let rows = questions.rows().into_iter().zip(&mut left_out);
            let kept = rows.filter(|(_, gone)| !**gone).flat_map(|(row, _)| row.to_vec());
            let kept: Vec<f32> = kept.collect();
            let kept = ArrayView2::from_shape((kept.len() / self.dim, self.dim), &kept);
            others.push(id, answer, kept.expect("whole rows"))?;
        }
        others.with_answer_angle(self.answer_angle)
    }

    /// Copies a question at length 1.
    pub(super) fn copy_unit(&self, number: usize, unit: &mut [f32]) {
        let scale = self.facts().scales[number];
        for (unit, value) in unit.iter_mut().zip(self.question(number)) {
            *unit = (f64::from(*value) * scale) as f32;
        }
    }
}

/// A vector (d) turned towards the mean of others (n × d) by at most `angle` radians, at length 1.
/// All vectors count as if they had length 1; none may be zero.
pub fn turned(vector: &[f32], others: ArrayView2<'_, f32>, angle: f64) -> Vec<f32> {
    let scaled = |vector: &[f32], scale: f64| -> Vec<f64> {
        vector.iter().map(|value| f64::from(*value) * scale).collect()
    };
    let mut goal = vec![0.0; vector.len()];
    for row in others.rows() {
        let row = row.as_slice().expect("made row-major");
        let unit = scaled(row, 1.0 / kernel::norm(row));
        goal.iter_mut().zip(unit).for_each(|(sum, value)| *sum += value);
    }
    let mut unit = scaled(vector, 1.0 / kernel::norm(vector));
    let length = kernel::norm_of_f64(&goal);
    let cosine = unit.iter().zip(&goal).map(|(u, g)| u * g).sum::<f64>() / length;
    let away: Vec<f64> = goal.iter().zip(&unit).map(|(g, u)| g / length - cosine * u).collect();
    let sine = kernel::norm_of_f64(&away);
    // Without questions that agree there is no mean, and none is more in the way than another of
    // a vector opposite to it.
    if sine > MIN_SINE {
        let (sin, cos) = if cosine > angle.cos() { (sine, cosine) } else { angle.sin_cos() };
        unit.iter_mut().zip(&away).for_each(|(u, away)| *u = cos * *u + sin / sine * away);
    }
    let mut turned = vec![0.0; vector.len()];
    let scale = 1.0 / kernel::norm_of_f64(&unit);
    kernel::scale_and_round(&mut unit, scale, &mut turned);
    turned
}

/// The factors that bring vectors to length 1. `what` names them in messages.
fn unit_scales(what: &str, vectors: &Rows) -> Result<Vec<f64>> {
    let mut scales = Vec::with_capacity(vectors.count());
    for row in 0..vectors.count() {
        let norm = kernel::norm(vectors.row(row));
        if !USUAL_NORMS.contains(&norm) {
            check_rows_finite(what, vectors)?;
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("tensor '{what}': a vector of length {norm} in row {row}"),
            ));
        }
        scales.push(1.0 / norm);
    }
    Ok(scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_turned_as_far_as_they_may_and_no_further_than_the_mean() {
        let questions = ndarray::arr2(&[[0.0f32, 3.0, 0.0], [0.0, 0.0, 0.5]]);
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let at = |angle: f64| turned(&[2.0, 0.0, 0.0], questions.view(), angle);
        // The mean lies at a right angle to the answer.
        let third = [0.5, 0.75f32.sqrt() * half, 0.75f32.sqrt() * half];
        for (angle, expected) in [
            (0.0, [1.0, 0.0, 0.0]),
            (std::f64::consts::FRAC_PI_3, third),
            (FRAC_PI_2, [0.0, half, half]),
        ] {
            let found = at(angle);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{found:?}");
        }
        let near = turned(&[0.0, 2.0, 1.9], questions.view(), 0.5);
        assert!(near.iter().zip([0.0, half, half]).all(|(a, b)| (a - b).abs() < 1e-7));
        // No mean, and one in the opposite direction: the answer stays.
        let opposite = ndarray::arr2(&[[1.0f32, 0.0, 0.0], [-1.0, 0.0, 0.0]]);
        assert_eq!(turned(&[0.0, 2.0, 0.0], opposite.view(), 0.5), [0.0, 1.0, 0.0]);
        let opposite = ndarray::arr2(&[[0.0f32, -1.0, 0.0]]);
        assert_eq!(turned(&[0.0, 2.0, 0.0], opposite.view(), 0.5), [0.0, 1.0, 0.0]);
        let error = Questions::new(3).with_answer_angle(2.0).unwrap_err();
        assert!(error.to_string().contains("answer angle 2"), "{error}");
    }
}
