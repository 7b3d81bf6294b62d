//! How a multi-head projection keeps its vectors in memory.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{HeadRows, Heads, MultiHeadParts, MultiHeadProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{MAX_INT8_DIM, QuantizedRows, RowFormat};
use crate::projection::Compute;
use crate::projection::validation::Validation;

/// How a model keeps its vectors, in memory and in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, with centroids in float64 beside it where low temperatures need them,
    /// see [`MultiHeadParts::EXACT_BYTES`].
    #[default]
    F32,
    /// bfloat16, in half the memory: errors of projected queries of less than 1% of their
    /// largest value, which change their direction by about 1e-5.
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
    /// [`ErrorKind::InvalidArgument`] for an unknown name.
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
        match &self.heads.parts.centroids {
            HeadRows::F32(_) => Precision::F32,
            HeadRows::Quantized(rows) => match rows.format() {
                RowFormat::Bf16 => Precision::Bf16,
                RowFormat::Int8 => Precision::Int8,
            },
        }
    }

    /// The same model with its vectors kept in less memory. Matrices stay as they are. Routing
    /// at a temperature below 0.02 is only as exact as the rounded centroids are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another precision than the model's unless that is
    /// [`Precision::F32`], since rounding can't be undone; and for [`Precision::Int8`] of
    /// vectors of more than 65,536 values. The errors of [`Projection::project_into`] for values
    /// of a file that are not sound.
    ///
    /// [`Projection::project_into`]: crate::projection::Projection::project_into
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        if precision == self.precision() {
            return Ok(self.clone());
        }
        let refuse = |what: String| {
            let message = format!("precision {}{what}", precision.name());
            Err(Error::new(ErrorKind::InvalidArgument, message))
        };
        let Heads { dim, output_dim, ref parts, ref index, .. } = *self.heads;
        let (HeadRows::F32(centroids), HeadRows::F32(answers)) = (&parts.centroids, &parts.answers)
        else {
            let own = self.precision().name();
            return refuse(format!(
                " of a model that is kept in {own}, expected {own}: rounding can't be undone"
            ));
        };
        let format = match precision {
            Precision::Bf16 => RowFormat::Bf16,
            Precision::Int8 | Precision::F32 => RowFormat::Int8,
        };
        let longest = dim.max(output_dim);
        if format == RowFormat::Int8 && longest > MAX_INT8_DIM {
            return refuse(format!(" of dimension {longest}, expected at most {MAX_INT8_DIM}"));
        }
        // Rounding must not hide values that no model may have.
        self.validate()?;
        let quantized = |dim, rows| HeadRows::Quantized(QuantizedRows::new(format, dim, rows));
        let heads = Heads {
            parts: MultiHeadParts {
                cluster_ids: parts.cluster_ids.clone(),
                centroids: quantized(dim, centroids),
                exact_centroids: None,
                answers: quantized(output_dim, answers),
                matrices: parts.matrices.clone(),
            },
            dim,
            output_dim,
            validation: Validation::passed(),
            // It finds nearly the same heads: the rounding of a centroid matters little.
            index: index.clone(),
        };
        Ok(Self { heads: Arc::new(heads), ..self.clone() })
    }
}
