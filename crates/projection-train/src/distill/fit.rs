//! The training loop.

use ndarray::ArrayView2;

use super::queries::Source;
use super::start::start;
use super::student::{Sizes, Student};
use super::{Distillation, Teacher};
use crate::adam::Adam;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::kernel::parallel;
use crate::kernel::random::Random;
use crate::projection::{TransformerProjection, TransformerShape};
use crate::{OnProgress, Progress};

/// Rows of a batch that one thread does at a time.
const ROWS: usize = 64;

/// Values that the optimiser sees as a row.
const PIECE: usize = 32;

/// Queries that the first output layer is fitted to.
const FIRST: usize = 4096;

/// Held-out questions that are looked at after each epoch, at most.
const WATCHED: usize = 512;

/// What training gave.
pub(super) struct Fitted {
    pub model: TransformerProjection,
    /// The last epoch, and its losses.
    pub reached: Progress,
    pub best_epoch: usize,
    pub loss: f64,
}

/// Held-out questions to stop by, and who answers them.
pub(super) struct Watched<'a> {
    pub questions: ArrayView2<'a, f32>,
    pub teacher: &'a dyn Teacher,
}

/// Queries and the teacher's projections of them.
struct Labelled {
    queries: Vec<f32>,
    targets: Vec<f32>,
}

pub(super) fn fit(
    teacher: &dyn Teacher,
    source: &Source<'_>,
    watched: &Watched<'_>,
    shape: TransformerShape,
    options: &Distillation,
    progress: &mut OnProgress<'_>,
) -> Result<Fitted> {
    let (input, output) = teacher.dims();
    let (seed, threads) = (options.seed, options.threads);
    let mut reached = Progress::new("distilling", 0, options.epochs);
    reached.send(progress)?;
    let made = |count: usize, epoch: usize, poll: &mut parallel::Poll<'_>| -> Result<Labelled> {
        let queries = source.queries(count, seed, epoch as u64, threads, poll)?;
        let targets = teacher.teach(&queries, threads, poll)?;
        Ok(Labelled { queries, targets })
    };
    let queries: Vec<f32> = watched.questions.iter().take(WATCHED * input).copied().collect();
    let targets = watched.teacher.teach(&queries, threads, &mut || reached.send(progress))?;
    let watched = Labelled { queries, targets };

    let mut student = Student::new(Sizes { input, output, shape });
    let first = made(FIRST, 0, &mut || reached.send(progress))?;
    start(&mut student, &first.queries, &first.targets, seed)?;
    drop(first);

    let mut steps = Steps::new(&student, options);
    let mut best = (f64::INFINITY, 0, student.values.clone());
    for epoch in 1..=options.epochs {
        let mut poll = || reached.send(progress);
        let made = made(options.samples, epoch, &mut poll)?;
        let loss = steps.epoch(&mut student, &made, epoch, &mut poll)?;
        let mut found = student.run(&watched.queries, threads);
        let rows = found.len() / output;
        let held_out_loss =
            slopes(&mut found, &watched.targets, output, options.cosine_weight, rows);
        if !loss.is_finite() || !held_out_loss.is_finite() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("training diverged in epoch {epoch}: try a lower rate"),
            ));
        }
        if held_out_loss < best.0 {
            best.0 = held_out_loss;
            best.1 = epoch;
            best.2.copy_from_slice(&student.values);
        }
        reached.step = epoch;
        (reached.loss, reached.held_out_loss) = (Some(loss), Some(held_out_loss));
        reached.send(progress)?;
        if epoch - best.1 >= options.patience.max(1) {
            break;
        }
    }
    let (loss, best_epoch, values) = best;
    student.values = values;
    let model = TransformerProjection::new(student.weights()?)?;
    Ok(Fitted { model, reached, best_epoch, loss })
}

/// The optimiser and its schedule.
struct Steps<'a> {
    options: &'a Distillation,
    adam: Adam,
    /// A row of gradients and the loss for each block of a batch.
    gradients: Vec<f32>,
    width: usize,
    step: usize,
}

impl<'a> Steps<'a> {
    fn new(student: &Student, options: &'a Distillation) -> Self {
        let width = student.values.len() + 1;
        let blocks = options.batch.div_ceil(ROWS);
        let adam = Adam::new(student.values.len());
        Self { options, adam, gradients: vec![0.0; blocks * width], width, step: 0 }
    }

    /// Steps through all queries once; returns the mean loss.
    fn epoch(
        &mut self,
        student: &mut Student,
        made: &Labelled,
        epoch: usize,
        poll: &mut parallel::Poll<'_>,
    ) -> Result<f64> {
        let batch = self.options.batch;
        let mut order: Vec<usize> = (0..self.options.samples).collect();
        Random::new(self.options.seed, 0x0e_0000 + epoch as u64).shuffle(&mut order);
        let batches = order.chunks_exact(batch);
        let count = batches.len();
        let mut sum = 0.0;
        for rows in batches {
            poll()?;
            sum += self.step(student, made, rows);
        }
        Ok(sum / count as f64)
    }

