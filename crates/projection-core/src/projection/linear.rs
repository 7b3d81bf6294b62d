//! The linear projection: one matrix for all queries, projected = W q.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Projection;
use super::deferred::check_rows_finite;
use super::query::{project_batch_unrouted, project_unrouted};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows, gemm};

/// A linear projection. Cheap to clone: clones share the matrix.
///
/// The query is used as it is, not normalised. There are no heads and no routing weights.
#[derive(Debug, Clone)]
pub struct LinearProjection {
    /// W, row-major (o × d).
    matrix: Rows,
    /// See [`Projection::hybrid_weight`].
    pub hybrid_weight: Option<f64>,
}

impl LinearProjection {
    /// Makes a projection of the matrix W (o × d).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for a matrix without rows or columns,
    /// [`ErrorKind::NotFinite`] for one with NaN or infinity.
    pub fn new(matrix: Array2<f32>) -> Result<Self> {
        if matrix.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("matrix W of shape {:?}, expected rows and columns", matrix.dim()),
            ));
        }
        if let Some((at, value)) = matrix.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::new(
                ErrorKind::NotFinite,
                format!("matrix W with the value {value} at {at:?}, expected finite numbers"),
            ));
        }
        let values: Vec<f32> = matrix.iter().copied().collect();
        Ok(Self { matrix: Rows::from_values(matrix.ncols(), &values), hybrid_weight: None })
    }

    /// Makes a projection of the matrix W (o × d), not empty, that it shares.
    pub fn from_rows(matrix: Rows) -> Result<Self> {
        check_rows_finite("matrix", &matrix)?;
        Ok(Self { matrix, hybrid_weight: None })
    }

    /// The matrix W (o × d).
    pub fn rows(&self) -> &Rows {
        &self.matrix
    }

    /// The matrix W (o × d).
    pub fn matrix(&self) -> ArrayView2<'_, f32> {
        let shape = (self.matrix.count(), self.matrix.width());
        ArrayView2::from_shape(shape, &self.matrix).expect("the shape is the matrix's own")
    }
}

/// What a query can be too large for.
const WEIGHTS: &str = "the matrix W";

impl Projection for LinearProjection {
    fn input_dim(&self) -> usize {
        self.matrix.width()
    }

    fn output_dim(&self) -> usize {
        self.matrix.count()
    }

    fn head_ids(&self) -> &[i64] {
        &[]
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        project_unrouted(self, WEIGHTS, query, projected, weights, |query, out| {
            kernel::dots(query, &self.matrix, out);
        })
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        project_batch_unrouted(self, WEIGHTS, queries, projected, weights, |queries, out| {
            gemm::matmul_nt(queries, &self.matrix, self.input_dim(), out);
        })
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn applies_the_matrix_to_the_query_as_it_is() {
        let model = LinearProjection::new(array![[1.0, 2.0, 0.0], [0.0, 0.0, -3.0]]).unwrap();
        let mut projected = [0.0; 2];
        model.project_into(&[10.0, 1.0, 2.0], &mut projected, None).unwrap();
        assert_eq!(projected, [12.0, -6.0]);
        let mut batch = Array2::zeros((2, 2));
        let queries = array![[10.0, 1.0, 2.0], [1.0, 0.0, 0.0]];
        model.project_batch_into(queries.view(), batch.view_mut(), None).unwrap();
        assert_eq!(batch, array![[12.0, -6.0], [1.0, 0.0]]);
        assert!(model.head_ids().is_empty());
    }

    #[test]
    fn refuses_what_is_not_finite() {
        let kind = |matrix| LinearProjection::new(matrix).unwrap_err().kind();
        assert_eq!(kind(array![[1.0, f32::NAN]]), ErrorKind::NotFinite);
        assert_eq!(kind(Array2::zeros((0, 3))), ErrorKind::InvalidModel);
        let model = LinearProjection::new(array![[3e38, 3e38]]).unwrap();
        let mut projected = [7.0];
        let error = model.project_into(&[1e10, 1.0], &mut projected, None).unwrap_err();
        assert_eq!((error.kind(), projected), (ErrorKind::NotFinite, [7.0]));
        let mut batch = Array2::from_elem((2, 1), 7.0);
        let queries = array![[0.1, 0.1], [1e10, 1.0]];
        let error = model.project_batch_into(queries.view(), batch.view_mut(), None).unwrap_err();
        assert!(error.to_string().contains("row 1"), "{error}");
        assert!(batch.iter().all(|value| *value == 7.0));
    }
}
