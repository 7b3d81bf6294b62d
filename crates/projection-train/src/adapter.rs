//! Training the adapter of a residual projection.
//!
//! The adapter W (d × d) is zero at the start and trained by Adam so that q + q W, at
//! length 1, is nearer to the question's answer than to others (InfoNCE). Only answers that
//! have questions take part: one that has none would only learn to be pushed away.

use crate::kernel;
use crate::kernel::random::Random;
use crate::kernel::{gemm, parallel};

use crate::adam::Adam;
use crate::error::Result;
use crate::{OnProgress, Progress, TrainingData};

/// Rows of a batch that one thread does at a time.
const ROWS: usize = 64;

/// How the adapter is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterTraining {
    /// Steps of Adam.
    pub steps: usize,
    /// Questions a step.
    pub batch: usize,
    /// Adam's rate.
    pub rate: f64,
    /// Temperature of the loss.
    pub temperature: f64,
    /// Answers that a question is compared with in a step, at most: its batch's, and random
    /// others.
    pub candidates: usize,
    /// Seed of the order of questions and of the random answers.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for AdapterTraining {
    fn default() -> Self {
        Self {
            steps: 120,
            batch: 256,
            rate: 1e-3,
            temperature: 0.05,
            candidates: 4096,
            seed: 0,
            threads: parallel::threads(),
        }
    }
}

/// Trains the adapter W (d × d, row-major).
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
pub(crate) fn train_adapter(
    data: &TrainingData,
    training: &AdapterTraining,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<f32>> {
    let mut batches = Batches::new(data, training);
    let mut adapter = vec![0.0; data.dim() * data.dim()];
    let mut adam = Adam::new(adapter.len());
    let steps = training.steps;
    for step in 1..=steps {
        let loss = Some(train_step(data, training, &mut batches, &mut adam, &mut adapter));
        Progress { loss, ..Progress::new("adapter", step, steps) }.send(progress)?;
    }
    Ok(adapter)
}

/// One step of Adam. Returns the mean loss before the step.
fn train_step(
    data: &TrainingData,
    training: &AdapterTraining,
    batches: &mut Batches<'_>,
    adam: &mut Adam,
    adapter: &mut [f32],
) -> f64 {
    let (batch, candidates) = batches.next();
    let dim = data.dim();
    let gather = |rows: &[usize], values: &[f32]| -> Vec<f32> {
        rows.iter().flat_map(|row| &values[row * dim..(row + 1) * dim]).copied().collect()
    };
    let questions = gather(&batch, data.question_values());
    let target = |question: &usize| {
        let label = data.labels()[*question];
        candidates.binary_search(&label).expect("the batch's answers are candidates")
    };
    let work = BatchWork {
        questions: &questions,
        answers: &gather(&candidates, data.answer_values()),
        targets: &batch.iter().map(target).collect::<Vec<_>>(),
        dim,
    };
    // Each row: the gradient by z, and the loss.
    let mut rows = vec![0.0f32; batch.len() * (dim + 1)];
    parallel::parallel_chunks(training.threads, &mut rows, dim + 1, ROWS, |range, out| {
        work.gradients(adapter, training.temperature as f32, range, out);
    });
    let losses: f64 = rows.chunks(dim + 1).map(|row| f64::from(row[dim])).sum();
    let slopes: Vec<f32> = rows.chunks(dim + 1).flat_map(|row| &row[..dim]).copied().collect();
    // Rows of the gradient, questionsᵀ · slopes, a block a thread.
    let gradient = |range: std::ops::Range<usize>, out: &mut [f32]| {
        let columns: Vec<f32> =
            questions.chunks(dim).flat_map(|row| &row[range.clone()]).copied().collect();
        gemm::matmul_tn(&columns, &slopes, batch.len(), out);
    };
    adam.step(adapter, dim, training.rate, 0.0, training.threads, gradient);
    losses / batch.len() as f64
}

/// The order in which questions are trained on, and the answers that they are compared with.
struct Batches<'a> {
    labels: &'a [usize],
    training: &'a AdapterTraining,
    random: Random,
    /// Answers that have questions.
    seen: Vec<usize>,
    /// Numbers of the questions that come next.
    order: Vec<usize>,
}

