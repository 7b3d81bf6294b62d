//! Products of row-major matrices, for batches and for training.
//!
//! In WebAssembly these are the kernels of batches; elsewhere the crate `gemm`, on the caller's
//! thread.

/// `a` (n × d) times the transpose of `b` (m × d), into `out` (n × m): all dot products.
#[cfg(not(target_arch = "wasm32"))]
pub fn matmul_nt(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
    let (n, m) = (a.len() / dim, b.len() / dim);
    let sizes = (n, dim, m);
    multiply(sizes, (a, [dim, 1]), (b, [1, dim]), out);
}

/// The same by the kernel of batches.
#[cfg(target_arch = "wasm32")]
pub fn matmul_nt(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
    crate::batch::dots_batch(dim, a, b, out, b.len() / dim);
}

/// `a` (n × k) times `b` (k × m), into `out` (n × m).
#[cfg(not(target_arch = "wasm32"))]
pub fn matmul(a: &[f32], b: &[f32], inner: usize, out: &mut [f32]) {
    let (n, m) = (a.len() / inner, b.len() / inner);
    multiply((n, inner, m), (a, [inner, 1]), (b, [m, 1]), out);
}

/// The same by the kernel of weighted sums.
#[cfg(target_arch = "wasm32")]
pub fn matmul(a: &[f32], b: &[f32], inner: usize, out: &mut [f32]) {
    crate::batch::weighted_sum_batch(b.len() / inner, a, inner, b, out, true);
}

/// The transpose of `a` (k × n) times `b` (k × m), into `out` (n × m).
#[cfg(not(target_arch = "wasm32"))]
pub fn matmul_tn(a: &[f32], b: &[f32], inner: usize, out: &mut [f32]) {
    let (n, m) = (a.len() / inner, b.len() / inner);
    multiply((n, inner, m), (a, [1, n]), (b, [m, 1]), out);
}

/// The product of matrices of sizes n × k and k × m, each with the distances from row to
/// row and from column to column, into the row-major `out`.
#[cfg(not(target_arch = "wasm32"))]
fn multiply(
    (n, k, m): (usize, usize, usize),
    (a, a_steps): (&[f32], [usize; 2]),
    (b, b_steps): (&[f32], [usize; 2]),
    out: &mut [f32],
) {
    assert!(a.len() == n * k && b.len() == k * m && out.len() == n * m);
    if out.is_empty() {
        return;
    }
    // Slices are never longer than isize::MAX bytes.
    let step = |step: usize| step as isize;
    // SAFETY: by the assertion and the steps of the callers above, every element
    // that is read or written lies inside its slice, and `out` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            n,
            m,
            k,
            out.as_mut_ptr(),
            1,
            step(m),
            false,
            a.as_ptr(),
            step(a_steps[1]),
            step(a_steps[0]),
            b.as_ptr(),
            step(b_steps[1]),
            step(b_steps[0]),
            0.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn products_follow_their_definitions() {
        for (n, k, m) in [(1, 1, 1), (3, 5, 2), (1, 384, 7), (130, 33, 65)] {
            let (a, b) = (wave(n * k, 0.37), wave(k * m, 0.71));
            let transposed = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..columns * rows).map(|i| values[i % rows * columns + i / rows]).collect()
            };
            let mut found = [vec![0.0; n * m], vec![0.0; n * m], vec![0.0; n * m]];
            matmul(&a, &b, k, &mut found[0]);
            matmul_nt(&a, &transposed(&b, k, m), k, &mut found[1]);
            matmul_tn(&transposed(&a, n, k), &b, k, &mut found[2]);
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let exact: f64 =
                    (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * m + j])).sum();
                for found in &found {
                    assert!((f64::from(found[i * m + j]) - exact).abs() < 1e-5);
                }
            }
        }
    }
}
