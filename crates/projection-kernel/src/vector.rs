//! The loops of single queries, by registers.
//!
//! Each is compiled for every set of instructions that has a type of [`Lanes`], see
//! `table`. Loops keep their sums in registers and read every vector once, in order.

use super::lanes::Lanes;
use super::table::Ends;

/// Rows added up in single precision before the partial sum moves to the output, which
/// keeps the error of long sums that of short ones.
pub(super) const ROWS: usize = 256;

/// Values whose squares are added up in single precision.
const SQUARES: usize = 2048;

/// The dot product of `query` with every row, into `out`. `D` is the dimension where it is
/// known, else 0. With `FAR`, for rows that do not lie in the second-level cache, eight rows
/// are read together instead of four, and with `PREFETCH` rows to come are asked for early.
///
/// Within a call, and with `FAR` in every call, equal rows have equal products to the last
/// bit, wherever they stand.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as `out` values, of the length of `query`,
/// which is `D` unless that is 0.
#[inline(always)]
pub(super) unsafe fn dots<L: Lanes, const D: usize, const FAR: bool, const PREFETCH: bool>(
    query: &[f32],
    rows: &[f32],
    out: &mut [f32],
) {
    let dim = if D > 0 { D } else { query.len() };
    let (q, mut row) = (query.as_ptr(), rows.as_ptr());
    // SAFETY: by this function's own condition; `row` moves on by as many rows as values are
    // written, so that it stays inside `rows`.
    unsafe {
        if FAR {
            let (eights, rest) = out.as_chunks_mut::<8>();
            for out in eights {
                *out = dots_of::<L, 8, 1, PREFETCH>(dim, q, row);
                row = row.add(8 * dim);
            }
            rest_of_dots::<L, 1, PREFETCH>(dim, q, row, rest);
        } else {
            rest_of_dots::<L, 2, PREFETCH>(dim, q, row, out);
        }
    }
}

/// [`dots`] from the last row to the first, which changes no product.
///
/// # Safety
/// As for [`dots`].
#[inline(always)]
pub(super) unsafe fn dots_backwards<L: Lanes, const D: usize>(
    query: &[f32],
    rows: &[f32],
    out: &mut [f32],
) {
    let dim = if D > 0 { D } else { query.len() };
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (query, whole) = (query.as_ptr(), 4 * fours.len() * dim);
    // SAFETY: by this function's own condition; `row` moves back by as many rows as values are
    // written.
    unsafe {
        let mut row = rows.as_ptr().add(whole);
        rest_of_dots::<L, 2, false>(dim, query, row, rest);
        for out in fours.iter_mut().rev() {
            row = row.sub(4 * dim);
            *out = dots_of::<L, 4, 2, false>(dim, query, row);
        }
    }
}

/// Four rows together, then the rest, with `A` sums in turn for each.
///
/// # Safety
/// As for [`dots`].
#[inline(always)]
unsafe fn rest_of_dots<L: Lanes, const A: usize, const PREFETCH: bool>(
    dim: usize,
    query: *const f32,
    mut row: *const f32,
    out: &mut [f32],
) {
    let (fours, rest) = out.as_chunks_mut::<4>();
    // SAFETY: by this function's own condition.
    unsafe {
        for out in fours {
            *out = dots_of::<L, 4, A, PREFETCH>(dim, query, row);
            row = row.add(4 * dim);
        }
        let (two, one) = rest.split_at_mut(rest.len() & 2);
        if let Ok(out) = <&mut [f32; 2]>::try_from(two) {
            *out = dots_of::<L, 2, A, PREFETCH>(dim, query, row);
            row = row.add(2 * dim);
        }
        if let Ok(out) = <&mut [f32; 1]>::try_from(one) {
            *out = dots_of::<L, 1, A, PREFETCH>(dim, query, row);
        }
    }
}

