//! The IVF index of a model: in memory, as tensors, and in a file beside the model's others.
//!
//! The file `mh_{id}_index.safetensors` lies beside the model's other files, so that the index is
//! built once; programs that do not know it need not. It has the tensors that a model file has
//! for an index, and among its metadata two SHA-256: `vectors_sha256`, of the heads' centroids or
//! the training questions at length 1, and `index_sha256`, of the tensors.
//!
//! Opening a model uses the index if both are right. Otherwise the model opens without it and
//! answers as it does without: an index of other vectors, which another program may have
//! replaced, or a damaged one is never used. [`Model::check_index`] says what is wrong with it,
//! [`Model::store_index`] rebuilds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::Model;
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::{IndexStats, IvfIndex, MIN_INDEX_ROWS, StoredIndex, UnitVectors, scan_pays_off};
use crate::kernel::progress::{OnProgress, Progress};
use crate::kernel::{MAX_INT8_DIM, QuantizedParts, QuantizedRows, files};
use crate::layout;
use crate::tensors::{self, NewTensor, TensorFile};

/// Finds the nearest of a model's vectors.
#[derive(Debug, Clone, Default)]
pub struct VectorIndex(OnceLock<Option<Arc<IvfIndex>>>);

impl VectorIndex {
    /// This index, or one that [`get`](Self::get) builds when it is first needed.
    pub fn of(index: Option<Arc<IvfIndex>>) -> Self {
        Self(index.map_or_else(OnceLock::new, |index| OnceLock::from(Some(index))))
    }

    /// The index of these vectors; `None` if scanning all of them in float32 takes less time.
    pub fn get(&self, units: UnitVectors<'_>) -> Option<&IvfIndex> {
        let flat =
            || scan_pays_off(units.count, units.dim).then(|| Arc::new(IvfIndex::flat(units)));
        self.0.get_or_init(flat).as_deref()
    }

    /// The index if it may miss a vector.
    pub fn approximate(&self) -> Option<&Arc<IvfIndex>> {
        self.0.get()?.as_ref().filter(|index| !index.is_exact())
    }

    /// An approximate index of these vectors, if there are many and it finds the nearest ones for
    /// less work than scanning all.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn build(
        units: UnitVectors<'_>,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Option<Arc<IvfIndex>>> {
        if units.count < MIN_INDEX_ROWS || !scan_pays_off(units.count, units.dim) {
            return Ok(None);
        }
        let mut poll = || Progress::new("building an index", 0, 1).send(progress);
        let index = IvfIndex::build(units, &[], threads, &mut poll)?;
        Ok((!index.is_exact()).then(|| Arc::new(index)))
    }
}

const CODES: &str = "index_codes";
const CODE_SCALES: &str = "index_code_scales";
const ROWS: &str = "index_rows";
const OFFSETS: &str = "index_offsets";
const CENTROIDS: &str = "index_centroids";
const CENTROID_SCALES: &str = "index_centroid_scales";
const RADII: &str = "index_radii";
const STATS: &str = "index_stats";

/// The tensors of an index that may miss a vector, large ones first; none for another one.
pub(crate) fn index_tensors(index: &VectorIndex) -> Vec<NewTensor<'_>> {
    index.approximate().map_or_else(Vec::new, |index| tensors_of(index))
}

fn tensors_of(index: &IvfIndex) -> Vec<NewTensor<'_>> {
    let Some(parts) = index.stored() else { return Vec::new() };
    let (mut tensors, mut small) = (Vec::new(), Vec::new());
    for (name, scales_name, rows) in
        [(CODES, CODE_SCALES, parts.codes), (CENTROIDS, CENTROID_SCALES, parts.centroids)]
    {
        // An index lends what it holds.
        let Cow::Borrowed(rows) = rows else { continue };
        if let QuantizedParts::Int8(bytes, scales) = rows.parts() {
            tensors.push(NewTensor::of_parts(name, &[rows.count(), rows.dim()], bytes));
            small.push(NewTensor::new(scales_name, &[rows.count()], scales));
        }
    }
    if let Cow::Borrowed(radii) = parts.radii {
        small.push(NewTensor::new(RADII, &[radii.len()], radii));
    }
    small.push(NewTensor::vector(ROWS, parts.rows));
    small.push(NewTensor::vector(OFFSETS, parts.offsets));
    small.push(NewTensor::vector(STATS, parts.stats));
    tensors.extend(small);
    tensors
}

