//! Distillation, and files for other programs.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;

use ndarray::ArrayView2;
use projection_core::kernel::parallel::Poll;
use projection_core::projection::{Model, Precision, Projection};
use projection_core::{Error, ErrorKind, Result};
use projection_engine::{DistillRequest, ExportFormat, distill_store, export_store};
use projection_store::Store;
use projection_train::{Distillation, Teacher, distill_model};
use serde::Deserialize;

use crate::argument::invalid;
use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::model::ModelHandle;
use crate::progress::{ProgressC, Reporter};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DistillOptions {
    projection: Option<i64>,
    test: Option<PathBuf>,
    heads: Option<usize>,
    layers: Option<usize>,
    ff_dim: Option<usize>,
    epochs: Option<usize>,
    samples: Option<usize>,
    batch: Option<usize>,
    rate: Option<f64>,
    dropout: Option<f64>,
    cosine_weight: Option<f64>,
    held_out: Option<f64>,
    seed: u64,
    threads: Option<usize>,
}

impl DistillOptions {
    /// The request, for a teacher that is not in a store.
    fn request_without_store(self) -> Result<DistillRequest> {
        if self.projection.is_some() || self.test.is_some() {
            return Err(invalid("options", "has projection or test, expected neither"));
        }
        Ok(self.request())
    }

    /// The request, without the output. The engine checks ranges.
    fn request(self) -> DistillRequest {
        let default = Distillation::default();
        DistillRequest {
            projection: self.projection,
            test: self.test,
            heads: self.heads,
            layers: self.layers,
            options: Distillation {
                ff_dim: self.ff_dim.unwrap_or(default.ff_dim),
                epochs: self.epochs.unwrap_or(default.epochs),
                samples: self.samples.unwrap_or(default.samples),
                batch: self.batch.unwrap_or(default.batch),
                rate: self.rate.unwrap_or(default.rate),
                dropout: self.dropout.unwrap_or(default.dropout),
                cosine_weight: self.cosine_weight.unwrap_or(default.cosine_weight),
                held_out: self.held_out.unwrap_or(default.held_out),
                seed: self.seed,
                threads: self.threads.unwrap_or(default.threads),
                ..default
            },
            ..DistillRequest::default()
        }
    }
}

/// Distills a projection of a store into a transformer, which is written to the .safetensors file
/// `output`. An existing file is replaced only by the complete new one. The store is only read. If
/// the work is cancelled, nothing is written. The stage of `progress` is "distilling", a step is an
/// epoch, with its mean loss.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "projection": id of the projection; default the active one
/// - "test": .npy file of question vectors (n x d) that the projection was not trained on, to
///   measure with; default a share of the questions, see "held_out"
/// - "heads" and "layers": attention heads, a divisor of the dimension, and encoder layers;
///   default such that heads^layers is near the projection's number of heads
/// - "ff_dim": width of the layers' inner part; default 512
/// - "epochs": maximum number of epochs; default 200
/// - "samples": queries per epoch; default 4096
/// - "batch": queries per step; default 128, at most "samples"
/// - "rate": highest learning rate; default 0.003
/// - "dropout": share of the inner values that training drops; default 0
/// - "cosine_weight": L of the loss (1 - L) MSE + L (1 - cosine), 0 to 1; default 0.7
/// - "held_out": share of the questions that is held out; default 0.2
/// - "seed": integer; the same seed produces the same transformer; default 0
/// - "threads": default one per processor; the result does not depend on it
///
/// The result is JSON, {"projection_id", "kind", "model", "output", "heads", "layers", "ff_dim",
/// "weights", "epochs", "best_epoch", "seconds", "held_out", "trained", "notes"}. "held_out" and
/// "trained" are {"questions", "mean_cosine", "min_cosine", "same_first" or null}: how close the
/// transformer is to the projection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_distill(
    database: *const c_char,
    output: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, output, out) = (path!(database), path!(output), out!(result));
        let options: DistillOptions = json_options!(options);
        let request = DistillRequest { output: output.to_path_buf(), ..options.request() };
        let reporter = reporter!(progress, context);
        let store = Store::open_read_only(database)?;
        let report = distill_store(&store, &request, &mut reporter.progress())?;
        give_json(out, &report)?;
    })
}

/// Distills a model into a transformer, `student`, with `n` questions of the model's input
/// dimension, row-major, four or more. `options` and progress are those of projection_distill;
/// "projection" and "test" must be absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_distill(
    teacher: Option<&ModelHandle>,
    questions: *const f32,
    n: usize,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    student: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (teacher, out) = (&handle!(teacher).model, out!(student));
        let options: DistillOptions = json_options!(options);
        let (request, reporter) = (options.request_without_store()?, reporter!(progress, context));
        let questions = matrix!(questions, n, teacher.input_dim());
        let options = request.options_for(teacher.head_ids().len(), teacher.input_dim());
        out.give(distill(teacher, questions, &options, reporter)?);
    })
}

