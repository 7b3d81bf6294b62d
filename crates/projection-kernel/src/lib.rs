//! Dot products, weighted sums and softmax: every sum the engine takes over vectors.
//!
//! The loops are compiled once per instruction set; the best one that the CPU has is chosen
//! at first use, see [`table`]. All of them are accurate to a few units in the last place of
//! the largest term, but their last bits differ between CPUs.

// Loops over the numbers of registers say which register meets which; and the compiler keeps
// them in registers.
#![allow(clippy::needless_range_loop)]
#![allow(missing_docs)]

mod attention;
mod body;
#[cfg(target_arch = "x86_64")]
mod bytes;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod compiled;
pub mod error;
pub mod gelu;
pub mod gemm;
pub mod ivf;
mod lanes;
#[cfg(not(target_arch = "wasm32"))]
mod mapping;
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
mod normalize;
pub mod parallel;
pub mod peak;
mod prefetch;
mod quantized;
pub mod random;
mod rows;
mod scores;
pub mod scratch;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
mod stack;
mod table;
mod tails;
mod tiles;
pub mod top_k;
#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
mod unrolled;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use error::{Error, ErrorKind, Result};
use table::kernels;

pub use attention::{RowsRef, attend, attend_one};
#[cfg(not(target_arch = "wasm32"))]
pub use mapping::Mapping;
pub use normalize::{cosine, normalize, normalized};
pub use prefetch::{PrefetchHint, prefetch};
pub use quantized::{MAX_INT8_DIM, QuantizedParts, QuantizedQuery, QuantizedRows, RowFormat};
#[cfg(not(target_arch = "wasm32"))]
pub use rows::StableBytes;
pub use rows::{Plain, Rows};
pub use scratch::Scratch;
pub use tails::Tails;

/// Whether the size of the binary counts more than the last percent: then a loop is compiled
/// once, not for each of the usual dimensions and ways of reading.
const SMALL: bool = cfg!(target_arch = "wasm32");

/// The dot product of `query` with every row of the row-major `rows`, into `out`.
pub fn dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
    dots_hinted(PrefetchHint::of(rows), query, rows, out)
}

/// [`dots`] with some rows of a larger matrix.
pub fn dots_hinted(reading: PrefetchHint, query: &[f32], rows: &[f32], out: &mut [f32]) {
    assert_eq!(rows.len(), query.len() * out.len());
    (kernels().dots)(reading, query, rows, out)
}

/// Σₖ weightₖ·rowₖ of the row-major `rows`, into `out`.
pub fn weighted_sum(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    add_weighted_sum(PrefetchHint::of(rows), weights, rows, (true, 1.0), out)
}

/// factor·(out + Σₖ weightₖ·rowₖ), or without `out` where it is `fresh`.
fn add_weighted_sum(
    reading: PrefetchHint,
    weights: &[f32],
    rows: &[f32],
    (fresh, factor): (bool, f32),
    out: &mut [f32],
) {
    assert_eq!(rows.len(), weights.len() * out.len());
    (kernels().weighted_sum)(reading, weights, rows, (fresh, factor), out)
}

/// Σₖ weightₖ·rowₖ times a factor, of few rows into `out`; if `backwards`, the last columns come
/// first, which changes no sum.
fn weighted_blocks(weights: &[f32], rows: &[f32], factor: f32, backwards: bool, out: &mut [f32]) {
    assert_eq!(rows.len(), weights.len() * out.len());
    (kernels().weighted_blocks)(weights, rows, factor, backwards, out)
}

/// The length of a vector of double precision; not finite where a square is not.
pub fn norm_of_f64(vector: &[f64]) -> f64 {
    (kernels().squares_of_doubles)(vector).sqrt()
}

/// Multiplies a vector of double precision, and rounds it to single precision.
pub fn scale_and_round(exact: &mut [f64], factor: f64, rounded: &mut [f32]) {
    assert_eq!(exact.len(), rounded.len());
    (kernels().scale_and_round)(exact, factor, rounded)
}

/// The dot product of single precision vectors, in double precision.
pub fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    (kernels().dot_f64)(a, b)
}

/// Adds x·a − y·b to `out`, in double precision.
pub fn add_difference((x, a): (f64, &[f32]), (y, b): (f64, &[f32]), out: &mut [f64]) {
    assert!(a.len() == out.len() && b.len() == out.len());
    (kernels().add_difference)((x, a), (y, b), out)
}

