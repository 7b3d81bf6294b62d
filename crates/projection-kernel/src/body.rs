//! The loops in plain Rust, for CPUs without a type of registers of their own, and what the
//! others are tested against. Written so that the compiler vectorises them for whatever
//! instruction set the caller was compiled for, and without fused multiply–add, which is a
//! slow library call where it is not one instruction.

mod narrow;

pub(super) use narrow::{apart, dots_bf16, dots_i8, to_bytes, weighted_sum_bf16, weighted_sum_i8};

use super::prefetch::PrefetchHint;
use super::table::Ends;

/// Lanes of a dot product: independent sums, so that additions overlap and rounding errors
/// stay those of sums 64 times shorter.
const LANES: usize = 64;

/// Lanes of a sum in double precision.
pub(super) const DOUBLE_LANES: usize = 64;

/// Columns of a weighted sum that stay in registers while all rows pass by.
const COLUMNS: usize = 128;

/// Rows added up in single precision before the partial sum moves to the output, which
/// keeps the error of long sums that of short ones.
const ROWS: usize = 256;

/// ln 2 in two parts, of which the first times any exponent is exact.
pub(super) const LN_2: (f32, f32) = (355.0 / 512.0, -2.121_944_4e-4);
/// Adding this rounds to an integer, which is then in the lowest bits.
pub(super) const ROUND: f32 = 12_582_912.0;
/// Below this, [`exp`] is 0.
pub(super) const LOWEST: f32 = -85.0;
/// (exp(r) − 1 − r) / r² by the polynomial of Cephes' expf, highest power first.
pub(super) const COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_tail) = a.as_chunks();
    let (b_blocks, b_tail) = b.as_chunks();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        multiply_add_lanes(a, b, &mut lanes);
    }
    if !a_tail.is_empty() {
        // Adding single values to `lanes` would move them from registers to memory.
        multiply_add_lanes(&filled_up(a_tail), &filled_up(b_tail), &mut lanes);
    }
    let mut sums = [0.0f32; 16];
    for i in 0..16 {
        sums[i] = (lanes[i] + lanes[i + 16]) + (lanes[i + 32] + lanes[i + 48]);
    }
    for i in 0..8 {
        sums[i] += sums[i + 8];
    }
    for i in 0..4 {
        sums[i] += sums[i + 4];
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

#[inline(always)]
fn multiply_add_lanes(a: &[f32; LANES], b: &[f32; LANES], lanes: &mut [f32; LANES]) {
    for i in 0..LANES {
        lanes[i] += a[i] * b[i];
    }
}

/// `values`, which are fewer than lanes, with zeros after them.
#[inline(always)]
fn filled_up(values: &[f32]) -> [f32; LANES] {
    let mut filled = [0.0; LANES];
    filled[..values.len()].copy_from_slice(values);
    filled
}

#[inline(always)]
pub(super) fn dots(_: PrefetchHint, query: &[f32], rows: &[f32], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = dot(query, row);
    }
}

#[inline(always)]
pub(super) fn weighted_sum(
    _: PrefetchHint,
    weights: &[f32],
    rows: &[f32],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    if fresh {
        out.fill(0.0);
    }
    for (weights, rows) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)) {
        for (start, out) in (0..dim).step_by(COLUMNS).zip(out.chunks_mut(COLUMNS)) {
            if let Ok(out) = <&mut [f32; COLUMNS]>::try_from(&mut *out) {
                let mut sums = [0.0f32; COLUMNS];
                for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
                    let row = &row[start..start + COLUMNS];
                    for i in 0..COLUMNS {
                        sums[i] += *weight * row[i];
                    }
                }
                for i in 0..COLUMNS {
                    out[i] += sums[i];
                }
            } else {
                let mut sums = [0.0f32; COLUMNS];
                for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
                    for (sum, value) in sums.iter_mut().zip(&row[start..start + out.len()]) {
                        *sum += *weight * *value;
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }
    scale(out, factor);
}

/// See `vector`: here the order stays.
pub(super) fn weighted_blocks(
    weights: &[f32],
    rows: &[f32],
    factor: f32,
    _: bool,
    out: &mut [f32],
) {
    weighted_sum(PrefetchHint::Cached, weights, rows, (true, factor), out);
}

/// The sum, by halves, whose additions overlap.
#[inline(always)]
pub(super) fn sum_of_lanes(mut lanes: [f64; DOUBLE_LANES]) -> f64 {
    let mut width = DOUBLE_LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// The dot product in double precision.
#[inline(always)]
pub(super) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0f64; DOUBLE_LANES];
    let (blocks, tail) = a.as_chunks::<DOUBLE_LANES>();
    let (other_blocks, other_tail) = b.as_chunks::<DOUBLE_LANES>();
    for (a, b) in blocks.iter().zip(other_blocks) {
        for i in 0..DOUBLE_LANES {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let tail: f64 = tail.iter().zip(other_tail).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sum_of_lanes(lanes) + tail
}

/// Adds x·a − y·b, in double precision.
#[inline(always)]
pub(super) fn add_difference((x, a): (f64, &[f32]), (y, b): (f64, &[f32]), out: &mut [f64]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out += x * f64::from(*a) - y * f64::from(*b);
    }
}

/// The sum of squares in double precision.
#[inline(always)]
pub(super) fn sum_of_squares(vector: &[f32]) -> f64 {
    let mut lanes = [0.0f64; DOUBLE_LANES];
    let (blocks, tail) = vector.as_chunks::<DOUBLE_LANES>();
    for block in blocks {
        for i in 0..DOUBLE_LANES {
            let value = f64::from(block[i]);
            lanes[i] += value * value;
        }
    }
    let tail: f64 = tail.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    sum_of_lanes(lanes) + tail
}

/// See `vector`.
#[inline(always)]
pub(super) fn squares(values: &[f32]) -> f64 {
    values.chunks(2048).map(|values| f64::from(dot(values, values))).sum()
}

/// The largest score; −∞ for none.
#[inline(always)]
pub(super) fn largest(scores: &[f32]) -> f32 {
    scores.iter().fold(f32::NEG_INFINITY, |top, score| if *score > top { *score } else { top })
}

/// The largest magnitude; 0 for none.
#[inline(always)]
pub(super) fn largest_magnitude(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, tail) = values.as_chunks::<LANES>();
    let larger = |top: f32, value: f32| if value.abs() > top { value.abs() } else { top };
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], block[i]);
        }
    }
    tail.iter().chain(&lanes).fold(0.0, |top, value| larger(top, *value))
}

