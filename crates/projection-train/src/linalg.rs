//! Linear least squares in double precision, by `faer`.
//!
//! Every fit in closed form of this crate is one problem: [`Ridge`].

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatRef, Par, Side};
use ndarray::Array2;

use crate::error::{Error, ErrorKind, Result};

/// Rows that are converted to float64 at a time.
const BLOCK: usize = 512;

/// Ridge regression of targets T (n × o) on rows X (n × d): the matrix W (o × d) for which
/// ‖X Wᵀ − T‖² + μ ‖W − W₀‖² is least, where W₀ is zero or the identity.
///
/// With at least as many rows as columns, W = (TᵀX + μ W₀)(XᵀX + μ I)⁻¹. With fewer, the
/// same matrix is W₀ + (T − X W₀ᵀ)ᵀ (X Xᵀ + μ I)⁻¹ X, whose system has n instead of d
/// unknowns (Saunders, Gammerman and Vovk, Ridge Regression Learning Algorithm in Dual
/// Variables, 1998). The products are computed once and serve every μ.
pub(crate) struct Ridge {
    /// X and T for the dual form, where n < d.
    dual: Option<(Mat<f64>, Mat<f64>)>,
    /// X Xᵀ (n × n) of the dual form, else XᵀX (d × d).
    gram: Mat<f64>,
    /// XᵀT (d × o) of the primal form.
    right: Mat<f64>,
}

impl Ridge {
    /// Prepares a problem with row-major `rows` (n × `dim`) and `targets` (n × `outputs`).
    pub fn new<T: Copy + Into<f64>>(
        rows: &[T],
        dim: usize,
        targets: &[f32],
        outputs: usize,
    ) -> Self {
        let count = rows.len() / dim;
        if count >= dim {
            let gram = product(rows, dim, rows, dim);
            return Self { dual: None, gram, right: product(rows, dim, targets, outputs) };
        }
        let (rows, targets) = (to_mat(rows, dim), to_mat(targets, outputs));
        let gram = rows.as_ref() * rows.transpose();
        Self { dual: Some((rows, targets)), gram, right: Mat::new() }
    }

    /// W. With `ridge` 0, the inverse is the pseudo-inverse, and W the smallest solution.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if `ridge` is too small to determine W,
    /// [`ErrorKind::NotFinite`] if a product of the rows overflows.
    pub fn solve(&self, ridge: f64, to_identity: bool) -> Result<Array2<f32>> {
        let to_identity = to_identity && ridge > 0.0;
        let mut gram = self.gram.clone();
        (0..gram.nrows()).for_each(|i| gram[(i, i)] += ridge);
        // Columns of a matrix of `faer` are contiguous, so Wᵀ is W row by row.
        let transposed = match &self.dual {
            Some((rows, targets)) => {
                let right = if to_identity { targets - rows } else { targets.clone() };
                let mut transposed = rows.transpose() * solve(&gram, right, ridge)?;
                let size = if to_identity { transposed.nrows() } else { 0 };
                (0..size).for_each(|i| transposed[(i, i)] += 1.0);
                transposed
            }
            None => {
                let mut right = self.right.clone();
                let size = if to_identity { right.nrows() } else { 0 };
                (0..size).for_each(|i| right[(i, i)] += ridge);
                solve(&gram, right, ridge)?
            }
        };
        let shape = (transposed.ncols(), transposed.nrows());
        Ok(Array2::from_shape_fn(shape, |(output, column)| transposed[(column, output)] as f32))
    }
}

/// Solves M X = `right` for a symmetric M: by Cholesky's decomposition, or with `ridge` 0 by
/// the pseudo-inverse.
fn solve(matrix: &Mat<f64>, mut right: Mat<f64>, ridge: f64) -> Result<Mat<f64>> {
    if ridge > 0.0 {
        cholesky(matrix)?.solve_in_place(right.as_mut());
        return Ok(right);
    }
    if matrix.col_iter().any(|column| column.iter().any(|value| !value.is_finite())) {
        return Err(Error::new(ErrorKind::NotFinite, "a product of the vectors overflows"));
    }
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::new(ErrorKind::Internal, "the eigenvalues did not converge"))?;
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    // Smaller eigenvalues are rounding errors of zero.
    let least = largest * matrix.nrows() as f64 * f64::EPSILON;
    let mut along = vectors.transpose() * right;
    for (i, value) in values.iter().enumerate() {
        let inverse = if *value > least { 1.0 / value } else { 0.0 };
        along.row_mut(i).iter_mut().for_each(|along| *along *= inverse);
    }
    Ok(vectors * along)
}

