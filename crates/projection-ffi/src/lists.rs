//! Lists that find the nearest of many heads, training questions or answers.

use std::ffi::c_char;

use projection_core::projection::IndexStats as Found;
use projection_store::Store;

use crate::argument::{Out, handle, path};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::model::ModelHandle;

/// What making lists found out.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ListsFound {
    /// The share of the true 1, 10 and 32 nearest answers, heads or training questions that
    /// queries find that were held out, the least of them; 1 where searches stay exact.
    pub recall: f64,
    /// The share of all of them that queries read on average.
    pub read: f64,
    /// Number of lists; 1 where searches stay exact.
    pub lists: usize,
}

/// Tells what was found out, or that searches are exact, where that is wanted.
///
/// # Safety
/// `place` is NULL or a place for the structure.
pub unsafe fn tell(place: *mut ListsFound, found: Option<Found>) -> Result<(), Failure> {
    if !place.is_null() {
        let exact = ListsFound { recall: 1.0, read: 1.0, lists: 1 };
        let found = found.map_or(exact, |found| ListsFound {
            recall: found.recall,
            read: found.read,
            lists: found.lists,
        });
        // SAFETY: the caller's promise.
        unsafe { Out::new("found", place)? }.set(found);
    }
    Ok(())
}

/// Makes a copy of `model` with its heads or training questions in lists, so that the nearest of
/// many are found without comparing a query with each: at least 99% of them, for queries that
/// are held out. projection_model_save_file keeps the lists. Where lists cannot do that, below
/// 16,384 heads or questions, and where all heads take part anyway, the copy is as the model.
/// Up to `threads` threads work, 0 counts as 1; the result does not depend on their number.
/// Each of the two models is freed on its own.
///
/// # Safety
/// `model` is NULL or live; `copy` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_with_lists(
    model: *const ModelHandle,
    threads: usize,
    copy: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, out) = unsafe { (handle("model", model)?, Out::new("copy", copy)?) };
        out.give(ModelHandle::new(model.model.with_approximate_index(threads)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_with_lists", error, body) }
}

/// What was found out when the lists of `model` were made. Of a model without lists, whose
/// nearest heads or questions are found exactly, it is one list, all of which is read.
///
/// # Safety
/// `model` is NULL or live; `found` is NULL or a place for the structure; `error` is NULL or a
/// place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_lists(
    model: *const ModelHandle,
    found: *mut ListsFound,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, _) = unsafe { (handle("model", model)?, Out::new("found", found)?) };
        // SAFETY: the caller's promise.
        unsafe { tell(found, model.model.index_stats()) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_lists", error, body) }
}

/// Makes lists as projection_model_with_lists does, of projection `id` of the store whose
/// database is the file `database`, and keeps them in a file beside the projection's others:
/// whoever opens it afterwards has them, and what does not know them does as before. `found`,
/// which may be NULL, receives what was found out. Where there are no lists worth making, none
/// are kept.
///
/// Lists that are damaged, or of other vectors than the projection has later, are not used:
/// make them anew then. projection_model_check_lists says so.
///
/// # Safety
/// `database` is NULL or a text; `found` is NULL or a place for the structure; `error` is NULL
/// or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_keep_lists(
    database: *const c_char,
    id: i64,
    threads: usize,
    found: *mut ListsFound,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promise.
        let store = Store::open_read_only(unsafe { path("database", database)? })?;
        let lists = store.build_index(id, threads)?;
        // SAFETY: the caller's promise.
        unsafe { tell(found, lists) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_keep_lists", error, body) }
}

/// What was found out when the lists were made that are kept for projection `id`, in `found`,
/// which may be NULL; one list that is read as a whole where none are kept. It is
/// PROJECTION_STATUS_INVALID_MODEL, and the message says why, where they are damaged or of other
/// vectors than the projection has: it opens without them.
///
/// # Safety
/// As for projection_model_keep_lists.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_check_lists(
    database: *const c_char,
    id: i64,
    found: *mut ListsFound,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promise.
        let store = Store::open_read_only(unsafe { path("database", database)? })?;
        let lists = store.check_index(id)?;
        // SAFETY: the caller's promise.
        unsafe { tell(found, lists) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_check_lists", error, body) }
}
