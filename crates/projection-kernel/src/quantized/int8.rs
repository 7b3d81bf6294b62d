//! Kernels over rows of bytes with a scale a row: value = byte·scale.
//!
//! A query against bytes takes two bytes a value, high and low, each 128 too large: the
//! instruction that multiplies bytes wants one side without a sign. The sum of the bytes of a row
//! undoes the 128. Rows are padded with zeros to a multiple of [`PAD`](super::PAD).

use crate::dispatch::operations;
use crate::simd::{ROUND, Simd};
use crate::weighted_sum::ROWS;

operations! {
    /// Rounds a query to two bytes a value, high and low, each 128 too large; after its end,
    /// both are filled up with zeros. Returns what the bytes have to be multiplied by.
    pub fn quantize(query: &[f32], high: &mut [u8], low: &mut [u8]) -> f32 = quantize_kernel;
    /// The products of a query with rows, into `out`.
    pub fn dots_int8(query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) = dots_any;
    /// Σₖ weightₖ·rowₖ of rows without their scales, added to `out` or, with `overwrite`, written
    /// over it. If no weight is negative, weights may be rounded to a 65535th of the largest.
    pub fn weighted_sum_int8(weights: &[f32], rows: &[i8], overwrite: bool, out: &mut [f32])
        = weighted_sum_any;
}

/// The largest value of a query, in two bytes: 127·256.
pub(crate) const HALF_RANGE: f32 = 32_512.0;

/// A query in two bytes a value, see [`quantize`].
#[derive(Clone, Copy)]
pub(crate) struct Int8Query<'a> {
    pub high: &'a [u8],
    pub low: &'a [u8],
    pub scale: f32,
}

/// Rows of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Int8Rows<'a> {
    pub bytes: &'a [i8],
    pub scales: &'a [f32],
    /// The sums of the bytes of each row.
    pub sums: &'a [i32],
    /// What is read after these rows and is requested while they are multiplied, byte by byte;
    /// empty if it need not be. Only the kernel for VNNI prefetches.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "nothing prefetches"))]
    pub next: &'a [i8],
}

#[inline(always)]
fn quantize_kernel<S: Simd<N>, const N: usize>(
    s: S,
    query: &[f32],
    high: &mut [u8],
    low: &mut [u8],
) -> f32 {
    assert!(query.len() <= high.len() && high.len() == low.len());
    let zero = s.splat(0.0);
    let mut tops = [zero; 2];
    let (vectors, end) = query.as_chunks::<N>();
    for vector in vectors {
        let value = s.load(vector);
        tops[0] = s.max(value, tops[0]);
        tops[1] = s.max(s.sub(zero, value), tops[1]);
    }
    let end = end.iter().fold(0.0, |top, value| f32::max(top, value.abs()));
    let top = s.largest(s.max(tops[0], tops[1])).max(end);
    let factor = HALF_RANGE / top;
    for ((value, high), low) in query.iter().zip(&mut *high).zip(&mut *low) {
        // Rounded in the lowest bits, see `ROUND`.
        let value = (value * factor + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
        let upper = (value + 128) >> 8;
        *high = (upper + 128) as u8;
        *low = (value - 256 * upper + 128) as u8;
    }
    high[query.len()..].fill(128);
    low[query.len()..].fill(128);
    top / HALF_RANGE
}

/// The product of a query and a row, of the products of the query's bytes with the row's.
#[inline(always)]
pub(crate) fn product(query: f32, (high, low): (i32, i32), scale: f32, sum: i32) -> f32 {
    let (high, low) = ((high - 128 * sum) as f32, (low - 128 * sum) as f32);
    (high * 256.0 + low) * (query * scale)
}

#[inline(always)]
fn dots_any<S: Simd<N>, const N: usize>(
    s: S,
    query: Int8Query<'_>,
    rows: Int8Rows<'_>,
    out: &mut [f32],
) {
    assert!(query.low.len() == query.high.len());
    assert!(rows.bytes.len() == query.high.len() * out.len());
    assert!(rows.scales.len() == out.len() && rows.sums.len() == out.len());
    s.dots_int8(query, rows, out);
}

/// [`dots_int8`] in plain Rust, which the compiler vectorises.
#[inline(always)]
pub(crate) fn dots(query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) {
    let all = rows.bytes.chunks_exact(query.high.len()).zip(rows.scales).zip(rows.sums);
    for (((row, scale), sum), out) in all.zip(out) {
        let dot = |query: &[u8]| -> i32 {
            query.iter().zip(row).map(|(q, r)| i32::from(*q) * i32::from(*r)).sum()
        };
        *out = product(query.scale, (dot(query.high), dot(query.low)), *scale, *sum);
    }
}

#[inline(always)]
fn weighted_sum_any<S: Simd<N>, const N: usize>(
    s: S,
    weights: &[f32],
    rows: &[i8],
    overwrite: bool,
    out: &mut [f32],
) {
    assert!(rows.len() == weights.len() * out.len() && out.len().is_multiple_of(super::PAD));
    s.weighted_sum_int8(weights, rows, overwrite, out);
}

/// [`weighted_sum_int8`] in single precision.
#[inline(always)]
pub(crate) fn weighted_sum<S: Simd<N>, const N: usize>(
    s: S,
    weights: &[f32],
    rows: &[i8],
    overwrite: bool,
    out: &mut [f32],
) {
    let dim = out.len();
    for (block, (weights, rows)) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)).enumerate() {
        let overwrite = overwrite && block == 0;
        let mut at = 0;
        while at + 12 * N <= dim {
            columns::<S, N, 12>(s, weights, rows, at, overwrite, out);
            at += 12 * N;
        }
        while at < dim {
            columns::<S, N, 1>(s, weights, rows, at, overwrite, out);
            at += N;
        }
    }
}

/// `V` vectors of columns, from column `at` on.
#[inline(always)]
fn columns<S: Simd<N>, const N: usize, const V: usize>(
    s: S,
    weights: &[f32],
    rows: &[i8],
    at: usize,
    overwrite: bool,
    out: &mut [f32],
) {
    let mut sums = [s.splat(0.0); V];
    for (weight, row) in weights.iter().zip(rows.chunks_exact(out.len())) {
        let (weight, row) = (s.splat(*weight), row[at..][..V * N].as_chunks::<N>().0);
        for v in 0..V {
            sums[v] = s.mul_add(weight, s.load_i8(&row[v]), sums[v]);
        }
    }
    let out = out[at..][..V * N].as_chunks_mut::<N>().0;
    for v in 0..V {
        let before = if overwrite { s.splat(0.0) } else { s.load(&out[v]) };
        s.store(s.add(sums[v], before), &mut out[v]);
    }
}