/// The Euclidean norm. Finite for every finite vector, NaN or infinite for any other.
pub fn norm(vector: &[f32]) -> f64 {
    (kernels().sum_of_squares)(vector).sqrt()
}

/// [`norm`] in single precision, for vectors that are far from its ends; of others it is
/// zero, infinite or NaN, or has lost digits.
pub fn norm_f32(vector: &[f32]) -> f64 {
    (kernels().squares)(vector).sqrt()
}

/// The dot products of rows of `queries` and of `rows`, of `dim` values each: that of query
/// i and row j goes to `out[i·step + j]`. Equal queries and rows have equal products to the
/// last bit, wherever they stand and whatever else is in the batch.
pub fn dots_batch(dim: usize, queries: &[f32], rows: &[f32], out: &mut [f32], step: usize) {
    let (n, m) = (queries.len() / dim, rows.len() / dim);
    assert!(queries.len() == n * dim && rows.len() == m * dim && m <= step);
    assert!(n == 0 || out.len() >= (n - 1) * step + m);
    (kernels().dots_batch)(dim, queries, rows, out, step)
}

/// Adds to each row of `out` (n × dim), or where `fresh` puts there, the sum of `rows`
/// (m × dim) with the weights that begin at `weights[i·step]` for row i.
pub fn add_weighted(
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    fresh: bool,
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    assert!(out.len() == n * dim && rows.len() == m * dim && m <= step);
    assert!(n == 0 || weights.len() >= (n - 1) * step + m);
    (kernels().add_weighted)(dim, weights, step, rows, out, fresh)
}

/// Whole registers of every instruction set: what [`softmax_of_rows`] wants rows to be filled
/// up to.
pub const WHOLE: usize = 16;

/// [`softmax`] of rows of `width` values, a multiple of [`WHOLE`], that begin every `step`
/// values, with a factor each.
pub fn softmax_of_rows(scores: &mut [f32], step: usize, width: usize, factors: &[f32]) {
    check_rows(scores.len(), step, width, factors.len());
    (kernels().softmax_of_rows)(scores, step, width, factors)
}

/// The largest score of each of so many rows of scores as `tops`, which are as in
/// [`softmax_of_rows`].
fn largest_of_rows(scores: &[f32], step: usize, width: usize, tops: &mut [f32]) {
    check_rows(scores.len(), step, width, tops.len());
    (kernels().largest_of_rows)(scores, step, width, tops)
}

/// Makes exp(factor·(s − top)) of scores that are not above their row's `top`, and puts the
/// sum of each row into `sums`.
fn exponentials_of_rows(
    scores: &mut [f32],
    (step, width): (usize, usize),
    factors: &[f32],
    tops: &[f32],
    sums: &mut [f32],
) {
    check_rows(scores.len(), step, width, sums.len());
    assert!(factors.len() == sums.len() && tops.len() == sums.len());
    (kernels().exponentials_of_rows)(scores, (step, width), factors, tops, sums)
}

fn check_rows(scores: usize, step: usize, width: usize, rows: usize) {
    assert!(width > 0 && width.is_multiple_of(WHOLE) && width <= step);
    assert!(rows == 0 || scores >= (rows - 1) * step + width);
}

/// The largest score; −∞ for none.
pub fn largest(scores: &[f32]) -> f32 {
    (kernels().largest)(scores)
}

/// Makes exp(scale·(s − top)) of scores that are not above `top`, and gives their sum.
pub fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f64 {
    (kernels().exponentials)(scores, scale, top)
}

/// Multiplies all values by a factor.
pub fn scale(values: &mut [f32], factor: f32) {
    (kernels().scale)(values, factor)
}

/// Turns scores into weights in place: wₖ = exp(scale·(sₖ − max s)) / Σ of the same.
pub fn softmax(scores: &mut [f32], scale: f32) {
    (kernels().softmax)(scores, scale)
}

/// [`softmax`] of double precision scores, with wₖ = exp((sₖ − max s)/temperature) / Σ.
pub fn softmax_f64(scores: &[f64], temperature: f64, weights: &mut [f32]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |score: f64| ((score - top) / temperature).exp();
    let sum: f64 = scores.iter().copied().map(weight).sum();
    for (out, score) in weights.iter_mut().zip(scores) {
        *out = (weight(*score) / sum) as f32;
    }
}

#[cfg(test)]
mod tests;
