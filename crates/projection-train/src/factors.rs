//! The factors of a residual projection's terms.
//!
//! Questions, and where it matters answers, are left out in turn (see `folds`). The terms are
//! trained on the others, and for each question that was left out an answer a scores
//!
//! ```text
//! w₀ q·a + w₁ qW·a + w₂ Δ·a + w₃ [a has training questions]
//! ```
//!
//! A conditional logit (see `logit`) finds the weights under which the right answers score best;
//! divided by w₀ they are the factors. w₃ only keeps the other weights from making up for answers
//! that training favours: what search adds to unseen answers is fitted afterwards, on the
//! projected queries (see `calibrate`).

use std::sync::Arc;

use ndarray::Array2;

use crate::adapter::train_adapter;
use crate::calibrate::{OTHERS, likeliest};
use crate::error::Result;
use crate::folds::Fold;
use crate::kernel::{gemm, parallel};
use crate::logit::Choices;
use crate::residual::Neighbours;
use crate::validation::{Plan, Projected, to_unit_rows};
use crate::{OnProgress, Progress, ResidualTraining, TrainingOptions};

/// The weights that few questions fall back to: about the mean of what eight sets of questions
/// gave, where every answer has training questions and where some have none. The likeliest
/// answers, to which the fit is confined, are the likeliest by these.
const CLOSED: [f64; 3] = [17.0, 11.5, 7.5];
const OPEN: [f64; 4] = [25.0, 11.0, 9.0, 0.0];

/// Scores of one term that a thread keeps at a time.
const SCORES: usize = 1 << 18;

/// A residual projection with fitted factors, and what it makes of every fold.
pub(super) struct ResidualFit {
    pub training: ResidualTraining,
    pub projected: Vec<Projected>,
}

/// What does not depend on where the answers of a fold are moved to, for training: its queries,
/// the same times an adapter that is trained towards the answers in place (n × d each), and their
/// neighbours.
pub(super) struct FoldTerms {
    queries: Vec<f32>,
    adapted: Vec<f32>,
    neighbours: Neighbours,
}

/// Trains every fold's adapter and finds the neighbours of its queries.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
pub(super) fn fold_terms(
    plan: &Plan<'_>,
    options: &TrainingOptions,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<FoldTerms>> {
    let training = ResidualTraining::with_options(plan.data, options);
    let steps = plan.folds.len();
    let of_fold = |(number, fold): (usize, &Fold)| {
        let adapter = train_adapter(&fold.data, &training.adapter_training, progress)?;
        let queries = plan.queries(fold).into_raw_vec_and_offset().0;
        let mut adapted = vec![0.0; queries.len()];
        gemm::matmul(&queries, &adapter, plan.data.dim(), &mut adapted);
        let poll = &mut || Progress::new("tuning", number + 1, steps).send(progress);
        let neighbours = Neighbours::find(&fold.data, &queries, &training, plan.threads, poll)?;
        Ok(FoldTerms { queries, adapted, neighbours })
    };
    plan.folds.iter().enumerate().map(of_fold).collect()
}

/// Fits the factors on what the folds of `plan` leave out, with answers that are moved by `angle`.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
pub(super) fn fit_residual(
    plan: &Plan<'_>,
    options: &TrainingOptions,
    angle: f64,
    terms: &[FoldTerms],
    progress: &mut OnProgress<'_>,
) -> Result<ResidualFit> {
    let mut training = ResidualTraining::with_options(plan.data, options);
    training.answer_angle = angle;
    let open = plan.share > 0.0;
    let prior = if open { &OPEN[..] } else { &CLOSED[..] };
    let others = OTHERS.min(plan.data.answers().nrows() - 1);
    let mut choices =
        Choices { features: prior.len(), others, differences: Vec::new(), weights: plan.weights() };
    let steps = plan.folds.len();
    let mut poll = || Progress::new("tuning", steps, steps).send(progress);
    let mut folds = Vec::with_capacity(steps);
    for (fold, FoldTerms { queries, adapted, neighbours }) in plan.folds.iter().zip(terms) {
        let data = fold.data.with_moved_answers(angle);
        let rotations = neighbours.rotations(queries, angle, plan.threads, &mut poll)?;
        let terms = Terms { queries, adapted, rotations, answers: data.shared_answers() };
        let seen = open.then(|| data.seen());
        choices.differences.extend(terms.differences(
            plan,
            &plan.labels(fold),
            seen.as_deref(),
            (prior, others),
            &mut poll,
        )?);
        folds.push(terms);
    }
    let weights = choices.fit(prior, plan.threads, &mut poll)?;
    // A query that by itself says next to nothing must not make the factors boundless, and a
    // term that misleads is left out. Three digits are more than the questions determine.
    let factor = |weight: f64| (1000.0 * weight.max(0.0) / weights[0].max(1.0)).round() / 1000.0;
    (training.adapter, training.rotation) = (factor(weights[1]), factor(weights[2]));
    let projected = folds.into_iter().map(|terms| terms.project(plan.data.dim(), &training));
    let projected = projected.collect();
    Ok(ResidualFit { training, projected })
}

/// Queries of a fold, the terms that are added to them (n × d each), and the moved answers.
struct Terms<'a> {
    queries: &'a [f32],
    adapted: &'a [f32],
    rotations: Vec<f32>,
    answers: Arc<Array2<f32>>,
}

