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

use ndarray::Array2;

use crate::adapter::{AdapterTraining, train_adapter};
use crate::error::Result;
use crate::folds::Fold;
use crate::grid::{Factors, Terms};
use crate::kernel;
use crate::kernel::gemm;
use crate::kernel::parallel::Poll;
use crate::lift::lift_direction;
use crate::residual::{base_of, rotations};
use crate::validation::{Column, Plan, to_unit_rows};
use crate::{OnProgress, Progress, ResidualTraining, TrainingData, TrainingOptions};

/// Factors of rotation and adapter that are tried.
const GAINS: [f64; 6] = [0.0, 0.2, 0.35, 0.5, 0.7, 1.0];

/// Factors of the lift that are tried; never negative.
const LIFTS: [f64; 9] = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16];

/// How a candidate's distance from the fixed parameters weighs its lift, and another
/// training of the adapter: as less than a step of any factor.
const LIFT_DISTANCE: f64 = 4.0;
const TRAINING_DISTANCE: f64 = 0.05;

/// All candidates on all folds.
pub(super) struct ResidualSearch<'a> {
    works: Vec<FoldWork<'a>>,
    trainings: Vec<AdapterTraining>,
    fixed: ResidualTraining,
    pub candidates: Vec<(ResidualTraining, Column)>,
}

impl<'a> ResidualSearch<'a> {
    /// Trains and measures all candidates.
    pub fn new(
        plan: &'a Plan<'a>,
        options: &TrainingOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        let some_unseen = plan.data.seen().iter().any(|seen| !seen);
        let mut fixed = ResidualTraining::fixed(plan.data);
        fixed.temperature = options.temperature;
        fixed.adapter_training.seed = options.tuning.seed;
        fixed.adapter_training.threads = options.tuning.threads;
        let trainings = AdapterTraining::candidates(&fixed.adapter_training);
        let grid = grid(plan.share > 0.0 && some_unseen);

        let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); trainings.len()];
        let mut works = Vec::with_capacity(plan.folds.len());
        let steps = plan.folds.len() * trainings.len();
        for (number, fold) in plan.folds.iter().enumerate() {
            let poll =
                &mut || Progress::new("tuning", number * trainings.len(), steps).send(progress);
            let mut work = FoldWork::new(plan, fold, &fixed, poll)?;
            for (at, training) in trainings.iter().enumerate() {
                let training =
                    ResidualTraining { adapter_training: training.clone(), ..fixed.clone() };
                ranks[at].extend(work.ranks(&training, &grid, progress)?);
                let step = number * trainings.len() + at + 1;
                Progress::new("tuning", step, steps).send(progress)?;
            }
            works.push(work);
        }
        let candidates = columns(plan, &fixed, &trainings, &grid, &ranks);
        Ok(Self { works, trainings, fixed, candidates })
    }

    /// The candidate with the fixed parameters.
    pub fn fixed(&self) -> &(ResidualTraining, Column) {
        let found = self.candidates.iter().find(|(training, _)| *training == self.fixed);
        found.expect("the grid holds it")
    }

    /// The candidate nearest to the fixed parameters among those that are not clearly worse
    /// than the best.
    pub fn choose(&self, plan: &Plan<'_>) -> &(ResidualTraining, Column) {
        // Of equally good ones the first, so that the choice is the same in every run.
        let best = self
            .candidates
            .iter()
            .rev()
            .max_by(|a, b| a.1.validated.score.total_cmp(&b.1.validated.score))
            .expect("the grid is not empty");
        self.candidates
            .iter()
            .filter(|(_, column)| {
                let behind = best.1.validated.score - column.validated.score;
                behind <= plan.standard_error(column, &best.1)
            })
            .min_by(|a, b| {
                let by_score = b.1.validated.score.total_cmp(&a.1.validated.score);
                self.distance(&a.0).total_cmp(&self.distance(&b.0)).then(by_score)
            })
            .expect("the best is not worse than itself")
    }

    fn distance(&self, training: &ResidualTraining) -> f64 {
        let fixed = &self.fixed;
        let other = training.adapter_training != fixed.adapter_training;
        (training.rotation - fixed.rotation).abs()
            + (training.adapter - fixed.adapter).abs()
            + LIFT_DISTANCE * (training.lift - fixed.lift).abs()
            + TRAINING_DISTANCE * f64::from(u8::from(other))
    }

    /// The asked questions of every fold as a candidate projects them, at length 1.
    pub fn projected(&self, training: &ResidualTraining) -> Vec<Array2<f32>> {
        let at = self.trainings.iter().position(|own| *own == training.adapter_training);
        let at = at.expect("a candidate's training is one of those that were tried");
        self.works.iter().map(|work| work.projected(training, at)).collect()
    }
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
    direction: Vec<f32>,
    /// The lift of every answer.
    lifts: Vec<f32>,
    /// W of each training, once it is done.
    adapters: Vec<Vec<f32>>,
}

