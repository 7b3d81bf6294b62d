//! Models.

use std::ffi::c_char;

use ndarray::ArrayViewMut2;
use projection_core::projection::{Model, Projection};

use crate::argument::{
    Out, addresses, check_apart, check_len, handle, matrix, path, product, slice, slice_mut,
};
use crate::error::{ErrorHandle, Status};
use crate::guard;

/// A trained model. Free it with projection_model_free. May be used by many threads at
/// once.
pub struct ModelHandle(pub(crate) Model);

/// Loads projection `id` from the folder of its files: embeddings/{model_name}, or
/// embeddings. `temperature` is that of the routing, above 0; 0.1 is the usual one.
///
/// # Safety
/// `folder` is NULL or a text; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load(
    folder: *const c_char,
    id: i64,
    temperature: f64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (folder, out) = unsafe { (path("folder", folder)?, Out::new("model", model)?) };
        out.give(ModelHandle(Model::load(folder, id, temperature)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_load", error, body) }
}

/// Opens projection `id` of the store whose database is the file `database`, at the
/// temperature that the database gives.
///
/// # Safety
/// `database` is NULL or a text; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_open(
    database: *const c_char,
    id: i64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, out) = unsafe { (path("database", database)?, Out::new("model", model)?) };
        out.give(ModelHandle(Model::open(database, id)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_open", error, body) }
}

/// Dimension of queries; 0 for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_input_dim(model: *const ModelHandle) -> usize {
    guard::value("projection_model_input_dim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(0, |model| model.0.input_dim())
    })
}

/// Dimension of projected queries; 0 for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_output_dim(model: *const ModelHandle) -> usize {
    guard::value("projection_model_output_dim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(0, |model| model.0.output_dim())
    })
}

/// Number of heads, which is that of routing weights; 0 for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_num_heads(model: *const ModelHandle) -> usize {
    guard::value("projection_model_num_heads", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(0, |model| model.0.head_ids().len())
    })
}

/// Temperature of the routing; NaN for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_temperature(model: *const ModelHandle) -> f64 {
    guard::value("projection_model_temperature", f64::NAN, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(f64::NAN, |model| model.0.temperature())
    })
}

/// Cluster ids of the heads in ascending order, which is that of routing weights. `ids_len`
/// is the number of heads.
///
/// # Safety
/// `model` is NULL or live; `ids` is NULL or has `ids_len` places; `error` is NULL or a
/// place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_head_ids(
    model: *const ModelHandle,
    ids: *mut i64,
    ids_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, ids) = unsafe { (handle("model", model)?, slice_mut("ids", ids, ids_len)?) };
        check_len("ids_len", ids_len, model.0.head_ids().len())?;
        ids.copy_from_slice(model.0.head_ids());
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_head_ids", error, body) }
}

/// Makes a copy of `model` at another temperature. The vectors are shared, and each of the
/// two is freed on its own.
///
/// # Safety
/// `model` is NULL or live; `copy` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_with_temperature(
    model: *const ModelHandle,
    temperature: f64,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, out) = unsafe { (handle("model", model)?, Out::new("copy", copy)?) };
        out.give(ModelHandle(model.0.with_temperature(temperature)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_with_temperature", error, body) }
}

/// Projects a query of `query_len` = input_dim values into `projected`, of `projected_len`
/// = output_dim values. `weights` receives the routing weights, `weights_len` = num_heads;
/// it may be NULL, with `weights_len` 0.
///
/// # Safety
/// `model` is NULL or live; the arrays are NULL or of the lengths given; `error` is NULL or
/// a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_project(
    model: *const ModelHandle,
    query: *const f32,
    query_len: usize,
    projected: *mut f32,
    projected_len: usize,
    weights: *mut f32,
    weights_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let query_at = addresses(query, query_len);
        let projected_at = addresses(projected, projected_len);
        let weights_at = addresses(weights, weights_len);
        check_apart("projected", &projected_at, &[query_at.clone(), weights_at.clone()])?;
        check_apart("weights", &weights_at, &[query_at])?;
        // SAFETY: the caller's promises, and the outputs overlap nothing.
        unsafe {
            let model = handle("model", model)?;
            let query = slice("query", query, query_len)?;
            let projected = slice_mut("projected", projected, projected_len)?;
            let weights = optional_weights(weights, weights_len)?;
            Ok(model.0.project_into(query, projected, weights)?)
        }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_project", error, body) }
}

/// Projects `n` queries of `query_dim` = input_dim values each. `projected` receives n ×
/// output_dim values, `weights`, which may be NULL with `weights_len` 0, n × num_heads.
///
/// # Safety
/// `model` is NULL or live; the arrays are NULL or of the lengths given; `error` is NULL or
/// a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_project_batch(
    model: *const ModelHandle,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    projected: *mut f32,
    projected_len: usize,
    weights: *mut f32,
    weights_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let queries_at = addresses(queries, product("queries", n, query_dim)?);
        let projected_at = addresses(projected, projected_len);
        let weights_at = addresses(weights, weights_len);
        check_apart("projected", &projected_at, &[queries_at.clone(), weights_at.clone()])?;
        check_apart("weights", &weights_at, &[queries_at])?;
        // SAFETY: the caller's promise.
        let model = &unsafe { handle("model", model) }?.0;
        let (columns, heads) = (model.output_dim(), model.head_ids().len());
        check_len("projected_len", projected_len, product("projected", n, columns)?)?;
        if !weights.is_null() {
            check_len("weights_len", weights_len, product("weights", n, heads)?)?;
        }
        // SAFETY: the caller's promises, and the outputs overlap nothing.
        let (queries, projected, weights) = unsafe {
            (
                matrix("queries", queries, n, query_dim)?,
                slice_mut("projected", projected, projected_len)?,
                optional_weights(weights, weights_len)?,
            )
        };
        let rows = |values, columns| {
            ArrayViewMut2::from_shape((n, columns), values)
                .map_err(|error| ErrorHandle::new(Status::Internal, &error.to_string()))
        };
        let weights = weights.map(|weights| rows(weights, heads)).transpose()?;
        Ok(model.project_batch_into(queries, rows(projected, columns)?, weights)?)
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_project_batch", error, body) }
}

/// Frees a model. NULL is allowed.
///
/// # Safety
/// `model` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_free(model: *mut ModelHandle) {
    // SAFETY: the caller gives the model back.
    guard::value("projection_model_free", (), || unsafe { guard::free(model) })
}

/// Routing weights that the caller may not want.
///
/// # Safety
/// As [`slice_mut`].
unsafe fn optional_weights<'a>(
    weights: *mut f32,
    weights_len: usize,
) -> Result<Option<&'a mut [f32]>, ErrorHandle> {
    if weights.is_null() && weights_len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { slice_mut("weights", weights, weights_len) }.map(Some)
}
