//! Named tensors in one file, in the `.safetensors` format, with texts beside them.
//!
//! A mapped file is read in place: [`TensorFile::rows`] are then part of the mapping, which they
//! keep alive. The `safetensors` crate checks the header when the file is opened; what the
//! values mean is checked by the models that are made of them.

mod write;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
pub use safetensors::Dtype;
use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Mapping, Plain, Rows, StableBytes, files};

pub use write::{NewTensor, write};

/// An open file of tensors.
pub struct TensorFile<'a> {
    source: Source<'a>,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
    /// Where the values begin, from which the header's offsets count.
    data_start: usize,
    /// What messages call the file.
    name: String,
}

enum Source<'a> {
    /// Rows lie in the mapping.
    Mapped(Arc<dyn StableBytes>),
    /// Rows are copied.
    Borrowed(&'a [u8]),
}

/// A mapped file of any content.
pub struct MappedFile {
    bytes: Arc<dyn StableBytes>,
    name: String,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if it can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = files::open(path)?;
        let mapping = Mapping::of(&file).map_err(|error| Error::io("mapping", path, error))?;
        Ok(Self { bytes: Arc::new(mapping), name: path.display().to_string() })
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Numbers that tensors are made of.
pub trait Element: Pod {
    /// The type's name in the format.
    const DTYPE: Dtype;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
}

/// bfloat16, by its bits.
impl Element for u16 {
    const DTYPE: Dtype = Dtype::BF16;
}

impl Element for i8 {
    const DTYPE: Dtype = Dtype::I8;
}

impl Element for i64 {
    const DTYPE: Dtype = Dtype::I64;
}

/// What is wrong with the tensors of a file that the crate refused without naming them.
fn diagnosis(bytes: &[u8]) -> Option<String> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Some(format!("{} bytes, expected at least 8", bytes.len()));
    };
    let (header, data) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let mut header: BTreeMap<String, Value> =
        serde_json::from_str(str::from_utf8(header).ok()?).ok()?;
    header.remove("__metadata__");
    let info = |(name, value)| Some((name, serde_json::from_value::<TensorInfo>(value).ok()?));
    let mut tensors = header.into_iter().map(info).collect::<Option<Vec<_>>>()?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut expected = 0;
    for (name, TensorInfo { dtype, shape, data_offsets: (start, end) }) in tensors {
        let bits = shape.iter().try_fold(dtype.bitsize(), |bits, axis| bits.checked_mul(*axis));
        let size = bits.map(|bits| bits / 8);
        if end > data.len() {
            let length = data.len();
            return Some(format!("truncated: tensor '{name}' ends at byte {end} of {length}"));
        }
        if size != end.checked_sub(start) {
            let size = size.map_or("too many".to_string(), |size| size.to_string());
            return Some(format!(
                "tensor '{name}' of {dtype} and shape {shape:?} takes {size} bytes, its offsets \
                 are {start} to {end}"
            ));
        }
        if start != expected {
            let how = if start < expected { "overlaps another" } else { "follows a gap" };
            return Some(format!(
                "tensor '{name}' {how}: it begins at byte {start}, not {expected}"
            ));
        }
        expected = end;
    }
    None
}

impl TensorFile<'static> {
    /// Reads a mapped file, in which rows then lie.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] if it is damaged or no such file.
    pub fn of_mapped(file: MappedFile) -> Result<Self> {
        Self::new(Source::Mapped(file.bytes), file.name)
    }
}

impl<'a> TensorFile<'a> {
    /// Reads the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] if they are damaged or not of such a file.
    pub fn from_bytes(bytes: &'a [u8], name: &str) -> Result<Self> {
        Self::new(Source::Borrowed(bytes), name.to_string())
    }