impl<'a> Batches<'a> {
    fn new(data: &'a TrainingData, training: &'a AdapterTraining) -> Self {
        let mut seen = data.labels().to_vec();
        seen.sort_unstable();
        seen.dedup();
        let random = Random::new(training.seed, 0xada);
        Self { labels: data.labels(), training, random, seen, order: Vec::new() }
    }

    /// The questions of the next step, and the answers that they are compared with, in
    /// ascending order.
    fn next(&mut self) -> (Vec<usize>, Vec<usize>) {
        while self.order.len() < self.training.batch {
            let mut more: Vec<usize> = (0..self.labels.len()).collect();
            self.random.shuffle(&mut more);
            self.order.extend(more);
        }
        let batch: Vec<usize> = self.order.drain(..self.training.batch).collect();
        if self.seen.len() <= self.training.candidates {
            return (batch, self.seen.clone());
        }
        let mut candidates: Vec<usize> =
            batch.iter().map(|question| self.labels[*question]).collect();
        candidates.sort_unstable();
        candidates.dedup();
        // An answer that is drawn twice counts once, so there may be a few fewer.
        while candidates.len() < self.training.candidates {
            candidates.push(self.seen[self.random.below(self.seen.len())]);
        }
        candidates.sort_unstable();
        candidates.dedup();
        (batch, candidates)
    }
}

/// What the threads of a step share.
struct BatchWork<'a> {
    questions: &'a [f32],
    answers: &'a [f32],
    targets: &'a [usize],
    dim: usize,
}

impl BatchWork<'_> {
    /// The gradients of the mean loss by z = q + q W, and the losses, of some rows.
    fn gradients(
        &self,
        adapter: &[f32],
        temperature: f32,
        range: std::ops::Range<usize>,
        out: &mut [f32],
    ) {
        let (dim, count) = (self.dim, self.answers.len() / self.dim);
        let questions = &self.questions[range.start * dim..range.end * dim];
        let mut units = vec![0.0; questions.len()];
        gemm::matmul(questions, adapter, dim, &mut units);
        let mut norms = Vec::with_capacity(range.len());
        for (unit, question) in units.chunks_mut(dim).zip(questions.chunks(dim)) {
            unit.iter_mut().zip(question).for_each(|(unit, question)| *unit += question);
            let norm = (kernel::norm(unit) as f32).max(1e-12);
            unit.iter_mut().for_each(|value| *value /= norm);
            norms.push(norm);
        }
        let mut shares = vec![0.0; range.len() * count];
        gemm::matmul_nt(&units, self.answers, dim, &mut shares);
        for ((shares, target), out) in
            shares.chunks_mut(count).zip(&self.targets[range.clone()]).zip(out.chunks_mut(dim + 1))
        {
            kernel::softmax(shares, 1.0 / temperature);
            out[dim] = -shares[*target].max(f32::MIN_POSITIVE).ln();
            shares[*target] -= 1.0;
        }
        let mut slopes = vec![0.0; questions.len()];
        gemm::matmul(&shares, self.answers, count, &mut slopes);
        let scale = 1.0 / (self.targets.len() as f32 * temperature);
        let rows = slopes.chunks(dim).zip(units.chunks(dim)).zip(&norms);
        for (((slope, unit), norm), out) in rows.zip(out.chunks_mut(dim + 1)) {
            let along = kernel::dot_f64(slope, unit) as f32;
            for ((out, slope), unit) in out.iter_mut().zip(slope).zip(unit) {
                *out = (slope - unit * along) * scale / norm;
            }
        }
    }
}
