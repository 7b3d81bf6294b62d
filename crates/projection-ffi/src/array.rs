//! Arrays from `.npy` files.

use std::ffi::c_char;

use projection_core::npy::NpyArray;

use crate::error::{ErrorHandle, Status};

/// An array of floats. Free it with projection_array_free. Any number of threads may use it at
/// once.
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Loads a .npy file of float16, float32 or float64 numbers, in either byte order, of one or two
/// dimensions, in C or Fortran order. The values become row-major float32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_array_load(
    path: *const c_char,
    array: *mut *mut Array,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (path, out) = (path!(path), out!(array));
        let file = NpyArray::load(path)?;
        out.give(Array { shape: file.shape().to_vec(), values: file.to_f32()? });
    })
}

/// Number of dimensions, 1 or 2; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_array_ndim(array: Option<&Array>) -> usize {
    panic_boundary!(0, array.map_or(0, |array| array.shape.len()))
}

/// Length of the dimension `axis`, counted from 0; 0 if there is no such dimension, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_array_shape(array: Option<&Array>, axis: usize) -> usize {
    panic_boundary!(0, array.and_then(|array| array.shape.get(axis).copied()).unwrap_or(0))
}

/// Number of values; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_array_len(array: Option<&Array>) -> usize {
    panic_boundary!(0, array.map_or(0, |array| array.values.len()))
}

/// The values, row-major, valid until the array is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_array_data(array: Option<&Array>) -> *const f32 {
    panic_boundary!(std::ptr::null(), array.map_or(std::ptr::null(), |array| array.values.as_ptr()))
}

/// Frees an array. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_array_free(array: Option<Box<Array>>) {
    panic_boundary!((), drop(array))
}
