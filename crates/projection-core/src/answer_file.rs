//! The answers of a search in one `.safetensors` file, for programs that have no store.
//!
//! ```text
//! format           "projection_answers"
//! format_version   "1"; a newer one is refused
//! embedding_model  the embedding model that made the vectors, if known
//! dimension        of the vectors
//! ```
//!
//! Tensors, for N answers of dimension d: `answer_ids` I64 (N), and `vectors` (N × d), of
//! length 1, either F32, or I8 with `scales` F32 (N): a value is then byte·scale, the scale
//! of a row being 1/127 of its largest value, in a quarter of the size. If the answers' clusters
//! are known, there are also `clusters` I64 (M) and `cluster_answers` I64 (M): each cluster with the
//! id of an answer in it.
//!
//! Bytes become floats when they are read, so that searching is the same for both; only the
//! vectors are rounded. A file takes no more than four times its size in memory.
//!
//! Rounding moves a score by a known amount at most: for a query of length 1, the score of an answer a
//! whose vector is read back as b differs by |q·a − q·b| ≤ ‖a − b‖ (Cauchy and Schwarz). So two
//! answers whose scores differ by more than the sum of both distances never change places.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel;
use crate::model_file::check_format;
use crate::search::Index;
use crate::tensors::{self, Dtype, NewTensor, TensorFile};

const FORMAT: &str = "projection_answers";
const VERSION: usize = 1;

const IDS: &str = "answer_ids";
const VECTORS: &str = "vectors";
const SCALES: &str = "scales";
const CLUSTERS: &str = "clusters";
const CLUSTER_ANSWERS: &str = "cluster_answers";

/// What the bytes are called in messages.
const BYTES: &str = "answers";

/// How far a vector of a file may be from length 1. Rounding to bytes leaves less than a
/// tenth of this at any usual dimension.
const LENGTH_TOLERANCE: f64 = 0.05;

/// How the vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerPrecision {
    /// As they are.
    F32,
    /// In bytes, with a scale for each vector.
    #[default]
    Int8,
}

