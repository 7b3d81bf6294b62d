//! The parts of a multi-head projection as it keeps them, for files that hold a model as it
//! is.

use std::sync::Arc;

use super::heads::Heads;
use super::{MultiHeadProjection, check_temperature};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Compact, Rows};
use crate::projection::deferred::{Deferred, check_rows_finite};

/// How far the length of a centroid may be from 1.
const UNIT: f64 = 1e-3;

/// All vectors of a multi-head projection, N heads of dimension d with answers of o.
pub(crate) struct StoredHeads {
    /// Cluster ids, ascending (N).
    pub ids: Vec<i64>,
    /// Unit centroids (N × d), and what single precision cuts off them.
    pub centroids: Rows,
    pub centroid_tails: Rows,
    /// Answers (N × o); zero where the head has a matrix.
    pub answers: Rows,
    /// Numbers of heads and their matrices (o × d), ascending.
    pub matrices: Vec<(usize, Rows)>,
}

impl MultiHeadProjection {
    /// The parts; the vectors are shared, unless the model keeps them in less memory: then
    /// they are what it makes of them.
    pub(crate) fn stored(&self) -> StoredHeads {
        let heads = &*self.heads;
        let (centroids, centroid_tails, answers) = match &heads.compact {
            None => (heads.centroids.clone(), heads.centroid_tails.clone(), heads.answers.clone()),
            Some((centroids, answers)) => {
                let count = heads.ids.len();
                let tails = Rows::from_values(heads.dim, &vec![0.0; count * heads.dim]);
                (
                    decoded(centroids, heads.dim, count),
                    tails,
                    decoded(answers, heads.output_dim, count),
                )
            }
        };
        StoredHeads {
            ids: heads.ids.clone(),
            centroids,
            centroid_tails,
            answers,
            matrices: heads.matrices.clone(),
        }
    }

    /// Makes a projection of parts whose shapes fit together. Their values are checked when
    /// they are first used, see [`check_values`](Self::check_values); `name` is the file's.
    pub(crate) fn from_stored(parts: StoredHeads, temperature: f64, name: &str) -> Result<Self> {
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
        let (dim, output_dim) = (parts.centroids.width(), parts.answers.width());
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
            centroids: parts.centroids,
            centroid_tails: parts.centroid_tails,
            answers: parts.answers,
            matrices: parts.matrices,
            unread: Deferred::until_used(name),
            compact: None,
        };
        Ok(Self {
            heads: Arc::new(heads),
            temperature,
            top_k: None,
            hybrid_weight: None,
            unheaded_offset: None,
        })
    }

    /// Checks the values of a model from a mapped file now, instead of when they are first
    /// used.
    pub(crate) fn check_values(&self) -> Result<()> {
        self.heads.check_values()
    }
}

/// Compact vectors in single precision.
fn decoded(vectors: &Compact, dim: usize, count: usize) -> Rows {
    let mut values = vec![0.0; count * dim];
    for (number, row) in values.chunks_exact_mut(dim).enumerate() {
        vectors.decode(number, row);
    }
    Rows::from_values(dim, &values)
}

impl Heads {
    /// Refuses values that no model may have; once for all, where they are those of a file.
    #[inline]
    pub(super) fn check_values(&self) -> Result<()> {
        self.unread.settle(|| self.read_values())
    }

    fn read_values(&self) -> Result<()> {
        check_rows_finite("centroids", &self.centroids)?;
        check_rows_finite("centroid_tails", &self.centroid_tails)?;
        check_rows_finite("answers", &self.answers)?;
        let invalid = |head: usize, what: String| {
            let what = format!("{what}, head of cluster {}", self.ids[head]);
            Err(Error::new(ErrorKind::InvalidModel, what))
        };
        for head in 0..self.ids.len() {
            let norm = kernel::norm(self.centroids.row(head));
            if (norm - 1.0).abs() > UNIT {
                return invalid(head, format!("tensor 'centroids': length {norm}, expected 1"));
            }
            if kernel::norm(self.centroid_tails.row(head)) > UNIT {
                return invalid(head, "tensor 'centroid_tails': too large".into());
            }
        }
        for (head, matrix) in &self.matrices {
            check_rows_finite("matrices", matrix)?;
            if kernel::norm(self.answers.row(*head)) != 0.0 {
                let what = "tensor 'answers': not zero beside a matrix";
                return invalid(*head, what.into());
            }
        }
        Ok(())
    }
}
