//! Making a store.

use std::ffi::c_char;

use projection_store::Store;

use crate::argument::path;
use crate::error::{ErrorHandle, Status};
use crate::guard;

/// Makes an empty store whose database is the file `database`, where there is none; its
/// folder must exist. The database of a store that is there is checked, and gets the tables
/// that early programs did not know.
///
/// # Safety
/// `database` is NULL or a text; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_create(
    database: *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promise.
        Store::open_or_create(unsafe { path("database", database) }?)?;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_store_create", error, body) }
}
