//! Files that are read where the operating system maps them.

use std::fs::File;
use std::io::Result;

use super::StableBytes;

/// A whole file, mapped read-only.
///
/// The file must not be changed in place while it is mapped: values that are read from it may
/// change then, and reading behind the end of a file that was cut short kills the process
/// with SIGBUS. Replacing it by renaming another one, or removing it, does no harm, since the
/// mapping keeps the old one.
pub struct Mapping(memmap2::Mmap);

impl Mapping {
    /// Maps a file, which may be closed afterwards.
    pub fn of(file: &File) -> Result<Self> {
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