/// Makes exp(scale·(s − top)) of scores, and gives their sum.
#[inline(always)]
pub(super) fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f64 {
    for score in scores.iter_mut() {
        *score = exp((*score - top) * scale);
    }
    let mut lanes = [0.0f64; DOUBLE_LANES];
    let (blocks, tail) = scores.as_chunks::<DOUBLE_LANES>();
    for block in blocks {
        for i in 0..DOUBLE_LANES {
            lanes[i] += f64::from(block[i]);
        }
    }
    let tail: f64 = tail.iter().copied().map(f64::from).sum();
    sum_of_lanes(lanes) + tail
}

/// Multiplies all values by a factor.
#[inline(always)]
pub(super) fn scale(values: &mut [f32], factor: f32) {
    values.iter_mut().for_each(|value| *value *= factor);
}

/// Scores to weights in place: wₖ = exp(scale·(sₖ − max s)) / Σ of the same.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], factor: f32) {
    let top = largest(scores);
    let sum = exponentials(scores, factor, top);
    scale(scores, (1.0 / sum) as f32);
}

/// See `vector`.
#[inline(always)]
pub(super) fn softmax_of_rows(scores: &mut [f32], step: usize, width: usize, factors: &[f32]) {
    for (scores, factor) in scores.chunks_mut(step).zip(factors) {
        softmax(&mut scores[..width], *factor);
    }
}

/// See `vector`.
#[inline(always)]
pub(super) fn largest_of_rows(scores: &[f32], step: usize, width: usize, tops: &mut [f32]) {
    for (scores, top) in scores.chunks(step).zip(tops) {
        *top = largest(&scores[..width]);
    }
}

/// See `vector`.
#[inline(always)]
pub(super) fn exponentials_of_rows(
    scores: &mut [f32],
    (step, width): (usize, usize),
    factors: &[f32],
    tops: &[f32],
    sums: &mut [f32],
) {
    let rows = scores.chunks_mut(step).zip(factors.iter().zip(tops));
    for ((scores, (factor, top)), sum) in rows.zip(sums) {
        *sum = exponentials(&mut scores[..width], *factor, *top) as f32;
    }
}

/// See `tiles`.
#[inline(always)]
pub(super) fn dots_batch(dim: usize, queries: &[f32], rows: &[f32], out: &mut [f32], step: usize) {
    let count = rows.len() / dim;
    for (query, out) in queries.chunks_exact(dim).zip(out.chunks_mut(step)) {
        dots(PrefetchHint::Cached, query, rows, &mut out[..count]);
    }
}

/// See `tiles`.
#[inline(always)]
pub(super) fn add_weighted(
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    fresh: bool,
) {
    if fresh {
        out.fill(0.0);
    }
    for (weights, out) in weights.chunks(step).zip(out.chunks_exact_mut(dim)) {
        for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
            for (out, value) in out.iter_mut().zip(row) {
                *out += weight * value;
            }
        }
    }
}

/// See `limits`.
pub(super) fn multiply_adds(rounds: u64) -> (usize, f32) {
    let factor = std::hint::black_box(0.999f32);
    let mut lanes = [factor; LANES];
    for _ in 0..rounds {
        lanes.iter_mut().for_each(|lane| *lane = *lane * factor + factor);
    }
    (LANES / 12, lanes.iter().sum())
}

/// See `limits`.
pub(super) fn read(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            lanes[i] += values[i];
        }
    }
    lanes.iter().sum()
}

/// exp(x) for x ≤ 0, to 2 units in the last place; 0 where it is below 1e-37. Unlike the
/// library's, it can be vectorised.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // exp(x) = 2ⁿ·exp(r) with an integer n and |r| ≤ ln 2 / 2.
    let bounded = if x > LOWEST { x } else { LOWEST };
    let rounded = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (bounded - n * LN_2.0) - n * LN_2.1;
    let mut tail = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        tail = tail * r + *coefficient;
    }
    let value = tail * (r * r) + r + 1.0;
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { value * power }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exponential_is_accurate() {
        for step in 0..850_000 {
            let x = -1e-4 * step as f32;
            let exact = f64::from(x).exp();
            let value = exp(x);
            assert!((f64::from(value) / exact - 1.0).abs() < 1.5e-7, "exp({x}) = {value}");
        }
        assert_eq!([exp(0.0), exp(-0.0), exp(-1e30)], [1.0, 1.0, 0.0]);
    }
}
