//! Checks of what callers pass.

use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

use crate::error::{ErrorHandle, Failure, Status};

#[cold]
#[inline(never)]
fn invalid(name: &str, what: impl Display) -> Failure {
    ErrorHandle::new(Status::InvalidArgument, &format!("argument {name} {what}"))
}

/// Refuses NULL and addresses that a `T` can't have.
#[inline]
fn checked<T>(name: &str, pointer: *mut T) -> Result<NonNull<T>, Failure> {
    match NonNull::new(pointer) {
        Some(pointer) if pointer.is_aligned() => Ok(pointer),
        Some(_) => Err(misaligned(name, align_of::<T>())),
        None => Err(null(name)),
    }
}

// What is wrong is said out of line, from nothing but numbers and names: where all is right,
// none of it then needs a place in memory.

#[cold]
#[inline(never)]
fn null(name: &str) -> Failure {
    invalid(name, "is NULL")
}

#[cold]
#[inline(never)]
fn misaligned(name: &str, align: usize) -> Failure {
    invalid(name, format_args!("is not aligned to {align} bytes"))
}

#[cold]
#[inline(never)]
fn wrong_dim(name: &str, found: usize, expected: usize) -> Failure {
    let message = format!("{name} of dimension {found}, expected {expected}");
    ErrorHandle::new(Status::DimensionMismatch, &message)
}

#[cold]
#[inline(never)]
fn wrong_len(name: &str, found: usize, expected: usize) -> Failure {
    let message = format!("argument {name} has the length {found}, expected {expected}");
    ErrorHandle::new(Status::BufferSize, &message)
}

#[cold]
#[inline(never)]
fn too_short(name: &str, found: usize, at_least: usize) -> Failure {
    let message = format!("argument {name} has the length {found}, expected at least {at_least}");
    ErrorHandle::new(Status::BufferSize, &message)
}

#[cold]
#[inline(never)]
fn too_large(name: &str, len: usize) -> Failure {
    invalid(name, format_args!("has the length {len}, more than memory can hold"))
}

#[cold]
#[inline(never)]
fn overlapping(name: &str) -> Failure {
    invalid(name, "overlaps another array")
}

/// A handle that is needed.
///
/// # Safety
/// `handle` is NULL or live for `'a`.
#[inline]
pub unsafe fn handle<'a, T>(name: &str, handle: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// A text.
///
/// # Safety
/// `text` is NULL or ends with NUL, and lives for `'a`.
pub unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<&'a str, Failure> {
    let text = checked(name, text.cast_mut())?;
    // SAFETY: the caller's promise, and it is not NULL.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().map_err(|error| {
        invalid(name, format_args!("is not UTF-8: the byte at {}", error.valid_up_to()))
    })
}

/// A file name.
///
/// # Safety
/// As [`text`].
pub unsafe fn path<'a>(name: &str, path: *const c_char) -> Result<&'a Path, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { text(name, path) }?;
    if text.is_empty() {
        return Err(invalid(name, "is empty, expected a path"));
    }
    Ok(Path::new(text))
}

/// The product of two sizes that the caller passed.
pub fn product(name: &str, rows: usize, columns: usize) -> Result<usize, Failure> {
    rows.checked_mul(columns).ok_or_else(|| {
        invalid(name, format_args!("of {rows} × {columns} values, more than memory can hold"))
    })
}

/// Refuses vectors of another dimension than expected.
#[inline]
pub fn expect_dim(name: &str, found: usize, expected: usize) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(wrong_dim(name, found, expected))
}

/// A caller's array: not NULL unless it is empty, and aligned. Its values are referred to
/// only once its length is known to be right: callers get lengths wrong, and a reference to
/// memory that is not there must not exist, even unused.
pub struct Buffer<T> {
    name: &'static str,
    values: NonNull<T>,
    len: usize,
}

impl<T> Buffer<T> {
    #[inline]
    pub fn new(name: &'static str, values: *const T, len: usize) -> Result<Self, Failure> {
        let values = match len {
            0 => NonNull::dangling(),
            _ => checked(name, values.cast_mut())?,
        };
        Ok(Self { name, values, len })
    }

    #[inline]
    pub fn expect_len(&self, expected: usize) -> Result<(), Failure> {
        if self.len == expected {
            return Ok(());
        }
        Err(wrong_len(self.name, self.len, expected))
    }

    pub fn expect_room(&self, at_least: usize) -> Result<(), Failure> {
        if self.len < at_least {
            return Err(too_short(self.name, self.len, at_least));
        }
        self.expect_possible_size()
    }

    /// Refuses an array that overlaps another one.
    #[inline]
    pub fn expect_apart(&self, others: &[Range<usize>]) -> Result<(), Failure> {
        let own = self.addresses();
        let overlaps = |other: &Range<usize>| {
            let filled = !own.is_empty() && !other.is_empty();
            filled && own.start < other.end && other.start < own.end
        };
        if others.iter().any(overlaps) {
            return Err(overlapping(self.name));
        }
        Ok(())
    }

    /// The addresses that the values take.
    #[inline]
    pub fn addresses(&self) -> Range<usize> {
        let start = self.values.addr().get();
        start..start.saturating_add(self.len.saturating_mul(size_of::<T>()))
    }

    /// The values, to read.
    ///
    /// # Safety
    /// There are as many as the length says, and they live for `'a`.
    #[inline]
    pub unsafe fn read<'a>(self) -> Result<&'a [T], Failure> {
        self.expect_possible_size()?;
        // SAFETY: the caller's promise; not NULL, aligned, and of a possible size.
        Ok(unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) })
    }

    /// The values, to write.
    ///
    /// # Safety
    /// As [`read`](Self::read), and nothing else refers to them, which
    /// [`expect_apart`](Self::expect_apart) makes sure of.
    #[inline]
    pub unsafe fn write<'a>(self) -> Result<&'a mut [T], Failure> {
        self.expect_possible_size()?;
        // SAFETY: as for `read`, and nothing else refers to the values.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) })
    }

    #[inline]
    fn expect_possible_size(&self) -> Result<(), Failure> {
        if self.len <= isize::MAX as usize / size_of::<T>() {
            return Ok(());
        }
        Err(too_large(self.name, self.len))
    }
}

/// A place for an output.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written until the function returns.
    pub unsafe fn new(name: &str, place: *mut T) -> Result<Self, Failure> {
        checked(name, place).map(Self)
    }

    /// The addresses that the place takes.
    pub fn addresses(&self) -> Range<usize> {
        let start = self.0.addr().get();
        start..start.saturating_add(size_of::<T>())
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
