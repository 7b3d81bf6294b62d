//! Vectors of integers, such as the labels of questions.

use std::path::Path;

use super::header::Element;
use super::{decode, open, read_parts};
use crate::error::{Error, ErrorKind, Result};

/// Integer types that are read, all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IntegerDtype {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

impl Element for IntegerDtype {
    const EXPECTED: &'static str = "integers (int8 to int64, uint8 to uint64)";

    fn from_descr(descr: &str) -> Option<Self> {
        Some(match descr {
            // One byte has no order; NumPy writes `|`.
            "|i1" | "<i1" => Self::Int8,
            "|u1" | "<u1" => Self::Uint8,
            "<i2" => Self::Int16,
            "<i4" => Self::Int32,
            "<i8" => Self::Int64,
            "<u2" => Self::Uint16,
            "<u4" => Self::Uint32,
            "<u8" => Self::Uint64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 => 4,
            Self::Int64 | Self::Uint64 => 8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
        }
    }
}

/// Reads the vector of integers in the file at `path`: 1-d, or 2-d with one row or one
/// column.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where the file can't be read,
/// [`ErrorKind::InvalidArray`] where it is damaged, holds something else than little-endian
/// integers or an integer above 2⁶³ − 1, [`ErrorKind::DimensionMismatch`] for other shapes.
pub fn load_integers(path: impl AsRef<Path>) -> Result<Vec<i64>> {
    let path = path.as_ref();
    let (mut file, length) = open(path)?;
    read(&mut file, length, &path.display().to_string())
}

/// [`load_integers`] from the bytes of a file, which messages call `name`.
pub fn integers_from(bytes: &[u8], name: &str) -> Result<Vec<i64>> {
    read(&mut &*bytes, bytes.len() as u64, name)
}

fn read(reader: &mut impl std::io::Read, length: u64, name: &str) -> Result<Vec<i64>> {
    let (header, bytes) = read_parts::<IntegerDtype>(reader, Some(length), name)?;
    // With one row or column, both orders of elements are the same.
    if !matches!(header.shape[..], [_] | [1, _] | [_, 1]) {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("{name}: shape {:?}, expected (n,), (n, 1) or (1, n)", header.shape),
        ));
    }
    Ok(match header.dtype {
        IntegerDtype::Int8 => decode(&bytes, |b| i8::from_le_bytes(b).into()),
        IntegerDtype::Int16 => decode(&bytes, |b| i16::from_le_bytes(b).into()),
        IntegerDtype::Int32 => decode(&bytes, |b| i32::from_le_bytes(b).into()),
        IntegerDtype::Int64 => decode(&bytes, i64::from_le_bytes),
        IntegerDtype::Uint8 => decode(&bytes, |b| u8::from_le_bytes(b).into()),
        IntegerDtype::Uint16 => decode(&bytes, |b| u16::from_le_bytes(b).into()),
        IntegerDtype::Uint32 => decode(&bytes, |b| u32::from_le_bytes(b).into()),
        IntegerDtype::Uint64 => {
            let values = decode(&bytes, u64::from_le_bytes);
            let signed = |(index, value): (usize, u64)| {
                i64::try_from(value).map_err(|_| {
                    Error::new(
                        ErrorKind::InvalidArray,
                        format!("{name}: {value} at index {index}, expected at most 2^63 - 1"),
                    )
                })
            };
            values.into_iter().enumerate().map(signed).collect::<Result<_>>()?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Array1, Dimension, array};
    use ndarray_npy::{WritableElement, WriteNpyExt};

    fn bytes<T: WritableElement, D: Dimension>(array: &Array<T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn error(bytes: &[u8]) -> (ErrorKind, String) {
        let error = integers_from(bytes, "labels.npy").unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn reads_every_type_and_both_ends_of_its_range() {
        let check = |bytes: Vec<u8>, expected: [i64; 2]| {
            assert_eq!(integers_from(&bytes, "labels.npy").unwrap(), expected);
        };
        check(bytes(&array![i8::MIN, i8::MAX]), [-128, 127]);
        check(bytes(&array![i16::MIN, i16::MAX]), [-32768, 32767]);
        check(bytes(&array![i32::MIN, i32::MAX]), [i32::MIN.into(), i32::MAX.into()]);
        check(bytes(&array![i64::MIN, i64::MAX]), [i64::MIN, i64::MAX]);
        check(bytes(&array![0u8, u8::MAX]), [0, 255]);
        check(bytes(&array![0u16, u16::MAX]), [0, 65535]);
        check(bytes(&array![0u32, u32::MAX]), [0, u32::MAX.into()]);
        check(bytes(&array![0u64, i64::MAX as u64]), [0, i64::MAX]);
        check(bytes(&array![[3i64, 4]]), [3, 4]);
        check(bytes(&array![[3i64], [4]]), [3, 4]);
    }

    #[test]
    fn names_what_is_not_a_vector_of_integers() {
        let (kind, message) = error(&bytes(&array![1u64, u64::MAX]));
        assert_eq!(kind, ErrorKind::InvalidArray);
        assert!(message.contains("labels.npy: 18446744073709551615 at index 1"), "{message}");
        let (kind, message) = error(&bytes(&array![1.0f64]));
        assert_eq!(kind, ErrorKind::InvalidArray);
        assert!(message.contains("float dtype '<f8', expected little-endian integers"));
        assert!(error(&bytes(&array![true])).1.contains("boolean"));
        let (kind, message) = error(&bytes(&array![[1i32, 2], [3, 4]]));
        assert_eq!(kind, ErrorKind::DimensionMismatch);
        assert!(message.contains("shape [2, 2]"), "{message}");
        let mut big_endian = bytes(&array![1i32]);
        let at = big_endian.iter().position(|byte| *byte == b'<').unwrap();
        big_endian[at] = b'>';
        assert!(error(&big_endian).1.contains("big-endian"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = bytes(&Array1::from_vec(vec![1i32, 2, 3]));
        for end in 0..whole.len() {
            assert_eq!(error(&whole[..end]).0, ErrorKind::InvalidArray);
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(error(&longer).1.contains("expected 12 bytes of data for int32"));
        assert_eq!(load_integers("no/such.npy").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(load_integers(std::env::temp_dir()).unwrap_err().kind(), ErrorKind::Io);
    }
}
