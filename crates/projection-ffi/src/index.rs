//! Answer vectors and search.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ndarray::ArrayView2;
use projection_core::projection::Projection;
use projection_store::search::{Index, Searcher};

use crate::argument::{Buffer, Out, expect_dim, handle, path, product, text};
use crate::error::{ErrorHandle, Status};
use crate::guard;
use crate::model::{ModelHandle, shape};

/// Answer vectors with their ids, and their texts where they come from a store. Free it
/// with projection_index_free. May be used by many threads at once: what changes it waits for
/// the searches under way, and these for it.
pub struct IndexHandle {
    searcher: RwLock<Searcher>,
    /// Texts for C, which are made when they are asked for and live as long as the index, even
    /// those of answers that are removed.
    texts: Mutex<HashMap<i64, Vec<CString>>>,
}

impl IndexHandle {
    fn new(searcher: Searcher) -> Self {
        Self { searcher: RwLock::new(searcher), texts: Mutex::default() }
    }

    /// For searches. A change that panicked has not left anything half done that matters more
    /// than a search does.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Searcher> {
        self.searcher.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changes.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Searcher> {
        self.searcher.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A text that stays where it is as long as the index lives.
    fn text(&self, answer_id: i64) -> Option<*const c_char> {
        let searcher = self.read();
        let text = searcher.text(answer_id)?;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = texts.entry(answer_id).or_default();
        // An id that was removed and added anew may have another text than before.
        let same = |made: &CString| made.as_bytes() == text.as_bytes();
        if !made.last().is_some_and(|made| same(made) || text.contains('\0')) {
            made.push(without_nul(text));
        }
        made.last().map(|text| text.as_ptr())
    }
}

/// An answer that was found.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// The answer's id.
    pub answer_id: i64,
    /// Cosine of the query, or of the projected query, and the answer, unless options ask for
    /// another score.
    pub score: f32,
}

/// Reads the answers of the store whose database is the file `database`. `model_name` is
/// the text model whose vectors are read; NULL stands for the only one there is.
///
/// # Safety
/// The texts are NULL or texts; `index` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_open(
    database: *const c_char,
    model_name: *const c_char,
    index: *mut *mut IndexHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, out) = unsafe { (path("database", database)?, Out::new("index", index)?) };
        let model_name = match model_name.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { text("model_name", model_name) }?),
        };
        out.give(IndexHandle::new(Searcher::open(database, model_name)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_open", error, body) }
}

/// Makes an index of `n` vectors of `dim` values each, which are copied. `ids` holds `n`
/// different ids.
///
/// # Safety
/// The arrays are NULL or of the lengths given; `index` and `error` are NULL or places for
/// a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_from_vectors(
    ids: *const i64,
    vectors: *const f32,
    n: usize,
    dim: usize,
    index: *mut *mut IndexHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let ids = Buffer::new("ids", ids, n)?;
        let vectors = Buffer::new("vectors", vectors, product("vectors", n, dim)?)?;
        // SAFETY: the caller's promises.
        let (out, ids, vectors) =
            unsafe { (Out::new("index", index)?, ids.read()?, vectors.read()?) };
        let vectors = ArrayView2::from_shape((n, dim), vectors).map_err(shape)?;
        out.give(IndexHandle::new(Searcher::from_index(Index::from_vectors(ids, vectors)?)));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_from_vectors", error, body) }
}

/// Number of answers; 0 for NULL.
///
/// # Safety
/// `index` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_len(index: *const IndexHandle) -> usize {
    guard::value("projection_index_len", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("index", index) }.map_or(0, |index| index.read().index().len())
    })
}

/// Dimension of the answers' vectors; 0 for NULL.
///
/// # Safety
/// `index` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_dim(index: *const IndexHandle) -> usize {
    guard::value("projection_index_dim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("index", index) }.map_or(0, |index| index.read().index().dim())
    })
}

