//! Answers that are searched.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use projection_core::projection::Projection;
use projection_store::search::{Index, Searcher};

use crate::argument::Buffer;
use crate::error::{ErrorHandle, Status, without_nul};
use crate::model::ModelHandle;

/// Answer vectors with their ids, and their texts if they come from a store. Free it with
/// projection_searcher_free. Any number of threads may use it at once: a change waits until the
/// running searches end, and searches wait for it.
pub struct SearcherHandle {
    searcher: RwLock<Searcher>,
    /// Texts for C. They are made when they are asked for and live as long as the searcher, even
    /// if their answers are removed.
    texts: Mutex<HashMap<i64, Vec<CString>>>,
}

impl SearcherHandle {
    pub(crate) fn new(searcher: Searcher) -> Self {
        Self { searcher: RwLock::new(searcher), texts: Mutex::default() }
    }

    /// For searches. A change that panicked has left nothing that would keep a search from being
    /// correct.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Searcher> {
        self.searcher.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changes.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Searcher> {
        self.searcher.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A text that stays where it is as long as the searcher lives.
    fn text(&self, answer_id: i64) -> Option<*const c_char> {
        let searcher = self.read();
        let text = searcher.text(answer_id)?;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = texts.entry(answer_id).or_default();
        // An id that was removed and added again may have another text than before.
        let same = |made: &CString| made.as_bytes() == text.as_bytes();
        if !made.last().is_some_and(|made| same(made) || text.contains('\0')) {
            made.push(without_nul(text));
        }
        made.last().map(|text| text.as_ptr())
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

/// The text of an answer, valid until the searcher is freed; NULL if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_text(
    searcher: Option<&SearcherHandle>,
    answer_id: i64,
) -> *const c_char {
    panic_boundary!(std::ptr::null(), {
        let text = searcher.and_then(|searcher| searcher.text(answer_id));
        text.unwrap_or(std::ptr::null())
    })
}

/// Frees a searcher. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_searcher_free(searcher: Option<Box<SearcherHandle>>) {
    panic_boundary!((), drop(searcher))
}
