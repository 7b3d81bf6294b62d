//! Files that `torch.save` wrote, without torch and without running what they hold.
//!
//! Such a file is a zip archive of a pickle, `data.pkl`, and of one entry of raw numbers a
//! storage. A pickle is a program: Python's reader calls whatever function it names. Here
//! only the instructions are known that torch writes for dictionaries of numbers, strings
//! and tensors, and only the five functions that rebuild these. Everything else is refused
//! by its name, and nothing is ever called.
//!
//! Nothing that a file says of itself is trusted: lengths are compared with the file's
//! before memory is taken, and all tensors together may not take much more than the file.

mod archive;
mod pickle;
mod tensor;

use crate::error::{Error, ErrorKind, Result};
use archive::Archive;
use pickle::{Node, Pickle};

pub use tensor::Tensor;

/// The first bytes of a zip archive.
const ZIP: &[u8] = b"PK";

/// The first bytes of what torch wrote before it wrote zip archives: a pickle of its magic
/// number.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// All tensors together may take this many times the file's length: float16 doubles when it
/// is read as float32, and tensors may share a storage.
const GROWTH: usize = 4;

/// Whether a file that begins with these bytes is torch's, also in a format not read here.
pub fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || bytes.starts_with(LEGACY)
}

/// A dictionary that `torch.save` wrote, in the bytes of its file.
pub struct TorchFile<'a> {
    name: String,
    archive: Archive<'a>,
    pickle: Pickle,
    /// Bytes that tensors may still take.
    budget: usize,
}

impl<'a> TorchFile<'a> {
    /// Reads the dictionary in `bytes`, which messages call `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] where it is damaged or holds anything but a dictionary
    /// of numbers, strings, tensors and dictionaries of these.
    pub fn read(bytes: &'a [u8], name: &str) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidModel, format!("{name}: {what}"));
        if bytes.starts_with(LEGACY) {
            return Err(invalid(
                "in the format of torch before 1.6, expected a zip archive: load it in torch \
                 and save it again"
                    .into(),
            ));
        }
        let archive = Archive::read(bytes).map_err(invalid)?;
        let data = archive.entry("data.pkl").map_err(invalid)?;
        let pickle = Pickle::read(data).map_err(|what| invalid(format!("data.pkl: {what}")))?;
        let budget = bytes.len().saturating_mul(GROWTH);
        Ok(Self { name: name.to_string(), archive, pickle, budget })
    }

    /// The value of a key of the dictionary that is a whole number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the key, where it is missing or something else.
    pub fn integer(&self, key: &str) -> Result<i64> {
        match self.find(&[key])? {
            Node::Int(value) => Ok(*value),
            other => Err(self.unexpected(key, "a whole number", other)),
        }
    }

    /// The value of a key of the dictionary that is a number.
    ///
    /// # Errors
    /// As [`integer`](Self::integer).
    pub fn number(&self, key: &str) -> Result<f64> {
        match self.find(&[key])? {
            Node::Float(value) => Ok(*value),
            Node::Int(value) => Ok(*value as f64),
            other => Err(self.unexpected(key, "a number", other)),
        }
    }

    /// The tensor of a key of the dictionary under `state` as float32.
    ///
    /// # Errors
    /// As [`integer`](Self::integer), and where the tensor and its storage do not fit
    /// together; [`ErrorKind::NotFinite`] for a float64 that is too large for float32.
    pub fn tensor(&mut self, state: &str, key: &str) -> Result<Tensor> {
        let shown = format!("{state}.{key}");
        let view = match self.find(&[state, key])? {
            Node::Tensor(view) => view.clone(),
            other => return Err(self.unexpected(&shown, "a tensor", other)),
        };
        let name = &self.name;
        let (kind, read) = match tensor::read(&view, &self.archive, &mut self.budget) {
            Ok(tensor) => return Ok(tensor),
            Err((kind, what)) => (kind, what),
        };
        Err(Error::new(kind, format!("{name}: {shown}: {read}")))
    }

    /// How many keys the dictionary under `state` has.
    pub fn keys(&self, state: &str) -> Result<Vec<&str>> {
        match self.find(&[state])? {
            Node::Dict(items) => Ok(self.pickle.keys(items)),
            other => Err(self.unexpected(state, "a dictionary", other)),
        }
    }

    /// Follows keys through dictionaries.
    fn find(&self, path: &[&str]) -> Result<&Node> {
        let mut node = self.pickle.root();
        for (depth, key) in path.iter().enumerate() {
            let Node::Dict(items) = node else {
                let shown = if depth == 0 { "data.pkl" } else { path[depth - 1] };
                return Err(self.unexpected(shown, "a dictionary", node));
            };
            node = self.pickle.item(items, key).ok_or_else(|| {
                let message = format!("{}: no {}", self.name, path[..=depth].join("."));
                Error::new(ErrorKind::InvalidModel, message)
            })?;
        }
        Ok(node)
    }

    fn unexpected(&self, key: &str, expected: &str, found: &Node) -> Error {
        let message = format!("{}: {key}: {}, expected {expected}", self.name, found.describe());
        Error::new(ErrorKind::InvalidModel, message)
    }
}