/// The dot products with `R` rows, with `A` sums in turn for each.
///
/// # Safety
/// As for [`Lanes`]; `query` and each of the rows have `dim` values.
#[inline(always)]
unsafe fn dots_of<L: Lanes, const R: usize, const A: usize, const PREFETCH: bool>(
    dim: usize,
    query: *const f32,
    rows: *const f32,
) -> [f32; R] {
    // SAFETY: by this function's own condition; only whole registers before `dim` are read
    // whole, and prefetched addresses need not be valid.
    unsafe {
        let mut sums = [[L::splat(0.0); A]; R];
        let mut at = 0;
        while at + A * L::COUNT <= dim {
            for a in 0..A {
                let place = at + a * L::COUNT;
                let q = L::load(query.add(place));
                for r in 0..R {
                    let row = rows.add(r * dim + place);
                    if PREFETCH && place % 16 == 0 {
                        L::prefetch(row.wrapping_add(8 * dim));
                    }
                    sums[r][a] = L::load(row).multiply_add(q, sums[r][a]);
                }
            }
            at += A * L::COUNT;
        }
        while at + L::COUNT <= dim {
            let q = L::load(query.add(at));
            for r in 0..R {
                sums[r][0] = L::load(rows.add(r * dim + at)).multiply_add(q, sums[r][0]);
            }
            at += L::COUNT;
        }
        if at < dim {
            let q = L::load_part(query.add(at), dim - at);
            for r in 0..R {
                let row = L::load_part(rows.add(r * dim + at), dim - at);
                sums[r][0] = row.multiply_add(q, sums[r][0]);
            }
        }
        let mut width = A;
        while width > 1 {
            width /= 2;
            for r in 0..R {
                for a in 0..width {
                    sums[r][a] = sums[r][a].add(sums[r][a + width]);
                }
            }
        }
        let mut totals = [0.0; R];
        let (fours, rest) = totals.as_chunks_mut::<4>();
        for (four, total) in fours.iter_mut().enumerate() {
            let r = 4 * four;
            *total = L::sums([sums[r][0], sums[r + 1][0], sums[r + 2][0], sums[r + 3][0]]);
        }
        let zero = L::splat(0.0);
        match *rest {
            [ref mut a] => *a = L::sums([sums[R - 1][0], zero, zero, zero])[0],
            [ref mut a, ref mut b] => {
                [*a, *b, ..] = L::sums([sums[R - 2][0], sums[R - 1][0], zero, zero]);
            }
            _ => (),
        }
        totals
    }
}

/// factor·(out + Σₖ weightₖ·rowₖ), or without `out` where `fresh`, into `out`; `V` registers of
/// columns at a time. With `PREFETCH`, rows to come are asked for early.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as there are weights, of the length of `out`.
#[inline(always)]
pub(super) unsafe fn weighted_sum<L: Lanes, const V: usize, const PREFETCH: bool>(
    weights: &[f32],
    rows: &[f32],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    if weights.is_empty() && fresh {
        out.fill(0.0);
    }
    let weights_count = weights.len();
    for (block, weights) in weights.chunks(ROWS).enumerate() {
        let (rows, out) = (rows[block * ROWS * dim..].as_ptr(), out.as_mut_ptr());
        let first = fresh && block == 0;
        let last = (block + 1) * ROWS >= weights_count;
        let ends = (first, if last { factor } else { 1.0 });
        let mut at = 0;
        // SAFETY: by this function's own condition; columns from `at` on are those of the
        // rows and of `out`, whole registers where so many are left, else a part of one.
        unsafe {
            while at + V * L::COUNT <= dim {
                columns::<L, V, PREFETCH>(weights, rows.add(at), dim, out.add(at), ends);
                at += V * L::COUNT;
            }
            while at + 4 * L::COUNT <= dim {
                columns::<L, 4, PREFETCH>(weights, rows.add(at), dim, out.add(at), ends);
                at += 4 * L::COUNT;
            }
            while at + L::COUNT <= dim {
                columns::<L, 1, PREFETCH>(weights, rows.add(at), dim, out.add(at), ends);
                at += L::COUNT;
            }
            if at < dim {
                let count = dim - at;
                let mut sum = L::splat(0.0);
                for (k, weight) in weights.iter().enumerate() {
                    let row = L::load_part(rows.add(k * dim + at), count);
                    sum = L::splat(*weight).multiply_add(row, sum);
                }
                let before = if first { L::splat(0.0) } else { L::load_part(out.add(at), count) };
                sum.add(before).multiply(L::splat(ends.1)).store_part(out.add(at), count);
            }
        }
    }
}

/// A weighted sum times a factor, by blocks of `V` registers of columns; if `backwards`, from
/// the last block to the first, which changes no sum.
///
/// # Safety
/// As for [`weighted_sum`]; there are whole blocks of columns.
#[inline(always)]
pub(super) unsafe fn weighted_blocks<L: Lanes, const V: usize>(
    weights: &[f32],
    rows: &[f32],
    factor: f32,
    backwards: bool,
    out: &mut [f32],
) {
    let (rows, dim, out) = (rows.as_ptr(), out.len(), out.as_mut_ptr());
    let blocks = dim / (V * L::COUNT);
    for step in 0..blocks {
        let block = if backwards { blocks - 1 - step } else { step };
        let at = block * V * L::COUNT;
        // SAFETY: by this function's own condition.
        unsafe { columns::<L, V, false>(weights, rows.add(at), dim, out.add(at), (true, factor)) };
    }
}

