//! Weights from scores.

use crate::dispatch::operations;
use crate::simd::{Simd, exp};
use crate::weighted_sum::scale_kernel;

/// Whole vectors of every instruction set: what kernels over rows of scores want rows to be
/// filled up to.
pub(crate) const WHOLE: usize = 16;

operations! {
    /// The largest score; −∞ if there are none.
    pub fn largest(scores: &[f32]) -> f32 = largest_kernel;
    /// Turns scores into weights in place: wₖ = exp(scale·(sₖ − max s)) / Σ of the same.
    pub fn softmax(scores: &mut [f32], scale: f32) = softmax_kernel;
    /// Turns scores that are not above `top` into exp(scale·(s − top)), and returns their sum.
    pub(crate) fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f64
        = exponentials_kernel;
    /// [`softmax`] of rows of `width` values, a multiple of [`WHOLE`], that begin every `step`
    /// values, with a factor each.
    pub(crate) fn softmax_rows(scores: &mut [f32], step: usize, width: usize, factors: &[f32])
        = softmax_rows_kernel;
    /// The largest score of each of as many rows as `tops`; rows as in [`softmax_rows`].
    pub(crate) fn largest_rows(scores: &[f32], step: usize, width: usize, tops: &mut [f32])
        = largest_rows_kernel;
    /// Turns scores that are not above their row's `top` into exp(factor·(s − top)), and puts the
    /// sum of each row into `sums`; rows as in [`softmax_rows`].
    pub(crate) fn exponentials_rows(
        scores: &mut [f32],
        shape: (usize, usize),
        factors: &[f32],
        tops: &[f32],
        sums: &mut [f32],
    ) = exponentials_rows_kernel;
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

/// Values whose exponentials are added up in single precision.
const TERMS: usize = 256;

#[inline(always)]
fn largest_kernel<S: Simd<N>, const N: usize>(s: S, scores: &[f32]) -> f32 {
    // The last vector may overlap the one before.
    let Some(last) = scores.last_chunk::<N>() else {
        return scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    };
    let mut top = s.load(last);
    for vector in scores.as_chunks::<N>().0 {
        top = s.max(top, s.load(vector));
    }
    s.largest(top)
}

#[inline(always)]
fn exponentials_kernel<S: Simd<N>, const N: usize>(
    s: S,
    scores: &mut [f32],
    scale: f32,
    top: f32,
) -> f64 {
    let (scale, top) = (s.splat(scale), s.splat(top));
    let mut total = 0.0;
    for scores in scores.chunks_mut(TERMS) {
        let mut sum = s.splat(0.0);
        let (vectors, end) = scores.as_chunks_mut::<N>();
        for vector in vectors {
            let value = exp(s, s.mul(s.sub(s.load(vector), top), scale));
            s.store(value, vector);
            sum = s.add(sum, value);
        }
        if !end.is_empty() {
            let value = exp(s, s.mul(s.sub(s.load_part(end), top), scale));
            let value = s.first(value, end.len());
            s.store_part(value, end);
            sum = s.add(sum, value);
        }
        total += f64::from(s.sum(sum));
    }
    total
}

#[inline(always)]
fn softmax_kernel<S: Simd<N>, const N: usize>(s: S, scores: &mut [f32], factor: f32) {
    let top = largest_kernel(s, scores);
    let sum = exponentials_kernel(s, scores, factor, top);
    scale_kernel(s, scores, (1.0 / sum) as f32);
}

fn check_rows(scores: usize, step: usize, width: usize, rows: usize) {
    assert!(width > 0 && width.is_multiple_of(WHOLE) && width <= step);
    assert!(rows == 0 || scores >= (rows - 1) * step + width);
}

/// Four rows at a time, whose waiting times overlap.
#[inline(always)]
fn softmax_rows_kernel<S: Simd<N>, const N: usize>(
    s: S,
    scores: &mut [f32],
    step: usize,
    width: usize,
    factors: &[f32],
) {
    check_rows(scores.len(), step, width, factors.len());
    let (fours, rest) = factors.as_chunks::<4>();
    for (rows, factors) in scores.chunks_mut(4 * step).zip(fours) {
        let tops = largest_of::<S, N, 4>(s, rows, step, width);
        let sums = exponentials_of::<S, N, 4>(s, rows, step, width, *factors, tops);
        for (row, sum) in rows.chunks_mut(step).zip(sums) {
            let inverse = s.splat(1.0 / sum);
            for vector in row[..width].as_chunks_mut::<N>().0 {
                s.store(s.mul(s.load(vector), inverse), vector);
            }
        }
    }
    for (scores, factor) in scores.chunks_mut(step).skip(4 * fours.len()).zip(rest) {
        softmax_kernel(s, &mut scores[..width], *factor);
    }
}

#[inline(always)]
fn largest_rows_kernel<S: Simd<N>, const N: usize>(
    s: S,
    scores: &[f32],
    step: usize,
    width: usize,
    tops: &mut [f32],
) {
    check_rows(scores.len(), step, width, tops.len());
    let (fours, rest) = tops.as_chunks_mut::<4>();
    let last = scores.chunks(step).skip(4 * fours.len());
    for (rows, tops) in scores.chunks(4 * step).zip(fours) {
        *tops = largest_of::<S, N, 4>(s, rows, step, width);
    }
    for (row, top) in last.zip(rest) {
        [*top] = largest_of::<S, N, 1>(s, row, step, width);
    }
}

#[inline(always)]
fn exponentials_rows_kernel<S: Simd<N>, const N: usize>(
    s: S,
    scores: &mut [f32],
    (step, width): (usize, usize),
    factors: &[f32],
    tops: &[f32],
    sums: &mut [f32],
) {
    check_rows(scores.len(), step, width, sums.len());
    assert!(factors.len() == sums.len() && tops.len() == sums.len());
    let ((factors, last_factors), (tops, last_tops)) = (factors.as_chunks(), tops.as_chunks());
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let (rows, last) = scores.split_at_mut((4 * fours.len() * step).min(scores.len()));
    let all = rows.chunks_mut(4 * step).zip(factors.iter().zip(tops));
    for ((rows, (factors, tops)), sums) in all.zip(fours) {
        *sums = exponentials_of::<S, N, 4>(s, rows, step, width, *factors, *tops);
    }
    let all = last.chunks_mut(step).zip(last_factors.iter().zip(last_tops));
    for ((row, (factor, top)), sum) in all.zip(rest) {
        [*sum, ..] = exponentials_of::<S, N, 1>(s, row, step, width, [*factor], [*top]);
    }
}

/// The largest scores of `R` rows.
#[inline(always)]
fn largest_of<S: Simd<N>, const N: usize, const R: usize>(
    s: S,
    rows: &[f32],
    step: usize,
    width: usize,
) -> [f32; R] {
    let mut tops = [0.0; R];
    for (r, top) in tops.iter_mut().enumerate() {
        *top = largest_kernel(s, &rows[r * step..][..width]);
    }
    tops
}

/// [`exponentials_rows`] of `R` rows, at most four, with the sums of as many.
#[inline(always)]
fn exponentials_of<S: Simd<N>, const N: usize, const R: usize>(
    s: S,
    rows: &mut [f32],
    step: usize,
    width: usize,
    factors: [f32; R],
    tops: [f32; R],
) -> [f32; 4] {
    let mut sums = [s.splat(0.0); 4];
    for at in (0..width).step_by(N) {
        for r in 0..R {
            let vector = &mut rows[r * step + at..].as_chunks_mut::<N>().0[0];
            let value = s.sub(s.load(vector), s.splat(tops[r]));
            let value = exp(s, s.mul(value, s.splat(factors[r])));
            s.store(value, vector);
            sums[r] = s.add(sums[r], value);
        }
    }
    s.sums(sums)
}
