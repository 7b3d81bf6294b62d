//! Files that `torch.save` wrote, without torch and without running what they hold.
//!
//! Such a file is a zip archive of a pickle, `data.pkl`, and of one entry of raw numbers for
//! each storage. A pickle is a program: Python's reader calls whatever function it names. Here
//! only the instructions are known that torch writes for dictionaries of numbers, strings
//! and tensors, and only the names that rebuild these. Everything else is refused by its
//! name, and nothing is ever called.
//!
//! Nothing that a file says of itself is trusted: lengths are compared with the file's
//! before memory is allocated, and all tensors together may not take much more than the file.

mod archive;
mod pickle;
mod tensor;

use projection_core::model_file::{from_weights, in_file};
use projection_core::projection::{TransformerProjection, TransformerShape, TransformerWeights};

use crate::error::{Error, ErrorKind, Result};
use archive::Archive;
use pickle::{Node, Pickle};

/// The first bytes of a zip archive.
const ZIP: &[u8] = b"PK";

/// The first bytes of what torch wrote before it wrote zip archives: a pickle of its magic
/// number.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// All tensors together may take this many times the file's length: float16 doubles when it
/// is read as float32, and tensors may share a storage.
const GROWTH: usize = 4;

/// Whether a file that begins with these bytes is torch's, also in a format not read here.
pub(crate) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || bytes.starts_with(LEGACY)
}

/// Reads the transformer in the bytes of a torch file, which messages call `name`.
pub(crate) fn read(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    let mut file = TorchFile::new(bytes, name)?;
    let size = |key: &str| {
        let size = file.integer(key)?;
        usize::try_from(size).map_err(|_| {
            let what = format!("{name}: {key} {size}, expected a size");
            Error::new(ErrorKind::InvalidModel, what)
        })
    };
    let shape = TransformerShape {
        embed_dim: size("embed_dim")?,
        num_heads: size("num_heads")?,
        num_layers: size("num_layers")?,
        ff_dim: size("ff_dim")?,
        dropout: file.number("dropout")?,
    };
    let weights = TransformerWeights::read(&shape, |full| {
        let (state, key) = full.split_once('.').unwrap_or((full, ""));
        file.tensor(state, key)
    });
    let weights = weights.map_err(|error| in_file(error, name))?;
    let mut found = Vec::new();
    for state in ["input_proj", "encoder", "output_proj"] {
        found.extend(file.keys(state)?.map(|key| format!("{state}.{key}")));
    }
    from_weights(weights, &found, name)
}

/// A dictionary that `torch.save` wrote, in the bytes of its file.
struct TorchFile<'a> {
    name: &'a str,
    archive: Archive<'a>,
    pickle: Pickle,
    /// Bytes that tensors may still take.
    budget: usize,
}

impl<'a> TorchFile<'a> {
    fn new(bytes: &'a [u8], name: &'a str) -> Result<Self> {
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
        Ok(Self { name, archive, pickle, budget: bytes.len().saturating_mul(GROWTH) })
    }

    /// The value of a key that is a whole number.
    fn integer(&self, key: &str) -> Result<i64> {
        match self.find(&[key])? {
            Node::Int(value) => Ok(*value),
            other => Err(self.unexpected(key, "a whole number", other)),
        }
    }

    /// The value of a key that is a number.
    fn number(&self, key: &str) -> Result<f64> {
        match self.find(&[key])? {
            Node::Float(value) => Ok(*value),
            Node::Int(value) => Ok(*value as f64),
            other => Err(self.unexpected(key, "a number", other)),
        }
    }

    /// Shape and values of the tensor under a key of the dictionary `state`.
    fn tensor(&mut self, state: &str, key: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let full = format!("{state}.{key}");
        let view = match self.find(&[state, key])? {
            Node::Tensor(view) => view.clone(),
            other => return Err(self.unexpected(&full, "a tensor", other)),
        };
        let read = tensor::read(&view, &self.archive, &mut self.budget);
        read.map_err(|(kind, what)| Error::new(kind, format!("{}: {full}: {what}", self.name)))
    }

    /// The keys of the dictionary `state`.
    fn keys(&self, state: &str) -> Result<impl Iterator<Item = &str>> {
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
                let parent = if depth == 0 { "data.pkl" } else { path[depth - 1] };
                return Err(self.unexpected(parent, "a dictionary", node));
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
