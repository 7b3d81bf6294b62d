//! NumPy's `.npy` arrays: reading float16, float32 and float64 of any order, writing
//! float32 and float64. Integers are read by [`load_integers`] alone: they are labels, never
//! vectors.
//!
//! Reading trusts nothing that a file says of itself: a shape is compared with the file's
//! length before memory is taken for it.

mod folder;
mod header;
mod integers;

use std::fs::File;
use std::io::{BufWriter, Read};
use std::ops::Range;
use std::path::Path;

use half::f16;
use ndarray::{Array1, ArrayView, Dimension};
use ndarray_npy::{WritableElement, WriteNpyExt};

use crate::error::{Error, ErrorKind, Result};
use header::{Element, Header};

pub use folder::FolderReader;
pub use header::Dtype;
pub use integers::integers_from;
pub use integers::load_integers;

/// Fewest bytes that hold magic, version and the header's length in every format version.
const FIXED_PART: u64 = 12;

/// An array as a file holds it, converted to row-major float32 or float64 on request.
#[derive(Debug)]
pub struct NpyArray {
    header: Header<Dtype>,
    /// Of which some are the elements', in the file's order.
    bytes: Vec<u8>,
    data: Range<usize>,
    name: String,
}

impl NpyArray {
    /// Reads the array in the file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where the file can't be read,
    /// [`ErrorKind::InvalidArray`] where it is damaged or holds something else than
    /// little-endian floats.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        Self::read(&mut file, Some(length), &path.display().to_string())
    }

    /// Reads an array from `reader`, up to its end or, where `length` is known, from a
    /// source of that many bytes. `name` stands for it in messages.
    fn read(reader: &mut impl Read, length: Option<u64>, name: &str) -> Result<Self> {
        let (header, bytes) = read_parts(reader, length, name)?;
        let data = 0..bytes.len();
        Ok(Self { header, bytes, data, name: name.to_string() })
    }

    /// The array in the bytes of a file, which messages call `name`.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::read(&mut &*bytes, Some(bytes.len() as u64), name)
    }

    /// The element type in the file.
    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// Length of its one or two axes.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The elements in row-major order as float32, rounded where the file has float64.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] where a finite float64 is too large for float32.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        self.read_f32(&mut values)?;
        Ok(values)
    }

    /// [`to_f32`](Self::to_f32) into memory that had other values.
    pub fn read_f32(&self, values: &mut Vec<f32>) -> Result<()> {
        match self.dtype() {
            Dtype::Float16 => self.decode(values, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Float32 => self.decode(values, f32::from_le_bytes),
            Dtype::Float64 => {
                let mut doubles = Vec::new();
                self.decode(&mut doubles, f64::from_le_bytes);
                let too_large = |v: &&f64| v.is_finite() && !(**v as f32).is_finite();
                if let Some(value) = doubles.iter().find(too_large) {
                    return Err(Error::new(
                        ErrorKind::NotFinite,
                        format!("{}: the value {value:e} is too large for float32", self.name),
                    ));
                }
                values.clear();
                values.extend(doubles.into_iter().map(|v| v as f32));
            }
        }
        self.to_row_major(values);
        Ok(())
    }

    /// The elements in row-major order as float64, without loss.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut values = Vec::new();
        self.read_f64(&mut values);
        values
    }

    /// [`to_f64`](Self::to_f64) into memory that had other values.
    pub fn read_f64(&self, values: &mut Vec<f64>) {
        match self.dtype() {
            Dtype::Float16 => self.decode(values, |b| f16::from_le_bytes(b).to_f64()),
            Dtype::Float32 => self.decode(values, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::Float64 => self.decode(values, f64::from_le_bytes),
        }
        self.to_row_major(values);
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

    /// The elements, in the file's order.
    fn decode<const N: usize, T>(&self, values: &mut Vec<T>, decode: impl Fn([u8; N]) -> T) {
        decode_into(values, &self.bytes[self.data.clone()], decode);
    }

    /// Brings elements in the file's order into row-major order.
    fn to_row_major<T: Copy>(&self, values: &mut Vec<T>) {
        let (rows, columns) = self.matrix_shape();
        if self.header.fortran_order && rows > 1 && columns > 1 {
            let of_row = |row: usize| values[row..].iter().step_by(rows);
            *values = (0..rows).flat_map(of_row).copied().collect();
        }
    }
}

/// Opens a file to be read as a whole, and gives its length.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let reading = |error| Error::io("reading", path, error);
    // Asked before opening, since opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(reading)?;
    if !metadata.is_file() {
        return Err(Error::new(
            ErrorKind::Io,
            format!("reading {}: not a regular file", path.display()),
        ));
    }
    Ok((File::open(path).map_err(reading)?, metadata.len()))
}