    fn new(source: Source<'a>, name: String) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidModel, format!("{name}: {what}"));
        let bytes = source.bytes();
        let (header, parsed) = SafeTensors::read_metadata(bytes).map_err(|error| {
            let what = diagnosis(bytes).unwrap_or_else(|| error.to_string());
            invalid(format!("damaged, or not a .safetensors file: {what}"))
        })?;
        let data_start = 8 + header;
        let tensors: BTreeMap<_, _> =
            parsed.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        // Offsets near the largest number may wrap around in the sum that the crate compares
        // with the file's length.
        let data = bytes.len() - data_start;
        if let Some((tensor, _)) = tensors.iter().find(|(_, info)| info.data_offsets.1 > data) {
            return Err(invalid(format!("tensor '{tensor}': truncated")));
        }
        let metadata = parsed.metadata().iter().flatten();
        let metadata = metadata.map(|(key, text)| (key.clone(), text.clone())).collect();
        Ok(Self { source, tensors, metadata, data_start, name })
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file.
    pub fn byte_len(&self) -> usize {
        self.source.bytes().len()
    }

    /// Whether rows lie in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Mapped(_))
    }

    /// The texts beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// An error about this file.
    pub fn invalid(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::InvalidModel, format!("{}: {what}", self.name))
    }

    /// Dtype and shape of a tensor.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] if it is missing.
    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.tensors.keys().map(String::as_str).take(20).collect();
            let known = known.join(", ");
            self.invalid(format_args!("tensor '{name}' is missing, there are: {known}"))
        })
    }

    fn info_of<T: Element>(&self, name: &str) -> Result<&TensorInfo> {
        let info = self.info(name)?;
        if info.dtype != T::DTYPE {
            let (found, expected) = (info.dtype, T::DTYPE);
            let what = format!("tensor '{name}': dtype {found}, expected {expected}");
            return Err(self.invalid(what));
        }
        Ok(info)
    }

    /// The shape of a tensor of this type with `axes` axes, none of them empty.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the tensor, if it is not so.
    pub fn shape<T: Element>(&self, name: &str, axes: usize) -> Result<&[usize]> {
        let shape = &self.info_of::<T>(name)?.shape;
        if shape.len() != axes || shape.contains(&0) {
            let axes = if axes == 1 { "one axis".into() } else { format!("{axes} axes") };
            let what = format!("tensor '{name}': shape {shape:?}, expected {axes}, none of them 0");
            return Err(self.invalid(what));
        }
        Ok(shape)
    }

    /// The values of a tensor as rows along its last axis: in place if the file is mapped,
    /// otherwise copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the tensor, if it is missing or of another dtype,
    /// [`ErrorKind::DimensionMismatch`] if it is of another shape.
    pub fn rows<T: Element + Plain>(&self, name: &str, shape: &[usize]) -> Result<Rows<T>> {
        let place = self.place::<T>(name, shape)?;
        let (width, outer) = shape.split_last().unwrap_or((&1, &[]));
        self.rows_at(place.start, outer.iter().product(), *width)
    }

    /// The blocks of a tensor of three axes, each as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn blocks(&self, name: &str, shape: [usize; 3]) -> Result<Vec<Rows>> {
        let place = self.place::<f32>(name, &shape)?;
        let [blocks, rows, width] = shape;
        let starts = (0..blocks).map(|block| place.start + block * rows * width * 4);
        starts.map(|start| self.rows_at(start, rows, width)).collect()
    }

    fn rows_at<T: Plain>(&self, start: usize, rows: usize, width: usize) -> Result<Rows<T>> {
        match &self.source {
            Source::Mapped(bytes) => Rows::mapped(bytes.clone(), start, rows, width),
            Source::Borrowed(bytes) => {
                let end = start + rows * width * size_of::<T>();
                Ok(Rows::from_le_bytes(width, &bytes[start..end]))
            }
        }
    }

    /// The values of a tensor of one axis, which may have any length if `len` is `None`.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn vector<T: Element>(&self, name: &str, len: Option<usize>) -> Result<Vec<T>> {
        let shape = &self.info_of::<T>(name)?.shape;
        let len = len.or(shape.first().copied()).unwrap_or(0);
        let place = self.place::<T>(name, &[len])?;
        Ok(bytemuck::pod_collect_to_vec(&self.source.bytes()[place]))
    }

    /// Where the values of a tensor of this type and shape lie in the file.
    fn place<T: Element>(&self, name: &str, shape: &[usize]) -> Result<Range<usize>> {
        let info = self.info_of::<T>(name)?;
        if info.shape == shape {
            let (start, end) = info.data_offsets;
            return Ok(self.data_start + start..self.data_start + end);
        }
        let found = &info.shape;
        let what = format!("{}: tensor '{name}': shape {found:?}, expected {shape:?}", self.name);
        Err(Error::new(ErrorKind::DimensionMismatch, what))
    }
}

