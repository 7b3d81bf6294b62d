//! Evaluating projections.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;

use projection_core::projection::Precision;
use projection_core::{Error, ErrorKind, Result};
use projection_engine::{EvaluateRequest, TestQuestions, evaluate};
use projection_store::import::FileOptions;
use serde::Deserialize;

use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::progress::ProgressC;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EvaluateOptions {
    projections: Vec<i64>,
    models: Vec<PathBuf>,
    precisions: Vec<String>,
    test: Option<PathBuf>,
    test_file: FileOptions,
    model_dir: Option<PathBuf>,
    test_questions: Option<PathBuf>,
    test_labels: Option<PathBuf>,
    model_name: Option<String>,
    folds: Option<usize>,
    seed: u64,
    details: bool,
    force: bool,
}

/// Evaluates projections of a store beside cosine, BM25 and the nearest training question. The
/// store is only read.
///
/// `options` is a JSON object with these keys, all optional, or NULL, which cross-validates the
/// active projection:
/// - "projections": ids of projections; default the active one
/// - "models": files of further models, which need test questions
/// - "precisions": "f32", "bf16" or "int8", in which multi-head models are evaluated too
/// - "test" and "model_dir": question-answer file of test questions, whose answers the store has,
///   and folder of the embedding model of the store; another one is
///   PROJECTION_STATUS_INVALID_EMBEDDER, unless "force" is true
/// - "test_file": how that file is read, as "files" of projection_import; "split" is "test" by
///   default
/// - "test_questions" and "test_labels": .npy files of test questions (n x d) and of the ids of
///   their answers (n); without test questions, questions and then answers with all their
///   questions are left out in turn, and every method is trained again on the others
/// - "model_name": the embedding model whose vectors are used; default that of the projections
/// - "folds": folds of the cross-validation, at least 2; default 4
/// - "seed": integer seed of folds and intervals; default 0
/// - "details": true for every question with its ranks, confusions, and other parameters
///
/// The result is JSON, {"store", "model", "answers", "seed", "warnings", "notes", "protocols":
/// [{"protocol": "test", "closed" or "open", "questions", "seen_questions", "seen_answers",
/// "training_questions", "methods": [{"method", "projection_id", "model_file", "precision",
/// "against_exact", "all", "seen", "unseen"}], "details"}]}. "against_exact" is null or how a
/// rounded projection differs, {"mean_cosine", "least_cosine", "recall_at_1"}; "all", "seen" and
/// "unseen" are {"questions", "recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10", each
/// {"value", "low", "high"}, "gained", "lost", "p_against_cosine"} or null. The first method is
/// cosine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_evaluate(
    database: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, out) = (path!(database), out!(result));
        let options: EvaluateOptions = json_options!(options);
        let mut progress = reporter!(progress, context).progress();
        let (_, report) = evaluate(database, &options.request()?, &mut progress)?;
        give_json(out, &report)?;
    })
}

impl EvaluateOptions {
    fn request(self) -> Result<EvaluateRequest> {
        let test = match (self.test, self.model_dir, self.test_questions, self.test_labels) {
            (None, None, None, None) => None,
            (Some(file), Some(model_dir), None, None) => {
                Some(TestQuestions::File { file, options: self.test_file, model_dir })
            }
            (None, None, Some(questions), Some(labels)) => {
                Some(TestQuestions::Vectors { questions, labels })
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "argument options has some of test, model_dir, test_questions and \
                     test_labels, expected test with model_dir, test_questions with \
                     test_labels, or none",
                ));
            }
        };
        let precisions = self.precisions.iter().map(|name| Precision::from_name(name));
        let default = EvaluateRequest::default();
        Ok(EvaluateRequest {
            projections: self.projections,
            models: self.models,
            precisions: precisions.collect::<Result<_>>()?,
            test,
            model_name: self.model_name,
            folds: self.folds.unwrap_or(default.folds),
            seed: self.seed,
            sweeps: self.details,
            details: self.details,
            force: self.force,
        })
    }
}
