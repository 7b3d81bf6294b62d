//! What a store contains: models, embedding models, clusters, answers and their vectors; and the
//! query log.

use std::ffi::c_char;

use projection_store::AnsweredQuery;
use serde::Deserialize;
use serde_json::json;

use crate::argument::Buffer;
use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::store::StoreHandle;

/// Lists the trained models, in ascending order of id. Of two models with one id, the one with
/// heads comes first.
///
/// The result is JSON, [{"id", "kind": "multi_head", "residual" or "linear", "name" or null,
/// "model": the embedding model of queries, "answer_model": that of answers, "temperature" or
/// null, "heads" or null, "created_at" or null, "metrics": what was measured when the model was
/// trained, or null, "active": whether it is the active one of its embedding model, "default":
/// whether it answers where neither a projection nor an embedding model is named}].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_models(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().models()?)? })
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum ModelChange {
    Activate {
        id: i64,
        #[serde(default)]
        linear: bool,
    },
    Rollback {
        model_name: Option<String>,
    },
    Rename {
        id: i64,
        #[serde(default)]
        linear: bool,
        name: Option<String>,
    },
    Delete {
        id: i64,
        #[serde(default)]
        linear: bool,
        #[serde(default)]
        force: bool,
    },
}

/// Changes which projection is active, what one is called, or deletes one. The store must be open
/// for writing.
///
/// `change` is a JSON object, one of
/// - {"action": "activate", "id"}: makes a projection the active one of its embedding model
/// - {"action": "rollback", "model_name"}: returns to the projection that was active before; the
///   name is optional, as in projection_store_active_model
/// - {"action": "rename", "id", "name"}: null removes its name
/// - {"action": "delete", "id", "force"}: deletes a projection with its files; the active one only
///   if "force", which is optional, is true
///
/// "linear", optional beside "id", is true for the linear one of two projections with one id.
/// The result is the list of models as in projection_store_models.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_change_models(
    store: Option<&StoreHandle>,
    change: *const c_char,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, change, out) = (handle!(store), text!(change), out!(result));
        let change: ModelChange = crate::json::options("change", change)?;
        let mut store = store.lock();
        match change {
            ModelChange::Activate { id, linear } => {
                let model = store.choose_or_linear(id, linear)?;
                store.activate(&model)?;
            }
            ModelChange::Rollback { model_name } => {
                store.roll_back(model_name.as_deref())?;
            }
            ModelChange::Rename { id, linear, name } => {
                let model = store.choose_or_linear(id, linear)?;
                store.rename_model(&model, name.as_deref())?;
            }
            ModelChange::Delete { id, linear, force } => {
                let model = store.choose_or_linear(id, linear)?;
                store.delete_model(&model, force)?;
            }
        }
        give_json(out, &store.models()?)?;
    })
}

/// Says what a person should know before the store is used: values of a wrong type, with table and
/// row, and files that another database in the folder names too. The result is JSON, [text], empty
/// if there is nothing to say. All tables are read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_warnings(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().warnings()?)? })
}

/// Lists the embedding models. The result is JSON, [{"model_id", "name", "dimension"}].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_embedding_models(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().embedding_models()?)? })
}

/// Lists the clusters. The result is JSON, [{"cluster_id", "name" or null, "answers",
/// "questions"}]; the last two are numbers of texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_clusters(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().clusters()?)? })
}

/// Lists the answers that have a vector by the embedding model `model_name`, in ascending order of
/// id; NULL stands for the only one there is. The result is JSON, [{"answer_id", "text"}].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_answers(
    store: Option<&StoreHandle>,
    model_name: *const c_char,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, model_name) = (handle!(store).lock(), optional_text!(model_name));
        let answers = store.embedded_texts(&store.embedding_model(model_name)?)?.into_iter();
        let listed = answers.map(|(id, text)| json!({"answer_id": id, "text": text}));
        give_json(out!(result), &listed.collect::<Vec<_>>())?;
    })
}

/// Returns what the imported files say of answers beside their texts, such as a title or a URL. The
/// result is JSON, an object that has an object for the id of each answer that has some.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_metadata(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().metadata()?)? })
}

/// Reads the vectors of the answers `ids`, `n` of them, by the embedding model `model_name`, as
/// they are stored, into the rows of `vectors`, `vectors_len` = n * dimension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_vectors(
    store: Option<&StoreHandle>,
    model_name: *const c_char,
    ids: *const i64,
    n: usize,
    vectors: *mut f32,
    vectors_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, model_name) = (handle!(store).lock(), optional_text!(model_name));
        let ids = slice!(ids, n);
        let vectors = Buffer::new("vectors", vectors, vectors_len)?;
        let model = store.embedding_model(model_name)?;
        vectors.expect_len(crate::argument::product("vectors", n, model.dimension)?)?;
        let found = store.answer_vectors(&model, ids)?;
        // SAFETY: the header requires an array of this length; the ids are not used any more.
        let vectors = unsafe { vectors.write() }?;
        vectors.iter_mut().zip(&found).for_each(|(value, found)| *value = *found);
    })
}

/// Returns a JSON string that changes whenever answers, clusters, embeddings or models change, and
/// not when the query log grows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_fingerprint(
    store: Option<&StoreHandle>,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(result), &handle!(store).lock().fingerprint()?)? })
}

/// Adds queries with feedback to the query log, all of them or none. The store must be open for
/// writing.
///
/// `entries` is JSON, [{"query", "helpful": true or false, "selected": id of the right answer,
/// only if helpful, "results": ids of the answers shown, best first, "projection_id",
/// "model_name"}]; all but the first two are optional. An entry whose right answer the store does
/// not have is not added.
///
/// The result is JSON, an array with the new row's id for each entry, or null if it was not added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_log_feedback(
    store: Option<&StoreHandle>,
    entries: *const c_char,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, entries, out) = (handle!(store), text!(entries), out!(result));
        let entries: Vec<AnsweredQuery> = crate::json::parse("entries", entries)?;
        give_json(out, &store.lock().log_feedback(&entries)?)?;
    })
}
