//! Weighted sums of rows.

use crate::dispatch::operations;
use crate::prefetch::{PrefetchHint, prefetch_line};
use crate::simd::Simd;

operations! {
    /// alpha·Σₖ weightₖ·rowₖ, added to `out` or, with `overwrite`, written over it.
    pub(crate) fn weighted_sum_hinted(
        hint: PrefetchHint,
        weights: &[f32],
        rows: &[f32],
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) = weighted_sum_kernel;
    /// Multiplies all values by a factor.
    pub fn scale(values: &mut [f32], factor: f32) = scale_kernel;
}

/// Σₖ weightₖ·rowₖ of the row-major `rows`, into `out`.
pub fn weighted_sum(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    weighted_sum_hinted(PrefetchHint::of(rows), weights, rows, true, 1.0, out);
}

/// Rows added up in single precision before the partial sum moves to the output, which keeps the
/// error of long sums that of short ones.
pub(crate) const ROWS: usize = 256;

#[inline(always)]
fn weighted_sum_kernel<S: Simd<N>, const N: usize>(
    s: S,
    hint: PrefetchHint,
    weights: &[f32],
    rows: &[f32],
    overwrite: bool,
    alpha: f32,
    out: &mut [f32],
) {
    assert_eq!(rows.len(), weights.len() * out.len());
    if weights.is_empty() && overwrite {
        out.fill(0.0);
    }
    if out.is_empty() {
        return;
    }
    let blocks = weights.chunks(ROWS).zip(rows.chunks(ROWS * out.len()));
    for (block, (weights, rows)) in blocks.enumerate() {
        let overwrite = overwrite && block == 0;
        match (hint, S::MANY_REGISTERS) {
            (PrefetchHint::Alternating { backwards }, _) if out.len().is_multiple_of(12 * N) => {
                let blocks = out.len() / (12 * N);
                for step in 0..blocks {
                    let at = 12 * N * if backwards { blocks - 1 - step } else { step };
                    columns::<S, N, 12, false>(s, weights, rows, at, overwrite, alpha, out);
                }
            }
            (PrefetchHint::Ahead, true) => {
                sum_block::<S, N, 24, true>(s, weights, rows, overwrite, alpha, out);
            }
            (PrefetchHint::Ahead, false) => {
                sum_block::<S, N, 12, true>(s, weights, rows, overwrite, alpha, out);
            }
            (_, true) => sum_block::<S, N, 24, false>(s, weights, rows, overwrite, alpha, out),
            (_, false) => sum_block::<S, N, 12, false>(s, weights, rows, overwrite, alpha, out),
        }
    }
}

/// The sum of at most [`ROWS`] rows, `V` vectors of columns at a time.
#[inline(always)]
fn sum_block<S: Simd<N>, const N: usize, const V: usize, const PREFETCH: bool>(
    s: S,
    weights: &[f32],
    rows: &[f32],
    overwrite: bool,
    alpha: f32,
    out: &mut [f32],
) {
    let dim = out.len();
    let mut at = 0;
    while at + V * N <= dim {
        columns::<S, N, V, PREFETCH>(s, weights, rows, at, overwrite, alpha, out);
        at += V * N;
    }
    while at + 4 * N <= dim {
        columns::<S, N, 4, PREFETCH>(s, weights, rows, at, overwrite, alpha, out);
        at += 4 * N;
    }
    while at + N <= dim {
        columns::<S, N, 1, PREFETCH>(s, weights, rows, at, overwrite, alpha, out);
        at += N;
    }
    if at < dim {
        let mut sum = s.splat(0.0);
        for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
            sum = s.mul_add(s.splat(*weight), s.load_part(&row[at..]), sum);
        }
        let mut sum = s.mul(sum, s.splat(alpha));
        if !overwrite {
            sum = s.add(sum, s.load_part(&out[at..]));
        }
        s.store_part(sum, &mut out[at..]);
    }
}

/// `V` vectors of columns, from column `at` on.
#[inline(always)]
fn columns<S: Simd<N>, const N: usize, const V: usize, const PREFETCH: bool>(
    s: S,
    weights: &[f32],
    rows: &[f32],
    at: usize,
    overwrite: bool,
    alpha: f32,
    out: &mut [f32],
) {
    let dim = out.len();
    let mut sums = [s.splat(0.0); V];
    for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
        let (weight, values) = (s.splat(*weight), row[at..][..V * N].as_chunks::<N>().0);
        for v in 0..V {
            if PREFETCH && (v * N).is_multiple_of(16) {
                prefetch_line::<_, true>(values[v].as_ptr().wrapping_add(4 * dim));
            }
            sums[v] = s.mul_add(weight, s.load(&values[v]), sums[v]);
        }
    }
    let (alpha, out) = (s.splat(alpha), out[at..][..V * N].as_chunks_mut::<N>().0);
    for v in 0..V {
        let sum = s.mul(sums[v], alpha);
        s.store(if overwrite { sum } else { s.add(sum, s.load(&out[v])) }, &mut out[v]);
    }
}

#[inline(always)]
pub(crate) fn scale_kernel<S: Simd<N>, const N: usize>(s: S, values: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    let (vectors, end) = values.as_chunks_mut::<N>();
    for vector in vectors {
        s.store(s.mul(s.load(vector), factor), vector);
    }
    if !end.is_empty() {
        s.store_part(s.mul(s.load_part(end), factor), end);
    }
}
