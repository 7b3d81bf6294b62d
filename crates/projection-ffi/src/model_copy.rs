//! Copies of models: at another temperature, in another precision, with an approximate index.

use std::ffi::c_void;

use projection_core::Result;
use projection_core::projection::IndexStats;

use crate::argument::Out;
use crate::error::{ErrorHandle, Status};
use crate::model::{ModelHandle, precision_of};
use crate::progress::ProgressC;

/// Recall and cost measured while building an approximate index. Later versions do not change this
/// structure.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IndexStatsC {
    /// The smallest share of the true 1, 10 and 32 nearest answers, heads or training questions
    /// that held-out queries find; 1 if search is exact.
    pub recall: f64,
    /// The share of all vectors that a query reads on average; 1 if search is exact.
    pub read: f64,
    /// Number of inverted lists; 1 if search is exact.
    pub lists: usize,
}

/// Reports what was measured, or that search is exact, if the caller wants it.
///
/// # Safety
/// `place` is NULL or may be written.
pub unsafe fn give_stats(place: *mut IndexStatsC, measured: Option<IndexStats>) -> Result<()> {
    if !place.is_null() {
        let exact = IndexStatsC { recall: 1.0, read: 1.0, lists: 1 };
        let of = |IndexStats { recall, read, lists, .. }| IndexStatsC { recall, read, lists };
        // SAFETY: the caller promises that the place may be written.
        unsafe { Out::new("stats", place)? }.set(measured.map_or(exact, of));
    }
    Ok(())
}

/// Returns a copy of `model` with another temperature. The two share their vectors, and each is
/// freed on its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_with_temperature(
    model: Option<&ModelHandle>,
    temperature: f64,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (model, out) = (handle!(model), out!(copy));
        out.give(ModelHandle::new(model.model.with_temperature(temperature)?));
    })
}

/// Returns a copy of `model` that stores its vectors in `precision`, a projection_precision. The
/// copy takes less memory and is faster if there are many heads. projection_model_save_file keeps
/// the precision. Each of the two models is freed on its own. Only multi-head models can be
/// rounded, and only once: otherwise the call returns PROJECTION_STATUS_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_with_precision(
    model: Option<&ModelHandle>,
    precision: i32,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (model, out) = (handle!(model), out!(copy));
        out.give(ModelHandle::new(model.model.with_precision(precision_of(precision)?)?));
    })
}

/// Returns a copy of `model` with an approximate index of its heads or training questions, so that
/// a query is compared with a few of them only. Held-out queries find at least 99% of the nearest.
/// projection_model_save_file keeps the index. If the index cannot reach that, if there are fewer
/// than 16,384 heads or questions, or if all heads take part anyway, the copy has none. Up to
/// `threads` threads work; 0 counts as 1. The result does not depend on their number. Each of the
/// two models is freed on its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_build_index(
    model: Option<&ModelHandle>,
    threads: usize,
    progress: ProgressC,
    context: *mut c_void,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (model, out) = (handle!(model), out!(copy));
        let mut progress = reporter!(progress, context).progress();
        let indexed = model.model.with_approximate_index(threads, &mut progress)?;
        out.give(ModelHandle::new(indexed));
    })
}

/// Recall and cost measured while building the approximate index of `model`. For a model without
/// one, which searches exactly, there is one inverted list, and all of it is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_index_stats(
    model: Option<&ModelHandle>,
    stats: *mut IndexStatsC,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        // The place is checked before the model is asked.
        let (model, _) = (handle!(model), out!(stats));
        // SAFETY: the header requires a place that may be written.
        unsafe { give_stats(stats, model.model.index_stats())? }
    })
}
