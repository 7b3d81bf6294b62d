//! Distillation: a transformer that answers as another projection does.
//!
//! Any [`Projection`] can be the teacher. It labels queries for nothing, so the student
//! learns from as many as there is time for, made around real texts; real questions that it
//! never learns from say how well it agrees. See `docs/distillation.md`.

mod agreement;
mod fit;
mod options;
mod queries;
mod start;
mod student;

use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};

use crate::data::unit_rows;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::projection::{Model, Projection, TransformerProjection, TransformerShape};
use crate::{OnProgress, kernel::random::Random};
use queries::Source;

pub use agreement::{Agreement, agreement};
pub use options::Distillation;

/// Fewest different questions: two to hold out and two to learn from.
const FEWEST: usize = 4;

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
/// embedding models return. `progress` is called after each epoch.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options outside their range,
/// [`ErrorKind::DimensionMismatch`] for vectors of another dimension than the teacher's
/// queries, [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the row,
/// [`ErrorKind::InvalidModel`] for no questions, fewer than two that are held out, or where
/// training diverges; [`ErrorKind::Cancelled`]; and the teacher's errors.
pub fn distill(
    teacher: &dyn Projection,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    held_out: &HeldOut<'_>,
    options: &Distillation,
    progress: &mut OnProgress<'_>,
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

/// [`distill`] of a model with real `questions` (n × d) and `answers` (m × d, may be empty).
///
/// `test` are real questions (n × d) that the model was not trained on, two or more: with
/// them the student learns from all `questions`. Without, a share of these is held out, and
/// compared with the model as it is without them.
///
/// # Errors
/// As [`distill`]; [`ErrorKind::InvalidModel`] for fewer than four different questions.
pub fn distill_model(
    model: &Model,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    test: Option<ArrayView2<'_, f32>>,
    options: &Distillation,
    progress: &mut OnProgress<'_>,
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

fn values(rows: &Array2<f32>) -> &[f32] {
    rows.as_slice().expect("made row-major")
}
