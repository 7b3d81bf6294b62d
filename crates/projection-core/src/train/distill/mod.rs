//! Distillation: a transformer that answers as another projection does.
//!
//! Any [`Projection`] can be the teacher. It labels queries for nothing, so the student
//! learns from as many as there is time for, made around real texts; real questions that it
//! never learns from say how well it agrees. See `docs/distillation.md`.

mod adam;
mod fit;
mod queries;
mod request;
mod start;
mod student;

use std::time::Duration;

use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use serde_json::{Value, json};

use super::TrainingData;
use super::data::unit_rows;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::product;
use crate::kernel::{self, random::Random};
use crate::projection::{Model, Projection, TransformerProjection, TransformerShape};
use queries::Source;

pub use request::{DistillReport, DistillRequest, distill_store};

/// Fewest different questions: two to hold out and two to learn from.
const FEWEST: usize = 4;

/// Most queries a step: each 64 of them take memory of the size of the weights.
const LARGEST_BATCH: usize = 1024;

/// How a transformer is distilled.
#[derive(Debug, Clone, PartialEq)]
pub struct Distillation {
    /// Attention heads, a divisor of the queries' dimension. They are written to the file
    /// and change nothing: a sequence of length 1 has nothing to attend to but itself.
    pub heads: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Width of the layers' inner part.
    pub ff_dim: usize,
    /// Share of the inner values that training drops, 0 to below 1. It only slows learning
    /// down where queries are made anew for every epoch.
    pub dropout: f64,
    /// Times that `samples` queries are learnt from.
    pub epochs: usize,
    /// Queries an epoch, made anew for each.
    pub samples: usize,
    /// Queries a step.
    pub batch: usize,
    /// Highest rate of AdamW. It rises to this over the first twentieth of the steps and
    /// then falls along a cosine to 0.
    pub rate: f64,
    /// Weight decay of AdamW, beside the gradient.
    pub decay: f64,
    /// λ of the loss (1 − λ)·MSE + λ·(1 − cosine), 0 to 1.
    pub cosine_weight: f64,
    /// Share of the real questions that [`distill_model`] keeps out, where there are no
    /// others to test with. Above 0, at most 0.5.
    pub held_out: f64,
    /// Epochs without a better loss on held-out questions after which training stops. The
    /// best weights are kept.
    pub patience: usize,
    /// Seed: the same one gives the same weights on the same kind of processor.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            heads: 4,
            layers: 2,
            ff_dim: 512,
            dropout: 0.0,
            epochs: 200,
            samples: 4096,
            batch: 128,
            rate: 3e-3,
            decay: 0.01,
            cosine_weight: 0.7,
            held_out: 0.2,
            patience: 50,
            seed: 0,
            threads: product::threads(),
        }
    }
}

