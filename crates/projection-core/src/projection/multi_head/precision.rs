//! How a multi-head projection keeps its vectors in memory.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::MultiHeadProjection;
use super::heads::{HeadVectors, Heads};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{MAX_INT8_DIM, QuantizedRows, RowFormat};
use crate::projection::deferred::Deferred;

/// How a model keeps its vectors, in memory and in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, and four bits more of centroids for low temperatures: weights are off
    /// by at most 4.1e-9/τ of themselves, and usually by less than a tenth of that.
    #[default]
    F32,
    /// bfloat16, in half the memory: errors of projected queries of less than 1% of their
    /// largest value, of which their direction notices about a hundred-thousandth.
    Bf16,
    /// Bytes with a scale for each vector, in a quarter of the memory: errors of about 1%.
    Int8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Its name: `f32`, `bf16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// The precision of a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that is none.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|precision| precision.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let message = format!("precision is '{name}', expected one of {names}");
            Error::new(ErrorKind::InvalidArgument, message)
        })
    }
}

impl Serialize for Precision {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl MultiHeadProjection {
    /// How the vectors are kept.
    pub fn precision(&self) -> Precision {
        match &self.heads.vectors {
            HeadVectors::Single { .. } => Precision::F32,
            HeadVectors::Compact { centroids, .. } => match centroids.format() {
                RowFormat::Bf16 => Precision::Bf16,
                RowFormat::Int8 => Precision::Int8,
            },
        }
    }

    /// The same model with its vectors kept in less memory. Matrices stay as they are. What
    /// a temperature below 0.02 makes of rounded centroids is only as exact as they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another precision than the model's where that is
    /// not [`Precision::F32`]: what was cut off is gone; and for [`Precision::Int8`] of
    /// vectors of more than 65,536 values. What [`Projection::project_into`] gives for values
    /// of a file that are not sound.
    ///
    /// [`Projection::project_into`]: crate::projection::Projection::project_into
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        let refuse = |what: String| {
            let message = format!("precision {}{what}", precision.name());
            Err(Error::new(ErrorKind::InvalidArgument, message))
        };
        let (format, vectors) = match (precision, &self.heads.vectors) {
            _ if precision == self.precision() => return Ok(self.clone()),
            (Precision::Bf16, vectors) => (RowFormat::Bf16, vectors),
            (Precision::Int8 | Precision::F32, vectors) => (RowFormat::Int8, vectors),
        };
        let HeadVectors::Single { centroids, answers, .. } = vectors else {
            let own = self.precision().name();
            return refuse(format!(
                " of a model that is kept in {own}, expected {own}: what was cut off is gone"
            ));
        };
        let Heads { dim, output_dim, .. } = *self.heads;
        let longest = dim.max(output_dim);
        if format == RowFormat::Int8 && longest > MAX_INT8_DIM {
            return refuse(format!(" of dimension {longest}, expected at most {MAX_INT8_DIM}"));
        }
        // Rounding must not hide values that no model may have.
        self.heads.check_values()?;
        let heads = Heads {
            ids: self.heads.ids.clone(),
            dim,
            output_dim,
            vectors: HeadVectors::Compact {
                centroids: QuantizedRows::new(format, dim, centroids),
                answers: QuantizedRows::new(format, output_dim, answers),
            },
            matrices: self.heads.matrices.clone(),
            unread: Deferred::nothing(),
            // They find the same heads, nearly: how a centroid is kept matters little.
            lists: self.heads.lists.clone(),
        };
        Ok(Self { heads: Arc::new(heads), ..self.clone() })
    }
}
