//! Reading many small arrays of one folder: one open and one read each, by names relative to
//! the folder's handle.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::path::Path;

use super::NpyArray;
use super::header::{self, Dtype, Header};
use crate::error::Result;

/// Files of fewer bytes are read at once; others the usual way.
const AT_ONCE: usize = 1 << 16;

/// Reads arrays, most of which lie in the folder of the one before and have its shape. Takes
/// memory for neither file nor name.
pub struct FolderReader {
    /// The last folder, as far as its slash, with its handle where it has one.
    #[cfg(target_os = "linux")]
    folder: (Vec<u8>, Option<File>),
    /// The name of a file in its folder, with NUL.
    #[cfg(target_os = "linux")]
    name: Vec<u8>,
    /// The last array.
    array: NpyArray,
    /// The bytes of the last array's header; empty where it was read the usual way.
    header: Vec<u8>,
}

impl FolderReader {
    /// A reader that has no folder yet.
    pub fn new() -> Self {
        let header =
            Header { dtype: Dtype::Float32, fortran_order: false, shape: Vec::new(), elements: 0 };
        Self {
            #[cfg(target_os = "linux")]
            folder: (Vec::new(), None),
            #[cfg(target_os = "linux")]
            name: Vec::new(),
            array: NpyArray { header, bytes: Vec::new(), data: 0..0, name: String::new() },
            header: Vec::new(),
        }
    }

    /// [`NpyArray::load`]. The array is there until the next one is.
    ///
    /// # Errors
    /// As [`NpyArray::load`].
    pub fn load(&mut self, path: &Path) -> Result<&NpyArray> {
        let whole = self.read_at_once(path).and_then(|length| self.understand(length));
        if whole.is_some() {
            self.array.name.clear();
            match path.to_str() {
                Some(name) => self.array.name.push_str(name),
                None => self.array.name.push_str(&path.to_string_lossy()),
            }
        } else {
            // Whatever is unusual is left to the careful way, which finds the right words for
            // it.
            self.header.clear();
            self.array = NpyArray::load(path)?;
        }
        Ok(&self.array)
    }

    /// Takes the first so many bytes for those of a file, if nothing is wrong with it.
    fn understand(&mut self, length: usize) -> Option<()> {
        let array = &mut self.array;
        let file = &array.bytes[..length];
        let text = header::text_range(file).ok()?;
        let header = file.get(..text.end)?;
        if self.header != header {
            self.header.clear();
            array.header = header::parse(&header[text.clone()]).ok()?;
            self.header.extend_from_slice(header);
        }
        array.data = text.end..length;
        (array.data.len() == array.header.elements * array.header.dtype.size()).then_some(())
    }

    /// Reads a file into the array's bytes, where it is short, and gives its length.
    #[cfg(target_os = "linux")]
    fn read_at_once(&mut self, path: &Path) -> Option<usize> {
        use std::io::Read;
        use std::os::fd::{AsRawFd, FromRawFd};
        use std::os::unix::ffi::OsStrExt;

        let path = path.as_os_str().as_bytes();
        let in_folder = path.strip_prefix(&self.folder.0[..]);
        let name = match in_folder.filter(|name| !name.contains(&b'/')) {
            Some(name) if self.folder.1.is_some() => name,
            _ => self.enter_folder(path),
        };
        if name.contains(&0) {
            return None;
        }
        self.name.clear();
        self.name.extend_from_slice(name);
        self.name.push(0);
        let handle = self.folder.1.as_ref()?;
        // Opening a pipe does not wait for its other end, and reading one does not wait for
        // data.
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the handle is an open descriptor, and the name ends with NUL.
        let file = unsafe { libc::openat(handle.as_raw_fd(), self.name.as_ptr().cast(), flags) };
        if file < 0 {
            return None;
        }
        // SAFETY: it was opened just now and belongs to nobody else.
        let mut file = unsafe { File::from_raw_fd(file) };
        let bytes = &mut self.array.bytes;
        if bytes.len() < AT_ONCE {
            bytes.resize(AT_ONCE, 0);
        }
        let length = file.read(&mut bytes[..AT_ONCE]).ok()?;
        (length < AT_ONCE).then_some(length)
    }

    /// Takes the folder of a file, and gives the file's name in it.
    #[cfg(target_os = "linux")]
    fn enter_folder<'a>(&mut self, path: &'a [u8]) -> &'a [u8] {
        use std::os::unix::ffi::OsStrExt;

        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = path.split_at(slash.map_or(0, |at| at + 1));
        let place = if folder.is_empty() { b"." } else { folder };
        self.folder = (folder.to_vec(), File::open(std::ffi::OsStr::from_bytes(place)).ok());
        name
    }

    #[cfg(not(target_os = "linux"))]
    fn read_at_once(&mut self, _: &Path) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::npy;
    use ndarray::{Array1, array};

    #[test]
    fn gives_what_the_usual_way_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("other")).unwrap();
        npy::save(path("a.npy"), array![1.0f64, 2.0].view()).unwrap();
        npy::save(path("other/a.npy"), array![[3.0f32, 4.0]].view()).unwrap();
        // Larger than what is read at once.
        let large = Array1::from_elem(AT_ONCE, 0.5f32);
        npy::save(path("large.npy"), large.view()).unwrap();
        std::fs::write(path("cut.npy"), &std::fs::read(path("a.npy")).unwrap()[..100]).unwrap();
        let mut reader = FolderReader::new();
        // The same header, and one of the same length that says something else.
        npy::save(path("b.npy"), array![5.0f64, 6.0].view()).unwrap();
        npy::save(path("c.npy"), array![5.0f32, 6.0].view()).unwrap();
        let names =
            ["a.npy", "b.npy", "c.npy", "other/a.npy", "large.npy", "c.npy", "b.npy", "a.npy"];
        for name in names {
            let found = reader.load(&path(name)).unwrap();
            let expected = NpyArray::load(path(name)).unwrap();
            assert_eq!((found.shape(), found.to_f64()), (expected.shape(), expected.to_f64()));
        }
        for (name, kind) in [
            ("cut.npy", ErrorKind::InvalidArray),
            ("gone.npy", ErrorKind::NotFound),
            ("other", ErrorKind::Io),
        ] {
            let (found, expected) = (reader.load(&path(name)), NpyArray::load(path(name)));
            let (found, expected) = (found.unwrap_err(), expected.unwrap_err());
            assert_eq!((found.kind(), found.to_string()), (kind, expected.to_string()));
            // What comes next is not spoilt.
            assert_eq!(reader.load(&path("a.npy")).unwrap().to_f64(), [1.0, 2.0]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_refused_at_once() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.npy");
        let name = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = FolderReader::new().load(&pipe).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