impl Source<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes.bytes(),
            Self::Borrowed(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(vec![0; data]);
        file
    }

    fn message(bytes: &[u8]) -> String {
        let error = TensorFile::from_bytes(bytes, "a.safetensors").err().expect("a damaged file");
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        error.to_string()
    }

    #[test]
    fn reads_what_it_writes() {
        let metadata = BTreeMap::from([("b", "text".to_string()), ("a", String::new())]);
        let (values, bits, bytes) = ([1.0f32, -2.5, 3.0, 0.5], [0x3f80u16, 0, 7, 1], [-1i8, 2, 3]);
        let tensors = [
            NewTensor::new("x", &[2, 2], &values),
            NewTensor::of_parts("half", &[4], [&bits[..1], &bits[1..]]),
            NewTensor::new("odd", &[3], &bytes),
            NewTensor::vector("ids", vec![7i64, -1]),
            NewTensor::vector("scales", &[0.1f64][..]),
        ];
        let mut written = Vec::new();
        write(&mut written, &tensors, &metadata).unwrap();
        let file = TensorFile::from_bytes(&written, "x.safetensors").unwrap();
        // Large tensors that are written first are aligned for every register.
        assert_eq!(file.data_start % 64, 0);
        assert_eq!(
            (file.text("a"), file.text("b"), file.text("c")),
            (Some(""), Some("text"), None)
        );
        assert_eq!(file.rows::<f32>("x", &[2, 2]).unwrap().row(1), [3.0, 0.5]);
        assert_eq!(file.rows::<u16>("half", &[4]).unwrap().row(0), bits);
        assert_eq!(file.vector::<i8>("odd", None).unwrap(), bytes);
        // They begin at odd places.
        assert_eq!(file.vector::<i64>("ids", Some(2)).unwrap(), [7, -1]);
        assert_eq!(file.vector::<f64>("scales", Some(1)).unwrap(), [0.1]);
        let kind = |result: Result<Rows>| result.unwrap_err().kind();
        assert_eq!(kind(file.rows("x", &[4])), ErrorKind::DimensionMismatch);
        assert_eq!(kind(file.rows("odd", &[3])), ErrorKind::InvalidModel);
        assert_eq!(kind(file.rows("y", &[3])), ErrorKind::InvalidModel);
        assert!(file.shape::<f32>("x", 1).is_err() && file.shape::<f32>("x", 2).is_ok());
    }

    #[test]
    fn damaged_headers_are_refused() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(
                r#"{{"x": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}"#
            )
        };
        let huge = "18446744073709551615";
        assert!(TensorFile::from_bytes(&file(&one("F32", "[2]", "[0, 8]"), 8), "").is_ok());
        for text in [
            one("F32", "[2]", "[0, 4]"),
            one("F32", "[3]", "[0, 12]"),
            one("F32", "[1]", "[4, 8]"),
            one("F32", "[1]", "[0, 4]"),
            one("F32", "[1]", "[8, 4]"),
            one("Q4", "[2]", "[0, 8]"),
            one("F32", "[-2]", "[0, 8]"),
            one("F32", "[2.0]", "[0, 8]"),
            one("F32", "2", "[0, 8]"),
            one("F32", "[2]", "[0]"),
            one("F32", "[4294967296, 4294967296]", "[0, 8]"),
            one("U8", &format!("[{huge}]"), &format!("[0, {huge}]")),
            r#"{"x": 1}"#.into(),
            "[]".into(),
            "{".into(),
            r#"{"__metadata__": {"a": 1}}"#.into(),
            // Two that overlap, and two of one name.
            r#"{"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
                "y": {"dtype": "U8", "shape": [7], "data_offsets": [1, 8]}}"#
                .into(),
            r#"{"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                "x": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}"#
                .into(),
        ] {
            let message = message(&file(&text, 8));
            assert!(message.starts_with("a.safetensors: "), "{message}");
        }
        message(&file(&"[".repeat(100_000), 0));
        let mut endless = file("{}", 0);
        endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        message(&endless);
        message(b"1234567");
    }
}
