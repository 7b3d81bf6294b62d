//! Checks of what callers pass.
//!
//! The macros name the argument in errors by the name of the variable, and contain the `unsafe`
//! blocks that rely on the header's rules (see the crate's documentation).

use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

use ndarray::ArrayView2;
use projection_core::{Error, ErrorKind, Result};

/// A handle that must not be NULL.
macro_rules! handle {
    ($handle:ident) => {
        $crate::argument::required(stringify!($handle), $handle)?
    };
}

/// A text.
macro_rules! text {
    ($text:ident) => {
        // SAFETY: the header requires NULL or a text that lives until the call returns.
        unsafe { $crate::argument::text(stringify!($text), $text) }?
    };
}

/// A text that may be NULL.
macro_rules! optional_text {
    ($text:ident) => {
        match $text.is_null() {
            true => None,
            false => Some(text!($text)),
        }
    };
}

/// A file name.
macro_rules! path {
    ($path:ident) => {
        $crate::argument::path(stringify!($path), text!($path))?
    };
}

/// `n` texts, each of which may be NULL. All are `None` if the array is NULL.
macro_rules! optional_texts {
    ($texts:ident, $n:expr) => {
        match $texts.is_null() {
            true => vec![None; $n],
            // SAFETY: the header requires `n` entries that are NULL or texts.
            false => unsafe { $crate::argument::texts(stringify!($texts), $texts, $n) }?,
        }
    };
}

/// `n` texts, none of which may be NULL.
macro_rules! texts {
    ($texts:ident, $n:expr) => {
        // SAFETY: the header requires NULL or `n` entries that are NULL or texts.
        unsafe { $crate::argument::texts(stringify!($texts), $texts, $n) }?
            .into_iter()
            .enumerate()
            .map(|(i, text)| {
                text.ok_or_else(|| {
                    $crate::argument::invalid(&format!("{}[{i}]", stringify!($texts)), "is NULL")
                })
            })
            .collect::<projection_core::Result<Vec<_>>>()?
    };
}

/// An array of `len` values, to read.
macro_rules! slice {
    ($values:ident, $len:expr) => {
        // SAFETY: the header requires NULL or an array of this length.
        unsafe { $crate::argument::Buffer::new(stringify!($values), $values, $len)?.read()? }
    };
}

/// An array of `rows` × `columns` values, row-major, to read.
macro_rules! matrix {
    ($values:ident, $rows:expr, $columns:expr) => {{
        let len = $crate::argument::product(stringify!($values), $rows, $columns)?;
        $crate::argument::matrix(slice!($values, len), $rows, $columns)?
    }};
}

/// An output.
macro_rules! out {
    ($place:ident) => {
        // SAFETY: the header requires NULL or a place that may be written until the call
        // returns.
        unsafe { $crate::argument::Out::new(stringify!($place), $place) }?
    };
}

/// An invalid argument.
#[cold]
#[inline(never)]
pub fn invalid(name: &str, what: impl Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("argument {name} {what}"))
}

/// An array of the wrong length.
#[cold]
#[inline(never)]
fn wrong_len(name: &str, len: usize, expected: usize) -> Error {
    let message = format!("argument {name} has the length {len}, expected {expected}");
    Error::new(ErrorKind::BufferSize, message)
}

/// A handle that must not be NULL.
#[inline]
pub fn required<'a, T>(name: &str, handle: Option<&'a T>) -> Result<&'a T> {
    handle.ok_or_else(|| invalid(name, "is NULL"))
}

/// Refuses NULL and addresses that a `T` cannot have.
#[inline]
fn checked<T>(name: &str, pointer: *mut T) -> Result<NonNull<T>> {
    match NonNull::new(pointer) {
        Some(pointer) if pointer.is_aligned() => Ok(pointer),
        Some(_) => Err(invalid(name, format_args!("is not aligned to {} bytes", align_of::<T>()))),
        None => Err(invalid(name, "is NULL")),
    }
}

/// # Safety
/// `text` is NULL or ends with NUL, and lives for `'a`.
pub unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<&'a str> {
    let text = checked(name, text.cast_mut())?;
    // SAFETY: the caller promises that the text ends with NUL and lives; it is not NULL.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().map_err(|error| {
        invalid(name, format_args!("is not UTF-8: the byte at {}", error.valid_up_to()))
    })
}

/// # Safety
/// `texts` is NULL or has `n` entries, each of which is NULL or ends with NUL; all live for
/// `'a`.
pub unsafe fn texts<'a>(
    name: &'static str,
    texts: *const *const c_char,
    n: usize,
) -> Result<Vec<Option<&'a str>>> {
    // SAFETY: the caller promises `n` entries.
    let entries = unsafe { Buffer::new(name, texts, n)?.read()? }.iter().enumerate();
    let read = |(i, entry): (usize, &*const c_char)| match entry.is_null() {
        true => Ok(None),
        // SAFETY: the caller promises that entries which are not NULL are texts.
        false => unsafe { text(&format!("{name}[{i}]"), *entry) }.map(Some),
    };
    entries.map(read).collect()
}

