//! Kernels over rows in bfloat16.
//!
//! A vector of 2·N such values is loaded as one of even and one of odd number. Therefore queries
//! are deinterleaved once, and sums are interleaved at the end. Rows are padded with zeros to a
//! multiple of [`PAD`](super::PAD), so that no loop has an end of its own.

use crate::dispatch::operations;
use crate::dot::sums_of_vectors;
use crate::prefetch::{PrefetchHint, prefetch_line};
use crate::simd::Simd;
use crate::weighted_sum::ROWS;

operations! {
    /// Puts the values of even number before those of odd number, in each two vectors.
    pub fn deinterleave(query: &[f32], out: &mut [f32]) = deinterleave_kernel;
    /// The dot product of a query from [`deinterleave`] with every row, into `out`.
    pub fn dots(hint: PrefetchHint, query: &[f32], rows: &[u16], out: &mut [f32]) = dots_kernel;
    /// alpha·Σₖ weightₖ·rowₖ, added to `out` or, with `overwrite`, written over it.
    pub fn weighted_sum(
        weights: &[f32],
        rows: &[u16],
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) = weighted_sum_kernel;
}

/// Two vectors of values one after another.
fn pairs<T, const N: usize>(values: &[T]) -> &[[[T; N]; 2]] {
    values.as_chunks().0.as_chunks().0
}

#[inline(always)]
fn deinterleave_kernel<S: Simd<N>, const N: usize>(s: S, query: &[f32], out: &mut [f32]) {
    assert!(query.len() == out.len() && query.len().is_multiple_of(2 * N));
    let out = out.as_chunks_mut::<N>().0.as_chunks_mut::<2>().0;
    for ([first, second], [even, odd]) in pairs(query).iter().zip(out) {
        let (evens, odds) = s.deinterleave(s.load(first), s.load(second));
        s.store(evens, even);
        s.store(odds, odd);
    }
}

#[inline(always)]
fn dots_kernel<S: Simd<N>, const N: usize>(
    s: S,
    hint: PrefetchHint,
    query: &[f32],
    rows: &[u16],
    out: &mut [f32],
) {
    assert!(rows.len() == query.len() * out.len() && query.len().is_multiple_of(2 * N));
    match hint {
        PrefetchHint::Cached => by_sixes::<S, N, false>(s, query, rows, out),
        _ => by_sixes::<S, N, true>(s, query, rows, out),
    }
}

#[inline(always)]
fn by_sixes<S: Simd<N>, const N: usize, const PREFETCH: bool>(
    s: S,
    query: &[f32],
    rows: &[u16],
    out: &mut [f32],
) {
    let dim = query.len();
    let (sixes, rest) = out.as_chunks_mut::<6>();
    let (fours, rest) = rest.as_chunks_mut::<4>();
    let (twos, ones) = rest.as_chunks_mut::<2>();
    let (rows, last) = rows.split_at(6 * sixes.len() * dim);
    for (out, rows) in sixes.iter_mut().zip(rows.chunks_exact(6 * dim)) {
        *out = dots_of::<S, N, 6, PREFETCH>(s, query, rows);
    }
    let (rows, last) = last.split_at(4 * fours.len() * dim);
    for out in fours {
        *out = dots_of::<S, N, 4, PREFETCH>(s, query, rows);
    }
    let (rows, last) = last.split_at(2 * twos.len() * dim);
    for out in twos {
        *out = dots_of::<S, N, 2, PREFETCH>(s, query, rows);
    }
    for out in ones {
        [*out] = dots_of::<S, N, 1, PREFETCH>(s, query, last);
    }
}

/// The dot products with `R` rows.
#[inline(always)]
fn dots_of<S: Simd<N>, const N: usize, const R: usize, const PREFETCH: bool>(
    s: S,
    query: &[f32],
    rows: &[u16],
) -> [f32; R] {
    let (dim, query) = (query.len(), pairs::<f32, N>(query));
    let mut row: [&[[[u16; N]; 2]]; R] = [&[]; R];
    for r in 0..R {
        row[r] = &pairs(&rows[r * dim..][..dim])[..query.len()];
    }
    let mut sums = [[s.splat(0.0); 2]; R];
    for at in 0..query.len() {
        let (even, odd) = (s.load(&query[at][0]), s.load(&query[at][1]));
        for r in 0..R {
            let values = &row[r][at];
            if PREFETCH && (at * 2 * N).is_multiple_of(32) {
                prefetch_line::<_, true>(values.as_ptr().cast::<u16>().wrapping_add(R * dim));
            }
            let values = s.load_bf16(values);
            sums[r][0] = s.mul_add(values.0, even, sums[r][0]);
            sums[r][1] = s.mul_add(values.1, odd, sums[r][1]);
        }
    }
    let mut whole = [s.splat(0.0); R];
    for r in 0..R {
        whole[r] = s.add(sums[r][0], sums[r][1]);
    }
    sums_of_vectors(s, whole)
}

#[inline(always)]
fn weighted_sum_kernel<S: Simd<N>, const N: usize>(
    s: S,
    weights: &[f32],
    rows: &[u16],
    overwrite: bool,
    alpha: f32,
    out: &mut [f32],
) {
    let dim = out.len();
    assert!(rows.len() == weights.len() * dim && dim.is_multiple_of(2 * N));
    let blocks = weights.chunks(ROWS).zip(rows.chunks(ROWS * dim));
    for (block, (weights, rows)) in blocks.enumerate() {
        let overwrite = overwrite && block == 0;
        let mut at = 0;
        while at + 12 * N <= dim {
            columns::<S, N, 6>(s, weights, rows, at, overwrite, alpha, out);
            at += 12 * N;
        }
        while at < dim {
            columns::<S, N, 1>(s, weights, rows, at, overwrite, alpha, out);
            at += 2 * N;
        }
    }
}

/// `V` pairs of vectors of columns, from column `at` on.
#[inline(always)]
fn columns<S: Simd<N>, const N: usize, const V: usize>(
    s: S,
    weights: &[f32],
    rows: &[u16],
    at: usize,
    overwrite: bool,
    alpha: f32,
    out: &mut [f32],
) {
    let mut sums = [[s.splat(0.0); 2]; V];
    for (weight, row) in weights.iter().zip(rows.chunks_exact(out.len())) {
        let (weight, row) = (s.splat(*weight), pairs(&row[at..][..V * 2 * N]));
        for v in 0..V {
            let values = s.load_bf16(&row[v]);
            sums[v][0] = s.mul_add(weight, values.0, sums[v][0]);
            sums[v][1] = s.mul_add(weight, values.1, sums[v][1]);
        }
    }
    let alpha = s.splat(alpha);
    let out = out[at..][..V * 2 * N].as_chunks_mut::<N>().0;
    for v in 0..V {
        let (first, second) = s.interleave(sums[v][0], sums[v][1]);
        for (sum, out) in [first, second].into_iter().zip(&mut out[2 * v..][..2]) {
            let sum = s.mul(sum, alpha);
            s.store(if overwrite { sum } else { s.add(sum, s.load(out)) }, out);
        }
    }
}
