//! The linear projection: one matrix for all queries, projected = W q.

use ndarray::{Array2, ArrayView2};

use super::Projection;
use super::compute::{Compute, Queries, Results, RowError};
use super::query::{check_projected_rows, checked_norm};
use super::validation::check_rows_finite;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows, gemm};
use crate::parameters::SearchDefaults;

/// A linear projection. Cheap to clone: clones share the matrix.
///
/// The query is used as it is, not normalised. There are no heads and no routing weights.
#[derive(Debug, Clone)]
pub struct LinearProjection {
    /// W, row-major (o × d).
    matrix: Rows,
    pub(super) search: SearchDefaults,
}

impl LinearProjection {
    /// Makes a projection of the matrix W (o × d).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for a matrix without rows or columns,
    /// [`ErrorKind::NotFinite`] for one with NaN or infinity.
    pub fn new(matrix: Array2<f32>) -> Result<Self> {
        let values: Vec<f32> = matrix.iter().copied().collect();
        Self::from_rows(match values.is_empty() {
            true => Rows::new(matrix.ncols()),
            false => Rows::from_values(matrix.ncols(), &values),
        })
    }

    /// Makes a projection of the matrix W (o × d), whose memory it shares.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_rows(matrix: Rows) -> Result<Self> {
        if matrix.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                "matrix W is empty, expected rows and columns",
            ));
        }
        check_rows_finite("matrix", &matrix)?;
        Ok(Self { matrix, search: SearchDefaults::default() })
    }

    /// The matrix W (o × d), row-major.
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
const PARAMETERS: &str = "the matrix W";

impl Projection for LinearProjection {
    fn compute(&self) -> &dyn Compute {
        self
    }

    fn input_dim(&self) -> usize {
        self.matrix.width()
    }

    fn output_dim(&self) -> usize {
        self.matrix.count()
    }

    fn search_defaults(&self) -> SearchDefaults {
        self.search
    }
}

impl Compute for LinearProjection {
    fn checked_norm(&self, query: &[f32]) -> Result<f64> {
        checked_norm(query, self.input_dim())
    }

    fn project_rows(&self, queries: Queries<'_>, results: Results<'_>) -> Result<(), RowError> {
        match queries.norms.len() {
            1 => kernel::dots(queries.values, &self.matrix, results.projected),
            _ => gemm::matmul_nt(queries.values, &self.matrix, self.input_dim(), results.projected),
        }
        check_projected_rows(results.projected, self.output_dim(), PARAMETERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn applies_the_matrix_to_the_query_as_it_is() {
        let model = LinearProjection::new(array![[1.0, 2.0, 0.0], [0.0, 0.0, -3.0]]).unwrap();
        assert_eq!(model.project(&[10.0, 1.0, 2.0]).unwrap(), (vec![12.0, -6.0], vec![]));
        let queries = array![[10.0, 1.0, 2.0], [1.0, 0.0, 0.0]];
        for threads in [1, 2] {
            let mut batch = Array2::zeros((2, 2));
            model
                .project_batch_on(threads, queries.view(), batch.view_mut(), None, &mut || Ok(()))
                .unwrap();
            assert_eq!(batch, array![[12.0, -6.0], [1.0, 0.0]]);
        }
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
        let queries = array![[0.1, 0.1], [0.1, 0.1], [0.1, 0.1], [1e10, 1.0]];
        for threads in [1, 2] {
            let mut batch = Array2::from_elem((4, 1), 7.0);
            let error = model
                .project_batch_on(threads, queries.view(), batch.view_mut(), None, &mut || Ok(()))
                .unwrap_err();
            assert!(error.to_string().contains("row 3"), "{error}");
            assert!(batch.iter().all(|value| *value == 7.0));
        }
    }
}
