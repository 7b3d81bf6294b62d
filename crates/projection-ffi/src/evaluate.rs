//! Measuring projections.

use projection_engine::{EvaluateRequest, TestQuestions, evaluate};
use std::ffi::{c_char, c_void};

use crate::argument::{Buffer, Out, path};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::options::{Options, flag, optional_path, optional_string, options_or_none};
use crate::precision::precision_of;
use crate::progress::{ProgressC, Reporter};
use crate::text::TextHandle;

/// What to measure. All but `size` may be 0, which cross-validates the newest projection.
///
/// Test questions are given as a question-answer file, `test` with `model_dir`, or as vectors,
/// `test_questions` with `test_labels`. Without, questions and then answers with all their
/// questions are left out in turn, and every method is trained again on the others.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EvaluateOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// Ids of the projections; none stands for the newest.
    pub projections: *const i64,
    /// Number of these ids.
    pub projections_len: usize,
    /// Question-answer file of test questions, whose answers the store has.
    pub test: *const c_char,
    /// Folder of the text model that the store was embedded with.
    pub model_dir: *const c_char,
    /// Vectors of test questions (n x d), .npy.
    pub test_questions: *const c_char,
    /// Ids of their right answers (n), .npy of integers.
    pub test_labels: *const c_char,
    /// The text model whose vectors are used; NULL for that of the projections, or the only
    /// one.
    pub model_name: *const c_char,
    /// Folds of the cross-validation, at least 2; 0 is 4.
    pub folds: usize,
    /// Seed of the folds and of the intervals.
    pub seed: u64,
    /// 1 for every question with its ranks, confusions, and other parameters.
    pub details: i32,
    /// Models in files of their own, beside the projections. They need test questions.
    pub models: *const *const c_char,
    /// Number of these files.
    pub models_len: usize,
    /// What multi-head projections and models are measured in too, projection_precision
    /// numbers, beside what they are in single precision.
    pub precisions: *const i32,
    /// Number of these.
    pub precisions_len: usize,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for EvaluateOptionsC {
    const NAME: &'static str = "projection_evaluate_options";
}

/// Measures projections of a store beside cosine, BM25 and the nearest training question.
/// `options` may be NULL. The store is only read.
///
/// The result is JSON, {"store", "model", "answers", "seed", "warnings", "notes", "regimes":
/// [{"regime": "test", "closed" or "open", "questions", "seen_questions", "seen_answers",
/// "training_questions", "methods": [{"method", "projection_id", "model_file", "precision",
/// "against_exact", "all", "seen", "unseen"}], "details"}]}, where against_exact is null or
/// how a rounded projection differs, {"mean_cosine", "least_cosine", "recall_at_1"}, and all, seen and unseen are {"questions", "recall_at_1", "recall_at_5",
/// "mrr_at_10", "ndcg_at_10", each {"value", "low", "high"}, "gained", "lost",
/// "p_against_cosine"} or null. The first method is cosine.
///
/// # Safety
/// `database` is NULL or a text; `options` is NULL or as large as its size says, its texts are
/// NULL or texts, and `projections`, `models` and `precisions` have as many entries as said; `progress` is NULL or may be called
/// with `context`; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_evaluate(
    database: *const c_char,
    options: *const EvaluateOptionsC,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, request, reporter, out) = unsafe {
            let request = match options_or_none(options)? {
                Some(options) => options.request()?,
                None => EvaluateRequest::default(),
            };
            let reporter = Reporter::new(progress, context);
            (path("database", database)?, request, reporter, Out::new("result", result)?)
        };
        let (_, report) = evaluate(database, &request, &mut reporter.progress())?;
        out.give(TextHandle::json(&report)?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_evaluate", error, body) }
}

impl EvaluateOptionsC {
    /// As the engine knows them.
    ///
    /// # Safety
    /// The texts are NULL or texts, the arrays are of their lengths.
    unsafe fn request(&self) -> Result<EvaluateRequest, Failure> {
        let ids = Buffer::new("options.projections", self.projections, self.projections_len)?;
        let models = Buffer::new("options.models", self.models, self.models_len)?;
        let precisions = Buffer::new("options.precisions", self.precisions, self.precisions_len)?;
        // SAFETY: the caller's promises.
        let (models, precisions) = unsafe {
            let file = |model: &*const c_char| Ok(path("options.models", *model)?.to_path_buf());
            (models.read()?.iter().map(file).collect::<Result<_, Failure>>()?, precisions.read()?)
        };
        let precisions = precisions.iter().copied().map(precision_of).collect::<Result<_, _>>()?;
        // SAFETY: the caller's promises.
        let (mut projections, test, model_name) = unsafe {
            let path = |name, value| optional_path(name, value);
            let test = (
                path("options.test", self.test)?,
                path("options.model_dir", self.model_dir)?,
                path("options.test_questions", self.test_questions)?,
                path("options.test_labels", self.test_labels)?,
            );
            (ids.read()?.to_vec(), test, optional_string("options.model_name", self.model_name)?)
        };
        let test = match test {
            (None, None, None, None) => None,
            (Some(file), Some(model_dir), None, None) => {
                Some(TestQuestions::File { file, model_dir })
            }
            (None, None, Some(questions), Some(labels)) => {
                Some(TestQuestions::Vectors { questions, labels })
            }
            _ => {
                return Err(ErrorHandle::new(
                    Status::InvalidArgument,
                    "argument options has some of test, model_dir, test_questions and \
                     test_labels, expected test with model_dir, test_questions with \
                     test_labels, or none",
                ));
            }
        };
        projections.sort_unstable();
        projections.dedup();
        let default = EvaluateRequest::default();
        let details = flag("options.details", self.details)?;
        Ok(EvaluateRequest {
            projections,
            models,
            precisions,
            test,
            model_name,
            folds: if self.folds == 0 { default.folds } else { self.folds },
            seed: self.seed,
            sweeps: details,
            details,
        })
    }
}
