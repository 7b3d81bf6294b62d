//! What training chooses for search, beside the model: the weight of BM25 in hybrid search,
//! and the offset of answers without training questions.
//!
//! Both are chosen on the questions that were left out, as trained models project them,
//! so that neither is fitted to what the model has seen. The value nearest to zero is taken
//! among those that are not clearly worse than the best, by two standard errors of the
//! difference: where it is not clear that words or an offset help, they count nothing.

use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use serde::Serialize;

use crate::data::TrainingTexts;
use crate::error::{Error, Result};
use crate::kernel::parallel::Poll;
use crate::ranks::{map_scores, rank_of};
use crate::search::fuse;
use crate::validation::{CLEARLY, Column, Plan};
use crate::{OnProgress, Progress};

/// Weights of BM25 that are tried, ascending from zero.
const WEIGHTS: [f64; 9] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7];

/// Offsets that are tried, those nearest to zero first.
const OFFSETS: [f64; 15] =
    [0.0, 0.01, -0.01, 0.02, -0.02, 0.03, 0.04, -0.04, 0.06, 0.08, -0.08, 0.12, 0.16, 0.25, 0.4];

/// Questions that are asked for words, at most: a search for words takes longer than one of
/// vectors.
const WORD_QUESTIONS: usize = 1500;

/// A value that was chosen, and what it was chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calibrated {
    /// The value.
    pub value: f64,
    /// MRR@10 at the value.
    #[serde(rename = "mrr_at_10")]
    pub score: f64,
    /// MRR@10 at zero.
    #[serde(rename = "mrr_at_10_without")]
    pub without: f64,
    /// Questions that were asked.
    pub questions: usize,
}

/// The weight of BM25 for questions as `projected` (n × d a fold, of length 1).
///
/// # Errors
/// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if memory runs out.
pub(super) fn hybrid_weight(
    plan: &Plan<'_>,
    projected: &[Array2<f32>],
    texts: &TrainingTexts,
    progress: &mut OnProgress<'_>,
) -> Result<Calibrated> {
    let mut poll = || Progress::new("weight of words", 0, 1).send(progress);
    let words = &texts.index;
    // Every so many questions of either sort, so that their shares stay.
    let step = plan.seen.len().div_ceil(WORD_QUESTIONS).max(1);
    let (mut seen, mut ranks) = (Vec::new(), Vec::new());
    let mut sampled = [0usize; 2];
    for (fold, projected) in plan.folds.iter().zip(projected) {
        let mut kept = Vec::new();
        for (row, is_seen) in fold.seen.iter().enumerate() {
            let sampled = &mut sampled[usize::from(*is_seen)];
            if *sampled % step == 0 {
                kept.push(row);
                seen.push(*is_seen);
            }
            *sampled += 1;
        }
        let labels = plan.labels(fold);
        let labels: Vec<usize> = kept.iter().map(|row| labels[*row]).collect();
        let asked: Vec<&str> =
            kept.iter().map(|row| texts.questions[fold.queries[*row]].as_str()).collect();
        let projected = projected.select(ndarray::Axis(0), &kept);
        let failed = Mutex::new(None);
        let found = rank_grid(plan, &projected, WEIGHTS.len(), &mut poll, |row, scores, ranks| {
            let found = match words.scores(asked[row]) {
                Ok(found) => found,
                Err(error) => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            };
            let mut by_words = vec![0.0f64; scores.len()];
            for (number, score) in found {
                let own = &mut by_words[texts.answer_rows[number as usize]];
                *own = own.max(score);
            }
            let mut fused = vec![0.0; scores.len()];
            for (rank, weight) in ranks.iter_mut().zip(WEIGHTS) {
                fused.copy_from_slice(scores);
                if weight > 0.0 {
                    fuse(&mut fused, &by_words, weight);
                }
                *rank = rank_of(&fused, fused[labels[row]]) as u32;
            }
        })?;
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let error: Error = error;
            return Err(error.context("choosing the weight of BM25"));
        }
        ranks.extend(found);
    }
    Ok(choose(&WEIGHTS, &ranks, &seen, plan.share))
}

/// The offset of answers without training questions, for questions as `projected`.
pub(super) fn unseen_offset(
    plan: &Plan<'_>,
    projected: &[Array2<f32>],
    progress: &mut OnProgress<'_>,
) -> Result<Calibrated> {
    let mut poll = || Progress::new("offset of unseen answers", 0, 1).send(progress);
    let mut ranks = Vec::new();
    for (fold, projected) in plan.folds.iter().zip(projected) {
        let (answers, labels) = (fold.data.seen(), plan.labels(fold));
        let found = rank_grid(plan, projected, OFFSETS.len(), &mut poll, |row, scores, ranks| {
            let label = labels[row];
            for (rank, offset) in ranks.iter_mut().zip(OFFSETS) {
                let offset = offset as f32;
                let raised = |row: usize| scores[row] + if answers[row] { 0.0 } else { offset };
                let own = raised(label);
                *rank = 1 + (0..scores.len()).map(|row| u32::from(raised(row) > own)).sum::<u32>();
            }
        })?;
        ranks.extend(found);
    }
    Ok(choose(&OFFSETS, &ranks, &plan.seen, plan.share))
}

/// Calls `work` with the number of each row of `projected`, its cosines with all answers and
/// the place for its ranks at all values. Returns the ranks (n × values).
fn rank_grid(
    plan: &Plan<'_>,
    projected: &Array2<f32>,
    values: usize,
    poll: &mut Poll<'_>,
    work: impl Fn(usize, &[f32], &mut [u32]) + Sync,
) -> Result<Vec<u32>> {
    let (data, queries) = (plan.data, projected.as_slice().expect("made row-major"));
    map_scores(queries, data.answer_values(), data.dim(), plan.threads, values, poll, work)
}

/// Of values with the nearest to zero first, the first that is not clearly worse than the
/// best; `ranks` are n × values.
fn choose(values: &[f64], ranks: &[u32], seen: &[bool], share: f64) -> Calibrated {
    let column =
        |at: usize| Column::of(ranks.iter().skip(at).step_by(values.len()).copied(), seen, share);
    let columns: Vec<Column> = (0..values.len()).map(column).collect();
    let score = |column: &Column| column.validated.score;
    let best = columns.iter().rev().max_by(|a, b| score(a).total_cmp(&score(b)));
    let best = best.expect("zero is among the values");
    let good = |column: &Column| {
        score(best) - score(column) <= CLEARLY * column.standard_error(best, seen, share)
    };
    let at = columns.iter().position(good).expect("the best is not worse than itself");
    Calibrated {
        value: values[at],
        score: score(&columns[at]),
        without: score(&columns[0]),
        questions: seen.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_zero_where_others_are_not_clearly_better() {
        // One question of forty is better at the second value: it may be luck.
        let mut ranks = [2, 2].repeat(40);
        ranks[1] = 1;
        let seen = [true; 40];
        let found = choose(&[0.0, 0.5], &ranks, &seen, 0.0);
        assert_eq!((found.value, found.score, found.questions), (0.0, 0.5, 40));
        // Thirty are not.
        ranks.iter_mut().skip(1).step_by(2).take(30).for_each(|rank| *rank = 1);
        let found = choose(&[0.0, 0.5], &ranks, &seen, 0.0);
        assert_eq!((found.value, found.score, found.without), (0.5, 0.875, 0.5));
    }
}
