//! Training the adapter of a residual projection.
//!
//! The adapter W (d × d) is zero at the start and trained by Adam so that q + q W, at
//! length 1, is nearer to the question's answer than to others (InfoNCE). Only answers that
//! have questions take part: one that has none would only learn to be pushed away.

use crate::kernel;
use crate::kernel::random::Random;
use crate::kernel::{gemm, parallel};

use crate::{Progress, TrainingData};

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
    /// Share of the rate by which the adapter shrinks in a step.
    pub decay: f64,
    /// Factor of the rotation that the adapter's term is added to in training, or 0.
    pub rotation: f64,
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
            decay: 0.0,
            rotation: 0.0,
            seed: 0,
            threads: parallel::threads(),
        }
    }
}

impl AdapterTraining {
    /// What tuning tries, of the same seed and threads: the fixed one first.
    pub(super) fn candidates(fixed: &Self) -> Vec<Self> {
        let sharper = Self { temperature: 0.03, ..fixed.clone() };
        let with_rotation = Self { rotation: 0.5, decay: 10.0, ..sharper.clone() };
        vec![fixed.clone(), sharper, with_rotation]
    }
}

/// Trains the adapter W (d × d, row-major).
pub(super) fn train_adapter(
    data: &TrainingData,
    training: &AdapterTraining,
    base: Option<Vec<f32>>,
    progress: &mut dyn FnMut(Progress),
) -> Vec<f32> {
    let mut trainer = Trainer::new(data, training, base);
    for step in 1..=training.steps {
        let loss = trainer.step();
        progress(Progress { stage: "adapter", step, steps: training.steps, loss: Some(loss) });
    }
    trainer.adapter
}

/// An adapter in training.
pub(super) struct Trainer<'a> {
    data: &'a TrainingData,
    training: &'a AdapterTraining,
    base: Option<Vec<f32>>,
    random: Random,
    /// Answers that have questions.
    seen: Vec<usize>,
    /// Numbers of the questions that come next.
    order: Vec<usize>,
    pub adapter: Vec<f32>,
    momentum: Vec<f32>,
    scale: Vec<f32>,
    step: i32,
}

impl<'a> Trainer<'a> {
    /// `base` (n × d) is what q W is added to instead of the questions.
    pub fn new(
        data: &'a TrainingData,
        training: &'a AdapterTraining,
        base: Option<Vec<f32>>,
    ) -> Self {
        let mut seen = data.labels().to_vec();
        seen.sort_unstable();
        seen.dedup();
        let zeros = || vec![0.0; data.dim() * data.dim()];
        Self {
            data,
            training,
            base,
            random: Random::new(training.seed, 0xada),
            seen,
            order: Vec::new(),
            adapter: zeros(),
            momentum: zeros(),
            scale: zeros(),
            step: 0,
        }
    }

    /// One step of Adam; gives the mean loss before it.
    pub fn step(&mut self) -> f64 {
        let (batch, candidates) = self.next_batch();
        let dim = self.data.dim();
        let gather = |rows: &[usize], values: &[f32]| -> Vec<f32> {
            rows.iter().flat_map(|row| &values[row * dim..(row + 1) * dim]).copied().collect()
        };
        let questions = gather(&batch, self.data.question_values());
        let base = self.base.as_ref().map(|base| gather(&batch, base));
        let answers = gather(&candidates, self.data.answer_values());
        let targets: Vec<usize> = batch
            .iter()
            .map(|question| {
                let label = self.data.labels()[*question];
                candidates.binary_search(&label).expect("the batch's answers are candidates")
            })
            .collect();

        // Each row: the gradient by z, and the loss.
        let mut rows = vec![0.0f32; batch.len() * (dim + 1)];
        let work = BatchWork {
            questions: &questions,
            base: base.as_ref().unwrap_or(&questions),
            answers: &answers,
            targets: &targets,
            dim,
        };
        parallel::parallel_chunks(self.training.threads, &mut rows, dim + 1, ROWS, |range, out| {
            work.gradients(&self.adapter, self.training.temperature as f32, range, out);
        });
        let losses: f64 = rows.chunks(dim + 1).map(|row| f64::from(row[dim])).sum();
        let slopes: Vec<f32> = rows.chunks(dim + 1).flat_map(|row| &row[..dim]).copied().collect();
        let mut gradient = vec![0.0; dim * dim];
        gemm::matmul_tn(&questions, &slopes, batch.len(), &mut gradient);
        self.descend(&gradient);
        losses / batch.len() as f64
    }

