//! Stores.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use projection_store::{Searcher, Store};
use serde::Deserialize;

use crate::error::{ErrorHandle, Status};
use crate::model::{Kind, ModelHandle, kind_of};
use crate::model_copy::{IndexStatsC, give_stats};
use crate::progress::ProgressC;
use crate::searcher::SearcherHandle;

/// An open store. Free it with projection_store_free. Any number of threads may use it; their
/// calls wait for each other. Models and searchers opened from a store do not depend on it.
pub struct StoreHandle(Mutex<Store>);

impl StoreHandle {
    /// A call that panicked left no open change behind.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreOptions {
    mode: Mode,
    allow_outside_paths: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Read,
    Write,
    Create,
}

/// Opens the store whose database is the file `database`, such as lda.db.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "mode": "read", the default; "write"; or "create", which also creates an empty store if there
///   is none, in a folder that must exist, and adds tables that early programs did not know
/// - "allow_outside_paths": true to let paths in the database lead outside the store's folder,
///   only for databases that are trusted
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_open(
    database: *const c_char,
    options: *const c_char,
    store: *mut *mut StoreHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, out) = (path!(database), out!(store));
        let options: StoreOptions = json_options!(options);
        let store = match options.mode {
            Mode::Read => Store::open_read_only(database)?,
            Mode::Write => Store::open(database)?,
            Mode::Create => Store::open_or_create(database)?,
        };
        let store = store.allow_outside_paths(options.allow_outside_paths);
        out.give(StoreHandle(Mutex::new(store)));
    })
}

/// Opens projection `id` at the temperature stored in the database, as a model of `kind`, a
/// projection_kind; PROJECTION_KIND_UNKNOWN opens it as what it is. Existing stores may have a
/// linear projection and one with heads with the same id: then the one with heads, unless `kind`
/// is PROJECTION_KIND_LINEAR. A residual projection can be opened as a multi-head one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_model(
    store: Option<&StoreHandle>,
    id: i64,
    kind: i32,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, out) = (handle!(store).lock(), out!(model));
        let opened = match kind == Kind::Unknown as i32 {
            true => store.model(id)?,
            false => store.model_of_kind(kind_of(kind)?, id)?,
        };
        out.give(ModelHandle::new(opened));
    })
}

/// Opens the active projection for queries by the embedding model `model_name`, of any kind; NULL
/// stands for the embedding model of the last activation. It is PROJECTION_STATUS_NOT_FOUND if
/// there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_active_model(
    store: Option<&StoreHandle>,
    model_name: *const c_char,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, model_name) = (handle!(store).lock(), optional_text!(model_name));
        let out = out!(model);
        out.give(ModelHandle::new(store.open_active_model(model_name)?));
    })
}

/// Reads the answers of a store. `model_name` is the embedding model whose vectors are read; NULL
/// stands for the only one there is. The searcher is a snapshot of the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_searcher(
    store: Option<&StoreHandle>,
    model_name: *const c_char,
    searcher: *mut *mut SearcherHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, model_name) = (handle!(store).lock(), optional_text!(model_name));
        let out = out!(searcher);
        out.give(SearcherHandle::new(store.searcher(model_name)?));
    })
}

/// Makes a searcher of the centroids of the heads of projection `id`, whose answer ids are the
/// heads' clusters. It is PROJECTION_STATUS_NOT_FOUND if the projection has no heads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_head_searcher(
    store: Option<&StoreHandle>,
    id: i64,
    searcher: *mut *mut SearcherHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, out) = (handle!(store).lock(), out!(searcher));
        out.give(SearcherHandle::new(Searcher::from_index(store.head_index(id)?)));
    })
}

/// Builds an approximate index of projection `id` as projection_model_build_index does, and stores
/// it in a file beside the projection's others. Whoever opens the projection afterwards has it;
/// programs that do not know it are not affected. `stats`, which may be NULL, receives what was
/// measured. If an index is not worth building, none is stored.
///
/// An index that is damaged, or was built from other vectors than the projection has now, is
/// ignored: rebuild it. projection_store_index_stats reports that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_build_index(
    store: Option<&StoreHandle>,
    id: i64,
    threads: usize,
    progress: ProgressC,
    context: *mut c_void,
    stats: *mut IndexStatsC,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let mut progress = reporter!(progress, context).progress();
        let measured = handle!(store).lock().build_index(id, threads, &mut progress)?;
        // SAFETY: the header requires NULL or a place that may be written.
        unsafe { give_stats(stats, measured)? }
    })
}

/// Recall and cost measured while building the stored index of projection `id`, in `stats`, which
/// may be NULL; without a stored index, one inverted list that is read as a whole. It is
/// PROJECTION_STATUS_INVALID_MODEL if the index is damaged or was built from other vectors than the
/// projection has now: the projection opens without it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_index_stats(
    store: Option<&StoreHandle>,
    id: i64,
    stats: *mut IndexStatsC,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let measured = handle!(store).lock().check_index(id)?;
        // SAFETY: the header requires NULL or a place that may be written.
        unsafe { give_stats(stats, measured)? }
    })
}

/// Frees a store. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_store_free(store: Option<Box<StoreHandle>>) {
    panic_boundary!((), drop(store))
}
