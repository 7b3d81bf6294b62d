//! Least-squares solutions of linear systems with a symmetric matrix that may be singular,
//! by its eigenvectors.

use crate::error::{Error, ErrorKind, Result};

/// Sweeps over all pairs of axes, at most; 6 to 10 are usual.
const SWEEPS: usize = 40;

/// Replaces each row b (d) of `right` by M⁺ b, M⁺ being the pseudo-inverse of the symmetric,
/// positive semi-definite `matrix` M (d × d).
///
/// Eigenvalues up to d·ε times the largest count as zero, ε being the rounding of float64.
///
/// # Errors
/// [`ErrorKind::NotFinite`] where the matrix is not finite, [`ErrorKind::Internal`] where
/// the eigenvectors are not found.
pub(super) fn solve_least(matrix: &[f64], right: &mut [f64], dim: usize) -> Result<()> {
    let (values, vectors) = eigen(matrix, dim)?;
    let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let least = largest * dim as f64 * f64::EPSILON;
    let mut solution = vec![0.0; dim];
    for row in right.chunks_mut(dim) {
        solution.fill(0.0);
        for (value, vector) in values.iter().zip(vectors.chunks(dim)) {
            if *value > least {
                let along: f64 = row.iter().zip(vector).map(|(b, v)| b * v).sum();
                solution.iter_mut().zip(vector).for_each(|(x, v)| *x += along / value * v);
            }
        }
        row.copy_from_slice(&solution);
    }
    Ok(())
}

/// Eigenvalues (d) of a symmetric matrix (d × d) and eigenvectors, the rows of a matrix
/// (d × d), by Jacobi's method: rotations that make one pair of elements zero at a time.
///
/// The rotation is that of G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th
/// edition, section 8.5.
fn eigen(matrix: &[f64], dim: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return Err(Error::new(ErrorKind::NotFinite, "a product of the vectors overflows"));
    }
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; dim * dim];
    (0..dim).for_each(|i| vectors[i * dim + i] = 1.0);
    let norm: f64 = a.iter().map(|value| value * value).sum::<f64>().sqrt();
    let negligible = 0.1 * norm * f64::EPSILON;
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..dim {
            for q in p + 1..dim {
                let off = a[p * dim + q];
                if off.abs() <= negligible {
                    continue;
                }
                rotated = true;
                let ratio = (a[q * dim + q] - a[p * dim + p]) / (2.0 * off);
                let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                rotate_rows(&mut a, dim, (p, q), (cosine, sine));
                rotate_columns(&mut a, dim, (p, q), (cosine, sine));
                // But for rounding, they are.
                (a[p * dim + q], a[q * dim + p]) = (0.0, 0.0);
                rotate_rows(&mut vectors, dim, (p, q), (cosine, sine));
            }
        }
        if !rotated {
            return Ok(((0..dim).map(|i| a[i * dim + i]).collect(), vectors));
        }
    }
    Err(Error::new(ErrorKind::Internal, "the eigenvectors of a matrix were not found"))
}

fn rotate_rows(a: &mut [f64], dim: usize, (p, q): (usize, usize), (cosine, sine): (f64, f64)) {
    let (upper, lower) = a.split_at_mut(q * dim);
    for (x, y) in upper[p * dim..(p + 1) * dim].iter_mut().zip(&mut lower[..dim]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

fn rotate_columns(a: &mut [f64], dim: usize, (p, q): (usize, usize), (cosine, sine): (f64, f64)) {
    for row in a.chunks_mut(dim) {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i + 1) as f64).powf(1.7).sin()).collect()
    }

    /// XᵀX of rows X (n × d).
    fn gram(rows: &[f64], dim: usize) -> Vec<f64> {
        let mut out = vec![0.0; dim * dim];
        for row in rows.chunks(dim) {
            for i in 0..dim {
                (0..dim).for_each(|j| out[i * dim + j] += row[i] * row[j]);
            }
        }
        out
    }

    fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
        matrix.chunks(vector.len()).map(dot).collect()
    }

    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn eigenvectors_by_hand() {
        // [[2, 1], [1, 2]] has 1 for (1, −1) and 3 for (1, 1).
        let (mut values, vectors) = eigen(&[2.0, 1.0, 1.0, 2.0], 2).unwrap();
        for (value, vector) in values.iter().zip(vectors.chunks(2)) {
            let sign = if *value > 2.0 { 1.0 } else { -1.0 };
            assert!((vector[0] - sign * vector[1]).abs() < 1e-15, "{vectors:?}");
        }
        values.sort_by(f64::total_cmp);
        assert!(near(&values, &[1.0, 3.0]), "{values:?}");
        assert!(eigen(&[f64::NAN], 1).is_err());
    }

    #[test]
    fn rebuilds_the_matrix() {
        let dim = 30;
        let matrix = gram(&wave(50 * dim), dim);
        let (values, vectors) = eigen(&matrix, dim).unwrap();
        let mut rebuilt = vec![0.0; dim * dim];
        for (value, vector) in values.iter().zip(vectors.chunks(dim)) {
            for i in 0..dim {
                (0..dim).for_each(|j| rebuilt[i * dim + j] += value * vector[i] * vector[j]);
            }
        }
        assert!(near(&rebuilt, &matrix));
    }

    #[test]
    fn the_least_solution_of_a_singular_system() {
        // Rank 6 of 12: x solves M x = b for b in the range, and has nothing outside it.
        let (dim, rank) = (12, 6);
        let rows = wave(rank * dim);
        let matrix = gram(&rows, dim);
        let in_range = |weights: &[f64]| -> Vec<f64> {
            let mut sum = vec![0.0; dim];
            for (row, weight) in rows.chunks(dim).zip(weights) {
                sum.iter_mut().zip(row).for_each(|(s, r)| *s += weight * r);
            }
            sum
        };
        let expected = in_range(&[0.5, -1.0, 2.0, 0.1, 0.7, -0.3]);
        let mut found = times(&matrix, &expected);
        solve_least(&matrix, &mut found, dim).unwrap();
        assert!(near(&found, &expected), "{found:?} {expected:?}");
        // What no row has anything of leads to nothing.
        let mut zero = vec![0.0; dim];
        solve_least(&matrix, &mut zero, dim).unwrap();
        assert_eq!(zero, vec![0.0; dim]);
        let mut any = vec![3.0];
        solve_least(&[0.0], &mut any, 1).unwrap();
        assert_eq!(any, [0.0]);
    }
}