/// A file name, which must not be empty.
pub fn path<'a>(name: &str, text: &'a str) -> Result<&'a Path> {
    match text.is_empty() {
        true => Err(invalid(name, "is empty, expected a path")),
        false => Ok(Path::new(text)),
    }
}

/// The product of two sizes that the caller passed.
pub fn product(name: &str, rows: usize, columns: usize) -> Result<usize> {
    let too_large = || format!("of {rows} × {columns} values, more than memory can hold");
    rows.checked_mul(columns).ok_or_else(|| invalid(name, too_large()))
}

/// A matrix of `rows` × `columns` values.
pub fn matrix(values: &[f32], rows: usize, columns: usize) -> Result<ArrayView2<'_, f32>> {
    ArrayView2::from_shape((rows, columns), values).map_err(shape)
}

/// The error for an array with the right number of values that cannot be a matrix.
pub fn shape(error: ndarray::ShapeError) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("number of vectors: {error}"))
}

/// Refuses vectors of another dimension than expected.
#[inline]
pub fn expect_dim(name: &str, found: usize, expected: usize) -> Result<()> {
    #[cold]
    #[inline(never)]
    fn wrong(name: &str, found: usize, expected: usize) -> Error {
        let message = format!("{name} of dimension {found}, expected {expected}");
        Error::new(ErrorKind::DimensionMismatch, message)
    }
    if found == expected { Ok(()) } else { Err(wrong(name, found, expected)) }
}

/// An array of the caller: not NULL unless it is empty, and aligned. A slice is made only once
/// the length is known to be right: a slice of memory that does not exist must not exist, even
/// unused.
pub struct Buffer<T> {
    name: &'static str,
    values: NonNull<T>,
    len: usize,
}

impl<T> Buffer<T> {
    #[inline]
    pub fn new(name: &'static str, values: *const T, len: usize) -> Result<Self> {
        let values = match len {
            0 => NonNull::dangling(),
            _ => checked(name, values.cast_mut())?,
        };
        Ok(Self { name, values, len })
    }

    /// An array that the caller may leave out, as NULL with the length 0.
    #[inline]
    pub fn optional(name: &'static str, values: *const T, len: usize) -> Result<Option<Self>> {
        if values.is_null() && len == 0 {
            return Ok(None);
        }
        Self::new(name, values, len).map(Some)
    }

    #[inline]
    pub fn expect_len(&self, expected: usize) -> Result<()> {
        if self.len == expected {
            return Ok(());
        }
        Err(wrong_len(self.name, self.len, expected))
    }

    /// Refuses an array that overlaps another one.
    #[inline]
    pub fn expect_apart(&self, others: &[Range<usize>]) -> Result<()> {
        let own = self.addresses();
        let overlaps = |other: &Range<usize>| {
            let filled = !own.is_empty() && !other.is_empty();
            filled && own.start < other.end && other.start < own.end
        };
        if others.iter().any(overlaps) {
            return Err(invalid(self.name, "overlaps another array"));
        }
        Ok(())
    }

    /// The addresses of the values.
    #[inline]
    pub fn addresses(&self) -> Range<usize> {
        let start = self.values.addr().get();
        start..start.saturating_add(self.len.saturating_mul(size_of::<T>()))
    }

    /// The values, to read.
    ///
    /// # Safety
    /// There are as many values as the length says, and they live for `'a`.
    #[inline]
    pub unsafe fn read<'a>(self) -> Result<&'a [T]> {
        self.expect_possible_size()?;
        // SAFETY: the caller promises that the values exist; the address is aligned and not
        // NULL, and the size is possible.
        Ok(unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) })
    }

    /// The values, to write.
    ///
    /// # Safety
    /// There are as many values as the length says, they live for `'a`, and nothing else refers
    /// to them, which [`expect_apart`](Self::expect_apart) checks.
    #[inline]
    pub unsafe fn write<'a>(self) -> Result<&'a mut [T]> {
        self.expect_possible_size()?;
        // SAFETY: the caller promises that the values exist and that nothing else refers to
        // them; the address is aligned and not NULL, and the size is possible.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) })
    }

    #[inline]
    fn expect_possible_size(&self) -> Result<()> {
        if self.len <= isize::MAX as usize / size_of::<T>() {
            return Ok(());
        }
        Err(invalid(
            self.name,
            format_args!("has the length {}, more than memory can hold", self.len),
        ))
    }
}

/// A place for an output.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written until the function returns.
    pub unsafe fn new(name: &str, place: *mut T) -> Result<Self> {
        checked(name, place).map(Self)
    }

    pub fn set(self, value: T) {
        // SAFETY: whoever called `new` promised that the place may be written.
        unsafe { self.0.write(value) }
    }
}

impl<T> Out<*mut T> {
    /// Hands a new handle over to the caller.
    pub fn give(self, value: T) {
        self.set(Box::into_raw(Box::new(value)));
    }
}
