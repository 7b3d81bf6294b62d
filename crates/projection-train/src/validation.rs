//! What candidates are measured by: the questions that were left out, and the share of those
//! whose answer has no training questions.

use std::sync::Arc;

use ndarray::Array2;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::Metrics;
use crate::folds::{Fold, folds};
use crate::kernel;
use crate::kernel::parallel::Poll;
use crate::ranks::{raised_ranks, ranks};
use crate::{TrainingData, Tuning};

/// Standard errors by which one thing has to be better than another of a different sort, to
/// be preferred to it: one standard error would be exceeded by a single question.
pub(super) const CLEARLY: f64 = 2.0;

/// What was measured of one method on the questions that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Validated {
    /// Questions whose answer had other questions.
    pub seen: Metrics,
    /// Questions whose answer had none.
    pub unseen: Metrics,
    /// MRR@10 at the expected share of the two.
    pub score: f64,
}

/// Folds of the training data, and how questions weigh.
pub(super) struct Plan<'a> {
    pub data: &'a TrainingData,
    pub folds: Vec<Fold>,
    /// Share of questions whose answer has no training questions.
    pub share: f64,
    /// Of each asked question, fold by fold, whether its answer has other questions.
    pub seen: Vec<bool>,
    pub threads: usize,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for fewer than 2 folds or a share outside 0 to 1,
    /// [`ErrorKind::InvalidModel`] if there are too few questions to leave any out.
    pub fn new(data: &'a TrainingData, tuning: &Tuning) -> Result<Self> {
        let some_unseen = data.seen().iter().any(|seen| !seen);
        let share = tuning.unseen.unwrap_or(if some_unseen { 0.5 } else { 0.0 });
        if !(0.0..=1.0).contains(&share) || tuning.folds < 2 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "unseen share {share} and {} folds, expected 0 to 1 and at least 2",
                    tuning.folds
                ),
            ));
        }
        let folds = folds(data, tuning.folds, share > 0.0, tuning.limit, tuning.seed);
        let seen: Vec<bool> = folds.iter().flat_map(|fold| &fold.seen).copied().collect();
        let with = seen.iter().filter(|seen| **seen).count();
        if (with == 0 && share < 1.0) || (with == seen.len() && share > 0.0) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("{} questions are too few to leave some out and tune", data.labels().len()),
            ));
        }
        Ok(Self { data, folds, share, seen, threads: tuning.threads })
    }

    /// The rows of the answers to the questions that a fold asks.
    pub fn labels(&self, fold: &Fold) -> Vec<usize> {
        fold.queries.iter().map(|number| self.data.labels()[*number]).collect()
    }

    /// The questions that a fold asks (n × d).
    pub fn queries(&self, fold: &Fold) -> Array2<f32> {
        self.data.questions().select(ndarray::Axis(0), &fold.queries)
    }

    /// How much each question that is asked counts, so that the two sorts have their shares;
    /// the sum is the number of questions.
    pub fn weights(&self) -> Vec<f64> {
        let count = self.seen.len() as f64;
        let with = self.seen.iter().filter(|seen| **seen).count() as f64;
        let weight = |seen: &bool| match seen {
            true => (1.0 - self.share) * count / with,
            false => self.share * count / (count - with),
        };
        self.seen.iter().map(weight).collect()
    }

    /// The ranks of the right answers for a fold's queries, with an offset of the answers that are
    /// not `seen`.
    pub fn ranks(
        &self,
        fold: &Fold,
        projected: &Projected,
        seen: &[bool],
        offset: f64,
        poll: &mut Poll<'_>,
    ) -> Result<Vec<u32>> {
        let (queries, answers) = (projected.queries.view(), projected.answers.view());
        let labels = self.labels(fold);
        let ranks = match offset {
            0.0 => ranks(queries, answers, &labels, self.threads, poll)?,
            offset => {
                let raised = (seen, offset as f32);
                raised_ranks(queries, answers, &labels, raised, self.threads, poll)?
            }
        };
        Ok(ranks.into_iter().map(|rank| rank as u32).collect())
    }

    /// What is measured of ranks, one for each question that is asked, fold by fold.
    pub fn column(&self, ranks: impl Iterator<Item = u32>) -> Column {
        Column::of(ranks, &self.seen, self.share)
    }

    /// What is measured of every fold's queries, with an offset of the answers without training
    /// questions.
    pub fn column_of(
        &self,
        projected: &[Projected],
        offset: f64,
        poll: &mut Poll<'_>,
    ) -> Result<Column> {
        let folds = self.folds.iter().zip(projected);
        let ranks = folds
            .map(|(fold, own)| self.ranks(fold, own, &fold.data.seen(), offset, poll))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.column(ranks.into_iter().flatten()))
    }

    /// Plain cosine.
    pub fn cosine(&self, poll: &mut Poll<'_>) -> Result<Column> {
        let answers = || self.data.shared_answers();
        let plain = |fold| Projected { queries: self.queries(fold), answers: answers() };
        let plain: Vec<Projected> = self.folds.iter().map(plain).collect();
        self.column_of(&plain, 0.0, poll)
    }

    /// The standard error of the difference of two scores.
    pub fn standard_error(&self, a: &Column, b: &Column) -> f64 {
        a.standard_error(b, &self.seen, self.share)
    }
}

/// What a fold's queries are compared with.
pub(super) struct Projected {
    /// The queries as a model projects them (n × d), of length 1.
    pub queries: Array2<f32>,
    /// The answers where the model moves them (m × d), of length 1.
    pub answers: Arc<Array2<f32>>,
}

/// Reciprocal ranks and metrics of one candidate.
#[derive(Debug, Clone)]
pub(super) struct Column {
    reciprocals: Vec<f32>,
    pub validated: Validated,
}

impl Column {
    /// `seen` has one value a rank: whether the answer has other questions.
    pub fn of(ranks: impl Iterator<Item = u32>, seen: &[bool], share: f64) -> Self {
        let ranks: Vec<usize> = ranks.map(|rank| rank as usize).collect();
        let part = |wanted: bool| {
            let rows = ranks.iter().zip(seen).filter(|(_, seen)| **seen == wanted);
            Metrics::of(&rows.map(|(rank, _)| *rank).collect::<Vec<_>>())
        };
        let (with, without) = (part(true), part(false));
        let score = (1.0 - share) * with.mrr_at_10 + share * without.mrr_at_10;
        Self {
            reciprocals: ranks.iter().map(|rank| Metrics::reciprocal(*rank) as f32).collect(),
            validated: Validated { seen: with, unseen: without, score },
        }
    }

    /// The standard error of the difference of two scores on the same questions.
    pub fn standard_error(&self, other: &Self, seen: &[bool], share: f64) -> f64 {
        let variance = |wanted: bool| {
            let pairs = self.reciprocals.iter().zip(&other.reciprocals).zip(seen);
            let differences: Vec<f64> = pairs
                .filter(|(_, h)| **h == wanted)
                .map(|((a, b), _)| f64::from(*a) - f64::from(*b))
                .collect();
            let n = differences.len().max(1) as f64;
            let mean = differences.iter().sum::<f64>() / n;
            differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n * n)
        };
        ((1.0 - share).powi(2) * variance(true) + share.powi(2) * variance(false)).sqrt()
    }
}

/// Rows brought to length 1; a projection may be zero, which stays.
pub(crate) fn to_unit_rows(rows: &mut Array2<f32>) {
    for mut row in rows.rows_mut() {
        kernel::normalize(row.as_slice_mut().expect("made row-major"));
    }
}
