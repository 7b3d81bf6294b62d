//! NumPy's `.npy` arrays: reading float16, float32 and float64 of any order, writing
//! float32 and float64. Integers are read by [`load_integers`] alone: they are labels, never
//! vectors.
//!
//! Reading trusts nothing that a file says of itself: a shape is compared with the file's
//! length before memory is taken for it. (The parser of `ndarray-npy`, which writes our arrays,
//! recurses as deep as a header says.)

mod header;
mod integers;

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;

use half::f16;
use ndarray::{Array1, ArrayView, Dimension};
use ndarray_npy::{WritableElement, WriteNpyExt};

use crate::atomic::Staged;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::files;
use header::{FLOATS, Header, MAX_START};

pub use header::Dtype;
pub use integers::{integers_from, load_integers};

/// An array as a file holds it, converted to row-major float32 or float64 on request.
#[derive(Debug)]
pub struct NpyArray {
    header: Header,
    /// The file's bytes; the elements begin at `data`, in the file's order, little-endian.
    bytes: Vec<u8>,
    data: usize,
    name: String,
}

impl NpyArray {
    /// Reads the array in the file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if the file can't be read,
    /// [`ErrorKind::InvalidArray`] if it is damaged or holds something else than floats.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, length) = files::open(path)?;
        Self::read(file, Some(length), FLOATS, &path.display().to_string())
    }

    /// The array in the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::read(bytes, Some(bytes.len() as u64), FLOATS, name)
    }

    /// Reads an array up to the end of `reader`, which has `length` bytes if that is known.
    /// `name` stands for it in messages.
    fn read(
        mut reader: impl Read,
        length: Option<u64>,
        expected: &[Dtype],
        name: &str,
    ) -> Result<Self> {
        let reading =
            |error: std::io::Error| Error::new(ErrorKind::Io, format!("reading {name}: {error}"));
        let invalid = |what: String| Error::new(ErrorKind::InvalidArray, format!("{name}: {what}"));

        let start = length.map_or(MAX_START, |length| MAX_START.min(length as usize));
        // With room for one byte more, the end of a small file is seen at once.
        let mut bytes = Vec::with_capacity(start + 1);
        reader.by_ref().take(MAX_START as u64).read_to_end(&mut bytes).map_err(reading)?;
        let text = header::text_range(&bytes).map_err(invalid)?;
        let data = text.end;
        let text = bytes
            .get(text)
            .ok_or_else(|| invalid("truncated: it ends inside the header".into()))?;
        let header = header::parse(text, expected).map_err(invalid)?;

        let size = header.elements * header.dtype.size();
        let misfit = |found: u64, more: &str| {
            let found = found.saturating_sub(data as u64);
            let more = if found < size as u64 { " (truncated)" } else { more };
            let (dtype, shape) = (header.dtype.name(), &header.shape);
            let what = format!("expected {size} bytes of data for {dtype} of shape {shape:?}");
            invalid(format!("{what}, found {found}{more}"))
        };
        let end = (data as u64).saturating_add(size as u64);
        if let Some(length) = length.filter(|length| *length != end) {
            return Err(misfit(length, ""));
        }
        // One byte more than expected shows whether anything follows the data.
        let rest = end.saturating_add(1).saturating_sub(bytes.len() as u64);
        reader.take(rest).read_to_end(&mut bytes).map_err(reading)?;
        if bytes.len() as u64 != end {
            return Err(misfit(bytes.len() as u64, " or more"));
        }
        if header.big_endian {
            let elements = bytes[data..].chunks_exact_mut(header.dtype.size());
            elements.for_each(|element| element.reverse());
        }
        Ok(Self { header, bytes, data, name: name.to_string() })
    }

    /// The element type in the file.
    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// Length of its one or two axes.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The elements in row-major order as float32, rounded if the file has float64.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] if a finite float64 is too large for float32.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let values = match self.dtype() {
            Dtype::Float16 => self.decode(|b| f16::from_le_bytes(b).to_f32()),
            Dtype::Float32 => self.decode(f32::from_le_bytes),
            _ => {
                let doubles = self.decode(f64::from_le_bytes);
                let too_large = |v: &&f64| v.is_finite() && !(**v as f32).is_finite();
                if let Some(value) = doubles.iter().find(too_large) {
                    return Err(Error::new(
                        ErrorKind::NotFinite,
                        format!("{}: the value {value:e} is too large for float32", self.name),
                    ));
                }
                doubles.into_iter().map(|value| value as f32).collect()
            }
        };
        Ok(self.row_major(values))
    }

    /// The elements in row-major order as float64, without loss.
    pub fn to_f64(&self) -> Vec<f64> {
        self.row_major(match self.dtype() {
            Dtype::Float16 => self.decode(|b| f16::from_le_bytes(b).to_f64()),
            Dtype::Float32 => self.decode(|b| f64::from(f32::from_le_bytes(b))),
            _ => self.decode(f64::from_le_bytes),
        })
    }

    /// The length of the one vector that the array holds: 1-d, or 2-d with a single row.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] for any other shape.
    pub fn vector_len(&self) -> Result<usize> {
        match *self.shape() {
            [n] | [1, n] => Ok(n),
            _ => Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("{}: shape {:?}, expected (d,) or (1, d)", self.name, self.shape()),
            )),
        }
    }

    /// Rows and columns of the array as a matrix; a 1-d array is one row.
    pub fn matrix_shape(&self) -> (usize, usize) {
        match *self.shape() {
            [rows, columns] => (rows, columns),
            _ => (1, self.header.elements),
        }
    }

    /// The elements, of `N` bytes each, in the file's order.
    fn decode<const N: usize, T>(&self, decode: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (elements, _) = self.bytes[self.data..].as_chunks::<N>();
        elements.iter().map(|bytes| decode(*bytes)).collect()
    }

    /// Brings elements in the file's order into row-major order.
    fn row_major<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        let (rows, columns) = self.matrix_shape();
        if !self.header.fortran_order || rows == 1 || columns == 1 {
            return values;
        }
        (0..rows).flat_map(|row| values[row..].iter().step_by(rows)).copied().collect()
    }
}

