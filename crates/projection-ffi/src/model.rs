//! Models.

use std::ffi::c_char;

use ndarray::{ArrayView2, ArrayViewMut2};
use projection_core::projection::{Model, ModelKind, Projection};

use crate::argument::{Buffer, Out, expect_dim, handle, path, product};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;

/// A trained model. Free it with projection_model_free. May be used by many threads at
/// once.
pub struct ModelHandle {
    /// Beside the model, so that a call checks its arrays without asking it.
    shape: Shape,
    pub(crate) model: Model,
}

/// The lengths of a query, of what it is projected to, and of its routing weights.
#[derive(Clone, Copy)]
struct Shape {
    input_dim: usize,
    output_dim: usize,
    heads: usize,
}

impl ModelHandle {
    pub(crate) fn new(model: Model) -> Self {
        let (input_dim, output_dim) = (model.input_dim(), model.output_dim());
        let shape = Shape { input_dim, output_dim, heads: model.head_ids().len() };
        Self { shape, model }
    }
}

/// Loads projection `id`, of whatever kind, from the folder of its files:
/// embeddings/{model_name}, or embeddings. `temperature` is that of the routing, above 0; 0.1
/// is the usual one. A linear model has none, and takes no notice.
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
        out.give(ModelHandle::new(Model::load(folder, id, temperature)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_load", error, body) }
}

/// Loads projection `id` as projection_model_load does, at the temperature that its files
/// say. Those of a multi-head model may not: that is PROJECTION_STATUS_INVALID_ARGUMENT.
///
/// # Safety
/// `folder` is NULL or a text; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load_as_trained(
    folder: *const c_char,
    id: i64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (folder, out) = unsafe { (path("folder", folder)?, Out::new("model", model)?) };
        out.give(ModelHandle::new(Model::load(folder, id, None)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_load_as_trained", error, body) }
}

/// Opens projection `id`, of whatever kind, of the store whose database is the file
/// `database`, at the temperature that the database gives. Existing stores may have a linear
/// projection and one with heads of the same id: then the one with heads; see
/// projection_model_open_kind.
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
        out.give(ModelHandle::new(projection_store::Store::open_read_only(database)?.model(id)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_open", error, body) }
}

/// Opens projection `id` as projection_model_open does, as a model of `kind`, a
/// projection_kind. A residual projection opens as a multi-head one too.
///
/// # Safety
/// `database` is NULL or a text; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_open_kind(
    database: *const c_char,
    kind: i32,
    id: i64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, out) = unsafe { (path("database", database)?, Out::new("model", model)?) };
        // A number, because an enumeration of Rust must not hold any other one.
        let kind = match kind {
            kind if kind == Kind::MultiHead as i32 => ModelKind::MultiHead,
            kind if kind == Kind::Residual as i32 => ModelKind::Residual,
            kind if kind == Kind::Linear as i32 => ModelKind::Linear,
            kind => {
                let message = format!("argument kind is {kind}, expected 1, 2 or 3");
                return Err(ErrorHandle::new(Status::InvalidArgument, &message));
            }
        };
        out.give(ModelHandle::new(
            projection_store::Store::open_read_only(database)?.model_of_kind(kind, id)?,
        ));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_open_kind", error, body) }
}

/// Dimension of queries; 0 for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_input_dim(model: *const ModelHandle) -> usize {
    guard::value("projection_model_input_dim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(0, |model| model.shape.input_dim)
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
        unsafe { handle("model", model) }.map_or(0, |model| model.shape.output_dim)
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
        unsafe { handle("model", model) }.map_or(0, |model| model.shape.heads)
    })
}

/// Temperature of the routing; NaN for a linear model, which has none, and for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_temperature(model: *const ModelHandle) -> f64 {
    guard::value("projection_model_temperature", f64::NAN, || {
        // SAFETY: the caller's promise.
        unsafe { handle("model", model) }.map_or(f64::NAN, |model| model.model.temperature())
    })
}

/// What a model is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of NULL, or of a kind that has no number yet.
    Unknown = 0,
    /// One head a cluster, mixed by softmax.
    MultiHead = 1,
    /// The query and what training learned to add to it.
    Residual = 2,
    /// One matrix; it has no heads and no temperature.
    Linear = 3,
    /// A distilled network, from a file of its own; it has no heads and no temperature.
    Transformer = 4,
}

