//! Answers in a file: `answers.safetensors`, whose texts beside the tensors are
//!
//! ```text
//! format           "projection_answers"
//! format_version   "1"; a newer one is refused
//! embedding_model  the text model of the vectors, where it is known
//! dimension        of the vectors
//! ```
//!
//! and whose tensors are `answer_ids` I64 (n) and `vectors` (n × d), of length 1, as F32, or as
//! I8 with `scales` F32 (n), which bytes of a row have to be multiplied by.

use ndarray::ArrayView2;

use super::Index;
use crate::error::Result;
use crate::tensors::TensorFile;

const FORMAT: &str = "projection_answers";
const VERSION: &str = "1";
const IDS: &str = "answer_ids";
const VECTORS: &str = "vectors";
const SCALES: &str = "scales";

/// What messages call the bytes.
const BYTES: &str = "answers";

impl Index {
    /// Opens the bytes of a file of answers. They are copied; bytes of compact vectors become
    /// single precision.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`](crate::ErrorKind::InvalidModel) or
    /// [`DimensionMismatch`](crate::ErrorKind::DimensionMismatch) where it is damaged or no
    /// such file, otherwise as [`from_vectors`](Self::from_vectors).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let file = TensorFile::from_bytes(bytes, BYTES)?;
        let text = |key: &str| file.metadata().get(key).map_or("missing", String::as_str);
        for (key, expected) in [("format", FORMAT), ("format_version", VERSION)] {
            if text(key) != expected {
                let found = text(key);
                return Err(file.invalid(format!("'{key}' is '{found}', expected '{expected}'")));
            }
        }
        let ids = file.integers(IDS, None)?;
        let vectors = match file.has(SCALES) {
            false => {
                let dim = file.shape(VECTORS, 2)?[1];
                file.rows(VECTORS, &[ids.len(), dim])?
            }
            true => file.scaled_bytes(VECTORS, SCALES, ids.len())?,
        };
        let (rows, dim) = (vectors.count(), vectors.width());
        if text("dimension").parse() != Ok(dim) {
            let found = text("dimension");
            return Err(file.invalid(format!("'dimension' is '{found}', expected {dim}")));
        }
        let view = ArrayView2::from_shape((rows, dim), &vectors[..])
            .map_err(|error| file.invalid(error))?;
        Self::from_vectors(&ids, view).map_err(|error| error.context(file.name()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tensors::{NewTensor, write};

    fn file(vectors: &[f32], ids: &[i64], dimension: &str) -> Vec<u8> {
        let tensors =
            [NewTensor::singles(VECTORS, &[ids.len(), 2], vectors), NewTensor::integers(IDS, ids)];
        let metadata = BTreeMap::from([
            ("format", FORMAT.to_string()),
            ("format_version", VERSION.to_string()),
            ("dimension", dimension.to_string()),
        ]);
        let mut bytes = Vec::new();
        write(&mut bytes, &tensors, &metadata).unwrap();
        bytes
    }

    #[test]
    fn single_precision() {
        let index = Index::from_bytes(&file(&[1.0, 0.0, 0.6, 0.8], &[7, -5], "2")).unwrap();
        let hits = index.search(&[0.0, 3.0], None, 1).unwrap();
        assert_eq!((hits[0].answer_id, hits[0].score), (-5, 0.8));
        for (bytes, word) in [
            (file(&[1.0, 0.0], &[7], "3"), "'dimension' is '3'"),
            (file(&[1.0, f32::NAN], &[7], "2"), "answer 7"),
            (file(&[1.0, 0.0, 1.0, 0.0], &[7, 7], "2"), "id 7"),
        ] {
            let error = Index::from_bytes(&bytes).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn bytes_with_scales() {
        let header = r#"{"__metadata__": {"format": "projection_answers", "format_version": "1",
            "dimension": "2"}, "answer_ids": {"dtype": "I64", "shape": [2],
            "data_offsets": [0, 16]}, "scales": {"dtype": "F32", "shape": [2],
            "data_offsets": [16, 24]}, "vectors": {"dtype": "I8", "shape": [2, 2],
            "data_offsets": [24, 28]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([3i64, 4].iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend([0.01f32, 0.008].iter().flat_map(|scale| scale.to_le_bytes()));
        bytes.extend([100i8, 0, -75, 100].map(|byte| byte as u8));
        let index = Index::from_bytes(&bytes).unwrap();
        let hits = index.search(&[-1.0, 0.0], None, 2).unwrap();
        assert_eq!([hits[0].answer_id, hits[1].answer_id], [4, 3]);
        assert!((hits[0].score - 0.6).abs() < 1e-6);
    }
}
