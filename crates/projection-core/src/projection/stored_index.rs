//! IvfIndex of a store's model in a file of their own, so that they are made once.
//!
//! The file `mh_{id}_index.safetensors` lies beside the model's other files, which stay as
//! they are: programs that do not know it need not. It has the tensors that a model file has
//! for lists, and among its metadata two SHA-256: `vectors_sha256`, of the heads' centroids or
//! the training questions at length 1, and `lists_sha256`, of the tensors.
//!
//! Opening a model takes the lists where both are right. Otherwise the model opens without
//! lists, and answers as it does without: lists of other vectors, which another program may
//! have put in place, and damaged ones are never used. [`Model::check_index`] says what is
//! wrong with them, [`Model::store_index`] makes them anew.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Model, list_tensors};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::{IndexStats, IvfIndex, UnitVectors};
use crate::layout;
use crate::tensors::{self, TensorFile};

const FORMAT: &str = "format";
const FORMAT_NAME: &str = "projection-lists-1";
const VECTORS: &str = "vectors_sha256";
const LISTS: &str = "lists_sha256";

/// Vectors that are hashed at a time.
const BLOCK: usize = 256;

/// There is a list for each vector at most, so that a vector takes no more than two rows.
const MOST_OF_A_ROW: usize = 2;

impl Model {
    /// Makes lists of the heads or training questions of projection `id`, as
    /// [`with_approximate_index`](Self::with_approximate_index) does, and keeps them in a file beside the projection's
    /// others: whoever opens it afterwards has them. What was found out, or `None` where the
    /// model stays without lists; a file that was there is removed then.
    ///
    /// A multi-head model uses them where [`top_k`](super::MultiHeadProjection::top_k) lets
    /// few heads take part.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::Io`] where the file can't be written.
    pub fn store_index(
        &self,
        folder: &Path,
        id: i64,
        threads: usize,
    ) -> Result<Option<IndexStats>> {
        let path = folder.join(layout::index_name(id));
        let model = match self.clone().with_lists_of(None) {
            // Lists are made for models of which few heads take part.
            Self::MultiHead(model) => Self::MultiHead(model.with_top_k(Some(1))?),
            model => model,
        };
        let model = model.with_approximate_index(threads)?;
        let Some(lists) = model.approximate_lists() else {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("removing", &path, error))
                }
                _ => Ok(None),
            };
        };
        let metadata = BTreeMap::from([
            (FORMAT, FORMAT_NAME.to_string()),
            (VECTORS, model.hash_of_vectors()),
            (LISTS, hash_of(&lists)?),
        ]);
        let written = list_tensors::tensors(Some(&lists));
        crate::atomic::write(&path, |writer| tensors::write(writer, &written, &metadata))?;
        Ok(Some(lists.stats()))
    }

    /// What was found out when the lists were made that are kept for projection `id`; `None`
    /// where there are none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the file and what is wrong, for lists that are
    /// damaged or of other vectors than the projection has: it opens without them.
    /// Otherwise as [`open`](Self::open).
    pub fn check_index(&self, folder: &Path, id: i64) -> Result<Option<IndexStats>> {
        let path = folder.join(layout::index_name(id));
        match path.exists() {
            true => self.clone().read_lists(&path).map(|lists| Some(lists.stats())),
            false => Ok(None),
        }
    }

    /// The model with the lists that are kept in `folder`, where these are right.
    pub fn with_stored_index(self, folder: &Path, id: i64) -> Self {
        let path = folder.join(layout::index_name(id));
        if !path.exists() {
            return self;
        }
        match self.read_lists(&path) {
            Ok(lists) => self.with_lists_of(Some(lists)),
            Err(_) => self,
        }
    }

    fn read_lists(&self, path: &Path) -> Result<Arc<IvfIndex>> {
        let (count, dim) = self.with_listed_units(|units| (units.count, units.dim));
        // They are not mapped, since a store's files are copied and restored in place.
        let bytes = read(path, MOST_OF_A_ROW * count * (dim + 64))?;
        let file = TensorFile::from_bytes(&bytes, &path.display().to_string())?;
        let told = |key: &str| file.metadata().get(key).map_or("", String::as_str);
        if told(FORMAT) != FORMAT_NAME {
            return Err(
                file.invalid(format!("'{FORMAT}' is '{}', expected '{FORMAT_NAME}'", told(FORMAT)))
            );
        }
        if told(VECTORS) != self.hash_of_vectors() {
            return Err(file.invalid(
                "lists of other vectors than the projection has now: make them anew, it is used \
                 without them",
            ));
        }
        let lists = list_tensors::read(&file, count, dim)?;
        let lists = lists.ok_or_else(|| file.invalid("there are no lists in it"))?;
        if told(LISTS) != hash_of(&lists)? {
            return Err(file.invalid(
                "damaged, its tensors are not those that were written: make the lists anew, the \
                 projection is used without them",
            ));
        }
        Ok(lists)
    }

    fn approximate_lists(&self) -> Option<Arc<IvfIndex>> {
        match self {
            Self::MultiHead(model) => model.stored_index(),
            Self::Residual(model) => model.stored_index(),
            Self::Linear(_) | Self::Transformer(_) => None,
        }
    }

    /// The model with these lists instead of its own.
    fn with_lists_of(self, lists: Option<Arc<IvfIndex>>) -> Self {
        match self {
            Self::MultiHead(model) => Self::MultiHead(model.with_stored_index(lists)),
            Self::Residual(model) => Self::Residual(model.with_stored_index(lists)),
            model @ (Self::Linear(_) | Self::Transformer(_)) => model,
        }
    }

    /// The vectors that lists of this model are of.
    fn with_listed_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        match self {
            Self::MultiHead(model) => model.with_listed_units(work),
            Self::Residual(model) => model.with_listed_units(work),
            Self::Linear(_) | Self::Transformer(_) => {
                work(UnitVectors { count: 0, dim: 0, copy_row: &|_, _| () })
            }
        }
    }

    fn hash_of_vectors(&self) -> String {
        self.with_listed_units(|units| {
            let mut hash = Sha256::new();
            hash.update((units.count as u64).to_le_bytes());
            hash.update((units.dim as u64).to_le_bytes());
            for first in (0..units.count).step_by(BLOCK) {
                let rows = units.gather(first..(first + BLOCK).min(units.count));
                let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
                hash.update(bytes);
            }
            hex(hash)
        })
    }
}

/// A file of so many bytes at most.
fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    let reading = |error| Error::io("reading", path, error);
    let length = std::fs::metadata(path).map_err(reading)?.len();
    if length > most.max(MOST_OF_A_ROW << 20) as u64 {
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{}: {length} bytes, expected at most {most} of lists", path.display()),
        ));
    }
    std::fs::read(path).map_err(reading)
}

/// The SHA-256 of the tensors of lists.
fn hash_of(lists: &Arc<IvfIndex>) -> Result<String> {
    let mut hash = Hashing(Sha256::new());
    tensors::write(&mut hash, &list_tensors::tensors(Some(lists)), &BTreeMap::new())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    Ok(hex(hash.0))
}

/// Hashes what is written to it.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