/// Cholesky's decomposition of a symmetric, positive definite matrix.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if the matrix is not positive definite.
pub(crate) fn cholesky(matrix: &Mat<f64>) -> Result<faer::linalg::solvers::Llt<f64>> {
    let finite = matrix.col_iter().all(|column| column.iter().all(|value| value.is_finite()));
    let factor = matrix.llt(Side::Lower).ok().filter(|_| finite);
    factor.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "the vectors do not determine a solution: a stronger regularisation is needed",
        )
    })
}

/// XᵀY (d × e) of row-major X (n × d) and Y (n × e).
pub(crate) fn product<X: Copy + Into<f64>, Y: Copy + Into<f64>>(
    x: &[X],
    x_dim: usize,
    y: &[Y],
    y_dim: usize,
) -> Mat<f64> {
    let mut out = Mat::zeros(x_dim, y_dim);
    for (x, y) in x.chunks(BLOCK * x_dim).zip(y.chunks(BLOCK * y_dim)) {
        let (x, y) = (to_mat(x, x_dim), to_mat(y, y_dim));
        matmul(out.as_mut(), Accum::Add, x.transpose(), y.as_ref(), 1.0, Par::Seq);
    }
    out
}

fn to_mat<T: Copy + Into<f64>>(rows: &[T], dim: usize) -> Mat<f64> {
    let values: Vec<f64> = rows.iter().map(|value| (*value).into()).collect();
    MatRef::from_row_major_slice(&values, values.len() / dim, dim).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, power: f32) -> Vec<f32> {
        (0..count).map(|i| ((i + 1) as f32).powf(power).sin()).collect()
    }

    /// The largest element of the gradient of what [`Ridge`] minimises, at W.
    fn slope(rows: &[f32], targets: &[f32], w: &Array2<f32>, ridge: f64, to: f32) -> f64 {
        let ((outputs, dim), count) = (w.dim(), rows.len() / w.ncols());
        let rows = Array2::from_shape_vec((count, dim), rows.to_vec()).unwrap().mapv(f64::from);
        let targets =
            Array2::from_shape_vec((count, outputs), targets.to_vec()).unwrap().mapv(f64::from);
        let drawn = Array2::from_shape_fn(w.dim(), |(i, j)| if i == j { to } else { 0.0 });
        let (w, drawn) = (w.mapv(f64::from), drawn.mapv(f64::from));
        let slope = (rows.dot(&w.t()) - targets).t().dot(&rows) + ridge * (&w - &drawn);
        slope.iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    #[test]
    fn both_forms_find_the_minimum() {
        // More rows than columns, and fewer.
        for count in [30, 1300, 7] {
            let (dim, rows, targets) = (12, wave(count * 12, 1.7), wave(count * 12, 1.6));
            let problem = Ridge::new(&rows, dim, &targets, dim);
            for (ridge, to_identity) in [(1e-3, false), (2.0, false), (2.0, true)] {
                let found = problem.solve(ridge, to_identity).unwrap();
                let to = f32::from(u8::from(to_identity));
                let slope = slope(&rows, &targets, &found, ridge, to);
                assert!(slope < 1e-4 * count as f64, "{count} {ridge}: {slope}");
            }
        }
    }

    #[test]
    fn the_pseudo_inverse_has_nothing_outside_the_rows() {
        // Six rows, twice each, in both forms: W maps them to their targets.
        for dim in [14, 9] {
            let (rows, targets) = (wave(6 * dim, 1.7).repeat(2), wave(6 * 4, 1.6).repeat(2));
            let found = Ridge::new(&rows, dim, &targets, 4).solve(0.0, false).unwrap();
            assert!(slope(&rows, &targets, &found, 0.0, 0.0) < 1e-4);
            let longer = Ridge::new(&rows, dim, &targets, 4).solve(1e-9, false).unwrap();
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(found.iter().zip(&longer).all(near), "{found} {longer}");
        }
        assert_eq!(Ridge::new(&[0.0f32], 1, &[3.0], 1).solve(0.0, false).unwrap()[(0, 0)], 0.0);
    }

    #[test]
    fn refuses_what_has_no_solution() {
        let matrix = |values: &[f64]| to_mat(values, 2);
        assert!(cholesky(&matrix(&[1.0, 2.0, 2.0, 1.0])).is_err());
        assert!(cholesky(&matrix(&[f64::NAN, 0.0, 0.0, 1.0])).is_err());
        let overflow = Ridge::new(&[f64::MAX], 1, &[1.0], 1).solve(0.0, false).unwrap_err();
        assert_eq!(overflow.kind(), ErrorKind::NotFinite);
    }
}