impl<'a> FoldWork<'a> {
    fn new(
        plan: &'a Plan<'a>,
        fold: &'a Fold,
        fixed: &ResidualTraining,
        poll: &mut Poll<'_>,
    ) -> Result<Self> {
        let (data, threads) = (plan.data, plan.threads);
        let queries = plan.queries(fold).into_raw_vec_and_offset().0;
        let (temperature, neighbours) = (fixed.temperature, fixed.neighbours);
        let rotations =
            rotations(&fold.data, Some(&queries), temperature, neighbours, threads, poll)?;
        let direction = lift_direction(&fold.data)?;
        let mut lifts = vec![0.0; data.answers().nrows()];
        kernel::dots(&direction, data.answer_values(), &mut lifts);
        let (labels, adapters) = (plan.labels(fold), Vec::new());
        Ok(Self { data, fold, threads, labels, queries, rotations, direction, lifts, adapters })
    }

    /// The ranks of all questions that are asked, at all factors.
    fn ranks(
        &mut self,
        training: &ResidualTraining,
        grid: &[Factors],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<u32>> {
        let dim = self.data.dim();
        let base = base_of(&self.fold.data, training, progress)?;
        let adapter = train_adapter(&self.fold.data, &training.adapter_training, base, progress)?;
        let mut adapted = vec![0.0; self.queries.len()];
        gemm::matmul(&self.queries, &adapter, dim, &mut adapted);
        self.adapters.push(adapter);
        let terms = Terms {
            dim,
            queries: &self.queries,
            rotations: &self.rotations,
            adapted: &adapted,
            labels: &self.labels,
            answers: self.data.answer_values(),
            lifts: &self.lifts,
        };
        let steps = training.adapter_training.steps;
        let mut poll = || Progress::new("adapter", steps, steps).send(progress);
        terms.ranks(grid, self.threads, &mut poll)
    }

    /// The asked questions as a candidate projects them, at length 1 (n × d); `at` is the
    /// place of its adapter.
    fn projected(&self, training: &ResidualTraining, at: usize) -> Array2<f32> {
        let dim = self.data.dim();
        let (rotation, adapter) = (training.rotation as f32, training.adapter as f32);
        let mut projected = vec![0.0; self.queries.len()];
        gemm::matmul(&self.queries, &self.adapters[at], dim, &mut projected);
        let values = projected.iter_mut().zip(&self.queries).zip(&self.rotations);
        values.for_each(|((out, q), r)| *out = q + rotation * r + adapter * *out);
        let shape = (self.labels.len(), dim);
        let mut projected = Array2::from_shape_vec(shape, projected).expect("n × d values");
        to_unit_rows(&mut projected);
        if training.lift != 0.0 {
            let lift = training.lift as f32;
            let rows = projected.rows_mut().into_iter();
            rows.for_each(|mut row| {
                row.iter_mut().zip(&self.direction).for_each(|(p, u)| *p += lift * u)
            });
            to_unit_rows(&mut projected);
        }
        projected
    }
}

/// What was measured of each candidate.
fn columns(
    plan: &Plan<'_>,
    fixed: &ResidualTraining,
    trainings: &[AdapterTraining],
    grid: &[Factors],
    ranks: &[Vec<u32>],
) -> Vec<(ResidualTraining, Column)> {
    let mut candidates = Vec::new();
    for (training, ranks) in trainings.iter().zip(ranks) {
        for (at, factors) in grid.iter().enumerate() {
            // Without an adapter, its training makes no difference.
            if factors.adapter == 0.0 && training != &trainings[0] {
                continue;
            }
            let candidate = ResidualTraining {
                rotation: factors.rotation,
                adapter: factors.adapter,
                lift: factors.lift,
                adapter_training: training.clone(),
                ..fixed.clone()
            };
            let ranks = ranks.iter().skip(at).step_by(grid.len()).copied();
            candidates.push((candidate, plan.column(ranks)));
        }
    }
    candidates
}
