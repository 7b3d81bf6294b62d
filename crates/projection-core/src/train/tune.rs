//! Choosing the terms and parameters of a residual projection by cross-validation.
//!
//! Questions, and where it matters answers, are left out in turn (see `folds`); every
//! candidate is measured on what was left out by MRR@10, questions of answers that have
//! others and of answers that have none weighing as much as the caller expects of them.
//!
//! Many candidates are compared on few questions, so the best one is often only lucky. The
//! choice is therefore the candidate nearest to the fixed parameters among those that are
//! not worse than the best by more than the standard error of the difference: where the
//! validation set is too small to tell, that is the fixed parameters themselves.

use serde_json::{Value, json};

use super::adapter::{AdapterTraining, train_adapter};
use super::folds::{Fold, folds};
use super::grid::{Factors, Terms};
use super::lift::lift_direction;
use super::residual::{base_of, rotations};
use super::{Progress, ResidualTraining, TrainingData};
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::Metrics;
use crate::kernel;
use crate::kernel::product;

/// Factors of rotation and adapter that are tried.
const GAINS: [f64; 6] = [0.0, 0.2, 0.35, 0.5, 0.7, 1.0];

/// Factors of the lift that are tried; never negative.
const LIFTS: [f64; 9] = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16];

/// How a candidate's distance from the fixed parameters weighs its lift, and another
/// training of the adapter: as less than a step of any factor.
const LIFT_DISTANCE: f64 = 4.0;
const TRAINING_DISTANCE: f64 = 0.05;

/// How to tune.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The share of questions to be expected whose answer has no training questions, from 0
    /// to 1. By default ½ where there are such answers, else 0.
    pub unheaded: Option<f64>,
    /// Folds; each is left out in turn.
    pub folds: usize,
    /// Questions that are asked a fold, at most, of either sort.
    pub limit: usize,
    /// Seed of folds and trainings.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { unheaded: None, folds: 4, limit: 1500, seed: 0, threads: product::threads() }
    }
}

/// What was measured of one method on the questions that were left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validated {
    /// Questions whose answer had other questions.
    pub headed: Metrics,
    /// Questions whose answer had none.
    pub unheaded: Metrics,
    /// MRR@10 at the expected share of the two.
    pub score: f64,
}

/// A candidate that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Its terms and parameters.
    pub training: ResidualTraining,
    /// What was measured.
    pub validated: Validated,
}

/// The outcome of tuning.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The terms and parameters that were chosen.
    pub training: ResidualTraining,
    /// Share of questions whose answer has no training questions that was tuned for.
    pub unheaded: f64,
    /// What was measured of them.
    pub validated: Validated,
    /// What was measured of the fixed parameters.
    pub fixed: Validated,
    /// What was measured of plain cosine.
    pub cosine: Validated,
    /// All candidates, best first.
    pub tried: Vec<Tried>,
}

impl Tuned {
    /// Whether the fixed parameters were kept.
    pub fn kept_fixed(&self, data: &TrainingData) -> bool {
        let fixed = ResidualTraining::fixed(data);
        factors_of(&self.training) == factors_of(&fixed)
    }

    /// Whether the model finds fewer answers than plain cosine on the validation.
    pub fn is_below_cosine(&self) -> bool {
        self.validated.score < self.cosine.score
    }

    /// The metrics as they are stored with the model.
    pub fn to_json(&self) -> Value {
        let metrics = |m: &Metrics| {
            json!({
                "questions": m.questions,
                "recall_at_1": m.recall_at_1,
                "recall_at_5": m.recall_at_5,
                "mrr_at_10": m.mrr_at_10,
                "ndcg_at_10": m.ndcg_at_10,
            })
        };
        let validated = |v: &Validated| {
            json!({
                "score": v.score,
                "headed": metrics(&v.headed),
                "unheaded": metrics(&v.unheaded),
            })
        };
        let share = |of: fn(&Metrics) -> f64| {
            let Validated { headed, unheaded, .. } = &self.validated;
            (1.0 - self.unheaded) * of(headed) + self.unheaded * of(unheaded)
        };
        json!({
            "recall_at_1": share(|m| m.recall_at_1),
            "mrr_at_10": self.validated.score,
            "unheaded_share": self.unheaded,
            "model": validated(&self.validated),
            "fixed": validated(&self.fixed),
            "cosine": validated(&self.cosine),
            "candidates": self.tried.len(),
        })
    }
}

