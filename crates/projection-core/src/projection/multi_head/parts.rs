//! The vectors of a multi-head projection, in memory and in files.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, QuantizedRows, Rows, RowsRef};
use crate::projection::validation::{MAX_ANSWER_LENGTH, check_rows, check_rows_finite};

/// How far the length of a centroid may be from 1, beside what rounding has changed.
const LENGTH_TOLERANCE: f64 = 1e-3;

/// A vector for each head, in float32 or in less memory.
#[derive(Debug, Clone)]
pub enum HeadRows {
    /// In float32.
    F32(Rows),
    /// In bf16 or int8.
    Quantized(QuantizedRows),
}

impl HeadRows {
    /// Vectors in float32, rounded from those in float64.
    pub(crate) fn rounded(exact: &Rows<f64>) -> Self {
        let mut rounded = Rows::with_capacity(exact.width(), exact.count());
        let mut row = Vec::new();
        for values in exact.chunks_exact(exact.width()) {
            row.clear();
            row.extend(values.iter().map(|value| *value as f32));
            rounded.push(&row);
        }
        Self::F32(rounded)
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        match self {
            Self::F32(rows) => rows.width(),
            Self::Quantized(rows) => rows.dim(),
        }
    }

    pub(super) fn as_ref(&self) -> RowsRef<'_> {
        match self {
            Self::F32(rows) => RowsRef::F32(rows),
            Self::Quantized(rows) => RowsRef::Quantized(rows),
        }
    }

    /// Copies the vector of a head into `row`, in float32.
    pub(super) fn copy_row(&self, head: usize, row: &mut [f32]) {
        match self {
            Self::F32(rows) => row.copy_from_slice(rows.row(head)),
            Self::Quantized(rows) => rows.decode(head, row),
        }
    }

    /// Adds a vector to those in float32.
    pub(super) fn push(&mut self, row: &[f32]) {
        match self {
            Self::F32(rows) => rows.push(row),
            Self::Quantized(_) => unreachable!("heads are quantized when they are complete"),
        }
    }

    /// The length of the vector of a head; `row` holds at least as many values.
    fn length(&self, head: usize, row: &mut [f32]) -> f64 {
        let row = &mut row[..self.dim()];
        self.copy_row(head, row);
        kernel::norm(row)
    }
}

/// The heads of a model, in ascending order of cluster id: N heads of dimension d with answers of
/// dimension o.
#[derive(Debug, Clone)]
pub struct MultiHeadParts {
    /// Cluster ids (N).
    pub cluster_ids: Vec<i64>,
    /// Centroids of length 1 (N × d).
    pub centroids: HeadRows,
    /// The centroids in float64, if they were kept: for routing at low temperatures, where the
    /// rounding of float32 shows. `centroids` are these, rounded.
    pub exact_centroids: Option<Rows<f64>>,
    /// Answers (N × o), zero for heads with a matrix.
    pub answers: HeadRows,
    /// Numbers of the heads that have a matrix, ascending, and their matrices (o × d).
    pub matrices: Vec<(usize, Rows)>,
}

impl MultiHeadParts {
    /// Centroids of up to this size in float64 are kept at every temperature, since it may be
    /// lowered later; larger ones only in models that are made at a low temperature.
    pub const EXACT_BYTES: usize = 16 << 20;

    /// Centroids and answers, as the kernels take them.
    pub(super) fn vectors(&self) -> (RowsRef<'_>, RowsRef<'_>) {
        (self.centroids.as_ref(), self.answers.as_ref())
    }

    pub(super) fn check_shapes(&self) -> Result<()> {
        let ids = &self.cluster_ids;
        if ids.is_empty() {
            return Err(Error::new(ErrorKind::InvalidModel, "a projection without heads"));
        }
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("head {} after {}, expected ascending ids, each once", pair[1], pair[0]),
            ));
        }
        let (dim, output_dim) = (self.centroids.dim(), self.answers.dim());
        // A projected query is a point among answers, unless every head maps it elsewhere.
        if dim != output_dim && self.matrices.len() != ids.len() {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("answers of dimension {output_dim}, expected {dim} as the centroids have"),
            ));
        }
        Ok(())
    }

    /// Refuses values that no model may have. Exact centroids need no check of their own: the
    /// others are these, rounded.
    pub(super) fn check_values(&self) -> Result<()> {
        for (name, rows) in [("centroids", &self.centroids), ("answers", &self.answers)] {
            match rows {
                HeadRows::F32(rows) => check_rows(name, rows, MAX_ANSWER_LENGTH)?,
                HeadRows::Quantized(rows) => self.check_quantized(name, rows)?,
            }
        }
        if let HeadRows::Quantized(rows) = &self.centroids
            && let Some((head, scale)) = rows.no_unit_scale()
        {
            let what = format!("tensor 'centroids': the scale {scale}, expected that of length 1");
            return Err(self.invalid(head, what));
        }
        let mut row = vec![0.0; self.centroids.dim().max(self.answers.dim())];
        for head in 0..self.cluster_ids.len() {
            let length = self.centroids.length(head, &mut row);
            let rounding = match &self.centroids {
                HeadRows::F32(_) => 0.0,
                HeadRows::Quantized(rows) => rows.length_error(head),
            };
            if (length - 1.0).abs() > LENGTH_TOLERANCE + rounding {
                let what = format!("tensor 'centroids': length {length}, expected 1");
                return Err(self.invalid(head, what));
            }
        }
        for (head, matrix) in &self.matrices {
            if self.answers.length(*head, &mut row) != 0.0 {
                return Err(self.invalid(*head, "tensor 'answers': not zero beside a matrix"));
            }
            check_rows_finite("matrices", matrix)?;
        }
        Ok(())
    }

    fn check_quantized(&self, name: &str, rows: &QuantizedRows) -> Result<()> {
        if let Some(head) = rows.above(MAX_ANSWER_LENGTH as f32) {
            let cluster = self.cluster_ids[head];
            return Err(Error::new(
                ErrorKind::NotFinite,
                format!(
                    "tensor '{name}' or its scales: not finite or above {MAX_ANSWER_LENGTH:e}, \
                     head of cluster {cluster}"
                ),
            ));
        }
        match rows.negative_scale() {
            None => Ok(()),
            Some((head, scale)) => {
                let what = format!("the scale {scale} in tensor '{name}', expected at least 0");
                Err(self.invalid(head, what))
            }
        }
    }

    fn invalid(&self, head: usize, what: impl Into<String>) -> Error {
        let what = format!("{}, head of cluster {}", what.into(), self.cluster_ids[head]);
        Error::new(ErrorKind::InvalidModel, what)
    }
}
