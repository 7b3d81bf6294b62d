//! Vectors of integers, such as the labels of questions.

use std::path::Path;

use super::NpyArray;
use super::header::{Dtype, INTEGERS};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::files;

/// Reads the vector of integers in the file at `path`: 1-d, or 2-d with one row or one
/// column.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if the file can't be read,
/// [`ErrorKind::InvalidArray`] if it is damaged, holds something else than integers or an
/// integer above 2⁶³ − 1, [`ErrorKind::DimensionMismatch`] for other shapes.
pub fn load_integers(path: impl AsRef<Path>) -> Result<Vec<i64>> {
    let path = path.as_ref();
    let (file, length) = files::open(path)?;
    integers(NpyArray::read(file, Some(length), INTEGERS, &path.display().to_string())?)
}

/// [`load_integers`] from the bytes of a file, which messages call `name`.
///
/// # Errors
/// As [`load_integers`].
pub fn integers_from(bytes: &[u8], name: &str) -> Result<Vec<i64>> {
    integers(NpyArray::read(bytes, Some(bytes.len() as u64), INTEGERS, name)?)
}

fn integers(array: NpyArray) -> Result<Vec<i64>> {
    let (name, shape) = (&array.name, array.shape());
    // With one row or column, both orders of elements are the same.
    if !matches!(shape, [_] | [1, _] | [_, 1]) {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("{name}: shape {shape:?}, expected (n,), (n, 1) or (1, n)"),
        ));
    }
    Ok(match array.dtype() {
        Dtype::Int8 => array.decode(|b| i8::from_le_bytes(b).into()),
        Dtype::Int16 => array.decode(|b| i16::from_le_bytes(b).into()),
        Dtype::Int32 => array.decode(|b| i32::from_le_bytes(b).into()),
        Dtype::Int64 => array.decode(i64::from_le_bytes),
        Dtype::Uint8 => array.decode(|b| u8::from_le_bytes(b).into()),
        Dtype::Uint16 => array.decode(|b| u16::from_le_bytes(b).into()),
        Dtype::Uint32 => array.decode(|b| u32::from_le_bytes(b).into()),
        _ => {
            let signed = |(index, value): (usize, u64)| {
                i64::try_from(value).map_err(|_| {
                    Error::new(
                        ErrorKind::InvalidArray,
                        format!("{name}: {value} at index {index}, expected at most 2^63 - 1"),
                    )
                })
            };
            let values = array.decode(u64::from_le_bytes).into_iter().enumerate();
            values.map(signed).collect::<Result<_>>()?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Dimension, array};
    use ndarray_npy::{WritableElement, WriteNpyExt};

    fn bytes<T: WritableElement, D: Dimension>(array: &Array<T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn reads_every_type_and_both_ends_of_its_range() {
        for (bytes, expected) in [
            (bytes(&array![i8::MIN, i8::MAX]), [-128, 127]),
            (bytes(&array![i16::MIN, i16::MAX]), [-32768, 32767]),
            (bytes(&array![i32::MIN, i32::MAX]), [i32::MIN.into(), i32::MAX.into()]),
            (bytes(&array![i64::MIN, i64::MAX]), [i64::MIN, i64::MAX]),
            (bytes(&array![0u8, u8::MAX]), [0, 255]),
            (bytes(&array![0u16, u16::MAX]), [0, 65535]),
            (bytes(&array![0u32, u32::MAX]), [0, u32::MAX.into()]),
            (bytes(&array![0u64, i64::MAX as u64]), [0, i64::MAX]),
            (bytes(&array![[3i64, 4]]), [3, 4]),
            (bytes(&array![[3i64], [4]]), [3, 4]),
        ] {
            assert_eq!(integers_from(&bytes, "labels.npy").unwrap(), expected);
        }
    }

    #[test]
    fn names_what_is_not_a_vector_of_integers() {
        for (bytes, kind, word) in [
            (
                bytes(&array![1u64, u64::MAX]),
                ErrorKind::InvalidArray,
                "labels.npy: 18446744073709551615 at index 1",
            ),
            (bytes(&array![1.0f64]), ErrorKind::InvalidArray, "'<f8', expected one of int8"),
            (bytes(&array![true]), ErrorKind::InvalidArray, "|b1"),
            (bytes(&array![[1i32, 2], [3, 4]]), ErrorKind::DimensionMismatch, "shape [2, 2]"),
        ] {
            let error = integers_from(&bytes, "labels.npy").unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