/// Finds terms and parameters by cross-validation; see [`train_residual`] for training with
/// them.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for fewer than 2 folds or a share outside 0 to 1,
/// [`ErrorKind::InvalidModel`] where there are too few questions to leave any out.
///
/// [`train_residual`]: super::train_residual
pub fn tune_residual(
    data: &TrainingData,
    tuning: &Tuning,
    progress: &mut dyn FnMut(Progress),
) -> Result<Tuned> {
    let some_unheaded = data.headed().iter().any(|headed| !headed);
    let share = tuning.unheaded.unwrap_or(if some_unheaded { 0.5 } else { 0.0 });
    if !(0.0..=1.0).contains(&share) || tuning.folds < 2 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "unheaded share {share} and {} folds, expected 0 to 1 and at least 2",
                tuning.folds
            ),
        ));
    }
    let folds = folds(data, tuning.folds, share > 0.0, tuning.limit, tuning.seed);
    let asked: Vec<bool> = folds.iter().flat_map(|fold| &fold.headed).copied().collect();
    let headed = asked.iter().filter(|headed| **headed).count();
    if (headed == 0 && share < 1.0) || (headed == asked.len() && share > 0.0) {
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{} questions are too few to leave some out and tune", data.labels().len()),
        ));
    }
    let mut fixed = ResidualTraining::fixed(data);
    fixed.adapter_training.seed = tuning.seed;
    fixed.adapter_training.threads = tuning.threads;
    let trainings = AdapterTraining::candidates(&fixed.adapter_training);
    let grid = grid(share > 0.0 && some_unheaded);

    let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); trainings.len()];
    let steps = folds.len() * trainings.len();
    for (number, fold) in folds.iter().enumerate() {
        let mut work = FoldWork::new(data, fold, &fixed, tuning.threads)?;
        for (at, training) in trainings.iter().enumerate() {
            let training = ResidualTraining { adapter_training: training.clone(), ..fixed.clone() };
            ranks[at].extend(work.ranks(&training, &grid, progress));
            let step = number * trainings.len() + at + 1;
            progress(Progress { stage: "tuning", step, steps, loss: None });
        }
    }
    Ok(choose(&fixed, share, &asked, &trainings, &grid, &ranks))
}

/// All factors that are tried, those of one rotation and adapter together.
fn grid(with_lift: bool) -> Vec<Factors> {
    let lifts = if with_lift { &LIFTS[..] } else { &LIFTS[..1] };
    let mut grid = Vec::new();
    for rotation in GAINS {
        for adapter in GAINS {
            grid.extend(lifts.iter().map(|lift| Factors { rotation, adapter, lift: *lift }));
        }
    }
    grid
}

/// What all candidates of a fold share.
struct FoldWork<'a> {
    data: &'a TrainingData,
    fold: &'a Fold,
    threads: usize,
    labels: Vec<usize>,
    queries: Vec<f32>,
    rotations: Vec<f32>,
    lifts: Vec<f32>,
}

impl<'a> FoldWork<'a> {
    fn new(
        data: &'a TrainingData,
        fold: &'a Fold,
        fixed: &ResidualTraining,
        threads: usize,
    ) -> Result<Self> {
        let dim = data.dim();
        let values = data.question_values();
        let queries: Vec<f32> = fold
            .asked
            .iter()
            .flat_map(|number| &values[number * dim..(number + 1) * dim])
            .copied()
            .collect();
        let (temperature, neighbours) = (fixed.temperature, fixed.neighbours);
        let rotations = rotations(&fold.data, Some(&queries), temperature, neighbours, threads);
        let direction = lift_direction(&fold.data, threads)?;
        let mut lifts = vec![0.0; data.answers().nrows()];
        kernel::dots(&direction, data.answer_values(), &mut lifts);
        let labels = fold.asked.iter().map(|number| data.labels()[*number]).collect();
        Ok(Self { data, fold, threads, labels, queries, rotations, lifts })
    }

    /// The ranks of all questions that are asked, at all factors.
    fn ranks(
        &mut self,
        training: &ResidualTraining,
        grid: &[Factors],
        progress: &mut dyn FnMut(Progress),
    ) -> Vec<u32> {
        let dim = self.data.dim();
        let base = base_of(&self.fold.data, training);
        let adapter = train_adapter(&self.fold.data, &training.adapter_training, base, progress);
        let mut adapted = vec![0.0; self.queries.len()];
        product::product(&self.queries, &adapter, dim, &mut adapted);
        let terms = Terms {
            dim,
            queries: &self.queries,
            rotations: &self.rotations,
            adapted: &adapted,
            labels: &self.labels,
            answers: self.data.answer_values(),
            lifts: &self.lifts,
        };
        terms.ranks(grid, self.threads)
    }
}

