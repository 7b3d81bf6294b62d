//! Distillation, and files for other programs.

use std::ffi::{c_char, c_void};

use ndarray::ArrayView2;
use projection_core::projection::{Model, Precision, Projection};
use projection_engine::{DistillRequest, ExportFormat, distill_store, export_store};
use projection_store::Store;
use projection_train::train::{Distillation, DistillationProgress, distill_questions};

use crate::argument::{Buffer, Out, handle, path};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::model::ModelHandle;
use crate::options::{Options, optional_path, optional_text, options_or_none};
use crate::progress::{ProgressC, Reporter};
use crate::text::TextHandle;

/// How to distil. All but `size` may be 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DistillOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// Id of the projection to distil; NULL for the newest.
    pub projection: *const i64,
    /// Attention heads, a divisor of the dimension, and encoder layers; 0 for such that
    /// heads^layers is near the teacher's number of heads.
    pub heads: usize,
    /// See `heads`.
    pub layers: usize,
    /// Width of the layers' inner part; 0 is 512.
    pub ff_dim: usize,
    /// Epochs at most, each over queries made anew; 0 is 200.
    pub epochs: usize,
    /// Queries an epoch; 0 is 4096.
    pub samples: usize,
    /// Queries a step; 0 is 128, or `samples` where those are fewer.
    pub batch: usize,
    /// Highest learning rate; 0 is 0.003.
    pub rate: f64,
    /// Share of the inner values that training drops.
    pub dropout: f64,
    /// L of the loss (1 - L) MSE + L (1 - cosine), 0 to 1; NULL is 0.7.
    pub cosine_weight: *const f64,
    /// Share of the questions that is held out, without `test`; 0 is 0.2.
    pub held_out: f64,
    /// Vectors of questions (n x d) that the teacher was not trained on, to measure with, .npy;
    /// NULL for none.
    pub test: *const c_char,
    /// The same seed gives the same transformer.
    pub seed: u64,
    /// Threads; 0 for as many as the machine has. The result does not depend on it.
    pub threads: usize,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for DistillOptionsC {
    const NAME: &'static str = "projection_distill_options";
}

/// Distils a projection of a store into a transformer, which is written to the .safetensors
/// file `output`; a file that was there is replaced only by the complete new one. `options` may
/// be NULL. The store is only read. Work that is stopped writes nothing. The progress function
/// is told the stage "distilling" after each epoch, with the epoch's mean loss.
///
/// The result is JSON, {"projection_id", "kind", "model", "output", "heads", "layers", "ff_dim",
/// "weights", "epochs", "best_epoch", "seconds", "held_out", "trained", "notes"}, where held_out
/// and trained are {"questions", "mean_cosine", "min_cosine", "same_first" or null}: how near
/// the transformer is to the projection.
///
/// # Safety
/// `database` and `output` are NULL or texts; `options` is NULL or as large as its size says,
/// its texts are NULL or texts and its numbers NULL or readable; `progress` is NULL or may be
/// called with `context`; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_distill(
    database: *const c_char,
    output: *const c_char,
    options: *const DistillOptionsC,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, request, reporter, out) = unsafe {
            let database = path("database", database)?;
            let output = path("output", output)?.to_path_buf();
            let request = match options_or_none(options)? {
                Some(options) => options.request()?,
                None => DistillRequest::default(),
            };
            let reporter = Reporter::new(progress, context);
            (database, DistillRequest { output, ..request }, reporter, Out::new("result", result)?)
        };
        let store = Store::open_read_only(database)?;
        let report = distill_store(&store, &request, &mut |progress| tell(&reporter, progress))?;
        out.give(TextHandle::json(&report)?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_distill", error, body) }
}

/// Distils a model into a transformer, `student`, with `n` questions of the model's input
/// dimension, row-major, four or more. `options` may be NULL; `projection` and `test` of it must
/// be. Progress as for projection_distill.
///
/// # Safety
/// `teacher` is NULL or live; `questions` is NULL or has n times the input dimension values;
/// `options` is NULL or as large as its size says, its numbers NULL or readable; `progress` is
/// NULL or may be called with `context`; `student` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_distill(
    teacher: *const ModelHandle,
    questions: *const f32,
    n: usize,
    options: *const DistillOptionsC,
    progress: ProgressC,
    context: *mut c_void,
    student: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (teacher, request, reporter, out) = unsafe {
            let request = match options_or_none(options)? {
                Some(options) => options.request()?,
                None => DistillRequest::default(),
            };
            let reporter = Reporter::new(progress, context);
            (handle("teacher", teacher)?, request, reporter, Out::new("student", student)?)
        };
        let invalid = |message: &str| ErrorHandle::new(Status::InvalidArgument, message);
        if request.projection.is_some() || request.test.is_some() {
            return Err(invalid("argument options has projection or test, expected NULL"));
        }
        let dim = teacher.model.input_dim();
        let len = n.checked_mul(dim).ok_or_else(|| invalid("argument n is too large"))?;
        let questions = Buffer::new("questions", questions, len)?;
        // SAFETY: the caller's promise.
        let questions = unsafe { questions.read()? };
        let questions = ArrayView2::from_shape((n, dim), questions)
            .map_err(|error| ErrorHandle::new(Status::Internal, &error.to_string()))?;
        let answers = ArrayView2::from_shape((0, dim), &[])
            .map_err(|error| ErrorHandle::new(Status::Internal, &error.to_string()))?;
        let options = request.options_for(&teacher.model);
        let distilled = distill_questions(
            &teacher.model,
            questions,
            answers,
            None,
            &options,
            &mut |progress| tell(&reporter, progress),
        )?;
        out.give(ModelHandle::new(Model::Transformer(distilled.model)));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_distill", error, body) }
}

