//! Distillation: a transformer that answers as another projection does.
//!
//! Any [`Teacher`] will do. It labels queries for nothing, so the student
//! learns from as many as there is time for, made around real texts; real questions that it
//! never learns from say how well it agrees. See `docs/distillation.md`.

mod agreement;
mod fit;
mod options;
mod queries;
mod start;
mod student;
mod teacher;

use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};

use crate::data::unit_rows;
use crate::error::{Error, ErrorKind, Result};
use crate::projection::{TransformerProjection, TransformerShape};
use crate::{OnProgress, Progress, kernel::random::Random};
use queries::Source;

use agreement::agreement;

pub use agreement::Agreement;
pub use options::Distillation;
pub use teacher::Teacher;

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

/// Distils `teacher` into a transformer of its queries' width.
///
/// The queries to learn from are made around real `questions` (n × d) and `answers` (m × d,
/// may be empty), of any length above zero. `test` are questions that the teacher was not
/// trained on, two or more. Without them a share of `questions` is held out, and compared with
/// the teacher as it is without them: a student cannot guess what its teacher knows by heart,
/// and is never asked that by new questions. One half of the questions held out is to stop by,
/// the other to measure.
///
/// The student is for queries of length 1, which embedding models return. `progress` is
/// called several times a second with the last finished epoch.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options outside their range,
/// [`ErrorKind::DimensionMismatch`] for vectors of another dimension than the teacher's queries,
/// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the row,
/// [`ErrorKind::InvalidModel`] for too few different questions or if training diverges, and
/// [`ErrorKind::Cancelled`].
pub fn distill_model(
    teacher: &dyn Teacher,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    test: Option<ArrayView2<'_, f32>>,
    options: &Distillation,
    progress: &mut OnProgress<'_>,
) -> Result<Distilled> {
    options.check()?;
    let (dim, _) = teacher.dims();
    let shape = TransformerShape {
        embed_dim: dim,
        num_heads: options.heads,
        num_layers: options.layers,
        ff_dim: options.ff_dim,
        dropout: options.dropout,
    };
    shape.check().map_err(|error| {
        Error::new(ErrorKind::InvalidArgument, error.to_string()).with_source(error)
    })?;
    let begun = Progress::new("distilling", 0, options.epochs);
    let (learnt, held_out, tester);
    match test {
        Some(test) => (learnt, held_out, tester) = (questions.to_owned(), test.to_owned(), None),
        None => {
            (learnt, held_out) = split(questions, options)?;
            tester = teacher.without(&held_out, &mut || begun.send(progress))?;
        }
    }
    let tester: &dyn Teacher = match &tester {
        Some(tester) => tester,
        None => teacher,
    };
    let learnt = units("questions", learnt.view(), dim, 1)?;
    let answers = units("answers", answers, dim, 0)?;
    let held_out = units("held-out questions", held_out.view(), dim, 2)?;
    let (watched, measured) = held_out.view().split_at(ndarray::Axis(0), held_out.nrows() / 2);
    let source = Source { questions: values(&learnt), answers: values(&answers), dim };
    let watched = fit::Watched { questions: watched, teacher: tester };
    let fitted = fit::fit(teacher, &source, &watched, shape, options, progress)?;
    let mut agree = |teacher, questions| {
        let poll = &mut || fitted.reached.send(progress);
        agreement(teacher, &fitted.model, questions, answers.view(), options.threads, poll)
    };
    Ok(Distilled {
        held_out: agree(tester, measured)?,
        trained: agree(teacher, learnt.view())?,
        epochs: fitted.reached.step,
        best_epoch: fitted.best_epoch,
        loss: fitted.loss,
        model: fitted.model,
        options: options.clone(),
    })
}

/// Rows at length 1, of which there have to be `fewest`.
fn units(what: &str, rows: ArrayView2<'_, f32>, dim: usize, fewest: usize) -> Result<Array2<f32>> {
    let (count, found) = rows.dim();
    if count > 0 && found != dim {
        let message = format!("{what} of dimension {found}, expected {dim} as the teacher's");
        return Err(Error::new(ErrorKind::DimensionMismatch, message));
    }
    if count < fewest {
        let message = format!("{count} {what}, expected at least {fewest}");
        return Err(Error::new(ErrorKind::InvalidModel, message));
    }
    unit_rows(rows).map_err(|error| error.context(what))
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