/// `V` registers of columns of a weighted sum, added to `out` unless it is the first; then
/// multiplied by a factor.
///
/// # Safety
/// As for [`Lanes`]; from `rows` on, there is a row every `dim` values for each weight, and
/// each of them and `out` have `V` registers of values.
#[inline(always)]
unsafe fn columns<L: Lanes, const V: usize, const PREFETCH: bool>(
    weights: &[f32],
    rows: *const f32,
    dim: usize,
    out: *mut f32,
    (first, factor): (bool, f32),
) {
    // SAFETY: by this function's own condition; prefetched addresses need not be valid.
    unsafe {
        let mut sums = [L::splat(0.0); V];
        for (k, weight) in weights.iter().enumerate() {
            let (row, weight) = (rows.add(k * dim), L::splat(*weight));
            for v in 0..V {
                let place = row.add(v * L::COUNT);
                if PREFETCH && (v * L::COUNT).is_multiple_of(16) {
                    L::prefetch(place.wrapping_add(4 * dim));
                }
                sums[v] = weight.multiply_add(L::load(place), sums[v]);
            }
        }
        for v in 0..V {
            let place = out.add(v * L::COUNT);
            let sum = if first { sums[v] } else { sums[v].add(L::load(place)) };
            sum.multiply(L::splat(factor)).store(place);
        }
    }
}

/// The sum of squares, in single precision.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn squares<L: Lanes>(values: &[f32]) -> f64 {
    let mut total = 0.0;
    // SAFETY: by this function's own condition; the last register is read in part.
    unsafe {
        for values in values.chunks(SQUARES) {
            let (count, values) = (values.len(), values.as_ptr());
            let mut sums = [L::splat(0.0); 4];
            let mut at = 0;
            while at + 4 * L::COUNT <= count {
                for a in 0..4 {
                    let value = L::load(values.add(at + a * L::COUNT));
                    sums[a] = value.multiply_add(value, sums[a]);
                }
                at += 4 * L::COUNT;
            }
            while at + L::COUNT <= count {
                let value = L::load(values.add(at));
                sums[0] = value.multiply_add(value, sums[0]);
                at += L::COUNT;
            }
            if at < count {
                let value = L::load_part(values.add(at), count - at);
                sums[1] = value.multiply_add(value, sums[1]);
            }
            total += f64::from(sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum());
        }
    }
    total
}

/// The largest magnitude; 0 for none.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn largest_magnitude<L: Lanes>(values: &[f32]) -> f32 {
    let (count, values) = (values.len(), values.as_ptr());
    // SAFETY: by this function's own condition; the last register is read in part.
    unsafe {
        let zero = L::splat(0.0);
        let mut tops = [zero; 4];
        let mut at = 0;
        while at + 2 * L::COUNT <= count {
            for a in 0..2 {
                let value = L::load(values.add(at + a * L::COUNT));
                tops[2 * a] = tops[2 * a].max(value);
                tops[2 * a + 1] = tops[2 * a + 1].max(zero.subtract(value));
            }
            at += 2 * L::COUNT;
        }
        while at < count {
            let part = count - at;
            let value = match part >= L::COUNT {
                true => L::load(values.add(at)),
                false => L::load_part(values.add(at), part),
            };
            tops[0] = tops[0].max(value);
            tops[1] = tops[1].max(zero.subtract(value));
            at += L::COUNT;
        }
        tops[0].max(tops[1]).max(tops[2].max(tops[3])).largest()
    }
}

/// Multiplies all values by a factor.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn scale<L: Lanes>(values: &mut [f32], factor: f32) {
    let (count, values) = (values.len(), values.as_mut_ptr());
    let mut at = 0;
    // SAFETY: by this function's own condition; registers at the end are used in part.
    unsafe {
        let factor = L::splat(factor);
        while at + L::COUNT <= count {
            L::load(values.add(at)).multiply(factor).store(values.add(at));
            at += L::COUNT;
        }
        if at < count {
            let part = count - at;
            L::load_part(values.add(at), part).multiply(factor).store_part(values.add(at), part);
        }
    }
}