/// The kind of a model; PROJECTION_KIND_UNKNOWN for NULL.
///
/// # Safety
/// `model` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_kind(model: *const ModelHandle) -> Kind {
    guard::value("projection_model_kind", Kind::Unknown, || {
        // SAFETY: the caller's promise.
        match unsafe { handle("model", model) }.map(|model| model.model.kind()) {
            Ok(ModelKind::MultiHead) => Kind::MultiHead,
            Ok(ModelKind::Residual) => Kind::Residual,
            Ok(ModelKind::Linear) => Kind::Linear,
            Ok(ModelKind::Transformer) => Kind::Transformer,
            _ => Kind::Unknown,
        }
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
        // SAFETY: the caller's promise.
        let head_ids = unsafe { handle("model", model) }?.model.head_ids();
        let ids = Buffer::new("ids", ids, ids_len)?;
        ids.expect_len(head_ids.len())?;
        // SAFETY: the caller's promise.
        unsafe { ids.write() }?.copy_from_slice(head_ids);
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
        out.give(ModelHandle::new(model.model.with_temperature(temperature)?));
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
        // SAFETY: the caller's promise.
        let ModelHandle { shape, model } = unsafe { handle("model", model) }?;
        let query = Buffer::new("query", query, query_len)?;
        let projected = Buffer::new("projected", projected, projected_len)?;
        let weights = wanted(weights, weights_len)?;
        expect_dim("query", query_len, shape.input_dim)?;
        projected.expect_len(shape.output_dim)?;
        projected.expect_apart(&[query.addresses()])?;
        if let Some(weights) = &weights {
            weights.expect_len(shape.heads)?;
            weights.expect_apart(&[query.addresses(), projected.addresses()])?;
        }
        // SAFETY: the caller's promises, and the outputs overlap nothing.
        unsafe {
            let weights = weights.map(|weights| weights.write()).transpose()?;
            Ok(model.project_into(query.read()?, projected.write()?, weights)?)
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
        let projected = Buffer::new("projected", projected, projected_len)?;
        let weights = wanted(weights, weights_len)?;
        // SAFETY: the caller's promises.
        unsafe { project_batch(model, 1, (queries, n, query_dim), projected, weights) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_project_batch", error, body) }
}

/// projection_model_project_batch on up to `threads` threads, which share the queries out and
/// end before it returns; 0 and 1 are the caller's thread. How the queries are shared out may
/// change last bits.
///
/// # Safety
/// As for projection_model_project_batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_project_batch_on(
    model: *const ModelHandle,
    threads: usize,
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
        let projected = Buffer::new("projected", projected, projected_len)?;
        let weights = wanted(weights, weights_len)?;
        // SAFETY: the caller's promises.
        unsafe { project_batch(model, threads, (queries, n, query_dim), projected, weights) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_project_batch_on", error, body) }
}

/// # Safety
/// `model` is NULL or live; there are as many queries as said, and buffers are of their
/// lengths.
unsafe fn project_batch(
    model: *const ModelHandle,
    threads: usize,
    (queries, n, query_dim): (*const f32, usize, usize),
    projected: Buffer<f32>,
    weights: Option<Buffer<f32>>,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let ModelHandle { shape: Shape { input_dim, output_dim: columns, heads }, model } =
        unsafe { handle("model", model) }?;
    let (columns, heads) = (*columns, *heads);
    let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
    expect_dim("queries", query_dim, *input_dim)?;
    projected.expect_len(product("projected", n, columns)?)?;
    projected.expect_apart(&[queries.addresses()])?;
    if let Some(weights) = &weights {
        weights.expect_len(product("weights", n, heads)?)?;
        weights.expect_apart(&[queries.addresses(), projected.addresses()])?;
    }
    // SAFETY: the caller's promises, and the outputs overlap nothing.
    let (queries, projected, weights) = unsafe {
        let weights = weights.map(|weights| weights.write()).transpose()?;
        (queries.read()?, projected.write()?, weights)
    };
    let queries = ArrayView2::from_shape((n, query_dim), queries).map_err(shape)?;
    let projected = ArrayViewMut2::from_shape((n, columns), projected).map_err(shape)?;
    let weights = weights
        .map(|weights| ArrayViewMut2::from_shape((n, heads), weights).map_err(shape))
        .transpose()?;
    Ok(model.project_batch_on(threads, queries, projected, weights)?)
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

/// Routing weights, unless the caller does not want them.
#[inline]
fn wanted(weights: *mut f32, weights_len: usize) -> Result<Option<Buffer<f32>>, Failure> {
    if weights.is_null() && weights_len == 0 {
        return Ok(None);
    }
    Buffer::new("weights", weights, weights_len).map(Some)
}

/// An array that has the right number of values and yet can't be a matrix.
pub fn shape(error: ndarray::ShapeError) -> Failure {
    ErrorHandle::new(Status::InvalidArgument, &format!("number of vectors: {error}"))
}