/// The index of `n` vectors of dimension `dim`, if the file has one. WebAssembly does without.
pub(crate) fn read_index(
    file: &TensorFile<'_>,
    n: usize,
    dim: usize,
) -> Result<Option<Arc<IvfIndex>>> {
    if cfg!(target_family = "wasm") || !file.has(CODES) {
        return Ok(None);
    }
    if dim > MAX_INT8_DIM {
        return Err(file.invalid(format_args!(
            "tensor '{CODES}': rows of {dim} bytes, expected at most {MAX_INT8_DIM}"
        )));
    }
    let lists = file.shape::<i8>(CENTROIDS, 2)?[0];
    let bytes = |name: &str, scales: &str, count: usize| {
        let scales = file.rows(scales, &[count])?;
        Ok(Cow::Owned(QuantizedRows::from_int8(file.rows::<i8>(name, &[count, dim])?, scales)))
    };
    let parts = StoredIndex {
        codes: bytes(CODES, CODE_SCALES, n)?,
        rows: file.vector(ROWS, Some(n))?,
        offsets: file.vector(OFFSETS, Some(lists + 1))?,
        centroids: bytes(CENTROIDS, CENTROID_SCALES, lists)?,
        radii: Cow::Owned(file.vector(RADII, Some(lists))?),
        stats: file.vector(STATS, Some(StoredIndex::STATS))?,
    };
    let index = IvfIndex::from_stored(parts).map_err(|what| file.invalid(what))?;
    Ok(Some(Arc::new(index)))
}

const FORMAT: &str = "format";
const FORMAT_NAME: &str = "projection-index-1";
const VECTORS_HASH: &str = "vectors_sha256";
const INDEX_HASH: &str = "index_sha256";

/// Vectors that are hashed at a time.
const BLOCK: usize = 256;

impl Model {
    /// The same model with an approximate index, which finds the nearest of its many heads or
    /// training questions without comparing a query with each.
    ///
    /// The model stays as it is if it has fewer than 16,384 of them, if all of its heads take
    /// part (see [`top_k`](super::MultiHeadProjection::top_k)), or if no index finds at least 99%
    /// of the true nearest vectors of held-out queries for less work. Building takes three
    /// seconds for 40,000 vectors and minutes for 1,000,000 on one thread; the result does not
    /// depend on the number of threads. Files that the model is saved to hold the index.
    ///
    /// # Errors
    /// As [`check_values`](Self::check_values), and [`ErrorKind::Cancelled`].
    pub fn with_approximate_index(
        &self,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        self.check_values()?;
        let all_take_part = matches!(self, Self::MultiHead(model) if model.top_k().is_none());
        if all_take_part || self.index_stats().is_some() {
            return Ok(self.clone());
        }
        let index = self.with_units(|units| VectorIndex::build(units, threads, progress))?;
        Ok(index.into_iter().fold(self.clone(), Self::with_index))
    }

    /// Recall and cost of the approximate index, measured while it was built; `None` if there is
    /// none.
    pub fn index_stats(&self) -> Option<IndexStats> {
        let index = match self {
            Self::MultiHead(model) => model.index(),
            Self::Residual(model) => model.index(),
            Self::Linear(_) | Self::Transformer(_) => return None,
        };
        index.approximate().map(|index| index.stats())
    }

    fn with_index(self, index: Arc<IvfIndex>) -> Self {
        match self {
            Self::MultiHead(model) => Self::MultiHead(model.with_index(index)),
            Self::Residual(model) => Self::Residual(model.with_index(index)),
            Self::Linear(_) | Self::Transformer(_) => self,
        }
    }