/// Reads the header of an array and the bytes of its elements, see [`NpyArray::read`].
fn read_parts<D: Element>(
    reader: &mut impl Read,
    length: Option<u64>,
    name: &str,
) -> Result<(Header<D>, Vec<u8>)> {
    let reading =
        |error: std::io::Error| Error::new(ErrorKind::Io, format!("reading {name}: {error}"));
    let invalid = |what: String| Error::new(ErrorKind::InvalidArray, format!("{name}: {what}"));

    let mut bytes = Vec::new();
    reader.by_ref().take(FIXED_PART).read_to_end(&mut bytes).map_err(reading)?;
    let text = header::text_range(&bytes).map_err(invalid)?;
    if let Some(length) = length.filter(|length| text.end as u64 > *length) {
        return Err(invalid(format!(
            "truncated: a header up to byte {}, in a file of {length} bytes",
            text.end
        )));
    }
    let missing = text.end.saturating_sub(bytes.len()) as u64;
    reader.by_ref().take(missing).read_to_end(&mut bytes).map_err(reading)?;
    let header_text = bytes
        .get(text.clone())
        .ok_or_else(|| invalid("truncated: it ends inside the header".into()))?;
    let header: Header<D> = header::parse(header_text).map_err(invalid)?;
    // Version 1 headers may be shorter than the fixed part that was read at once.
    bytes.drain(..text.end);

    let expected = header.elements * header.dtype.size();
    let misfit = |found: String| {
        invalid(format!(
            "expected {expected} bytes of data for {} of shape {:?}, found {found}",
            header.dtype.name(),
            header.shape
        ))
    };
    if let Some(length) = length {
        let found = length - text.end as u64;
        if found != expected as u64 {
            return Err(misfit(format!("{found}{}", if_less(found, expected))));
        }
        bytes.reserve_exact(expected.saturating_sub(bytes.len()));
    }
    // One byte more than expected shows whether anything follows the data.
    let limit = (expected as u64).saturating_add(1).saturating_sub(bytes.len() as u64);
    reader.by_ref().take(limit).read_to_end(&mut bytes).map_err(reading)?;
    if bytes.len() != expected {
        let found = bytes.len() as u64;
        let more = if found > expected as u64 { " or more" } else { "" };
        return Err(misfit(format!("{found}{more}{}", if_less(found, expected))));
    }
    Ok((header, bytes))
}

/// Elements of `N` bytes each, decoded one by one.
fn decode<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    let mut values = Vec::new();
    decode_into(&mut values, bytes, decode);
    values
}

/// [`decode`] into memory that had other values.
fn decode_into<const N: usize, T>(
    values: &mut Vec<T>,
    bytes: &[u8],
    decode: impl Fn([u8; N]) -> T,
) {
    values.clear();
    values.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)));
}

fn if_less(found: u64, expected: usize) -> &'static str {
    if found < expected as u64 { " (truncated)" } else { "" }
}