impl Distillation {
    /// Defaults for a teacher with so many heads, over queries of dimension `dim`: heads H
    /// and layers L with H^L ≈ N, from two to four layers. Teachers without heads get H = 4,
    /// L = 2, where 4 divides the dimension.
    pub fn suggested(teacher_heads: usize, dim: usize) -> Self {
        let wanted = if teacher_heads < 2 { 16.0 } else { teacher_heads as f64 };
        let layers: u32 = match wanted {
            n if n <= 64.0 => 2,
            n if n <= 512.0 => 3,
            _ => 4,
        };
        let miss = |heads: &usize| ((*heads as f64).ln() * f64::from(layers) - wanted.ln()).abs();
        let divisors = (1..=dim.min(16)).filter(|heads| dim.is_multiple_of(*heads));
        let heads = divisors.min_by(|a, b| miss(a).total_cmp(&miss(b))).unwrap_or(1);
        Self { heads, layers: layers as usize, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        for (name, value) in [("epochs", self.epochs), ("threads", self.threads)] {
            if value == 0 {
                return refuse(format!("{name} 0, expected a number above zero"));
            }
        }
        if !(1..=LARGEST_BATCH).contains(&self.batch) || self.samples < self.batch {
            return refuse(format!(
                "batch {} of {} samples, expected 1 to {LARGEST_BATCH} and no more than these",
                self.batch, self.samples
            ));
        }
        let shares = [
            (
                "cosine weight",
                self.cosine_weight,
                (0.0..=1.0).contains(&self.cosine_weight),
                "0 to 1",
            ),
            ("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "0 to below 1"),
            ("decay", self.decay, (0.0..=1.0).contains(&self.decay), "0 to 1"),
            ("rate", self.rate, self.rate > 0.0 && self.rate <= 1.0, "above 0, at most 1"),
            (
                "held-out share",
                self.held_out,
                self.held_out > 0.0 && self.held_out <= 0.5,
                "above 0, at most 0.5",
            ),
        ];
        match shares.iter().find(|(_, _, fits, _)| !fits) {
            Some((name, value, _, expected)) => {
                refuse(format!("{name} {value}, expected {expected}"))
            }
            None => Ok(()),
        }
    }
}

/// How near a student is to its teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of questions.
    pub questions: usize,
    /// Mean cosine between the two projections of a question.
    #[serde(rename = "mean_cosine")]
    pub mean: f64,
    /// The lowest.
    #[serde(rename = "min_cosine")]
    pub min: f64,
    /// Share of the questions for which the same answer comes first by either, where there
    /// are answers of the projections' dimension.
    pub same_first: Option<f64>,
}

/// How far a distillation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DistillationProgress {
    /// Epochs that are done.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Mean loss of the epoch.
    pub loss: f64,
    /// Loss on the held-out questions to stop by.
    pub held_out_loss: f64,
    /// Time since the start.
    pub elapsed: Duration,
    /// Time that the remaining epochs will take, going by those before.
    pub left: Duration,
}

/// A distilled transformer and how well it agrees with its teacher.
#[derive(Debug, Clone)]
pub struct Distilled {
    /// The student.
    pub model: TransformerProjection,
    /// On held-out questions that nothing was chosen by.
    pub held_out: Agreement,
    /// On the questions that it learnt from.
    pub trained: Agreement,
    /// Epochs that it learnt for.
    pub epochs: usize,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Loss on the held-out questions to stop by, in that epoch.
    pub loss: f64,
    /// What it was made with.
    pub options: Distillation,
}

impl Distilled {
    /// How the model was made, for its file. `teacher` says of what.
    pub fn to_json(&self, teacher: &Value) -> Value {
        let options = &self.options;
        json!({
            "teacher": teacher,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "samples": options.samples,
            "batch": options.batch,
            "rate": options.rate,
            "decay": options.decay,
            "cosine_weight": options.cosine_weight,
            "seed": options.seed,
            "held_out": self.held_out,
            "trained": self.trained,
        })
    }
}

/// Real questions that the student does not learn from.
pub struct HeldOut<'a> {
    /// The questions (n × d), of any length above zero: one half is to stop by, the other to
    /// measure.
    pub questions: ArrayView2<'a, f32>,
    /// The teacher as it answers them. Where these questions are among the teacher's own
    /// training questions it should be the teacher without them: a student cannot guess
    /// what its teacher knows by heart, and is never asked that by new questions.
    pub teacher: &'a dyn Projection,
}