/// A caller who stops the work unwinds from here.
fn tell(reporter: &Reporter, progress: &DistillationProgress) -> bool {
    reporter.tell("distilling", progress.epoch, progress.epochs, Some(progress.loss));
    true
}

impl DistillOptionsC {
    /// As the engine knows them, without the output. The engine checks ranges.
    ///
    /// # Safety
    /// The text is NULL or a text, the numbers are NULL or readable.
    unsafe fn request(&self) -> Result<DistillRequest, Failure> {
        // SAFETY: the caller's promises.
        let (projection, cosine_weight, test) = unsafe {
            (
                self.projection.as_ref().copied(),
                self.cosine_weight.as_ref().copied(),
                optional_path("options.test", self.test)?,
            )
        };
        let default = Distillation::default();
        let count = |value: usize, default: usize| if value == 0 { default } else { value };
        let number = |value: f64, default: f64| if value == 0.0 { default } else { value };
        Ok(DistillRequest {
            projection,
            test,
            heads: Some(self.heads).filter(|heads| *heads > 0),
            layers: Some(self.layers).filter(|layers| *layers > 0),
            options: Distillation {
                ff_dim: count(self.ff_dim, default.ff_dim),
                epochs: count(self.epochs, default.epochs),
                samples: count(self.samples, default.samples),
                batch: count(self.batch, default.batch),
                rate: number(self.rate, default.rate),
                dropout: self.dropout,
                cosine_weight: cosine_weight.unwrap_or(default.cosine_weight),
                held_out: number(self.held_out, default.held_out),
                seed: self.seed,
                threads: count(self.threads, default.threads),
                ..default
            },
            ..DistillRequest::default()
        })
    }
}

/// What to export. All but `size` may be 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExportOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// Id of the projection; NULL for the newest.
    pub projection: *const i64,
    /// "safetensors", which is the default for NULL, holds everything and opens in every
    /// language of the engine; "onnx" is a graph for ONNX Runtime.
    pub format: *const c_char,
    /// Softmax temperature; 0 for the recorded one.
    pub temperature: f64,
    /// How a multi-head projection's vectors are kept: "f32", which is the default for NULL,
    /// "bf16" or "int8"; see projection_model_with_precision.
    pub precision: *const c_char,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for ExportOptionsC {
    const NAME: &'static str = "projection_export_options";
}

/// Writes a projection of a store to the file `output`, for programs that have no store. A file
/// that was there is replaced only by the complete new one. `options` may be NULL. The store is
/// only read.
///
/// The result is JSON, {"projection_id", "kind", "temperature" or null, "precision", "heads",
/// "input_dim", "output_dim", "format", "output", "bytes"}.
///
/// # Safety
/// `database` and `output` are NULL or texts; `options` is NULL or as large as its size says,
/// its texts are NULL or texts and its number NULL or readable; `result` and `error` are NULL or
/// places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_export(
    database: *const c_char,
    output: *const c_char,
    options: *const ExportOptionsC,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, output, (id, format, temperature, precision), out) = unsafe {
            let chosen = match options_or_none(options)? {
                Some(options) => (
                    options.projection.as_ref().copied(),
                    optional_text("options.format", options.format)?,
                    Some(options.temperature).filter(|temperature| *temperature != 0.0),
                    optional_text("options.precision", options.precision)?,
                ),
                None => (None, None, None, None),
            };
            (
                path("database", database)?,
                path("output", output)?,
                chosen,
                Out::new("result", result)?,
            )
        };
        let format = format.map_or(Ok(ExportFormat::default()), ExportFormat::from_name)?;
        let precision = precision.map(Precision::from_name).transpose()?;
        let store = Store::open_read_only(database)?;
        let report = export_store(&store, id, temperature, precision, format, output)?;
        out.give(TextHandle::json(&report)?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_export", error, body) }
}