    fn step(&mut self, student: &mut Student, made: &Labelled, rows: &[usize]) -> f64 {
        let options = self.options;
        let (input, output) = (student.sizes.input, student.sizes.output);
        let gather = |values: &[f32], width: usize| -> Vec<f32> {
            rows.iter().flat_map(|row| &values[row * width..][..width]).copied().collect()
        };
        let (queries, targets) = (gather(&made.queries, input), gather(&made.targets, output));
        self.step += 1;
        let (step, width) = (self.step as u64, self.width);
        let network = &*student;
        // One row of gradients a block, so that blocks need not wait for each other.
        parallel::parallel_chunks(options.threads, &mut self.gradients, width, 1, |block, out| {
            let rows = block.start * ROWS..(block.end * ROWS).min(options.batch);
            let (gradients, loss) = out.split_at_mut(width - 1);
            let mut random = Random::new(options.seed, 0xd0 + (step << 8) + block.start as u64);
            let targets = &targets[rows.start * output..rows.end * output];
            let slope = |found: &mut [f32]| {
                slopes(found, targets, output, options.cosine_weight, options.batch)
            };
            loss[0] = network.gradients(
                &queries[rows.start * input..rows.end * input],
                (options.dropout > 0.0).then_some(&mut random),
                gradients,
                slope,
            ) as f32;
        });
        let rate = self.rate();
        let (first, others) = self.gradients.split_at(width);
        // The sum of the blocks' gradients.
        let gradient = |rows: std::ops::Range<usize>, sum: &mut [f32]| {
            let range = rows.start * PIECE..rows.start * PIECE + sum.len();
            sum.copy_from_slice(&first[range.clone()]);
            for other in others.chunks(width) {
                sum.iter_mut().zip(&other[range.clone()]).for_each(|(sum, by)| *sum += by);
            }
        };
        let (values, threads) = (&mut student.values, options.threads);
        self.adam.step(values, PIECE, rate, options.decay, threads, gradient);
        self.gradients.chunks(width).map(|row| f64::from(row[width - 1])).sum()
    }

    /// The rate of the current step: up in a line, then down along a cosine.
    fn rate(&self) -> f64 {
        let steps = self.options.epochs * (self.options.samples / self.options.batch);
        let warm_up = (steps / 20).max(1);
        let factor = if self.step <= warm_up {
            self.step as f64 / warm_up as f64
        } else {
            let way = (self.step - warm_up) as f64 / (steps - warm_up).max(1) as f64;
            0.5 * (1.0 + (std::f64::consts::PI * way).cos())
        };
        self.options.rate * factor
    }
}

/// Turns projections (n × o) into the derivatives of the loss, and returns the loss; both are
/// shares of a mean over `batch` rows.
fn slopes(found: &mut [f32], wanted: &[f32], dim: usize, weight: f64, batch: usize) -> f64 {
    let share = 1.0 / batch as f64;
    let mut loss = 0.0;
    for (found, wanted) in found.chunks_mut(dim).zip(wanted.chunks(dim)) {
        let norms = [kernel::norm(found), kernel::norm(wanted)];
        // A projection of length 0 has no direction to agree with.
        let weight = if norms.iter().all(|norm| *norm > 1e-12) { weight } else { 0.0 };
        let [own, other] = norms.map(|norm| norm.max(1e-12));
        let cosine = kernel::dot_f64(found, wanted) / (own * other);
        let by_square = ((1.0 - weight) * 2.0 / dim as f64 * share) as f32;
        let toward = (weight / (own * other) * share) as f32;
        let along = (weight * cosine / (own * own) * share) as f32;
        let mut squares = 0.0;
        for (found, wanted) in found.iter_mut().zip(wanted) {
            let error = *found - wanted;
            squares += error * error;
            *found = by_square * error - toward * wanted + along * *found;
        }
        loss += (1.0 - weight) * f64::from(squares) / dim as f64 + weight * (1.0 - cosine);
    }
    loss * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// A network whose weights all matter.
    fn network() -> Student {
        let shape =
            TransformerShape { embed_dim: 6, num_heads: 2, num_layers: 2, ff_dim: 5, dropout: 0.0 };
        let mut student = Student::new(Sizes { input: 4, output: 3, shape });
        let values = wave(student.values.len(), 1.7);
        student.values = values;
        student
    }

    #[test]
    fn gradients_are_those_of_the_loss() {
        let mut student = network();
        let (queries, targets) = (wave(5 * 4, 0.9), wave(5 * 3, 0.4));
        let loss_of = |student: &Student| {
            let mut found = student.run(&queries, 1);
            slopes(&mut found, &targets, 3, 0.7, 5)
        };
        let mut gradients = vec![0.0; student.values.len()];
        let loss =
            student.gradients(&queries, None, &mut gradients, |p| slopes(p, &targets, 3, 0.7, 5));
        assert!((loss - loss_of(&student)).abs() < 1e-6);
        let largest = gradients.iter().fold(0.0f32, |top, by| top.max(by.abs()));
        for (i, gradient) in gradients.iter().enumerate() {
            let (value, step) = (student.values[i], 4e-3);
            student.values[i] = value + step;
            let above = loss_of(&student);
            student.values[i] = value - step;
            let below = loss_of(&student);
            student.values[i] = value;
            let expected = (above - below) / (2.0 * f64::from(step));
            let error = (f64::from(*gradient) - expected).abs();
            assert!(error < 5e-3 * f64::from(largest), "{i}: {gradient}, {expected}");
        }
    }

    #[test]
    fn the_file_is_the_network_that_was_trained() {
        let student = network();
        let model = TransformerProjection::new(student.weights().unwrap()).unwrap();
        let queries = wave(5 * 4, 0.9);
        let expected = student.run(&queries, 1);
        for (query, expected) in queries.chunks(4).zip(expected.chunks(3)) {
            let (found, _) = model.project(query).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found}, {expected}");
            }
        }
    }
}