/// Reciprocal ranks and metrics of one candidate.
struct Column {
    reciprocals: Vec<f64>,
    validated: Validated,
}

impl Column {
    fn of(ranks: impl Iterator<Item = u32>, headed: &[bool], share: f64) -> Self {
        let ranks: Vec<usize> = ranks.map(|rank| rank as usize).collect();
        let part = |wanted: bool| {
            let rows = ranks.iter().zip(headed).filter(|(_, headed)| **headed == wanted);
            Metrics::of(&rows.map(|(rank, _)| *rank).collect::<Vec<_>>())
        };
        let (with, without) = (part(true), part(false));
        let score = (1.0 - share) * with.mrr_at_10 + share * without.mrr_at_10;
        Self {
            reciprocals: ranks.iter().map(|rank| Metrics::reciprocal(*rank)).collect(),
            validated: Validated { headed: with, unheaded: without, score },
        }
    }

    /// The standard error of the difference of two scores on the same questions.
    fn standard_error(&self, other: &Self, headed: &[bool], share: f64) -> f64 {
        let variance = |wanted: bool| {
            let pairs = self.reciprocals.iter().zip(&other.reciprocals).zip(headed);
            let differences: Vec<f64> =
                pairs.filter(|(_, h)| **h == wanted).map(|((a, b), _)| a - b).collect();
            let n = differences.len().max(1) as f64;
            let mean = differences.iter().sum::<f64>() / n;
            differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n * n)
        };
        ((1.0 - share).powi(2) * variance(true) + share.powi(2) * variance(false)).sqrt()
    }
}

fn factors_of(training: &ResidualTraining) -> (f64, f64, f64) {
    (training.rotation, training.adapter, training.lift)
}

fn choose(
    fixed: &ResidualTraining,
    share: f64,
    headed: &[bool],
    trainings: &[AdapterTraining],
    grid: &[Factors],
    ranks: &[Vec<u32>],
) -> Tuned {
    let mut candidates: Vec<(ResidualTraining, Column)> = Vec::new();
    for (training, ranks) in trainings.iter().zip(ranks) {
        for (at, factors) in grid.iter().enumerate() {
            // Without an adapter, its training makes no difference.
            if factors.adapter == 0.0 && training != &trainings[0] {
                continue;
            }
            let column = ranks.iter().skip(at).step_by(grid.len()).copied();
            let candidate = ResidualTraining {
                rotation: factors.rotation,
                adapter: factors.adapter,
                lift: factors.lift,
                adapter_training: training.clone(),
                ..fixed.clone()
            };
            candidates.push((candidate, Column::of(column, headed, share)));
        }
    }
    let find = |wanted: (f64, f64, f64)| {
        let found = candidates.iter().find(|(training, _)| factors_of(training) == wanted);
        found.expect("the grid holds it").1.validated
    };
    let (cosine, at_fixed) = (find((0.0, 0.0, 0.0)), find(factors_of(fixed)));
    // Of equally good ones the first, so that the choice is the same in every run.
    let best = candidates
        .iter()
        .rev()
        .max_by(|a, b| a.1.validated.score.total_cmp(&b.1.validated.score))
        .expect("the grid is not empty");
    let distance = |training: &ResidualTraining| {
        let (r, w, b) = factors_of(training);
        let (fixed_r, fixed_w, fixed_b) = factors_of(fixed);
        let other = f64::from(u8::from(training.adapter_training != fixed.adapter_training));
        (r - fixed_r).abs()
            + (w - fixed_w).abs()
            + LIFT_DISTANCE * (b - fixed_b).abs()
            + TRAINING_DISTANCE * other
    };
    let chosen = candidates
        .iter()
        .filter(|(_, column)| {
            let behind = best.1.validated.score - column.validated.score;
            behind <= column.standard_error(&best.1, headed, share)
        })
        .min_by(|a, b| {
            let by_score = b.1.validated.score.total_cmp(&a.1.validated.score);
            distance(&a.0).total_cmp(&distance(&b.0)).then(by_score)
        })
        .expect("the best is not worse than itself");
    let (training, validated) = (chosen.0.clone(), chosen.1.validated);
    let mut tried: Vec<Tried> = candidates
        .into_iter()
        .map(|(training, column)| Tried { training, validated: column.validated })
        .collect();
    tried.sort_by(|a, b| b.validated.score.total_cmp(&a.validated.score));
    Tuned { training, unheaded: share, validated, fixed: at_fixed, cosine, tried }
}