impl Terms<'_> {
    /// What the likeliest other answers have more of each feature than the right ones
    /// (n × others × features). `seen` tells which answers have training questions, if that is a
    /// feature.
    fn differences(
        &self,
        plan: &Plan<'_>,
        labels: &[usize],
        seen: Option<&[bool]>,
        (prior, others): (&[f64], usize),
        poll: &mut parallel::Poll<'_>,
    ) -> Result<Vec<f32>> {
        let (dim, answers) = (plan.data.dim(), self.answers.as_slice().expect("row-major"));
        let (count, features) = (answers.len() / dim, prior.len());
        let width = others * features;
        if width == 0 {
            return Ok(Vec::new());
        }
        let mut out = vec![0.0; labels.len() * width];
        let rows = (SCORES / count).clamp(1, parallel::BLOCK_ROWS);
        parallel::parallel_chunks_until(
            plan.threads,
            &mut out,
            width,
            rows,
            poll,
            |range, out, _| {
                let scores = [self.queries, self.adapted, &self.rotations].map(|values| {
                    let values = &values[range.start * dim..range.end * dim];
                    let mut scores = vec![0.0; range.len() * count];
                    gemm::matmul_nt(values, answers, dim, &mut scores);
                    scores
                });
                let mut total = vec![0.0f32; count];
                for (row, out) in out.chunks_mut(width).enumerate() {
                    let label = labels[range.start + row];
                    let own = scores.each_ref().map(|s| &s[row * count..(row + 1) * count]);
                    for (answer, total) in total.iter_mut().enumerate() {
                        let terms = own.iter().zip(prior).map(|(s, w)| s[answer] * *w as f32);
                        *total = terms.sum();
                    }
                    let likeliest = likeliest(&total, label, others);
                    for (out, answer) in out.chunks_mut(features).zip(likeliest) {
                        for (out, scores) in out.iter_mut().zip(own) {
                            *out = scores[answer] - scores[label];
                        }
                        if let Some(seen) = seen {
                            out[3] = f32::from(seen[answer]) - f32::from(seen[label]);
                        }
                    }
                }
            },
        )?;
        Ok(out)
    }

    /// The queries as the projection with these factors projects them.
    fn project(self, dim: usize, training: &ResidualTraining) -> Projected {
        let [adapter, rotation] = [training.adapter, training.rotation].map(|f| f as f32);
        let mut projected = self.queries.to_vec();
        let terms = projected.iter_mut().zip(self.adapted).zip(&self.rotations);
        terms.for_each(|((out, a), r)| *out += adapter * a + rotation * r);
        let shape = (projected.len() / dim, dim);
        let mut projected = Array2::from_shape_vec(shape, projected).expect("n × d values");
        to_unit_rows(&mut projected);
        Projected { queries: projected, answers: self.answers }
    }
}