/// Reads one vector, 1-d or 2-d with a single row, as float32.
///
/// # Errors
/// [`ErrorKind::InvalidArray`] for damaged data or other element types,
/// [`ErrorKind::DimensionMismatch`] for other shapes, [`ErrorKind::Io`] where `reader` fails.
pub fn read_npy(mut reader: impl Read) -> Result<Array1<f32>> {
    let array = NpyArray::read(&mut reader, None, "array")?;
    array.vector_len()?;
    Ok(Array1::from_vec(array.to_f32()?))
}

/// Writes an array as `.npy` to the new file `path` and waits until it is on disk. A file
/// that was there is replaced only by the complete new one.
///
/// # Errors
/// [`ErrorKind::Io`], naming the file; no partial file is left under `path`.
pub fn save<T: WritableElement, D: Dimension>(
    path: impl AsRef<Path>,
    array: ArrayView<'_, T, D>,
) -> Result<()> {
    crate::atomic::write(path.as_ref(), |writer| {
        array.write_npy(writer).map_err(std::io::Error::other)
    })
}

/// The name under which a file is written before it takes its place.
pub fn temporary_name(path: &Path) -> std::path::PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Writes the file `temporary`, without the care that [`save`] takes: the caller syncs it.
/// Messages name `path`, which is what it is going to be.
pub fn write_file<T: WritableElement, D: Dimension>(
    temporary: &Path,
    path: &Path,
    array: ArrayView<'_, T, D>,
) -> Result<File> {
    let writing = |error| Error::io("writing", path, error);
    let file = File::create(temporary).map_err(writing)?;
    let mut writer = BufWriter::new(file);
    array.write_npy(&mut writer).map_err(|error| {
        Error::new(ErrorKind::Io, format!("writing {}: {error}", path.display())).with_source(error)
    })?;
    writer.into_inner().map_err(|error| writing(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn round_trip(bytes: &[u8]) -> Result<NpyArray> {
        NpyArray::read(&mut &*bytes, Some(bytes.len() as u64), "a.npy")
    }

    #[test]
    fn reads_both_orders_of_what_ndarray_npy_writes() {
        let rows = array![[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.5]];
        let columns: Array2<f64> =
            Array2::from_shape_fn(ndarray::ShapeBuilder::f((2, 3)), |i| rows[i]);
        for matrix in [rows.view(), columns.view()] {
            let mut bytes = Vec::new();
            matrix.write_npy(&mut bytes).unwrap();
            let array = round_trip(&bytes).unwrap();
            assert_eq!(array.matrix_shape(), (2, 3));
            assert_eq!(array.to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
            assert_eq!(array.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
        }
    }

    #[test]
    fn every_truncation_is_an_error_with_and_without_a_known_length() {
        let mut bytes = Vec::new();
        array![1.0f32, 2.0, 3.0].write_npy(&mut bytes).unwrap();
        assert_eq!(read_npy(&*bytes).unwrap(), array![1.0, 2.0, 3.0]);
        for end in 0..bytes.len() {
            assert_eq!(round_trip(&bytes[..end]).unwrap_err().kind(), ErrorKind::InvalidArray);
            assert_eq!(read_npy(&bytes[..end]).unwrap_err().kind(), ErrorKind::InvalidArray);
        }
        bytes.push(0);
        assert!(round_trip(&bytes).unwrap_err().to_string().contains("expected 12 bytes"));
        assert!(read_npy(&*bytes).unwrap_err().to_string().contains("13 or more"));
    }

    #[test]
    fn a_double_beyond_float32_is_refused_not_turned_into_infinity() {
        let mut bytes = Vec::new();
        array![1e300f64].write_npy(&mut bytes).unwrap();
        let array = round_trip(&bytes).unwrap();
        assert_eq!(array.to_f64(), [1e300]);
        assert!(array.to_f32().unwrap_err().to_string().contains("1e300"));
    }

    #[test]
    fn a_special_file_is_refused_at_once() {
        let error = NpyArray::load(std::env::temp_dir()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(NpyArray::load("no/such.npy").unwrap_err().kind(), ErrorKind::NotFound);
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