    /// Builds an approximate index of the heads or training questions of projection `id`, as
    /// [`with_approximate_index`](Self::with_approximate_index) does, and stores it in a file
    /// beside the projection's others, for everyone who opens it afterwards. Returns its recall
    /// and cost, or `None` if the model stays without an index; a file from before is removed
    /// then.
    ///
    /// A multi-head model uses it if [`top_k`](super::MultiHeadProjection::top_k) lets few heads
    /// take part.
    ///
    /// # Errors
    /// As [`load`](Self::load), [`ErrorKind::Io`] if the file can't be written, and
    /// [`ErrorKind::Cancelled`].
    pub fn store_index(
        &self,
        folder: &Path,
        id: i64,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Option<IndexStats>> {
        let path = folder.join(layout::index_name(id));
        self.check_values()?;
        let built = self.with_units(|units| VectorIndex::build(units, threads, progress))?;
        let Some(index) = built else {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("removing", &path, error))
                }
                _ => Ok(None),
            };
        };
        let metadata = BTreeMap::from([
            (FORMAT, FORMAT_NAME.to_string()),
            (VECTORS_HASH, self.hash_of_vectors()),
            (INDEX_HASH, hash_of(&index)?),
        ]);
        let written = tensors_of(&index);
        crate::atomic::write(&path, |writer| tensors::write(writer, &written, &metadata))?;
        Ok(Some(index.stats()))
    }

    /// Recall and cost of the index that is stored for projection `id`; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], naming the file and what is wrong, for an index that is
    /// damaged or was built from other vectors; the projection opens without it. Otherwise as
    /// [`load`](Self::load).
    pub fn check_index(&self, folder: &Path, id: i64) -> Result<Option<IndexStats>> {
        let path = folder.join(layout::index_name(id));
        match path.exists() {
            true => self.read_stored_index(&path).map(|index| Some(index.stats())),
            false => Ok(None),
        }
    }

    /// The model with the index that is stored in `folder`, if that is sound.
    pub fn with_stored_index(self, folder: &Path, id: i64) -> Self {
        let path = folder.join(layout::index_name(id));
        self.read_stored_index(&path).into_iter().fold(self, Self::with_index)
    }

    fn read_stored_index(&self, path: &Path) -> Result<Arc<IvfIndex>> {
        let (count, dim) = self.with_units(|units| (units.count, units.dim));
        // There is at most a list for each vector, so that a vector takes no more than two rows.
        let bytes = read(path, 2 * count * (dim + 64))?;
        let file = TensorFile::from_bytes(&bytes, &path.display().to_string())?;
        let text = |key: &str| file.text(key).unwrap_or_default();
        if text(FORMAT) != FORMAT_NAME {
            return Err(
                file.invalid(format!("'{FORMAT}' is '{}', expected '{FORMAT_NAME}'", text(FORMAT)))
            );
        }
        if text(VECTORS_HASH) != self.hash_of_vectors() {
            return Err(file.invalid(
                "the index was built from other vectors and is ignored; rebuild it with \
                 `projection index`",
            ));
        }
        let index = read_index(&file, count, dim)?;
        let index = index.ok_or_else(|| file.invalid("there is no index in it"))?;
        if text(INDEX_HASH) != hash_of(&index)? {
            return Err(file.invalid(
                "the index is damaged and ignored: its tensors are not those that were written; \
                 rebuild it with `projection index`",
            ));
        }
        Ok(index)
    }

    /// Calls `work` with the vectors that an index of this model is built from.
    fn with_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        match self {
            Self::MultiHead(model) => model.with_units(work),
            Self::Residual(model) => model.with_units(work),
            Self::Linear(_) | Self::Transformer(_) => {
                work(UnitVectors { count: 0, dim: 0, copy_row: &|_, _| () })
            }
        }
    }

    fn hash_of_vectors(&self) -> String {
        self.with_units(|units| {
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

/// Reads a file of at most `limit` bytes, or of a small file's size. It is not mapped, since the
/// files of a store are copied and restored in place.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let (_, length) = files::open(path)?;
    if length > limit.max(2 << 20) as u64 {
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!("{}: {length} bytes, expected at most {limit} of an index", path.display()),
        ));
    }
    files::read(path)
}

/// The SHA-256 of the tensors of an index.
fn hash_of(index: &IvfIndex) -> Result<String> {
    let mut hash = HashWriter(Sha256::new());
    tensors::write(&mut hash, &tensors_of(index), &BTreeMap::new())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    Ok(hex(hash.0))
}

/// Hashes what is written to it.
struct HashWriter(Sha256);

impl Write for HashWriter {
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