/// Distils `teacher` into a transformer of its queries' width.
///
/// From real `questions` (n × d) and `answers` (m × d, may be empty), of any length above
/// zero, the queries to learn from are made. The student is for queries of length 1, which
/// text models give. `progress` is called after each epoch; where it gives false, training
/// ends there, with the best weights so far.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options outside their range,
/// [`ErrorKind::DimensionMismatch`] for vectors of another dimension than the teacher's
/// queries, [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the row,
/// [`ErrorKind::InvalidModel`] for no questions, fewer than two that are held out, or where
/// training diverges; and what the teacher gives.
pub fn distill(
    teacher: &dyn Projection,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    held_out: &HeldOut<'_>,
    options: &Distillation,
    progress: &mut dyn FnMut(&DistillationProgress) -> bool,
) -> Result<Distilled> {
    options.check()?;
    let dim = teacher.input_dim();
    let shape = TransformerShape {
        embed_dim: dim,
        num_heads: options.heads,
        num_layers: options.layers,
        ff_dim: options.ff_dim,
        dropout: options.dropout,
    };
    let invalid_shape =
        |error: Error| Error::new(ErrorKind::InvalidArgument, error.to_string()).with_source(error);
    shape.check().map_err(invalid_shape)?;
    let units = |what: &str, rows: ArrayView2<'_, f32>, fewest: usize| -> Result<Array2<f32>> {
        if rows.nrows() > 0 && rows.ncols() != dim {
            let message =
                format!("{what} of dimension {}, expected {dim} as the teacher's", rows.ncols());
            return Err(Error::new(ErrorKind::DimensionMismatch, message));
        }
        if rows.nrows() < fewest {
            let message = format!("{} {what}, expected at least {fewest}", rows.nrows());
            return Err(Error::new(ErrorKind::InvalidModel, message));
        }
        unit_rows(rows).map_err(|error| error.context(what))
    };
    let learnt = units("questions", questions, 1)?;
    let answers = units("answers", answers, 0)?;
    let asked = units("held-out questions", held_out.questions, 2)?;
    let (watched, measured) = asked.view().split_at(ndarray::Axis(0), asked.nrows() / 2);
    let source = Source { questions: values(&learnt), answers: values(&answers), dim };
    let watched = fit::Watched { questions: watched, teacher: held_out.teacher };
    let fitted = fit::fit(teacher, &source, &watched, shape, options, progress)?;
    let model = &fitted.model;
    Ok(Distilled {
        held_out: agreement(held_out.teacher, model, measured, answers.view())?,
        trained: agreement(teacher, model, learnt.view(), answers.view())?,
        epochs: fitted.epochs,
        best_epoch: fitted.best_epoch,
        loss: fitted.loss,
        model: fitted.model,
        options: options.clone(),
    })
}

/// [`distill`] of a model of a store, with the questions and answers of `data`.
///
/// `test` are real questions (n × d) that the model was not trained on, two or more: with
/// them the student learns from all questions of `data`. Without, a share of these is held
/// out, and compared with the model as it is without them.
///
/// # Errors
/// As [`distill`]; [`ErrorKind::InvalidModel`] for fewer than four different questions.
pub fn distill_model(
    model: &Model,
    data: &TrainingData,
    test: Option<ArrayView2<'_, f32>>,
    options: &Distillation,
    progress: &mut dyn FnMut(&DistillationProgress) -> bool,
) -> Result<Distilled> {
    distill_questions(model, data.questions(), data.answers(), test, options, progress)
}

/// The same with `questions` (n × d) and `answers` (m × d, may be empty) of the caller.
///
/// # Errors
/// As [`distill_model`].
pub fn distill_questions(
    model: &Model,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    test: Option<ArrayView2<'_, f32>>,
    options: &Distillation,
    progress: &mut dyn FnMut(&DistillationProgress) -> bool,
) -> Result<Distilled> {
    options.check()?;
    if let Some(test) = test {
        let held_out = HeldOut { questions: test, teacher: model };
        return distill(model, questions, answers, &held_out, options, progress);
    }
    let (learnt, asked) = split(questions, options)?;
    let left_out = |question: &[f32]| {
        let mut dots = vec![0.0; asked.nrows()];
        kernel::dots(question, values(&asked), &mut dots);
        let same = (kernel::norm(question) * (1.0 - 1e-5)) as f32;
        dots.iter().any(|dot| *dot > same)
    };
    let without = match model {
        Model::Residual(model) => Model::Residual(model.without_questions(&left_out)?),
        // Other kinds do not keep single questions.
        other => other.clone(),
    };
    let held_out = HeldOut { questions: asked.view(), teacher: &without };
    distill(model, learnt.view(), answers, &held_out, options, progress)
}