/// Reads one vector, 1-d or 2-d with a single row, as float32.
///
/// # Errors
/// [`ErrorKind::InvalidArray`] for damaged data or other element types,
/// [`ErrorKind::DimensionMismatch`] for other shapes, [`ErrorKind::Io`] if `reader` fails.
pub fn read_npy(reader: impl Read) -> Result<Array1<f32>> {
    let array = NpyArray::read(reader, None, FLOATS, "array")?;
    array.vector_len()?;
    Ok(Array1::from_vec(array.to_f32()?))
}

/// Writes an array as `.npy` to the file `path`, as [`atomic::write`](crate::atomic::write)
/// does.
///
/// # Errors
/// [`ErrorKind::Io`], naming the file; no partial file is left under `path`.
pub fn save<T: WritableElement, D: Dimension>(
    path: impl AsRef<Path>,
    array: ArrayView<'_, T, D>,
) -> Result<()> {
    stage(path, array)?.publish()
}

/// [`save`] without its last step, [`Staged::publish`], so that several files appear together.
///
/// # Errors
/// As [`save`].
pub fn stage<T: WritableElement, D: Dimension>(
    path: impl AsRef<Path>,
    array: ArrayView<'_, T, D>,
) -> Result<Staged> {
    crate::atomic::stage(path.as_ref(), |writer| {
        array.write_npy(writer).map_err(std::io::Error::other)
    })
}

/// Writes the file `temporary`, without the care that [`save`] takes: the caller syncs it.
/// Messages name `path`, which is what it is going to be.
///
/// # Errors
/// [`ErrorKind::Io`], naming `path`.
pub fn write_file<T: WritableElement, D: Dimension>(
    temporary: &Path,
    path: &Path,
    array: ArrayView<'_, T, D>,
) -> Result<File> {
    let writing = |error| Error::io("writing", path, error);
    let mut writer = BufWriter::new(File::create(temporary).map_err(writing)?);
    array.write_npy(&mut writer).map_err(std::io::Error::other).map_err(writing)?;
    writer.into_inner().map_err(|error| writing(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn written<T: WritableElement, D: Dimension>(array: ArrayView<'_, T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn reads_both_orders_of_rows_and_of_bytes() {
        let rows = array![[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.5]];
        let columns: Array2<f64> =
            Array2::from_shape_fn(ndarray::ShapeBuilder::f((2, 3)), |i| rows[i]);
        for matrix in [rows.view(), columns.view()] {
            let mut bytes = written(matrix);
            for swapped in [false, true] {
                if swapped {
                    let data = bytes.len() - 6 * 8;
                    bytes[data..].chunks_exact_mut(8).for_each(<[u8]>::reverse);
                    let order = bytes.iter().position(|byte| *byte == b'<').unwrap();
                    bytes[order] = b'>';
                }
                let array = NpyArray::from_bytes(&bytes, "a.npy").unwrap();
                assert_eq!(array.matrix_shape(), (2, 3));
                assert_eq!(array.to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
                assert_eq!(array.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
            }
        }
    }

    #[test]
    fn every_truncation_is_an_error_with_and_without_a_known_length() {
        let mut bytes = written(array![1.0f32, 2.0, 3.0].view());
        assert_eq!(read_npy(&*bytes).unwrap(), array![1.0, 2.0, 3.0]);
        for end in 0..bytes.len() {
            let error = NpyArray::from_bytes(&bytes[..end], "a.npy").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArray);
            assert_eq!(read_npy(&bytes[..end]).unwrap_err().kind(), ErrorKind::InvalidArray);
        }
        bytes.push(0);
        let error = NpyArray::from_bytes(&bytes, "a.npy").unwrap_err();
        assert!(error.to_string().contains("expected 12 bytes"), "{error}");
        assert!(read_npy(&*bytes).unwrap_err().to_string().contains("13 or more"));
    }

    #[test]
    fn a_double_beyond_float32_is_refused_not_turned_into_infinity() {
        let array = NpyArray::from_bytes(&written(array![1e300f64].view()), "a.npy").unwrap();
        assert_eq!(array.to_f64(), [1e300]);
        assert!(array.to_f32().unwrap_err().to_string().contains("1e300"));
    }

    #[test]
    fn special_files_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| NpyArray::load(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::Io);
        assert_eq!(kind(&folder.path().join("no.npy")), ErrorKind::NotFound);
        if cfg!(unix) {
            let pipe = folder.path().join("pipe.npy");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            assert_eq!(kind(&pipe), ErrorKind::Io);
        }
    }

    #[test]
    fn saving_replaces_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        save(&path, array![1.0f32, 2.0].view()).unwrap();
        save(&path, array![3.0f64].view()).unwrap();
        assert_eq!(NpyArray::load(&path).unwrap().to_f64(), [3.0]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = save(folder.path().join("no/v.npy"), array![1.0f32].view()).unwrap_err();
        assert!(error.to_string().contains("v.npy"));
    }
}
