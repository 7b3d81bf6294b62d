//! Embedding the texts of a store, and training.

use std::ffi::{c_char, c_void};

use projection_engine::{TrainReport, TrainRequest, add_feedback, embed_store_with, train};
use projection_store::Store;
use projection_train::train::{Method, TrainingOptions, Tuning};
use serde::Serialize;

use crate::argument::{Out, path};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::options::{
    Options, flag, optional_path, optional_string, optional_text, options_or_none,
};
use crate::progress::{ProgressC, Reporter};
use crate::text::TextHandle;

/// What was embedded.
#[derive(Serialize)]
struct Embedded {
    store: String,
    model: String,
    dimension: usize,
    answers: usize,
    questions: usize,
}

/// Gives a vector to every text of a store that has none, by the text model in `model_dir`.
/// In the store it is called `model_name`, or like its folder where that is NULL. Work that is
/// stopped keeps what was done, and the next call goes on from there.
///
/// The result is JSON, {"store", "model", "dimension", "answers", "questions"}: how many got a
/// vector.
///
/// # Safety
/// `database`, `model_dir` and `model_name` are NULL or texts; `progress` is NULL or may be
/// called with `context`; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embed_store(
    database: *const c_char,
    model_dir: *const c_char,
    model_name: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, model_dir, model_name, reporter, out) = unsafe {
            (
                path("database", database)?,
                path("model_dir", model_dir)?,
                optional_text("model_name", model_name)?,
                Reporter::new(progress, context),
                Out::new("result", result)?,
            )
        };
        let mut store = Store::open(database)?;
        let report = embed_store_with(&mut store, model_dir, model_name, &mut |done, total| {
            reporter.tell("embedding", done, total, None);
        })?;
        out.give(TextHandle::json(&Embedded {
            store: store.path().display().to_string(),
            model: report.model.name,
            dimension: report.model.dimension,
            answers: report.answers,
            questions: report.questions,
        })?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_embed_store", error, body) }
}

/// How to train. All but `size` may be 0: then kind, terms and parameters are chosen by
/// cross-validation.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TrainOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// "auto", "residual", "multi-head", "linear" or "ridge"; NULL is "auto", the kind that
    /// cross-validation finds best.
    pub method: *const c_char,
    /// 1 to choose terms and parameters by cross-validation, which "auto" does anyway.
    pub tune: i32,
    /// 1 to store the model even where its validation is below plain cosine.
    pub force: i32,
    /// Share of the questions to be expected whose answer has no training questions, from 0 to
    /// 1; NULL is 0.5 where there are such answers, else 0.
    pub unseen: *const f64,
    /// The same seed gives the same model.
    pub seed: u64,
    /// Softmax temperature of routing or rotation; 0 is 0.1.
    pub temperature: f64,
    /// A name for people, or NULL.
    pub name: *const c_char,
    /// The text model whose vectors are used; NULL for the only one that has vectors.
    pub model_name: *const c_char,
    /// Folder of a text model: logged queries with helpful feedback become questions first.
    /// NULL for none.
    pub feedback_model_dir: *const c_char,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for TrainOptionsC {
    const NAME: &'static str = "projection_train_options";
}

/// Trains a model on the vectors of a store, stores it and leaves older ones as they are.
/// `options` may be NULL. A model whose validation is below plain cosine is not stored, which is
/// PROJECTION_STATUS_INVALID_MODEL, unless `force` asks for it. Training that is stopped leaves
/// the store's models as they were.
///
/// The result is JSON, {"id", "method", "kind", "name", "model", "temperature", "heads",
/// "questions", "clusters_left_out", "terms", "hybrid_weight", "unseen_offset", "validation",
/// "feedback_questions", "notes"}; what there is not is null or left out.
///
/// # Safety
/// `database` is NULL or a text; `options` is NULL or as large as its size says, its texts are
/// NULL or texts and `unseen` NULL or readable; `progress` is NULL or may be called with
/// `context`; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_train(
    database: *const c_char,
    options: *const TrainOptionsC,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, (request, feedback), reporter, out) = unsafe {
            let request = match options_or_none(options)? {
                Some(options) => options.request()?,
                None => (TrainRequest::default(), None),
            };
            let reporter = Reporter::new(progress, context);
            (path("database", database)?, request, reporter, Out::new("result", result)?)
        };
        let mut store = Store::open(database)?;
        let mut progress = reporter.progress();
        let model_name = request.model_name.as_deref();
        let feedback_questions = match feedback {
            Some(dir) => Some(add_feedback(&mut store, model_name, &dir, &mut progress)?),
            None => None,
        };
        let trained = train(&mut store, &request, &mut progress)?;
        out.give(TextHandle::json(&TrainReport { feedback_questions, ..trained })?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_train", error, body) }
}

impl TrainOptionsC {
    /// As the engine knows them, and the folder of the feedback's text model.
    ///
    /// # Safety
    /// The texts are NULL or texts, `unseen` is NULL or readable.
    unsafe fn request(&self) -> Result<(TrainRequest, Option<std::path::PathBuf>), Failure> {
        // SAFETY: the caller's promises.
        let (method, unseen, name, model_name, feedback) = unsafe {
            (
                optional_text("options.method", self.method)?,
                self.unseen.as_ref().copied(),
                optional_string("options.name", self.name)?,
                optional_string("options.model_name", self.model_name)?,
                optional_path("options.feedback_model_dir", self.feedback_model_dir)?,
            )
        };
        let invalid = |message: String| ErrorHandle::new(Status::InvalidArgument, &message);
        if let Some(share) = unseen.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(invalid(format!(
                "argument options.unseen is {share}, expected a number from 0 to 1"
            )));
        }
        let default = TrainingOptions::default();
        let temperature = match self.temperature {
            0.0 => default.temperature,
            temperature if temperature.is_finite() && temperature > 0.0 => temperature,
            temperature => {
                return Err(invalid(format!(
                    "argument options.temperature is {temperature}, expected a finite number \
                     above 0"
                )));
            }
        };
        let request = TrainRequest {
            options: TrainingOptions {
                method: method.map_or(Ok(default.method), Method::from_name)?,
                tune: flag("options.tune", self.tune)?,
                temperature,
                tuning: Tuning { unseen, seed: self.seed, ..Tuning::default() },
            },
            force: flag("options.force", self.force)?,
            name,
            model_name,
        };
        Ok((request, feedback))
    }
}
