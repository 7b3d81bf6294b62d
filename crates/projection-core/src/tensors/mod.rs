//! Named tensors in one file, in the `.safetensors` format, with texts beside them.
//!
//! A file is read in place where it is mapped: [`TensorFile::rows`] are then a part of the
//! mapping, which they keep alive. Whatever a file says of itself is checked when it is
//! opened; the values of tensors are not looked at here.

mod header;
mod write;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Mapping, StableBytes};
use crate::kernel::{Plain, Rows};
use crate::npy;

pub use header::{Dtype, Entry, Named};
pub use write::{NewTensor, Values, write};

/// An open file of tensors.
pub struct TensorFile<'a> {
    source: Source<'a>,
    header: header::Header,
    /// For messages.
    name: String,
}

enum Source<'a> {
    /// Tensors lie in the mapping.
    Mapped(Arc<dyn StableBytes>),
    /// Tensors are copied.
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
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = npy::open(path)?;
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

/// Numbers that tensors of several axes are made of.
pub trait Element: Plain {
    const DTYPE: Dtype;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

/// bfloat16, by its bits.
impl Element for u16 {
    const DTYPE: Dtype = Dtype::BF16;
}

impl Element for i8 {
    const DTYPE: Dtype = Dtype::I8;
}
impl TensorFile<'static> {
    /// Reads a mapped file, which tensors then lie in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is damaged or no such file.
    pub fn of_mapped(file: MappedFile) -> Result<Self> {
        Self::new(Source::Mapped(file.bytes), file.name)
    }
}

impl<'a> TensorFile<'a> {
    /// Reads the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where they are damaged or not of such a file.
    pub fn from_bytes(bytes: &'a [u8], name: &str) -> Result<Self> {
        Self::new(Source::Borrowed(bytes), name.to_string())
    }

