//! Structures of options. They begin with their own size, so that later versions can add
//! to their end.

use std::ffi::c_char;
use std::path::PathBuf;

use crate::argument::{handle, path, text};
use crate::error::{ErrorHandle, Failure, Status};

/// Largest structure that a later version may have.
const LARGEST: usize = 4096;

/// A structure of options.
///
/// # Safety
/// `#[repr(C)]`, and the first field is `size: usize`.
pub unsafe trait Options: Copy {
    /// Its name in C.
    const NAME: &'static str;
}

/// The options of a caller, who may know more or fewer of them.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its first field says.
pub unsafe fn read_options<T: Options>(options: *const T) -> Result<T, Failure> {
    let invalid = |what: String| ErrorHandle::new(Status::InvalidArgument, &what);
    // SAFETY: the caller's promise; only the size is read so far.
    let size = *unsafe { handle("options", options.cast::<usize>()) }?;
    let known = size_of::<T>();
    if !(known..=LARGEST).contains(&size) {
        return Err(invalid(format!(
            "argument options has the size {size}, expected {known}: set options.size to \
             sizeof({})",
            T::NAME
        )));
    }
    // SAFETY: the caller's promise, and the size is at least the one that is read.
    let found = *unsafe { handle("options", options) }?;
    // SAFETY: the caller's promise about the size.
    let rest = unsafe { std::slice::from_raw_parts(options.cast::<u8>().add(known), size - known) };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(invalid("argument options has fields that this version does not know".into()));
    }
    Ok(found)
}

/// The same; NULL stands for the defaults.
///
/// # Safety
/// As [`read_options`].
pub unsafe fn options_or_none<T: Options>(options: *const T) -> Result<Option<T>, Failure> {
    match options.is_null() {
        true => Ok(None),
        // SAFETY: the caller's promise.
        false => Ok(Some(unsafe { read_options(options) }?)),
    }
}

/// A text that may be NULL.
///
/// # Safety
/// As [`text`].
pub unsafe fn optional_text<'a>(
    name: &str,
    value: *const c_char,
) -> Result<Option<&'a str>, Failure> {
    match value.is_null() {
        true => Ok(None),
        // SAFETY: the caller's promise.
        false => Ok(Some(unsafe { text(name, value) }?)),
    }
}

/// A text that may be NULL, to keep.
///
/// # Safety
/// As [`text`].
pub unsafe fn optional_string(name: &str, value: *const c_char) -> Result<Option<String>, Failure> {
    // SAFETY: the caller's promise.
    Ok(unsafe { optional_text(name, value) }?.map(str::to_string))
}

/// A file name that may be NULL.
///
/// # Safety
/// As [`path`].
pub unsafe fn optional_path(name: &str, value: *const c_char) -> Result<Option<PathBuf>, Failure> {
    match value.is_null() {
        true => Ok(None),
        // SAFETY: the caller's promise.
        false => Ok(Some(unsafe { path(name, value) }?.to_path_buf())),
    }
}

/// A yes or no, 1 or 0.
pub fn flag(name: &str, value: i32) -> Result<bool, Failure> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => {
            let message = format!("argument {name} is {value}, expected 0 or 1");
            Err(ErrorHandle::new(Status::InvalidArgument, &message))
        }
    }
}
