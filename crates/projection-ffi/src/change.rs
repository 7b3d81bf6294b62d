//! Changing a searcher: adding and removing answers, and its approximate index.

use std::ffi::{c_char, c_void};

use projection_store::search::Searcher;

use crate::argument::expect_dim;
use crate::error::{ErrorHandle, Status};
use crate::model::ModelHandle;
use crate::model_copy::{IndexStatsC, give_stats};
use crate::progress::ProgressC;
use crate::searcher::{SearcherHandle, projection, query_dim};

/// Adds `n` answers of `dim` values each, which are copied. `ids` holds `n` different ids that the
/// searcher does not have. `texts` holds their texts, or is NULL; a text may be NULL too. After an
/// error, nothing is added. An approximate index is kept up to date.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_add(
    searcher: Option<&SearcherHandle>,
    ids: *const i64,
    vectors: *const f32,
    n: usize,
    dim: usize,
    texts: *const *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, ids, vectors) =
            (handle!(searcher), slice!(ids, n), matrix!(vectors, n, dim));
        let texts = optional_texts!(texts, n);
        searcher.change(|searcher| searcher.add(ids, vectors, &texts))?;
    })
}

/// Adds `n` answers as projection_searcher_add does; those that the searcher has already get the
/// new vector and the new text, or none, and stay in their clusters. A search finds the old answers
/// or the new ones, never a mixture. After an error, nothing has changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_replace(
    searcher: Option<&SearcherHandle>,
    ids: *const i64,
    vectors: *const f32,
    n: usize,
    dim: usize,
    texts: *const *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, ids, vectors) =
            (handle!(searcher), slice!(ids, n), matrix!(vectors, n, dim));
        let texts = optional_texts!(texts, n);
        searcher.change(|searcher| searcher.replace(ids, vectors, &texts))?;
    })
}

/// Removes the answers with these `n` ids; unknown ids are ignored. `removed`, which may be NULL,
/// receives the number of removed answers. The store keeps them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_remove(
    searcher: Option<&SearcherHandle>,
    ids: *const i64,
    n: usize,
    removed: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, ids) = (handle!(searcher), slice!(ids, n));
        let count = searcher.change(|searcher| searcher.remove(ids));
        if !removed.is_null() {
            out!(removed).set(count);
        }
    })
}

/// Builds an approximate index of the answers, so that a query is compared with a few of them
/// only. Held-out queries find at least 99% of the nearest answers. `stats`, which may be NULL,
/// receives what was measured. If the index cannot reach that, or if there are fewer than 16,384
/// answers, search stays exact.
///
/// `queries` are `n` queries of `query_dim` values that resemble later ones. They are projected by
/// `model` unless that is NULL. A few hundred make sure that the 99% hold for such queries. NULL
/// and 0 stand for none. Up to `threads` threads work; 0 counts as 1. Searches go on meanwhile, other
/// changes wait. The index takes a quarter more memory. After an error the searcher is as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_build_index(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    threads: usize,
    progress: ProgressC,
    context: *mut c_void,
    stats: *mut IndexStatsC,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let searcher = handle!(searcher);
        if n > 0 {
            expect_dim("queries", query_dim, self::query_dim(&searcher.read(), model))?;
        }
        let queries = Some(matrix!(queries, n, query_dim)).filter(|queries| queries.nrows() > 0);
        let mut progress = reporter!(progress, context).progress();
        let measured = searcher.change_copy(|searcher| {
            searcher.build_index(queries, projection(model), threads, &mut progress)
        })?;
        // SAFETY: the header requires NULL or a place that may be written.
        unsafe { give_stats(stats, Some(measured))? }
    })
}

/// Drops the approximate index: search is exact again. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_drop_index(searcher: Option<&SearcherHandle>) {
    panic_boundary!((), {
        if let Some(searcher) = searcher {
            searcher.change(Searcher::drop_index);
        }
    })
}