impl AnswerPrecision {
    /// Its name, such as `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

impl Index {
    /// Reads an index from the bytes of an answers file, which are copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`], [`ErrorKind::DimensionMismatch`],
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidArgument`], naming the tensor or the
    /// answer, if the bytes are damaged, not of such a file or of a newer format, if a vector
    /// is not of length 1, or if an id comes twice.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let file = TensorFile::from_bytes(bytes, BYTES)?;
        check_format(&file, FORMAT, VERSION)?;
        let ids = file.vector::<i64>(IDS, None)?;
        let precision = match file.info(VECTORS)?.dtype {
            Dtype::F32 => AnswerPrecision::F32,
            Dtype::I8 => AnswerPrecision::Int8,
            other => {
                let what = format!("tensor '{VECTORS}': dtype {}, expected F32 or I8", other);
                return Err(file.invalid(what));
            }
        };
        let shape = file.info(VECTORS)?.shape.clone();
        let &[count, dim] = &shape[..] else {
            let what = format!("tensor '{VECTORS}': shape {shape:?}, expected two axes");
            return Err(file.invalid(what));
        };
        check_dimension(&file, dim)?;
        if count == 0 {
            return Err(file.invalid(format_args!("tensor '{VECTORS}': no answers")));
        }
        if count != ids.len() {
            let what = format!("{count} vectors for {} ids, expected one each", ids.len());
            return Err(Error::new(ErrorKind::DimensionMismatch, format!("{BYTES}: {what}")));
        }
        let values = match precision {
            AnswerPrecision::F32 => file.rows(VECTORS, &shape)?.to_vec(),
            AnswerPrecision::Int8 => {
                let scales = file.rows::<f32>(SCALES, &[count])?;
                let bytes = file.rows::<i8>(VECTORS, &shape)?;
                let rows = bytes.chunks_exact(dim).zip(scales.iter());
                rows.flat_map(|(row, scale)| row.iter().map(move |byte| f32::from(*byte) * scale))
                    .collect()
            }
        };
        check_lengths(&ids, &values, dim)?;
        let index = Self::from_rows(&ids, &values, (count, dim));
        let index = index.map_err(|error| error.context(BYTES))?;
        if !file.has(CLUSTERS) {
            return Ok(index);
        }
        let clusters = file.vector::<i64>(CLUSTERS, None)?;
        let answers = file.vector::<i64>(CLUSTER_ANSWERS, Some(clusters.len()))?;
        Ok(index.with_clusters(clusters.into_iter().zip(answers)))
    }

    /// The bytes of an answers file. `embedding_model` names the model that made the
    /// vectors.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if memory runs out.
    pub fn to_bytes(
        &self,
        embedding_model: Option<&str>,
        precision: AnswerPrecision,
    ) -> Result<Vec<u8>> {
        let mut metadata = BTreeMap::from([
            ("format", FORMAT.to_string()),
            ("format_version", VERSION.to_string()),
            ("dimension", self.dim().to_string()),
        ]);
        if let Some(name) = embedding_model {
            metadata.insert("embedding_model", name.to_string());
        }
        let shape = [self.len(), self.dim()];
        let rounded;
        let mut tensors = match precision {
            AnswerPrecision::F32 => vec![NewTensor::new(VECTORS, &shape, self.units())],
            AnswerPrecision::Int8 => {
                rounded = Rounded::new(self.units(), self.dim());
                vec![
                    NewTensor::new(VECTORS, &shape, &rounded.bytes),
                    NewTensor::new(SCALES, &shape[..1], &rounded.scales),
                ]
            }
        };
        tensors.push(NewTensor::vector(IDS, self.ids()));
        if let Some(members) = self.members() {
            let clusters: Vec<i64> = members.iter().map(|(cluster, _)| *cluster).collect();
            let answers = members.iter().map(|(_, row)| self.ids()[*row as usize]);
            tensors.push(NewTensor::vector(CLUSTERS, clusters));
            tensors.push(NewTensor::vector(CLUSTER_ANSWERS, answers.collect::<Vec<i64>>()));
        }
        let mut bytes = Vec::new();
        tensors::write(&mut bytes, &tensors, &metadata)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        Ok(bytes)
    }
}

/// Vectors in bytes.
struct Rounded {
    bytes: Vec<i8>,
    scales: Vec<f32>,
}

impl Rounded {
    fn new(units: &[f32], dim: usize) -> Self {
        let mut rounded = Self { bytes: Vec::with_capacity(units.len()), scales: Vec::new() };
        for row in units.chunks_exact(dim) {
            let largest = row.iter().fold(0.0, |most, value| f32::max(most, value.abs()));
            // Above zero: the vectors are of length 1.
            let scale = largest / 127.0;
            rounded.bytes.extend(row.iter().map(|value| (value / scale).round() as i8));
            rounded.scales.push(scale);
        }
        rounded
    }
}

fn check_dimension(file: &TensorFile<'_>, dim: usize) -> Result<()> {
    let found = file.text("dimension").unwrap_or("missing");
    if dim == 0 || found.parse() != Ok(dim) {
        let what = format!("'dimension' is {found}, but the vectors have {dim}");
        return Err(file.invalid(what));
    }
    Ok(())
}

/// Vectors are of length 1, whatever their scales are.
fn check_lengths(ids: &[i64], values: &[f32], dim: usize) -> Result<()> {
    for (id, row) in ids.iter().zip(values.chunks_exact(dim)) {
        let length = kernel::norm(row);
        if !length.is_finite() {
            let what = format!("{BYTES}: vector of answer {id}: expected finite numbers");
            return Err(Error::new(ErrorKind::NotFinite, what));
        }
        if (length - 1.0).abs() > LENGTH_TOLERANCE {
            let what = format!("vector of answer {id}: length {length}, expected 1");
            return Err(Error::new(ErrorKind::InvalidModel, format!("{BYTES}: {what}")));
        }
    }
    Ok(())
}