/// The questions to learn from and those held out, equal ones once.
fn split(
    questions: ArrayView2<'_, f32>,
    options: &Distillation,
) -> Result<(Array2<f32>, Array2<f32>)> {
    let mut seen = std::collections::HashSet::new();
    let questions = questions.as_standard_layout();
    let (all, dim) = (questions.as_slice().expect("made row-major"), questions.ncols());
    let bits = |row: &usize| -> Vec<u32> {
        all[*row * dim..][..dim].iter().map(|value| value.to_bits()).collect()
    };
    let mut rows: Vec<usize> =
        (0..questions.nrows()).filter(|row| seen.insert(bits(row))).collect();
    if rows.len() < FEWEST {
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{} different questions, expected at least {FEWEST}", rows.len()),
        ));
    }
    Random::new(options.seed, 0xd157).shuffle(&mut rows);
    let kept_out = (rows.len() as f64 * options.held_out).round() as usize;
    let (asked, learnt) = rows.split_at(kept_out.max(2));
    let select = |rows: &[usize]| questions.select(ndarray::Axis(0), rows);
    Ok((select(learnt), select(asked)))
}

/// Measures how near `student` is to `teacher` on `questions` (n × d). Of `answers`, which
/// may have no rows, the nearest by either projection are compared.
///
/// # Errors
/// What either of them gives.
pub fn agreement(
    teacher: &dyn Projection,
    student: &dyn Projection,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
) -> Result<Agreement> {
    let answers = answers.as_standard_layout();
    let answer_values = answers.as_slice().expect("made row-major");
    let dim = teacher.output_dim();
    let project = |projection: &dyn Projection| -> Result<Array2<f32>> {
        let mut projected = Array2::zeros((questions.nrows(), projection.output_dim()));
        projection.project_batch_into(questions, projected.view_mut(), None)?;
        Ok(projected)
    };
    let (wanted, found) = (project(teacher)?, project(student)?);
    let rows = |values: &Array2<f32>| -> Vec<Vec<f32>> {
        values.rows().into_iter().map(|row| row.to_vec()).collect()
    };
    let pairs: Vec<(Vec<f32>, Vec<f32>)> = rows(&wanted).into_iter().zip(rows(&found)).collect();
    let cosine = |(a, b): &(Vec<f32>, Vec<f32>)| {
        let norms = kernel::norm(a) * kernel::norm(b);
        if norms > 0.0 { kernel::dot_of_singles(a, b) / norms } else { 0.0 }
    };
    let cosines: Vec<f64> = pairs.iter().map(cosine).collect();
    let first = |projected: &[f32]| {
        let mut scores = vec![0.0; answers.nrows()];
        kernel::dots(projected, answer_values, &mut scores);
        (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
    };
    let comparable = answers.nrows() > 0 && answers.ncols() == dim;
    let same_first = comparable.then(|| {
        let same = pairs.iter().filter(|(a, b)| first(a) == first(b)).count();
        same as f64 / pairs.len().max(1) as f64
    });
    Ok(Agreement {
        questions: pairs.len(),
        mean: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        min: cosines.iter().copied().fold(1.0, f64::min),
        same_first,
    })
}

fn values(rows: &Array2<f32>) -> &[f32] {
    rows.as_slice().expect("made row-major")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_layers_follow_from_the_teachers_heads() {
        let suggested = |heads, dim| {
            let options = Distillation::suggested(heads, dim);
            (options.heads, options.layers)
        };
        assert_eq!(suggested(18, 384), (4, 2));
        assert_eq!(suggested(64, 384), (8, 2));
        assert_eq!(suggested(200, 384), (6, 3));
        assert_eq!(suggested(1000, 384), (6, 4));
        assert_eq!(suggested(0, 384), (4, 2));
        assert_eq!(suggested(18, 7), (7, 2));
        assert_eq!(suggested(18, 1), (1, 2));
    }
}