/// The text of an answer, valid until the index is freed; NULL where the index has none.
///
/// # Safety
/// `index` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_text(
    index: *const IndexHandle,
    answer_id: i64,
) -> *const c_char {
    guard::value("projection_index_text", std::ptr::null(), || {
        // SAFETY: the caller's promise.
        let index = unsafe { handle("index", index) };
        let text = index.ok().and_then(|index| index.text(answer_id));
        text.unwrap_or(std::ptr::null())
    })
}

/// Finds the answers nearest to a query by cosine, best first, equal ones by ascending id.
/// With a model, the query is projected first; NULL stands for none. `hits` has room for
/// `hits_len` >= k answers; `found` receives how many there are, k or all.
///
/// # Safety
/// Handles are NULL or live; the arrays are NULL or of the lengths given; `found` is NULL
/// or a place for a number; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_search(
    index: *const IndexHandle,
    model: *const ModelHandle,
    query: *const f32,
    query_len: usize,
    k: usize,
    hits: *mut Hit,
    hits_len: usize,
    found: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (searcher, projection, found) = unsafe {
            (handle("index", index)?.read(), projection(model), Out::new("found", found)?)
        };
        let index = searcher.index();
        let query = Buffer::new("query", query, query_len)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("query", query_len, query_dim_of(index, projection))?;
        hits.expect_room(k)?;
        query.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[query.addresses(), found.addresses()])?;
        // SAFETY: the caller's promises, and the output overlaps nothing.
        let (query, hits) = unsafe { (query.read()?, hits.write()?) };
        let best = index.search(query, projection, k)?;
        copy_hits(&best, hits);
        found.set(best.len());
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_search", error, body) }
}

/// Searches for `n` queries of `query_dim` values each. The hits of query i begin at
/// `hits[i * k]`, `hits_len` = n * k; `found` receives how many there are for each query, k
/// or all, which is the same for every query.
///
/// # Safety
/// As for projection_index_search.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_search_batch(
    index: *const IndexHandle,
    model: *const ModelHandle,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    k: usize,
    hits: *mut Hit,
    hits_len: usize,
    found: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (searcher, projection, found) = unsafe {
            (handle("index", index)?.read(), projection(model), Out::new("found", found)?)
        };
        let index = searcher.index();
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("queries", query_dim, query_dim_of(index, projection))?;
        hits.expect_len(product("hits", n, k)?)?;
        queries.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[queries.addresses(), found.addresses()])?;
        // SAFETY: the caller's promises, and the output overlaps nothing.
        let (queries, hits) = unsafe { (queries.read()?, hits.write()?) };
        let queries = ArrayView2::from_shape((n, query_dim), queries).map_err(shape)?;
        let best = index.search_batch(queries, projection, k)?;
        if k > 0 {
            for (best, hits) in best.iter().zip(hits.chunks_exact_mut(k)) {
                copy_hits(best, hits);
            }
        }
        found.set(k.min(index.len()));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_search_batch", error, body) }
}

/// Frees an index. NULL is allowed.
///
/// # Safety
/// `index` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_free(index: *mut IndexHandle) {
    // SAFETY: the caller gives the index back.
    guard::value("projection_index_free", (), || unsafe { guard::free(index) })
}

/// The model to project queries with, if there is one.
///
/// # Safety
/// `model` is NULL or live for `'a`.
pub(crate) unsafe fn projection<'a>(model: *const ModelHandle) -> Option<&'a dyn Projection> {
    // SAFETY: the caller's promise.
    unsafe { model.as_ref() }.map(|model| &model.model as &dyn Projection)
}

/// The dimension that queries must have.
pub(crate) fn query_dim_of(index: &Index, projection: Option<&dyn Projection>) -> usize {
    projection.map_or(index.dim(), |projection| projection.input_dim())
}

pub(crate) fn copy_hits(best: &[projection_store::search::Hit], hits: &mut [Hit]) {
    for (best, hit) in best.iter().zip(hits) {
        *hit = Hit { answer_id: best.answer_id, score: best.score };
    }
}

/// A text for C, which can't hold NUL.
pub(crate) fn without_nul(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
