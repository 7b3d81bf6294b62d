//! Answers that are searched.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use projection_core::Result;
use projection_core::projection::Projection;
use projection_store::search::{Index, Searcher};

use crate::argument::Buffer;
use crate::error::{ErrorHandle, Status, without_nul};
use crate::json::TextHandle;
use crate::model::ModelHandle;

/// Answer vectors with their ids, and their texts if they come from a store. Free it with
/// projection_searcher_free. Any number of threads may use it at once. A search finds the answers
/// as they were before a change or as they are after it; changes wait for each other, and none
/// waits for the search of a batch.
pub struct SearcherHandle {
    searcher: RwLock<Arc<Searcher>>,
    /// Held during a change.
    changes: Mutex<()>,
}

impl SearcherHandle {
    pub(crate) fn new(searcher: Searcher) -> Self {
        Self { searcher: RwLock::new(Arc::new(searcher)), changes: Mutex::default() }
    }

    /// For calls that take little time: changes wait for them.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Arc<Searcher>> {
        // A change that panicked has left nothing that would keep a search from being correct.
        self.searcher.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers as they are now, for calls that take long. The next change copies them if it
    /// comes before the call ends.
    pub(crate) fn snapshot(&self) -> Arc<Searcher> {
        Arc::clone(&self.read())
    }

    /// Changes the answers.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Searcher) -> T) -> T {
        let _alone = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut searcher = self.searcher.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut searcher))
    }

    /// Changes a copy of the answers, which takes long, and puts it in their place if it succeeds.
    /// Searches do not wait meanwhile, only other changes.
    pub(crate) fn change_copy<T>(
        &self,
        change: impl FnOnce(&mut Searcher) -> Result<T>,
    ) -> Result<T> {
        let _alone = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut copy = Searcher::clone(&self.snapshot());
        let changed = change(&mut copy)?;
        *self.searcher.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(copy);
        Ok(changed)
    }
}

/// The dimension that queries must have.
pub(crate) fn query_dim(searcher: &Searcher, model: Option<&ModelHandle>) -> usize {
    model.map_or(searcher.index().dim(), |model| model.shape.input_dim)
}

/// The model as the engine takes it.
pub(crate) fn projection(model: Option<&ModelHandle>) -> Option<&dyn Projection> {
    model.map(|model| &model.model as &dyn Projection)
}

/// Makes a searcher of `n` vectors of `dim` values each, which are copied. `ids` holds `n`
/// different ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_from_vectors(
    ids: *const i64,
    vectors: *const f32,
    n: usize,
    dim: usize,
    searcher: *mut *mut SearcherHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (ids, vectors) = (slice!(ids, n), matrix!(vectors, n, dim));
        let (out, index) = (out!(searcher), Index::from_vectors(ids, vectors)?);
        out.give(SearcherHandle::new(Searcher::from_index(index)));
    })
}

/// Number of answers; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_len(searcher: Option<&SearcherHandle>) -> usize {
    panic_boundary!(0, searcher.map_or(0, |searcher| searcher.read().index().len()))
}

/// Dimension of the answers' vectors; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_dim(searcher: Option<&SearcherHandle>) -> usize {
    panic_boundary!(0, searcher.map_or(0, |searcher| searcher.read().index().dim()))
}

/// Ids of the answers in the searcher's order. `ids_len` is the number of answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_ids(
    searcher: Option<&SearcherHandle>,
    ids: *mut i64,
    ids_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let searcher = handle!(searcher).read();
        let ids = Buffer::new("ids", ids, ids_len)?;
        ids.expect_len(searcher.index().len())?;
        // SAFETY: the header requires an array of this length.
        unsafe { ids.write() }?.copy_from_slice(searcher.index().ids());
    })
}

/// Copies the vectors at length 1 that a search with `model` compares with, for another index: the
/// answers where `model` moves them, see projection_model_moves_answers, or as they are with NULL.
/// The rows of `vectors` are in the searcher's order, `vectors_len` = number of answers * dimension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_vectors(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    vectors: *mut f32,
    vectors_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let searcher = handle!(searcher).read();
        let vectors = Buffer::new("vectors", vectors, vectors_len)?;
        let index = searcher.index();
        vectors.expect_len(index.units().len())?;
        let found = index.vectors_for(projection(model))?;
        // SAFETY: the header requires an array of this length.
        unsafe { vectors.write() }?.copy_from_slice(&found);
    })
}

/// Returns a copy of the text of an answer, in which NUL characters are spaces. `text` receives NULL
/// if it has none, or if there is no such answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_text(
    searcher: Option<&SearcherHandle>,
    answer_id: i64,
    text: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, out) = (handle!(searcher).read(), out!(text));
        match searcher.text(answer_id) {
            Some(text) => out.give(TextHandle::new(without_nul(text))),
            None => out.set(std::ptr::null_mut()),
        }
    })
}

/// Frees a searcher. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_free(searcher: Option<Box<SearcherHandle>>) {
    panic_boundary!((), drop(searcher))
}
