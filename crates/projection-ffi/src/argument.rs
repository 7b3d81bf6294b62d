//! Checks of what callers pass.

use std::ffi::{CStr, c_char};
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

use ndarray::ArrayView2;

use crate::error::{ErrorHandle, Status};

fn null(name: &str) -> ErrorHandle {
    ErrorHandle::new(Status::InvalidArgument, &format!("argument {name} is NULL"))
}

/// A handle that is needed.
///
/// # Safety
/// `handle` is NULL or live for `'a`.
pub unsafe fn handle<'a, T>(name: &str, handle: *const T) -> Result<&'a T, ErrorHandle> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// A text.
///
/// # Safety
/// `text` is NULL or ends with NUL, and lives for `'a`.
pub unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<&'a str, ErrorHandle> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's promise, and it is not NULL.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|error| {
        ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} is not UTF-8: the byte at {}", error.valid_up_to()),
        )
    })
}

/// A file name.
///
/// # Safety
/// As [`text`].
pub unsafe fn path<'a>(name: &str, path: *const c_char) -> Result<&'a Path, ErrorHandle> {
    // SAFETY: the caller's promise.
    let text = unsafe { text(name, path) }?;
    if text.is_empty() {
        return Err(ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} is empty, expected a path"),
        ));
    }
    Ok(Path::new(text))
}

/// Values to read.
///
/// # Safety
/// `values` is NULL or points to `len` values that live for `'a`.
pub unsafe fn slice<'a, T>(
    name: &str,
    values: *const T,
    len: usize,
) -> Result<&'a [T], ErrorHandle> {
    let values = checked_array(name, values.cast_mut(), len)?;
    // SAFETY: the caller's promise; not NULL, aligned, and of a size that memory can have.
    Ok(unsafe { std::slice::from_raw_parts(values.as_ptr(), len) })
}

/// Values to write. They must not overlap any input, which [`check_apart`] makes sure of.
///
/// # Safety
/// `values` is NULL or points to `len` values that live for `'a` and that nothing else
/// refers to.
pub unsafe fn slice_mut<'a, T>(
    name: &str,
    values: *mut T,
    len: usize,
) -> Result<&'a mut [T], ErrorHandle> {
    let values = checked_array(name, values, len)?;
    // SAFETY: as for `slice`, and nothing else refers to the values.
    Ok(unsafe { std::slice::from_raw_parts_mut(values.as_ptr(), len) })
}

fn checked_array<T>(name: &str, values: *mut T, len: usize) -> Result<NonNull<T>, ErrorHandle> {
    if len == 0 {
        return Ok(NonNull::dangling());
    }
    let pointer = NonNull::new(values).ok_or_else(|| null(name))?;
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} has the length {len}, more than memory can hold"),
        ));
    }
    if !pointer.is_aligned() {
        return Err(ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} is not aligned to {} bytes", align_of::<T>()),
        ));
    }
    Ok(pointer)
}

/// The product of two sizes that the caller passed.
pub fn product(name: &str, rows: usize, columns: usize) -> Result<usize, ErrorHandle> {
    rows.checked_mul(columns).ok_or_else(|| {
        ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} of {rows} × {columns} values, more than memory can hold"),
        )
    })
}

/// A row-major matrix to read.
///
/// # Safety
/// As [`slice`], with rows · columns values.
pub unsafe fn matrix<'a>(
    name: &str,
    values: *const f32,
    rows: usize,
    columns: usize,
) -> Result<ArrayView2<'a, f32>, ErrorHandle> {
    // SAFETY: the caller's promise.
    let values = unsafe { slice(name, values, product(name, rows, columns)?) }?;
    ArrayView2::from_shape((rows, columns), values)
        .map_err(|error| ErrorHandle::new(Status::InvalidArgument, &format!("{name}: {error}")))
}

/// The addresses of an array, to see whether arrays overlap.
pub fn addresses<T>(values: *const T, len: usize) -> Range<usize> {
    let start = values.addr();
    start..start.saturating_add(len.saturating_mul(size_of::<T>()))
}

/// Refuses an output that overlaps another array.
pub fn check_apart(
    name: &str,
    output: &Range<usize>,
    others: &[Range<usize>],
) -> Result<(), ErrorHandle> {
    let overlaps = |other: &Range<usize>| {
        let filled = !output.is_empty() && !other.is_empty();
        filled && output.start < other.end && other.start < output.end
    };
    if others.iter().any(overlaps) {
        return Err(ErrorHandle::new(
            Status::InvalidArgument,
            &format!("argument {name} overlaps another array"),
        ));
    }
    Ok(())
}

/// Refuses a buffer that is not of the expected length.
pub fn check_len(name: &str, found: usize, expected: usize) -> Result<(), ErrorHandle> {
    if found == expected {
        return Ok(());
    }
    Err(ErrorHandle::new(
        Status::BufferSize,
        &format!("argument {name} has the length {found}, expected {expected}"),
    ))
}

/// A place for an output.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written until the function returns.
    pub unsafe fn new(name: &str, place: *mut T) -> Result<Self, ErrorHandle> {
        NonNull::new(place).map(Self).ok_or_else(|| null(name))
    }

    pub fn set(self, value: T) {
        // SAFETY: promised when `self` was made.
        unsafe { self.0.write(value) }
    }
}

impl<T> Out<*mut T> {
    /// Hands a new handle over to the caller.
    pub fn give(self, value: T) {
        self.set(Box::into_raw(Box::new(value)));
    }
}
