//! Changing answer vectors: adding, removing, and lists for large sets.

use std::ffi::c_char;

use ndarray::ArrayView2;

use crate::argument::{Buffer, Out, expect_dim, handle, product};
use crate::error::{ErrorHandle, Status};
use crate::guard;
use crate::index::{IndexHandle, projection, query_dim_of};
use crate::lists::{ListsFound, tell};
use crate::model::{ModelHandle, shape};
use crate::options::optional_text;

/// Adds `n` answers of `dim` values each, which are copied. `ids` holds `n` different ids that
/// the index does not have. `texts` holds their texts, or is NULL; a text may be NULL too.
/// Nothing is added after an error. Lists are kept up.
///
/// # Safety
/// `index` is NULL or live; the arrays are NULL or of the lengths given; texts are texts;
/// `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_add(
    index: *const IndexHandle,
    ids: *const i64,
    vectors: *const f32,
    n: usize,
    dim: usize,
    texts: *const *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let ids = Buffer::new("ids", ids, n)?;
        let vectors = Buffer::new("vectors", vectors, product("vectors", n, dim)?)?;
        // SAFETY: the caller's promises.
        let (index, ids, vectors) =
            unsafe { (handle("index", index)?, ids.read()?, vectors.read()?) };
        let texts = match texts.is_null() {
            true => Vec::new(),
            false => {
                // SAFETY: the caller's promise.
                let texts = unsafe { Buffer::new("texts", texts, n)?.read()? };
                // SAFETY: the caller's promise.
                let read = |text: &*const c_char| unsafe { optional_text("texts", *text) };
                let texts: Result<Vec<_>, _> = texts.iter().map(read).collect();
                texts?.into_iter().map(Option::unwrap_or_default).collect()
            }
        };
        let vectors = ArrayView2::from_shape((n, dim), vectors).map_err(shape)?;
        index.write().add(ids, vectors, &texts)?;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_add", error, body) }
}

/// Removes the answers with these `n` ids; other ids are passed over. `removed` receives how
/// many there were, and may be NULL. A store keeps them. Texts that the index gave stay valid.
///
/// # Safety
/// `index` is NULL or live; the array is NULL or of the length given; `removed` is NULL or a
/// place for a number; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_remove(
    index: *const IndexHandle,
    ids: *const i64,
    n: usize,
    removed: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let ids = Buffer::new("ids", ids, n)?;
        // SAFETY: the caller's promises.
        let (index, ids) = unsafe { (handle("index", index)?, ids.read()?) };
        let count = index.write().remove(ids);
        if !removed.is_null() {
            // SAFETY: the caller's promise.
            unsafe { Out::new("removed", removed)? }.set(count);
        }
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_remove", error, body) }
}

/// Puts the answers into lists, so that searches find the nearest of many without comparing a
/// query with each: at least 99% of them, for queries that are held out. `found`, which may be
/// NULL, receives what was found out. Where lists cannot do that, and below 16,384 answers,
/// searches stay exact.
///
/// `queries` are `n` queries of `query_dim` values that are like those to come, projected by
/// `model` where that is not NULL; a few hundred of them make sure that the promise holds for
/// such. NULL and 0 stand for none. Up to `threads` threads work, 0 counts as 1. The index
/// waits for all other use, and takes a quarter more memory.
///
/// # Safety
/// Handles are NULL or live; the array is NULL or of the length given; `found` is NULL or a
/// place for the structure; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_make_lists(
    index: *const IndexHandle,
    model: *const ModelHandle,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    threads: usize,
    found: *mut ListsFound,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (index, projection) = unsafe { (handle("index", index)?, projection(model)) };
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        let mut searcher = index.write();
        if n > 0 {
            expect_dim("queries", query_dim, query_dim_of(searcher.index(), projection))?;
        }
        // SAFETY: the caller's promise.
        let queries = unsafe { queries.read()? };
        let queries = ArrayView2::from_shape((n, query_dim), queries).map_err(shape)?;
        let queries = Some(queries).filter(|queries| queries.nrows() > 0);
        let lists = searcher.build_index(queries, projection, threads)?;
        // SAFETY: the caller's promise.
        unsafe { tell(found, Some(lists)) }
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_make_lists", error, body) }
}

/// Forgets the lists of an index: searches are exact again. NULL is allowed.
///
/// # Safety
/// `index` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_drop_lists(index: *const IndexHandle) {
    guard::value("projection_index_drop_lists", (), || {
        // SAFETY: the caller's promise.
        if let Ok(index) = unsafe { handle("index", index) } {
            index.write().drop_index();
        }
    })
}
