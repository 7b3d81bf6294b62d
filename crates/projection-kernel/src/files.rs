//! Files that are read as a whole, or where the operating system maps them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::rows::StableBytes;

/// Opens a regular file, and returns its length with it. Pipes and devices, which could be waited
/// for or read for ever, are refused.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`], naming the file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let reading = |error| Error::io("reading", path, error);
    // Asked before opening, since opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(reading)?;
    if !metadata.is_file() {
        let what = format!("reading {}: not a regular file", path.display());
        return Err(Error::new(ErrorKind::Io, what));
    }
    Ok((File::open(path).map_err(reading)?, metadata.len()))
}

/// The bytes of a regular file, see [`open`].
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    let mut bytes = Vec::new();
    let reserved = usize::try_from(length).ok().map(|length| bytes.try_reserve_exact(length));
    if !matches!(reserved, Some(Ok(()))) {
        let what = format!("reading {}: {length} bytes, more than memory", path.display());
        return Err(Error::new(ErrorKind::Io, what));
    }
    file.take(length).read_to_end(&mut bytes).map_err(|error| Error::io("reading", path, error))?;
    Ok(bytes)
}

/// A whole file, mapped read-only.
///
/// The file must not be changed in place while it is mapped: values that are read from it may
/// change then, and reading behind the end of a file that was cut short kills the process
/// with SIGBUS. Replacing it by renaming another one, or removing it, does no harm, since the
/// mapping keeps the old one.
pub struct Mapping(memmap2::Mmap);

impl Mapping {
    /// Maps a file, which may be closed afterwards.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read as plain numbers only, for which every content is valid,
        // and always through `bytes`. That nobody changes the file in place is what the type's
        // comment and those of all public functions that map a file ask for.
        unsafe { memmap2::Mmap::map(file) }.map(Self)
    }
}

// SAFETY: a mapping stays at its address until it is dropped, and is not written to.
unsafe impl StableBytes for Mapping {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}