    /// The questions of the next step, and the answers that they are compared with, in
    /// ascending order.
    fn next_batch(&mut self) -> (Vec<usize>, Vec<usize>) {
        let count = self.data.labels().len();
        while self.order.len() < self.training.batch {
            let mut more: Vec<usize> = (0..count).collect();
            self.random.shuffle(&mut more);
            self.order.extend(more);
        }
        let batch: Vec<usize> = self.order.drain(..self.training.batch).collect();
        if self.seen.len() <= self.training.candidates {
            return (batch, self.seen.clone());
        }
        let mut candidates: Vec<usize> =
            batch.iter().map(|question| self.data.labels()[*question]).collect();
        candidates.sort_unstable();
        candidates.dedup();
        // One drawn twice counts once, so there may be a few fewer.
        while candidates.len() < self.training.candidates {
            candidates.push(self.seen[self.random.below(self.seen.len())]);
        }
        candidates.sort_unstable();
        candidates.dedup();
        (batch, candidates)
    }

    /// Adam, with its usual decays.
    fn descend(&mut self, gradient: &[f32]) {
        self.step += 1;
        let rate = self.training.rate;
        let kept = 1.0 - (rate * self.training.decay) as f32;
        let rate = rate / (1.0 - 0.9f64.powi(self.step));
        let (rate, correction) = (rate as f32, (1.0 - 0.999f64.powi(self.step)) as f32);
        let weights = self.adapter.iter_mut().zip(&mut self.momentum).zip(&mut self.scale);
        for (((weight, momentum), scale), gradient) in weights.zip(gradient) {
            *momentum = 0.9 * *momentum + 0.1 * gradient;
            *scale = 0.999 * *scale + 0.001 * gradient * gradient;
            *weight = kept * *weight - rate * *momentum / ((*scale / correction).sqrt() + 1e-8);
        }
    }
}

/// What the threads of a step share.
struct BatchWork<'a> {
    questions: &'a [f32],
    base: &'a [f32],
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
        let base = &self.base[range.start * dim..range.end * dim];
        for (unit, base) in units.chunks_mut(dim).zip(base.chunks(dim)) {
            unit.iter_mut().zip(base).for_each(|(unit, base)| *unit += base);
            let norm = (kernel::norm(unit) as f32).max(1e-12);
            unit.iter_mut().for_each(|value| *value /= norm);
            norms.push(norm);
        }
        let mut shares = vec![0.0; range.len() * count];
        gemm::matmul_nt(&units, self.answers, dim, &mut shares);
        for ((shares, target), out) in
            shares.chunks_mut(count).zip(&self.targets[range.clone()]).zip(out.chunks_mut(dim + 1))
        {
            let own = shares[*target];
            let (top, sum) = softmax(shares, 1.0 / temperature);
            out[dim] = sum.ln() - (own - top) / temperature;
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

/// Softmax in place; gives the highest score and the sum before division.
fn softmax(scores: &mut [f32], scale: f32) -> (f32, f32) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f64;
    for block in scores.chunks_mut(256) {
        let mut part = 0.0f32;
        for score in block.iter_mut() {
            *score = exp((*score - top) * scale);
        }
        block.iter().for_each(|score| part += score);
        sum += f64::from(part);
    }
    let inverse = (1.0 / sum) as f32;
    scores.iter_mut().for_each(|score| *score *= inverse);
    (top, sum as f32)
}

/// exp(x) for x ≤ 0, to a few units in the last place, in a form that vectorises: training
/// takes as many exponentials as there are pairs of questions and answers.
fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let whole = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, so that the remainder is exact.
    let rest = (x - whole * 0.693_145_75) - whole * 1.428_606_8e-6;
    let series = 1.0 / 120.0 + rest * (1.0 / 720.0);
    let series = 1.0 / 6.0 + rest * (1.0 / 24.0 + rest * series);
    let value = 1.0 + rest * (1.0 + rest * (0.5 + rest * series));
    value * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_accurate() {
        for i in 0..8700 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 4e-7, "{x}");
        }
    }
}
