//! Projecting queries.

use std::ffi::c_void;

use ndarray::ArrayViewMut2;
use projection_core::kernel::progress::Progress;
use projection_core::projection::Projection;

use crate::argument::{Buffer, expect_dim, matrix, product, shape};
use crate::error::{ErrorHandle, Status};
use crate::model::ModelHandle;
use crate::progress::ProgressC;

/// Projects a query of `query_len` = input_dim values into `projected`, of `projected_len` =
/// output_dim values. `weights` receives the routing weights, `weights_len` = num_heads; it may be
/// NULL, with `weights_len` 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_project(
    model: Option<&ModelHandle>,
    query: *const f32,
    query_len: usize,
    projected: *mut f32,
    projected_len: usize,
    weights: *mut f32,
    weights_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let ModelHandle { shape, model } = handle!(model);
        let query = Buffer::new("query", query, query_len)?;
        let projected = Buffer::new("projected", projected, projected_len)?;
        let weights = Buffer::optional("weights", weights, weights_len)?;
        expect_dim("query", query_len, shape.input_dim)?;
        projected.expect_len(shape.output_dim)?;
        projected.expect_apart(&[query.addresses()])?;
        if let Some(weights) = &weights {
            weights.expect_len(shape.heads)?;
            weights.expect_apart(&[query.addresses(), projected.addresses()])?;
        }
        // SAFETY: the header requires arrays of these lengths, and the outputs overlap nothing.
        unsafe {
            let weights = weights.map(|weights| weights.write()).transpose()?;
            model.project_into(query.read()?, projected.write()?, weights)?;
        }
    })
}

/// Projects `n` queries of `query_dim` = input_dim values each. `projected` receives n ×
/// output_dim values; `weights`, which may be NULL with `weights_len` 0, receives n × num_heads.
/// Up to `threads` threads share the queries and end before the call returns; 0 and 1 are the
/// calling thread. The last bits of a result may depend on how queries are shared. The steps of
/// `progress` are queries; if it cancels the work, some of the results may have been written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_project_batch(
    model: Option<&ModelHandle>,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    projected: *mut f32,
    projected_len: usize,
    weights: *mut f32,
    weights_len: usize,
    threads: usize,
    progress: ProgressC,
    context: *mut c_void,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let ModelHandle { shape: lengths, model } = handle!(model);
        let (columns, heads) = (lengths.output_dim, lengths.heads);
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        let projected = Buffer::new("projected", projected, projected_len)?;
        let weights = Buffer::optional("weights", weights, weights_len)?;
        expect_dim("queries", query_dim, lengths.input_dim)?;
        projected.expect_len(product("projected", n, columns)?)?;
        projected.expect_apart(&[queries.addresses()])?;
        if let Some(weights) = &weights {
            weights.expect_len(product("weights", n, heads)?)?;
            weights.expect_apart(&[queries.addresses(), projected.addresses()])?;
        }
        // SAFETY: the header requires arrays of these lengths, and the outputs overlap nothing.
        let (queries, projected, weights) = unsafe {
            let weights = weights.map(|weights| weights.write()).transpose()?;
            (queries.read()?, projected.write()?, weights)
        };
        let projected = ArrayViewMut2::from_shape((n, columns), projected).map_err(shape)?;
        let weights = weights
            .map(|weights| ArrayViewMut2::from_shape((n, heads), weights).map_err(shape))
            .transpose()?;
        let queries = matrix(queries, n, query_dim)?;
        let mut progress = reporter!(progress, context).progress();
        let mut poll = || Progress::new("projecting", 0, n).send(&mut progress);
        model.project_batch_on(threads, queries, projected, weights, &mut poll)?;
    })
}
