//! The loops over compact vectors in plain Rust.

use std::mem::MaybeUninit;

use super::{ROUND, ROWS, scale};
use crate::narrow::{ByteQuery, ByteRows, product};
use crate::prefetch::PrefetchHint;
use crate::table::Ends;

/// Lanes of a dot product with compact values.
const WIDE: usize = 16;

/// See `narrow`: here the order stays.
pub(crate) fn apart(query: &[f32], out: &mut [MaybeUninit<f32>]) {
    for (out, value) in out.iter_mut().zip(query) {
        out.write(*value);
    }
}

/// See `narrow`.
pub(crate) fn dots_bf16(_: PrefetchHint, query: &[f32], rows: &[u16], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        let mut lanes = [0.0; WIDE];
        for (row, query) in row.as_chunks::<WIDE>().0.iter().zip(query.as_chunks::<WIDE>().0) {
            for i in 0..WIDE {
                lanes[i] += f32::from_bits(u32::from(row[i]) << 16) * query[i];
            }
        }
        *out = lanes.iter().sum();
    }
}

/// See `narrow`.
pub(crate) fn weighted_sum_bf16(weights: &[f32], rows: &[u16], ends: Ends, out: &mut [f32]) {
    weighted_sum_of(weights, rows, |value| f32::from_bits(u32::from(value) << 16), ends, out);
}

/// Two bytes for each value of a query times `factor`, which are at most 127·256 from zero:
/// see `narrow`.
#[inline(always)]
pub(crate) fn to_bytes(query: &[f32], factor: f32, high: &mut [u8], low: &mut [u8]) {
    for ((value, high), low) in query.iter().zip(high).zip(low) {
        // Rounded in the lowest bits, see `ROUND`.
        let value = (value * factor + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
        let upper = (value + 128) >> 8;
        *high = (upper + 128) as u8;
        *low = (value - 256 * upper + 128) as u8;
    }
}

/// See `narrow`.
#[inline(always)]
pub(crate) fn dots_i8(query: ByteQuery<'_>, rows: ByteRows<'_>, out: &mut [f32]) {
    let all = rows.bytes.chunks_exact(query.high.len()).zip(rows.scales).zip(rows.sums);
    for (((row, scale), sum), out) in all.zip(out) {
        let dot = |query: &[u8]| -> i32 {
            query.iter().zip(row).map(|(q, r)| i32::from(*q) * i32::from(*r)).sum()
        };
        *out = product(query.scale, (dot(query.high), dot(query.low)), *scale, *sum);
    }
}

/// See `narrow`.
pub(crate) fn weighted_sum_i8(weights: &[f32], rows: &[i8], ends: Ends, out: &mut [f32]) {
    weighted_sum_of(weights, rows, f32::from, ends, out);
}

/// As [`weighted_sum`], of values to be made of others.
fn weighted_sum_of<T: Copy>(
    weights: &[f32],
    rows: &[T],
    value: impl Fn(T) -> f32,
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    if fresh {
        out.fill(0.0);
    }
    let dim = out.len();
    let mut part = vec![0.0; dim];
    for (weights, rows) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)) {
        part.fill(0.0);
        for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
            for (part, row) in part.iter_mut().zip(row) {
                *part += weight * value(*row);
            }
        }
        for (out, part) in out.iter_mut().zip(&part) {
            *out += part;
        }
    }
    scale(out, factor);
}
