//! Arrays from `.npy` files.

use std::ffi::c_char;

use projection_core::npy::NpyArray;

use crate::argument::{Out, handle, path};
use crate::error::{ErrorHandle, Status};
use crate::guard;

/// An array of floats. Free it with projection_array_free. May be used by many threads at
/// once.
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Loads a .npy file of float16, float32 or float64 numbers, little-endian, of one or two
/// dimensions, in any order. The values become row-major float32.
///
/// # Safety
/// `path` is NULL or a text; `array` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_load(
    path: *const c_char,
    array: *mut *mut Array,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (path, out) = unsafe { (self::path("path", path)?, Out::new("array", array)?) };
        let file = NpyArray::load(path)?;
        out.give(Array { shape: file.shape().to_vec(), values: file.to_f32()? });
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_array_load", error, body) }
}

/// Number of dimensions, 1 or 2; 0 for NULL.
///
/// # Safety
/// `array` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_ndim(array: *const Array) -> usize {
    guard::value("projection_array_ndim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("array", array) }.map_or(0, |array| array.shape.len())
    })
}

/// Length of the dimension `axis`, counted from 0; 0 where there is none and for NULL.
///
/// # Safety
/// `array` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_shape(array: *const Array, axis: usize) -> usize {
    guard::value("projection_array_shape", 0, || {
        // SAFETY: the caller's promise.
        let array = unsafe { handle("array", array) };
        array.ok().and_then(|array| array.shape.get(axis).copied()).unwrap_or(0)
    })
}

/// Number of values; 0 for NULL.
///
/// # Safety
/// `array` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_len(array: *const Array) -> usize {
    guard::value("projection_array_len", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("array", array) }.map_or(0, |array| array.values.len())
    })
}

/// The values, row-major, valid until the array is freed; NULL for NULL.
///
/// # Safety
/// `array` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_data(array: *const Array) -> *const f32 {
    guard::value("projection_array_data", std::ptr::null(), || {
        // SAFETY: the caller's promise.
        let array = unsafe { handle("array", array) };
        array.map_or(std::ptr::null(), |array| array.values.as_ptr())
    })
}

/// Frees an array. NULL is allowed.
///
/// # Safety
/// `array` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_free(array: *mut Array) {
    // SAFETY: the caller gives the array back.
    guard::value("projection_array_free", (), || unsafe { guard::free(array) })
}
