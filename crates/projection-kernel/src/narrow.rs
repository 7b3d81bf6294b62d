//! The loops over compact vectors: bfloat16, and bytes with a scale a row.
//!
//! Rows are padded with zeros to whole [`super::quantized::PAD`]s, so that no loop has an end
//! of its own. A query against bytes is two bytes a value, high and low, each 128 too large:
//! the instruction that multiplies bytes wants one side without a sign.

use std::mem::MaybeUninit;

use super::lanes::Lanes;
use super::table::Ends;
use super::vector::ROWS;

/// A query for rows of bytes: `high` and `low` bytes, 128 too large, and what a product of
/// the two with a row has to be multiplied by.
#[derive(Clone, Copy)]
pub(super) struct ByteQuery<'a> {
    pub high: &'a [u8],
    pub low: &'a [u8],
    pub scale: f32,
}

/// Rows of bytes: value = byte·scale. The sum of the bytes of each row undoes the 128.
#[derive(Clone, Copy)]
pub(super) struct ByteRows<'a> {
    pub bytes: &'a [i8],
    pub scales: &'a [f32],
    pub sums: &'a [i32],
    /// What is read after these rows and is asked for while they are multiplied, byte by byte;
    /// empty where it need not be.
    pub next: &'a [i8],
}

/// The product of a query and a row, of the products of the query's bytes with the row's.
#[inline(always)]
pub(super) fn product(query: f32, (high, low): (i32, i32), scale: f32, sum: i32) -> f32 {
    let (high, low) = ((high - 128 * sum) as f32, (low - 128 * sum) as f32);
    (high * 256.0 + low) * (query * scale)
}

/// Puts the values of even number before those of odd number, in each two registers; all of
/// `out` is written.
///
/// # Safety
/// As for [`Lanes`]; the lengths are equal, and whole pads.
#[inline(always)]
pub(super) unsafe fn apart<L: Lanes>(query: &[f32], out: &mut [MaybeUninit<f32>]) {
    for at in (0..query.len()).step_by(2 * L::COUNT) {
        // SAFETY: by this function's own condition.
        unsafe {
            let (from, to) = (query.as_ptr().add(at), out.as_mut_ptr().cast::<f32>().add(at));
            let (even, odd) = L::apart(L::load(from), L::load(from.add(L::COUNT)));
            even.store(to);
            odd.store(to.add(L::COUNT));
        }
    }
}

/// The dot product of a query from [`apart`] with every row, into `out`.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as `out` values, of the length of `query`,
/// which is that of whole pads.
#[inline(always)]
pub(super) unsafe fn dots_bf16<L: Lanes, const PREFETCH: bool>(
    query: &[f32],
    rows: &[u16],
    out: &mut [f32],
) {
    let (dim, query, mut row) = (query.len(), query.as_ptr(), rows.as_ptr());
    let (sixes, rest) = out.as_chunks_mut::<6>();
    let (fours, rest) = rest.as_chunks_mut::<4>();
    let (twos, rest) = rest.as_chunks_mut::<2>();
    // SAFETY: by this function's own condition; `row` moves on by as many rows as values are
    // written.
    unsafe {
        for out in sixes {
            *out = dots_bf16_of::<L, 6, PREFETCH>(dim, query, row);
            row = row.add(6 * dim);
        }
        for out in fours {
            *out = dots_bf16_of::<L, 4, PREFETCH>(dim, query, row);
            row = row.add(4 * dim);
        }
        for out in twos {
            *out = dots_bf16_of::<L, 2, PREFETCH>(dim, query, row);
            row = row.add(2 * dim);
        }
        for out in rest {
            [*out] = dots_bf16_of::<L, 1, PREFETCH>(dim, query, row);
        }
    }
}

/// The dot products with `R` rows, at most six.
///
/// # Safety
/// As for [`dots_bf16`].
#[inline(always)]
unsafe fn dots_bf16_of<L: Lanes, const R: usize, const PREFETCH: bool>(
    dim: usize,
    query: *const f32,
    rows: *const u16,
) -> [f32; R] {
    // SAFETY: by this function's own condition; prefetched addresses need not be valid.
    unsafe {
        let zero = L::splat(0.0);
        let mut sums = [[zero; 2]; R];
        let mut at = 0;
        while at < dim {
            let even = L::load(query.add(at));
            let odd = L::load(query.add(at + L::COUNT));
            for r in 0..R {
                let row = rows.add(r * dim + at);
                if PREFETCH && at % 32 == 0 {
                    L::prefetch(row.wrapping_add(R * dim).cast());
                }
                let values = L::load_bf16(row);
                sums[r][0] = values.0.multiply_add(even, sums[r][0]);
                sums[r][1] = values.1.multiply_add(odd, sums[r][1]);
            }
            at += 2 * L::COUNT;
        }
        let whole = |r: usize| if r < R { sums[r][0].add(sums[r][1]) } else { zero };
        let mut totals = [0.0; R];
        let first = L::sums([whole(0), whole(1), whole(2), whole(3)]);
        let head = R.min(4);
        totals[..head].copy_from_slice(&first[..head]);
        if R > 4 {
            let rest = L::sums([whole(4), whole(5), zero, zero]);
            totals[4..].copy_from_slice(&rest[..R - 4]);
        }
        totals
    }
}

