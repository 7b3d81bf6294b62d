//! What training chooses for search, beside the model: the weight of BM25 in hybrid search,
//! and the offset of answers without training questions.
//!
//! Both are chosen on the questions that were left out, as trained models project them,
//! so that neither is fitted to what the model has seen. The offset is fitted. Of the weights of
//! BM25 the one nearest to zero is taken that is not clearly worse than the best, by two standard
//! errors of the difference: where it is not clear that words help, they count nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::data::TrainingTexts;
use crate::error::{Error, Result};
use crate::kernel::parallel::Poll;
use crate::logit::Choices;
use crate::ranks::{map_scores, rank_of};
use crate::search::fuse;
use crate::validation::{CLEARLY, Column, Plan, Projected};
use crate::{OnProgress, Progress};

/// Weights of BM25 that are tried, ascending from zero.
const WEIGHTS: [f64; 9] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7];

/// The weights of cosine and [unseen] that few questions fall back to.
const COSINE_AND_UNSEEN: [f64; 2] = [30.0, 0.0];

/// Answers that the right one is compared with in a conditional logit, at most: the likeliest.
pub(super) const OTHERS: usize = 299;

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

/// The weight of BM25 for each fold's questions as `projected`.
///
/// # Errors
/// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if memory runs out.
pub(super) fn hybrid_weight(
    plan: &Plan<'_>,
    projected: &[Projected],
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
        let queries = projected.queries.select(ndarray::Axis(0), &kept);
        let projected = Projected { queries, answers: Arc::clone(&projected.answers) };
        let failed = Mutex::new(None);
        let found =
            map(plan, &projected, WEIGHTS.len(), &mut poll, |row, scores, ranks: &mut [u32]| {
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
    Ok(choose(&ranks, &seen, plan.share))
}

/// The offset of answers without training questions, for questions as `projected`, and what is
/// measured with it.
///
/// The cosines c of the likeliest answers are fitted as exp(κ (c + offset [unseen])) by a
/// conditional logit.
pub(super) fn unseen_offset(
    plan: &Plan<'_>,
    projected: &[Projected],
    progress: &mut OnProgress<'_>,
) -> Result<(Calibrated, Column)> {
    let mut poll = || Progress::new("offset of unseen answers", 0, 1).send(progress);
    let others = OTHERS.min(plan.data.answers().nrows() - 1);
    let mut differences = Vec::new();
    for (fold, projected) in plan.folds.iter().zip(projected) {
        let (seen, labels) = (fold.data.seen(), plan.labels(fold));
        differences.extend(map(plan, projected, 2 * others, &mut poll, |row, scores, out| {
            let label = labels[row];
            let likeliest = likeliest(scores, label, others);
            for (out, answer) in out.chunks_mut(2).zip(likeliest) {
                out[0] = scores[answer] - scores[label];
                out[1] = f32::from(seen[label]) - f32::from(seen[answer]);
            }
        })?);
    }
    let choices = Choices { features: 2, others, differences, weights: plan.weights() };
    let weights = choices.fit(&COSINE_AND_UNSEEN, plan.threads, &mut poll)?;
    // More digits than these the questions do not determine.
    let value = (10_000.0 * weights[1] / weights[0].max(1.0)).round() / 10_000.0;
    let mut column = |offset: f64| plan.column_of(projected, offset, &mut poll);
    let (with, without) = (column(value)?, column(0.0)?);
    let calibrated = Calibrated {
        value,
        score: with.validated.score,
        without: without.validated.score,
        questions: plan.seen.len(),
    };
    Ok((calibrated, with))
}

/// The `count` answers with the highest scores but that of `label`, in ascending order.
pub(super) fn likeliest(scores: &[f32], label: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|answer| *answer != label).collect();
    if count < order.len() {
        order
            .select_nth_unstable_by(count, |a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(count);
        order.sort_unstable();
    }
    order
}

/// Calls `work` with the number of each query of `projected`, its cosines with all answers and its
/// row of the result (n × width).
fn map<T: Clone + Default + Send>(
    plan: &Plan<'_>,
    projected: &Projected,
    width: usize,
    poll: &mut Poll<'_>,
    work: impl Fn(usize, &[f32], &mut [T]) + Sync,
) -> Result<Vec<T>> {
    let [queries, answers] = [&projected.queries, &*projected.answers]
        .map(|rows| rows.as_slice().expect("made row-major"));
    map_scores(queries, answers, plan.data.dim(), plan.threads, width, poll, work)
}

/// The least weight of BM25 that is not clearly worse than the best; `ranks` are n × weights.
fn choose(ranks: &[u32], seen: &[bool], share: f64) -> Calibrated {
    let column =
        |at: usize| Column::of(ranks.iter().skip(at).step_by(WEIGHTS.len()).copied(), seen, share);
    let columns: Vec<Column> = (0..WEIGHTS.len()).map(column).collect();
    let score = |column: &Column| column.validated.score;
    let best = columns.iter().rev().max_by(|a, b| score(a).total_cmp(&score(b)));
    let best = best.expect("zero is among the values");
    let good = |column: &Column| {
        score(best) - score(column) <= CLEARLY * column.standard_error(best, seen, share)
    };
    let at = columns.iter().position(good).expect("the best is not worse than itself");
    Calibrated {
        value: WEIGHTS[at],
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
        // One question of forty is better at the second weight: it may be luck.
        let mut ranks = [2; WEIGHTS.len()].repeat(40);
        ranks[1] = 1;
        let seen = [true; 40];
        let found = choose(&ranks, &seen, 0.0);
        assert_eq!((found.value, found.score, found.questions), (0.0, 0.5, 40));
        // Thirty are not.
        ranks.iter_mut().skip(1).step_by(WEIGHTS.len()).take(30).for_each(|rank| *rank = 1);
        let found = choose(&ranks, &seen, 0.0);
        assert_eq!((found.value, found.score, found.without), (WEIGHTS[1], 0.875, 0.5));
    }

    #[test]
    fn the_likeliest_are_the_best_but_the_right_one() {
        let scores = [0.5, 0.9, 0.1, 0.5, 0.7];
        assert_eq!(likeliest(&scores, 1, 2), [0, 4]);
        assert_eq!(likeliest(&scores, 2, 9), [0, 1, 3, 4]);
        assert_eq!(likeliest(&scores, 0, 0), [0; 0]);
    }
}
