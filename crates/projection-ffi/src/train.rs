//! Embedding the texts of a store, and training.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;

use projection_core::{Error, ErrorKind, Result};
use projection_engine::{TrainReport, TrainRequest, add_feedback, embed_store_with, train};
use projection_store::Store;
use projection_train::{Method, TrainingOptions, Tuning};
use serde::Deserialize;

use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::progress::ProgressC;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EmbedOptions {
    model_name: Option<String>,
    force: bool,
    no_titles: bool,
}

/// Embeds every text of a store that has no vector yet, with the embedding model in `model_dir`.
/// If the work is cancelled, finished vectors are kept, and the next call continues.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "model_name": what the store calls the embedding model; default the name of its folder
/// - "force": true to embed even if another embedding model made the vectors that are there, which
///   otherwise is PROJECTION_STATUS_INVALID_EMBEDDER
/// - "no_titles": true to embed the texts of answers without their titles, which come first
///   otherwise
///
/// The result is JSON, {"store", "model", "dimension", "answers", "questions", "notes"}; "answers"
/// and "questions" are numbers of new vectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embed_store(
    database: *const c_char,
    model_dir: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, model_dir, out) = (path!(database), path!(model_dir), out!(result));
        let options: EmbedOptions = json_options!(options);
        let mut progress = reporter!(progress, context).progress();
        let name = options.model_name.as_deref();
        let how =
            projection_engine::EmbedOptions { force: options.force, no_titles: options.no_titles };
        let mut store = Store::open(database)?;
        let report = embed_store_with(&mut store, model_dir, name, false, how, &mut progress)?;
        give_json(out, &report)?;
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TrainOptions {
    method: Option<String>,
    tune: bool,
    query_only: bool,
    force: bool,
    unseen: Option<f64>,
    seed: u64,
    temperature: Option<f64>,
    name: Option<String>,
    model_name: Option<String>,
    feedback_model_dir: Option<PathBuf>,
}

/// Trains a model on the vectors of a store and stores it; older models stay. It becomes the active
/// one of the embedding model unless cross-validation finds it worse than the active one; "notes"
/// say why. Programs that know only multi-head projections use a residual one as such.
///
/// A model that scores below plain cosine in its validation is not stored, which is
/// PROJECTION_STATUS_INVALID_MODEL, unless `force` is set. If training is cancelled, the store's
/// models stay as they were.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "method": "auto", "residual", "multi-head", "linear" or "ridge"; default "auto", the kind
///   that cross-validation finds best
/// - "tune": true to choose terms and parameters by cross-validation, which "auto" always does
/// - "query_only": true to leave answers where they are, for an index outside of the store that
///   holds the answers' own vectors
/// - "force": true to store the model even if its validation is below plain cosine
/// - "unseen": expected share of questions whose answer has no training questions, 0 to 1;
///   default 0.5 if there are such answers, else 0
/// - "seed": integer; the same seed produces the same model; default 0
/// - "temperature": softmax temperature of routing or rotation; default 0.1
/// - "name": a name for people
/// - "model_name": the embedding model whose vectors are used; default the only one with vectors
/// - "feedback_model_dir": folder of an embedding model; logged queries with helpful feedback
///   become questions before training; another model than that of the vectors is
///   PROJECTION_STATUS_INVALID_EMBEDDER unless `force` is set
///
/// The result is JSON, {"id", "method", "kind", "name", "model", "temperature", "heads",
/// "questions", "clusters_left_out", "terms", "hybrid_weight", "unseen_offset", "validation",
/// "feedback_questions", "notes", "active": the id of the active projection}; what does not apply
/// is null or absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_train(
    database: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, out) = (path!(database), out!(result));
        let options: TrainOptions = json_options!(options);
        let feedback = options.feedback_model_dir.clone();
        let request = options.request()?;
        let mut progress = reporter!(progress, context).progress();
        let mut store = Store::open(database)?;
        let model_name = request.model_name.as_deref();
        let feedback_questions = feedback
            .map(|dir| add_feedback(&mut store, model_name, &dir, request.force, &mut progress))
            .transpose()?;
        let trained = train(&mut store, &request, &mut progress)?;
        give_json(out, &TrainReport { feedback_questions, ..trained })?;
    })
}

impl TrainOptions {
    fn request(self) -> Result<TrainRequest> {
        let default = TrainingOptions::default();
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
        if let Some(share) = self.unseen.filter(|share| !(0.0..=1.0).contains(share)) {
            return invalid(format!("options.unseen is {share}, expected a number from 0 to 1"));
        }
        let temperature = self.temperature.unwrap_or(default.temperature);
        if !(temperature.is_finite() && temperature > 0.0) {
            return invalid(format!("options.temperature is {temperature}, expected above 0"));
        }
        let tuning = Tuning { unseen: self.unseen, seed: self.seed, ..Tuning::default() };
        let method = self.method.as_deref().map_or(Ok(default.method), Method::from_name)?;
        Ok(TrainRequest {
            options: TrainingOptions {
                method,
                tune: self.tune,
                query_only: self.query_only,
                temperature,
                tuning,
            },
            force: self.force,
            name: self.name,
            model_name: self.model_name,
        })
    }
}