/// factor·(out + Σₖ weightₖ·rowₖ), or without `out` where `fresh`, into `out`; `V` pairs of
/// registers of columns at a time.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as there are weights, of the length of `out`,
/// which is that of whole pads.
#[inline(always)]
pub(super) unsafe fn weighted_sum_bf16<L: Lanes, const V: usize>(
    weights: &[f32],
    rows: &[u16],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    let blocks = weights.len().div_ceil(ROWS);
    for (block, weights) in weights.chunks(ROWS).enumerate() {
        let (rows, out) = (rows[block * ROWS * dim..].as_ptr(), out.as_mut_ptr());
        let ends = (fresh && block == 0, if block + 1 == blocks { factor } else { 1.0 });
        let mut at = 0;
        // SAFETY: by this function's own condition; columns from `at` on are those of the
        // rows and of `out`.
        unsafe {
            while at + V * 2 * L::COUNT <= dim {
                columns_bf16::<L, V>(weights, rows.add(at), dim, out.add(at), ends);
                at += V * 2 * L::COUNT;
            }
            while at < dim {
                columns_bf16::<L, 1>(weights, rows.add(at), dim, out.add(at), ends);
                at += 2 * L::COUNT;
            }
        }
    }
}

/// `V` pairs of registers of columns of a weighted sum.
///
/// # Safety
/// As for [`weighted_sum_bf16`].
#[inline(always)]
unsafe fn columns_bf16<L: Lanes, const V: usize>(
    weights: &[f32],
    rows: *const u16,
    dim: usize,
    out: *mut f32,
    (first, factor): (bool, f32),
) {
    // SAFETY: by this function's own condition.
    unsafe {
        let zero = L::splat(0.0);
        let mut sums = [[zero; 2]; V];
        for (k, weight) in weights.iter().enumerate() {
            let (row, weight) = (rows.add(k * dim), L::splat(*weight));
            for v in 0..V {
                let values = L::load_bf16(row.add(v * 2 * L::COUNT));
                sums[v][0] = weight.multiply_add(values.0, sums[v][0]);
                sums[v][1] = weight.multiply_add(values.1, sums[v][1]);
            }
        }
        let factor = L::splat(factor);
        for v in 0..V {
            let place = out.add(v * 2 * L::COUNT);
            let (a, b) = L::together(sums[v][0], sums[v][1]);
            let (before_a, before_b) = match first {
                true => (zero, zero),
                false => (L::load(place), L::load(place.add(L::COUNT))),
            };
            a.add(before_a).multiply(factor).store(place);
            b.add(before_b).multiply(factor).store(place.add(L::COUNT));
        }
    }
}

/// As [`weighted_sum_bf16`], of rows of bytes without their scales.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn weighted_sum_i8<L: Lanes, const V: usize>(
    weights: &[f32],
    rows: &[i8],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    let blocks = weights.len().div_ceil(ROWS);
    for (block, weights) in weights.chunks(ROWS).enumerate() {
        let (rows, out) = (rows[block * ROWS * dim..].as_ptr(), out.as_mut_ptr());
        let ends = (fresh && block == 0, if block + 1 == blocks { factor } else { 1.0 });
        let mut at = 0;
        // SAFETY: by this function's own condition; columns from `at` on are those of the
        // rows and of `out`.
        unsafe {
            while at + V * L::COUNT <= dim {
                columns_i8::<L, V>(weights, rows.add(at), dim, out.add(at), ends);
                at += V * L::COUNT;
            }
            while at < dim {
                columns_i8::<L, 1>(weights, rows.add(at), dim, out.add(at), ends);
                at += L::COUNT;
            }
        }
    }
}

/// `V` registers of columns of a weighted sum of rows of bytes.
///
/// # Safety
/// As for [`weighted_sum_i8`].
#[inline(always)]
unsafe fn columns_i8<L: Lanes, const V: usize>(
    weights: &[f32],
    rows: *const i8,
    dim: usize,
    out: *mut f32,
    (first, factor): (bool, f32),
) {
    // SAFETY: by this function's own condition.
    unsafe {
        let mut sums = [L::splat(0.0); V];
        for (k, weight) in weights.iter().enumerate() {
            let (row, weight) = (rows.add(k * dim), L::splat(*weight));
            for v in 0..V {
                sums[v] = weight.multiply_add(L::load_i8(row.add(v * L::COUNT)), sums[v]);
            }
        }
        let factor = L::splat(factor);
        for v in 0..V {
            let place = out.add(v * L::COUNT);
            let sum = if first { sums[v] } else { sums[v].add(L::load(place)) };
            sum.multiply(factor).store(place);
        }
    }
}
