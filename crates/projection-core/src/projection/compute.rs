//! What a model kind computes, after queries and buffers have been checked.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::kernel::Scratch;

/// An error and the row of a batch that it is about.
pub type RowError = (usize, Error);

/// Checked queries, row-major (n × d), with their norms (n).
#[derive(Clone, Copy)]
pub struct Queries<'a> {
    pub values: &'a [f32],
    pub norms: &'a [f64],
}

impl<'a> Queries<'a> {
    /// Dimension d, of at least one query.
    fn dim(self) -> usize {
        self.values.len() / self.norms.len()
    }

    /// The query of a row.
    pub fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.dim()..][..self.dim()]
    }

    /// Some of the queries.
    pub fn rows(self, rows: Range<usize>) -> Self {
        let values = &self.values[rows.start * self.dim()..rows.end * self.dim()];
        Self { values, norms: &self.norms[rows] }
    }
}

/// Buffers for row-major results of the right size: projected queries (n × o) and, if they are
/// wanted, routing weights (n × h).
pub struct Results<'a> {
    pub projected: &'a mut [f32],
    pub weights: Option<&'a mut [f32]>,
}

impl Results<'_> {
    /// The buffers for some of `count` rows.
    pub fn rows(&mut self, rows: Range<usize>, count: usize) -> Results<'_> {
        let part = |all| rows_of(all, rows.clone(), count);
        Results {
            projected: rows_of(self.projected, rows.clone(), count),
            weights: self.weights.as_deref_mut().map(part),
        }
    }
}

/// Some of `count` rows.
fn rows_of(all: &mut [f32], rows: Range<usize>, count: usize) -> &mut [f32] {
    let width = all.len() / count;
    &mut all[rows.start * width..rows.end * width]
}

/// The part of a [`Projection`](super::Projection) that each kind implements for itself.
pub trait Compute: Send + Sync {
    /// The norm of a query of the right dimension that has a direction.
    fn checked_norm(&self, query: &[f32]) -> Result<f64>;

    /// Refuses a model whose values are not sound; looks at them once.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Whether a sound query may have no projection, since a sum overflows.
    fn may_overflow(&self) -> bool {
        true
    }

    /// Projects one query of the given norm. Writes the results only on success.
    fn project_one(&self, query: &[f32], norm: f64, results: Results<'_>) -> Result<()> {
        let mut projected = Scratch::filled(results.projected.len(), 0.0);
        let result = Results { projected: &mut projected, weights: results.weights };
        self.project_rows(Queries { values: query, norms: &[norm] }, result)
            .map_err(|(_, error)| error)?;
        results.projected.copy_from_slice(&projected);
        Ok(())
    }

    /// Projects queries. May write results before it fails.
    fn project_rows(&self, queries: Queries<'_>, results: Results<'_>) -> Result<(), RowError>;
}