fn distill(
    teacher: &dyn Teacher,
    questions: ArrayView2<'_, f32>,
    options: &Distillation,
    reporter: Reporter,
) -> Result<ModelHandle> {
    let answers = crate::argument::matrix(&[], 0, questions.ncols())?;
    let mut progress = reporter.progress();
    let distilled = distill_model(teacher, questions, answers, None, options, &mut progress)?;
    Ok(ModelHandle::new(Model::Transformer(distilled.model)))
}

/// A teacher of the caller, invoked on the calling thread with the caller's `context`. It writes the
/// projections of `n` queries, row-major and of length 1, into the rows of `projected`. Return
/// non-zero to cancel: the call then returns PROJECTION_STATUS_CANCELLED.
pub type TeacherC = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        queries: *const f32,
        n: usize,
        projected: *mut f32,
    ) -> i32,
>;

struct CallersTeacher {
    function: unsafe extern "C" fn(*mut c_void, *const f32, usize, *mut f32) -> i32,
    context: *mut c_void,
    dims: (usize, usize),
}

impl Teacher for CallersTeacher {
    fn dims(&self) -> (usize, usize) {
        self.dims
    }

    fn teach(&self, queries: &[f32], _: usize, poll: &mut Poll<'_>) -> Result<Vec<f32>> {
        poll()?;
        let n = queries.len() / self.dims.0;
        let mut projected = vec![0.0; n * self.dims.1];
        // SAFETY: the header requires a function that may be called with its context until the call
        // returns; the buffers have the lengths that it says.
        let stop =
            unsafe { (self.function)(self.context, queries.as_ptr(), n, projected.as_mut_ptr()) };
        if stop != 0 {
            return Err(Error::new(ErrorKind::Cancelled, "the teacher cancelled the work"));
        }
        match projected.iter().position(|value| !value.is_finite()) {
            None => Ok(projected),
            Some(at) => {
                let message = format!("the teacher's projection holds {}", projected[at]);
                Err(Error::new(ErrorKind::NotFinite, message))
            }
        }
    }
}

/// Distills any function into a transformer, `student`. The function `teacher` projects queries of
/// `dim` values to `output_dim` values. The other arguments are those of projection_model_distill.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_function_distill(
    teacher: TeacherC,
    teacher_context: *mut c_void,
    dim: usize,
    output_dim: usize,
    questions: *const f32,
    n: usize,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    student: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let out = out!(student);
        let function = teacher.ok_or_else(|| invalid("teacher", "is NULL"))?;
        if dim == 0 || output_dim == 0 {
            Err(invalid("dim or output_dim", "is 0"))?;
        }
        let options: DistillOptions = json_options!(options);
        let (request, reporter) = (options.request_without_store()?, reporter!(progress, context));
        let questions = matrix!(questions, n, dim);
        let dims = (dim, output_dim);
        let teacher = CallersTeacher { function, context: teacher_context, dims };
        out.give(distill(&teacher, questions, &request.options_for(0, dim), reporter)?);
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExportOptions {
    projection: Option<i64>,
    format: Option<String>,
    temperature: Option<f64>,
    precision: Option<String>,
}

/// Writes a projection of a store to the file `output`, for programs that have no store. An
/// existing file is replaced only by the complete new one. The store is only read. If the work is
/// cancelled, nothing is written.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "projection": id of the projection; default the active one
/// - "format": "safetensors", the default, which contains everything and opens in every language of
///   the engine, or "onnx", a graph for ONNX Runtime
/// - "temperature": softmax temperature; default the stored one
/// - "precision": how the vectors of a multi-head projection are stored, "f32", the default,
///   "bf16" or "int8"; see projection_model_with_precision
///
/// The result is JSON, {"projection_id", "kind", "temperature" or null, "precision", "heads",
/// "input_dim", "output_dim", "format", "output", "bytes", "notes": what the file leaves to its user,
/// such as moved answers to an ONNX graph, "index": {"recall", "read", "lists"} of the approximate index,
/// if there is one}.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_export(
    database: *const c_char,
    output: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, output, out) = (path!(database), path!(output), out!(result));
        let ExportOptions { projection, format, temperature, precision } = json_options!(options);
        let format = format.as_deref().map_or(Ok(Default::default()), ExportFormat::from_name)?;
        let precision = precision.as_deref().map(Precision::from_name).transpose()?;
        let store = Store::open_read_only(database)?;
        let progress = &mut reporter!(progress, context).progress();
        let report =
            export_store(&store, projection, temperature, precision, format, output, progress)?;
        give_json(out, &report)?;
    })
}
