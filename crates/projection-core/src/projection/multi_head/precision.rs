//! How a multi-head projection keeps its vectors in memory.

use std::sync::Arc;

use super::MultiHeadProjection;
use super::heads::Heads;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Compact, Format, Rows};
use crate::projection::deferred::Deferred;

/// How a model keeps its vectors in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, and centroids in nearly double precision for low temperatures.
    #[default]
    F32,
    /// bfloat16, in half the memory: errors of projected queries of less than 1% of their
    /// largest value, of which their direction notices about a hundred-thousandth.
    Bf16,
    /// Bytes with a scale for each vector, in a quarter of the memory: errors of about 1%.
    Int8,
}

impl MultiHeadProjection {
    /// How the vectors are kept.
    pub fn precision(&self) -> Precision {
        match &self.heads.compact {
            None => Precision::F32,
            Some((centroids, _)) if centroids.format() == Format::Bf16 => Precision::Bf16,
            Some(_) => Precision::Int8,
        }
    }

    /// The same model with its vectors kept in less memory. Matrices stay as they are. What
    /// a temperature below 0.02 makes of rounded centroids is only as exact as they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another precision than the model's where that is
    /// not [`Precision::F32`]: what was cut off is gone.
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        if precision == self.precision() {
            return Ok(self.clone());
        }
        let format = match precision {
            Precision::Bf16 => Format::Bf16,
            _ => Format::Int8,
        };
        if self.heads.compact.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("precision {precision:?} of a model in {:?}", self.precision()),
            ));
        }
        // Rounding must not hide values that no model may have.
        self.heads.check_values()?;
        let Heads { dim, output_dim, ref ids, ref matrices, .. } = *self.heads;
        let compact = (
            Compact::new(format, dim, &self.heads.centroids),
            Compact::new(format, output_dim, &self.heads.answers),
        );
        let heads = Heads {
            ids: ids.clone(),
            dim,
            output_dim,
            centroids: Rows::new(dim),
            centroid_tails: Rows::new(dim),
            answers: Rows::new(output_dim),
            matrices: matrices.clone(),
            unread: Deferred::nothing(),
            compact: Some(compact),
        };
        Ok(Self { heads: Arc::new(heads), ..self.clone() })
    }
}