    fn new(source: Source<'a>, name: String) -> Result<Self> {
        let header = header::Header::parse(source.bytes())
            .map_err(|what| Error::new(ErrorKind::InvalidModel, format!("{name}: {what}")))?;
        Ok(Self { source, header, name })
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file.
    pub fn len(&self) -> usize {
        self.source.bytes().len()
    }

    /// Whether tensors lie in a mapped file.
    pub fn is_mapped(&self) -> bool {
        !matches!(self.source, Source::Borrowed(_))
    }

    /// The texts beside the tensors.
    pub fn metadata(&self) -> &Named<String> {
        &self.header.metadata
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &Named<Entry> {
        &self.header.tensors
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.header.tensors.has(name)
    }

    /// An error about this file.
    pub fn invalid(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::InvalidModel, format!("{}: {what}", self.name))
    }

    /// The name of a tensor with that of the file, for messages.
    pub fn name_of(&self, tensor: &str) -> String {
        format!("{}: tensor '{tensor}'", self.name)
    }

    /// The element type of a tensor.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is missing.
    pub fn dtype(&self, name: &str) -> Result<Dtype> {
        self.entry_of(name).map(|entry| entry.dtype)
    }

    /// The shape of a tensor of any type.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is missing.
    pub fn any_shape(&self, name: &str) -> Result<&[usize]> {
        self.entry_of(name).map(|entry| &entry.shape[..])
    }

    fn entry_of(&self, name: &str) -> Result<&Entry> {
        self.header.tensors.get(name).ok_or_else(|| {
            let mut known = String::new();
            for name in self.header.tensors.names().take(20) {
                known.push_str(if known.is_empty() { "" } else { ", " });
                known.push_str(name);
            }
            self.invalid(format_args!("tensor '{name}' is missing, there are: {known}"))
        })
    }

    fn entry(&self, name: &str, dtype: Dtype) -> Result<&Entry> {
        let entry = self.entry_of(name)?;
        if entry.dtype != dtype {
            return Err(self.invalid(format_args!(
                "tensor '{name}': dtype {}, expected {}",
                entry.dtype.name(),
                dtype.name()
            )));
        }
        Ok(entry)
    }

    /// The shape of a tensor of single precision, of `axes` axes, none of them empty.
    pub fn shape(&self, name: &str, axes: usize) -> Result<&[usize]> {
        self.shape_of::<f32>(name, axes)
    }

    /// The same of another type.
    pub fn shape_of<T: Element>(&self, name: &str, axes: usize) -> Result<&[usize]> {
        let shape = &self.entry(name, T::DTYPE)?.shape[..];
        if shape.len() != axes || shape.contains(&0) {
            return Err(self.invalid(format_args!(
                "tensor '{name}': shape {:?}, expected {axes} {}, none of them 0",
                shape,
                if axes == 1 { "axis" } else { "axes" }
            )));
        }
        Ok(shape)
    }

    /// The shape of a tensor of single precision, whatever it is.
    pub fn tensor_shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entry(name, Dtype::F32)?.shape)
    }

    /// The values of a tensor as rows along its last axis; in place where the file is mapped,
    /// otherwise copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the tensor, where it is missing or of another
    /// dtype, [`ErrorKind::DimensionMismatch`] where it is of another shape.
    pub fn rows<T: Element>(&self, name: &str, shape: &[usize]) -> Result<Rows<T>> {
        let entry = self.entry(name, T::DTYPE)?;
        self.check_shape(name, &entry.shape, shape)?;
        let width = shape.last().copied().unwrap_or(1);
        let count = shape[..shape.len().saturating_sub(1)].iter().product();
        self.values_at(entry.place.start, count, width)
            .map_err(|error| error.context(self.name_of(name)))
    }

    /// The blocks of a tensor of three axes, each as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn blocks(&self, name: &str, shape: [usize; 3]) -> Result<Vec<Rows>> {
        let entry = self.entry(name, Dtype::F32)?;
        self.check_shape(name, &entry.shape, &shape)?;
        let [blocks, rows, width] = shape;
        let places = (0..blocks).map(|block| entry.place.start + block * rows * width * 4);
        let blocks: Result<_> = places.map(|place| self.values_at(place, rows, width)).collect();
        blocks.map_err(|error| error.context(self.name_of(name)))
    }

    fn values_at<T: Element>(&self, start: usize, rows: usize, width: usize) -> Result<Rows<T>> {
        match &self.source {
            Source::Mapped(bytes) => Rows::mapped(bytes.clone(), start, rows, width),
            Source::Borrowed(bytes) => {
                let part = &bytes[start..start + rows * width * size_of::<T>()];
                Ok(Rows::from_le_bytes(width, part))
            }
        }
    }

    /// The values of a one-dimensional tensor of whole numbers.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); for `None`, any length will do.
    pub fn integers(&self, name: &str, len: Option<usize>) -> Result<Vec<i64>> {
        let entry = self.entry(name, Dtype::I64)?;
        let len = len.or(entry.shape.first().copied()).unwrap_or(0);
        self.check_shape(name, &entry.shape, &[len])?;
        Ok(elements(&self.source.bytes()[entry.place.clone()], i64::from_le_bytes))
    }

    /// The values of a tensor of bytes.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn bytes(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>> {
        let entry = self.entry(name, Dtype::I8)?;
        self.check_shape(name, &entry.shape, shape)?;
        Ok(elements(&self.source.bytes()[entry.place.clone()], i8::from_le_bytes))
    }

    /// The values of a one-dimensional tensor of double precision.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn doubles(&self, name: &str, len: usize) -> Result<Vec<f64>> {
        let entry = self.entry(name, Dtype::F64)?;
        self.check_shape(name, &entry.shape, &[len])?;
        Ok(elements(&self.source.bytes()[entry.place.clone()], f64::from_le_bytes))
    }

    fn check_shape(&self, name: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("{}: shape {found:?}, expected {expected:?}", self.name_of(name)),
        ))
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

/// Elements of `N` bytes each.
fn elements<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|bytes| decode(*bytes)).collect()
}
