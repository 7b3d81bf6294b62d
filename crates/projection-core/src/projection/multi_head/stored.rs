//! The parts of a multi-head projection as it keeps them, for files that hold a model as it
//! is.

use std::sync::{Arc, OnceLock};

use super::heads::{HeadVectors, Heads};
use super::{MultiHeadProjection, check_temperature};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IvfIndex;
use crate::kernel::{self, QuantizedRows, Rows};
use crate::projection::deferred::{Deferred, check_rows_finite};

/// How far the length of a centroid may be from 1, beside what rounding has done to it.
const UNIT: f64 = 1e-3;

/// All vectors of a multi-head projection, N heads of dimension d with answers of o.
pub struct StoredHeads {
    /// Cluster ids, ascending (N).
    pub ids: Vec<i64>,
    /// Centroids (N × d) and answers (N × o).
    pub vectors: HeadVectors,
    /// Numbers of heads and their matrices (o × d), ascending.
    pub matrices: Vec<(usize, Rows)>,
    /// Where they may miss a head.
    pub lists: Option<Arc<IvfIndex>>,
}

impl MultiHeadProjection {
    /// The parts; the vectors are shared.
    pub fn stored(&self) -> StoredHeads {
        let Heads { ids, vectors, matrices, .. } = &*self.heads;
        StoredHeads {
            ids: ids.clone(),
            vectors: vectors.clone(),
            matrices: matrices.clone(),
            lists: self.heads.approximate().cloned(),
        }
    }

    /// Makes a projection of parts, of which there are as many as ids. Their values are checked
    /// when they are first used, see [`check_values`](Self::check_values); `name` is the
    /// file's.
    pub fn from_stored(parts: StoredHeads, temperature: f64, name: &str) -> Result<Self> {
        check_temperature(temperature)?;
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidModel, what));
        if parts.ids.is_empty() {
            return invalid("a projection without heads".into());
        }
        if let Some(pair) = parts.ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            return invalid(format!(
                "head {} after {}, expected ascending ids, each once",
                pair[1], pair[0]
            ));
        }
        let (dim, output_dim) = parts.vectors.dims();
        if dim != output_dim && parts.matrices.len() != parts.ids.len() {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!("answers of dimension {output_dim}, expected {dim} as the centroids have"),
            ));
        }
        let heads = Heads {
            ids: parts.ids,
            dim,
            output_dim,
            vectors: parts.vectors,
            matrices: parts.matrices,
            unread: Deferred::until_used(name),
            lists: parts.lists.map_or_else(OnceLock::new, OnceLock::from),
        };
        Ok(Self {
            heads: Arc::new(heads),
            temperature,
            top_k: None,
            hybrid_weight: None,
            unseen_offset: None,
        })
    }

    /// Checks the values of a model from a mapped file now, instead of when they are first
    /// used.
    pub fn check_values(&self) -> Result<()> {
        self.heads.check_values()
    }
}

impl Heads {
    /// Refuses values that no model may have; once for all, where they are those of a file.
    #[inline]
    pub fn check_values(&self) -> Result<()> {
        self.unread.settle(|| self.read_values())
    }

    fn read_values(&self) -> Result<()> {
        match &self.vectors {
            // Tails have no values that could be wrong.
            HeadVectors::Single { centroids, answers, .. } => {
                self.read_single(centroids, answers)?;
            }
            HeadVectors::Compact { centroids, answers } => self.read_compact(centroids, answers)?,
        }
        for (_, matrix) in &self.matrices {
            check_rows_finite("matrices", matrix)?;
        }
        Ok(())
    }

    fn read_single(&self, centroids: &Rows, answers: &Rows) -> Result<()> {
        check_rows_finite("centroids", centroids)?;
        check_rows_finite("answers", answers)?;
        for head in 0..self.ids.len() {
            self.check_length(head, kernel::norm(centroids.row(head)), UNIT)?;
        }
        self.check_matrix_answers(|head| kernel::norm(answers.row(head)))
    }

    fn read_compact(&self, centroids: &QuantizedRows, answers: &QuantizedRows) -> Result<()> {
        for (name, rows) in [("centroids", centroids), ("answers", answers)] {
            if let Some(head) = rows.not_finite() {
                let what = format!(
                    "tensor '{name}' or its scales: not finite, head of cluster {}",
                    self.ids[head]
                );
                return Err(Error::new(ErrorKind::NotFinite, what));
            }
            if let Some((head, scale)) = rows.negative_scale() {
                let what = format!("the scale {scale} in tensor '{name}', expected at least 0");
                return self.invalid(head, what);
            }
        }
        let mut row = vec![0.0; self.dim.max(self.output_dim)];
        let mut length = |rows: &QuantizedRows, head| {
            rows.decode(head, &mut row[..rows.dim()]);
            kernel::norm(&row[..rows.dim()])
        };
        for head in 0..self.ids.len() {
            let doubt = UNIT + centroids.length_error(head);
            self.check_length(head, length(centroids, head), doubt)?;
        }
        self.check_matrix_answers(|head| length(answers, head))
    }

    fn check_length(&self, head: usize, norm: f64, doubt: f64) -> Result<()> {
        if (norm - 1.0).abs() <= doubt {
            return Ok(());
        }
        self.invalid(head, format!("tensor 'centroids': length {norm}, expected 1"))
    }

    /// Heads with a matrix have no answer.
    fn check_matrix_answers(&self, mut length: impl FnMut(usize) -> f64) -> Result<()> {
        match self.matrices.iter().find(|(head, _)| length(*head) != 0.0) {
            None => Ok(()),
            Some((head, _)) => {
                self.invalid(*head, "tensor 'answers': not zero beside a matrix".into())
            }
        }
    }

    fn invalid(&self, head: usize, what: String) -> Result<()> {
        let what = format!("{what}, head of cluster {}", self.ids[head]);
        Err(Error::new(ErrorKind::InvalidModel, what))
    }
}
