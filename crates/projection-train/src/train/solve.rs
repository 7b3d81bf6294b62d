//! Systems of linear equations with a symmetric, positive definite matrix, in double
//! precision.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::parallel;

/// Rows of the matrix that one thread does at a time.
const ROWS: usize = 32;

/// XᵀX (d × d) of rows X (n × d).
pub(super) fn gram(rows: &[f32], dim: usize, threads: usize) -> Vec<f64> {
    weighted_product(rows, rows, None, dim, dim, threads)
}

/// XᵀDY (d × e) of rows X (n × d) and Y (n × e), with the diagonal D (n), or the identity.
pub(super) fn weighted_product(
    x: &[f32],
    y: &[f32],
    weights: Option<&[f64]>,
    x_dim: usize,
    y_dim: usize,
    threads: usize,
) -> Vec<f64> {
    let mut out = vec![0.0f64; x_dim * y_dim];
    parallel::parallel_chunks(threads, &mut out, y_dim, ROWS, |range, out| {
        for (number, (x, y)) in x.chunks(x_dim).zip(y.chunks(y_dim)).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[number]);
            for (x, out) in x[range.clone()].iter().zip(out.chunks_mut(y_dim)) {
                let x = weight * f64::from(*x);
                out.iter_mut().zip(y).for_each(|(out, y)| *out += x * f64::from(*y));
            }
        }
    });
    out
}

/// Solves `matrix` · X = B for the rows of `right` being the columns of B (each d), in
/// place; `matrix` (d × d) is overwritten by its Cholesky factor.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] where the matrix is not positive definite.
pub(super) fn solve(matrix: &mut [f64], right: &mut [f64], dim: usize) -> Result<()> {
    for j in 0..dim {
        for i in j..dim {
            let (row_i, row_j) = (&matrix[i * dim..i * dim + j], &matrix[j * dim..j * dim + j]);
            let sum: f64 = row_i.iter().zip(row_j).map(|(a, b)| a * b).sum();
            let value = matrix[i * dim + j] - sum;
            if i > j {
                matrix[i * dim + j] = value / matrix[j * dim + j];
            } else if value > 0.0 && value.is_finite() {
                matrix[j * dim + j] = value.sqrt();
            } else {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "the vectors do not determine a solution: a stronger regularisation is needed",
                ));
            }
        }
    }
    for column in right.chunks_mut(dim) {
        for i in 0..dim {
            let row = &matrix[i * dim..i * dim + i];
            let sum: f64 = row.iter().zip(&column[..i]).map(|(a, b)| a * b).sum();
            column[i] = (column[i] - sum) / matrix[i * dim + i];
        }
        for i in (0..dim).rev() {
            column[i] /= matrix[i * dim + i];
            let value = column[i];
            let row = &matrix[i * dim..i * dim + i];
            column[..i].iter_mut().zip(row).for_each(|(column, factor)| *column -= factor * value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_what_it_multiplied() {
        let dim = 40;
        let rows: Vec<f32> = (0..90 * dim).map(|i| (i as f32 * 0.71).sin()).collect();
        let mut matrix = gram(&rows, dim, 1);
        assert_eq!(matrix, gram(&rows, dim, 3));
        (0..dim).for_each(|i| matrix[i * dim + i] += 0.1);
        let expected: Vec<f64> = (0..2 * dim).map(|i| (i as f64 * 0.3).cos()).collect();
        let mut right: Vec<f64> = expected
            .chunks(dim)
            .flat_map(|x| {
                matrix.chunks(dim).map(move |row| row.iter().zip(x).map(|(a, b)| a * b).sum())
            })
            .collect();
        solve(&mut matrix, &mut right, dim).unwrap();
        assert!(right.iter().zip(&expected).all(|(found, exact)| (found - exact).abs() < 1e-9));
        assert!(solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0], 2).is_err());
    }
}
