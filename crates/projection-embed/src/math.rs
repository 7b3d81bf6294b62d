//! The arithmetic of the network on row-major slices.
//!
//! Everything runs on the caller's thread: no pool of threads is started behind the back of
//! a program that may fork, and results do not depend on the number of processors.

#[cfg(target_arch = "wasm32")]
use projection_core::products;

/// A matrix inside a slice: element (r, c) lies at `data[r * row_step + c * column_step]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_step: usize,
    pub column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` elements, `step` apart.
    pub fn rows(data: &'a [f32], rows: usize, columns: usize, step: usize) -> Self {
        Self { data, rows, columns, row_step: step, column_step: 1 }
    }

    /// The transpose, without a copy.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
        }
    }

    /// The elements row by row without gaps, in place where they lie like this.
    #[cfg(target_arch = "wasm32")]
    fn packed(&self) -> std::borrow::Cow<'a, [f32]> {
        let Self { data, rows, columns, row_step, column_step } = *self;
        if column_step == 1 && (row_step == columns || rows == 1) {
            return data[..rows * columns].into();
        }
        let place = |at: usize| at / columns * row_step + at % columns * column_step;
        (0..rows * columns).map(|at| data[place(at)]).collect()
    }

    /// Whether every element lies inside the slice.
    fn fits(&self) -> bool {
        fits(self.data.len(), [self.rows, self.columns], [self.row_step, self.column_step])
    }
}

fn fits(len: usize, sizes: [usize; 2], steps: [usize; 2]) -> bool {
    sizes.contains(&0) || (sizes[0] - 1) * steps[0] + (sizes[1] - 1) * steps[1] < len
}

/// Writes left × right into rows of `out` that begin `out_step` apart.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn multiply(left: Matrix, right: Matrix, out: &mut [f32], out_step: usize) {
    assert_eq!(left.columns, right.rows);
    assert!(left.fits() && right.fits() && out_step >= right.columns);
    assert!(fits(out.len(), [left.rows, right.columns], [out_step, 1]));
    // SAFETY: the assertions hold every element that is read inside `left.data` and
    // `right.data`, and every element that is written inside `out`, each once. Slices are
    // below isize::MAX elements, so are the steps wherever they are used.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            out_step as isize,
            false,
            left.data.as_ptr(),
            left.column_step as isize,
            left.row_step as isize,
            right.data.as_ptr(),
            right.column_step as isize,
            right.row_step as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Writes left × right into rows of `out` that begin `out_step` apart, by the core's kernels.
#[cfg(target_arch = "wasm32")]
pub(crate) fn multiply(left: Matrix, right: Matrix, out: &mut [f32], out_step: usize) {
    assert_eq!(left.columns, right.rows);
    assert!(left.fits() && right.fits() && out_step >= right.columns);
    assert!(fits(out.len(), [left.rows, right.columns], [out_step, 1]));
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    if [rows, inner, columns].contains(&0) {
        return;
    }
    let left = left.packed();
    if right.row_step == 1 && right.column_step != 1 {
        return products::dots_batch(inner, &left, &right.transposed().packed(), out, out_step);
    }
    let right = right.packed();
    let mut products = vec![0.0; rows * columns];
    products::weighted_sum_batch(columns, &left, inner, &right, &mut products, true);
    for (row, out) in products.chunks_exact(columns).zip(out.chunks_mut(out_step)) {
        out[..columns].copy_from_slice(row);
    }
}

/// The transpose of rows of `columns` elements.
pub(crate) fn transposed(data: &[f32], columns: usize) -> Vec<f32> {
    /// Small enough that the columns written to stay in the fastest cache.
    const BLOCK: usize = 16;
    let rows = data.len() / columns;
    let mut out = vec![0.0; rows * columns];
    for first in (0..rows).step_by(BLOCK) {
        let last = rows.min(first + BLOCK);
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for row in first..last {
                out[row] = data[row * columns + column];
            }
        }
    }
    out
}

/// Adds `bias` to every row.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        add(row, bias);
    }
}

/// Adds `more` to `to`, element by element.
pub(crate) fn add(to: &mut [f32], more: &[f32]) {
    for (x, y) in to.iter_mut().zip(more) {
        *x += y;
    }
}

/// Adds `bias` to every row and applies the exact ("erf") GELU: x Φ(x), Φ the distribution
/// function of the normal distribution.
pub(crate) fn add_bias_gelu(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (x, b) in row.iter_mut().zip(bias) {
            let y = *x + b;
            *x = 0.5 * y * (1.0 + erf(y * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// The error function, within 5e-7. Without branches or calls, so that the compiler computes
/// several at once.
#[inline(always)]
fn erf(x: f32) -> f32 {
    // Beyond 4, erf is 1 to the last bit. Inside, the quotient of an odd and an even
    // polynomial: the minimax approximation that Eigen and XLA use.
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let p = -2.726_142_3e-10;
    let p = p * x2 + 2.770_681_5e-8;
    let p = p * x2 - 2.101_024e-6;
    let p = p * x2 - 5.692_506_4e-5;
    let p = p * x2 - 7.349_906_3e-4;
    let p = p * x2 - 2.954_6e-3;
    let p = p * x2 - 1.609_603_3e-2;
    let q = -1.456_607_2e-5;
    let q = q * x2 - 2.133_740_6e-4;
    let q = q * x2 - 1.682_827e-3;
    let q = q * x2 - 7.373_329e-3;
    let q = q * x2 - 1.426_473_9e-2;
    x * p / q
}

/// Turns a row of scores into weights that sum to 1.
pub(crate) fn softmax(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - highest).exp();
        sum += *x;
    }
    for x in row {
        *x /= sum;
    }
}

/// Brings every row to mean 0 and variance 1, then scales and shifts its elements.
pub(crate) fn layer_norm(rows: &mut [f32], scale: &[f32], shift: &[f32], eps: f32) {
    let n = scale.len() as f32;
    for row in rows.chunks_exact_mut(scale.len()) {
        let mean = sum(row, |x| x) / n;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
        let by = (variance + eps).sqrt().recip();
        for ((x, a), b) in row.iter_mut().zip(scale).zip(shift) {
            *x = (*x - mean) * by * a + b;
        }
    }
}

/// The sum of f(x), in several strands: faster than one, and more accurate.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut strands = [0.0; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        for (sum, &x) in strands.iter_mut().zip(block) {
            *sum += f(x);
        }
    }
    strands.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_at_known_points() {
        // Values of the error function to ten digits.
        let known = [
            (0.0, 0.0),
            (0.1, 0.112_462_916),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (1.5, 0.966_105_146_5),
            (2.0, 0.995_322_265_0),
            (3.0, 0.999_977_909_5),
            (5.0, 1.0),
        ];
        for (x, expected) in known {
            assert!((f64::from(erf(x)) - expected).abs() < 5e-7, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn multiply_with_steps() {
        // 2 × 3 inside rows of 4, times 3 × 1, into rows of 2.
        let left = [1.0, 2.0, 3.0, 99.0, 4.0, 5.0, 6.0];
        let right = [1.0, 10.0, 100.0];
        let mut out = [-1.0; 3];
        let column = Matrix::rows(&right, 1, 3, 3).transposed();
        multiply(Matrix::rows(&left, 2, 3, 4), column, &mut out, 2);
        assert_eq!(out, [321.0, -1.0, 654.0]);
    }

    #[test]
    fn transpose() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    #[should_panic = "fits"]
    fn multiply_outside_a_slice() {
        multiply(
            Matrix::rows(&[0.0; 5], 2, 3, 3),
            Matrix::rows(&[0.0; 3], 3, 1, 1),
            &mut [0.0; 2],
            1,
        );
    }

    #[test]
    fn softmax_and_norm() {
        let mut row = [1000.0, 1000.0];
        softmax(&mut row);
        assert_eq!(row, [0.5, 0.5]);
        let mut row = [1.0, 3.0];
        layer_norm(&mut row, &[1.0, 2.0], &[0.0, 1.0], 0.0);
        assert_eq!(row, [-1.0, 3.0]);
    }
}
