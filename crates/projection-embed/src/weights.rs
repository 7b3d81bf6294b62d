//! `model.safetensors`: named arrays in one file.
//!
//! The file is eight bytes of header length, a JSON header that says where each array lies,
//! and the arrays. It is read array by array rather than mapped into memory, so that a file
//! that another program truncates or replaces later cannot bring this process down.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use projection_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::files::invalid;

/// The format's own limit. Real headers are a few kilobytes.
const MAX_HEADER: u64 = 100_000_000;

/// An open file of weights, whose header fits the file's length.
pub(crate) struct Weights<F> {
    path: PathBuf,
    file: F,
    entries: HashMap<String, Entry>,
    /// Where the arrays begin: offsets in the header count from here.
    data_start: u64,
}

/// Where an array lies.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Weights<File> {
    /// Opens `path` and checks that its header describes no more than the file holds.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io("reading", path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Self::new(path, file, length)
    }
}

impl<'a> Weights<Cursor<&'a [u8]>> {
    /// The same of the bytes of a file, which messages call `path`.
    pub fn of_bytes(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        Self::new(path, Cursor::new(bytes), bytes.len() as u64)
    }
}

impl<F: Read + Seek> Weights<F> {
    fn new(path: &Path, mut file: F, length: u64) -> Result<Self> {
        let io = |e| Error::io("reading", path, e);
        let mut prefix = [0; 8];
        if length < 8 {
            return Err(invalid(path, format_args!("expected weights, found {length} bytes")));
        }
        file.read_exact(&mut prefix).map_err(io)?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > MAX_HEADER.min(length - 8) {
            return Err(invalid(
                path,
                format_args!(
                    "expected a safetensors header of {header_length} bytes as its first 8 bytes \
                     say, found a file of {length} bytes"
                ),
            ));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let header: HashMap<String, Value> = serde_json::from_slice(&header)
            .map_err(|e| invalid(path, format_args!("damaged header: {e}")).with_source(e))?;

        let data_start = 8 + header_length;
        let mut entries = HashMap::with_capacity(header.len());
        // Arrays may not overlap, so their sizes sum to no more than the file's.
        let (mut end, mut total) = (0, 0u64);
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let entry: Entry = serde_json::from_value(value)
                .map_err(|e| invalid(path, format_args!("damaged header, {name}: {e}")))?;
            let [first, last] = entry.data_offsets;
            end = end.max(last);
            total = total.saturating_add(last.saturating_sub(first));
            entries.insert(name, entry);
        }
        if end > length - data_start {
            return Err(invalid(
                path,
                format_args!(
                    "truncated: expected {} bytes, found {length}",
                    data_start.saturating_add(end)
                ),
            ));
        }
        if total > end {
            return Err(invalid(
                path,
                format_args!("expected arrays side by side, found {total} bytes in {end}"),
            ));
        }
        Ok(Self { path: path.to_owned(), file, entries, data_start })
    }

    /// Reads the array `name`, which must hold f32 in exactly the shape that `config.json`
    /// implies.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let path = &self.path;
        let Some(entry) = self.entries.get(name) else {
            return Err(invalid(path, format_args!("expected a tensor {name}, found none")));
        };
        if !entry.shape.iter().copied().eq(shape.iter().map(|&n| n as u64)) {
            let found = &entry.shape;
            return Err(invalid(
                path,
                format_args!("{name}: expected shape {shape:?} by config.json, found {found:?}"),
            ));
        }
        if entry.dtype != "F32" {
            return Err(invalid(path, format_args!("{name}: expected F32, found {}", entry.dtype)));
        }
        let [begin, end] = entry.data_offsets;
        let expected = shape.iter().try_fold(4, |size: u64, &n| size.checked_mul(n as u64));
        let (Some(size), true) = (expected, expected == end.checked_sub(begin)) else {
            return Err(invalid(
                path,
                format_args!(
                    "{name}: expected 4 bytes for each of {shape:?} elements, found those from \
                     {begin} to {end}"
                ),
            ));
        };
        // At most the file's length, which `open` has checked: nothing to overflow.
        let mut bytes = vec![0; size as usize];
        self.file
            .seek(SeekFrom::Start(self.data_start + begin))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|e| Error::io("reading", path, e).context(name))?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(values.iter().copied().map(f32::from_le_bytes).collect())
    }
}
