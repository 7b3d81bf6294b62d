//! The loops of batches: tiles of queries × heads that stay in registers.

use super::lanes::Lanes;
use super::vector::dots;

/// Queries of a batch that stay in the first-level cache while heads pass by.
const QUERIES: usize = 16;

/// Fewer rows than this are no block of many.
const BLOCK: usize = 32;

/// Dot products of rows of `queries` and of `rows`: that of query i and row j goes to
/// `out[i·step + j]`. Tiles of `Q` queries and four rows, or of few rows `W`, four or six.
///
/// Equal queries and rows have equal products to the last bit, wherever they stand and
/// whatever else is in the batch.
///
/// # Safety
/// As for [`Lanes`]; `queries` and `rows` hold whole rows of `dim` values, and `out` reaches
/// at least to the last product.
#[inline(always)]
pub(super) unsafe fn dots_batch<L: Lanes, const Q: usize, const W: usize>(
    dim: usize,
    queries: &[f32],
    rows: &[f32],
    out: &mut [f32],
    step: usize,
) {
    let (n, m) = (queries.len() / dim, rows.len() / dim);
    for start in (0..n).step_by(QUERIES) {
        let count = QUERIES.min(n - start);
        let tiled = count / Q * Q;
        let mut row = 0;
        // SAFETY: by this function's own condition; tiles lie inside the n × m products.
        unsafe {
            let (queries, out) =
                (queries[start * dim..].as_ptr(), out[start * step..].as_mut_ptr());
            while row < m {
                let width = match m - row {
                    // Fewer loads for each product, but rows of the next block that no tile
                    // asks for.
                    rest if W == 6 && m < BLOCK && rest >= 6 && rest != 8 => 6,
                    rest if rest >= 4 => 4,
                    rest => rest.min(2),
                };
                let (rows, out) = (rows.as_ptr().add(row * dim), out.add(row));
                for (number, query) in (0..tiled).step_by(Q).enumerate() {
                    let (query, out) = (queries.add(query * dim), out.add(query * step));
                    // Each tile asks for one row of the next block, where there may be one; where
                    // not, for its own query, which is there.
                    let ahead = match m < BLOCK {
                        true => query,
                        false => rows.wrapping_add((m + number) * dim),
                    };
                    match width {
                        6 if W == 6 => tile::<L, Q, 6>(dim, query, rows, out, step, ahead),
                        4 => tile::<L, Q, 4>(dim, query, rows, out, step, ahead),
                        2 => tile::<L, Q, 2>(dim, query, rows, out, step, ahead),
                        _ => tile::<L, Q, 1>(dim, query, rows, out, step, ahead),
                    }
                }
                row += width;
            }
        }
        for query in start + tiled..start + count {
            let (query, out) = (&queries[query * dim..][..dim], &mut out[query * step..][..m]);
            // SAFETY: by this function's own condition; both have `dim` values a row.
            unsafe { dots::<L, 0, true, false>(query, rows, out) }
        }
    }
}

/// The products of `Q` queries and `R` rows. A row's length from `ahead` on is asked for.
///
/// # Safety
/// As for [`Lanes`]; there are so many queries and rows of `dim` values one after another,
/// and `R` values to be written every `step` from `out` on.
#[inline(always)]
unsafe fn tile<L: Lanes, const Q: usize, const R: usize>(
    dim: usize,
    queries: *const f32,
    rows: *const f32,
    out: *mut f32,
    step: usize,
    ahead: *const f32,
) {
    // SAFETY: by this function's own condition; the last register is read in part.
    unsafe {
        let zero = L::splat(0.0);
        let mut sums = [[zero; R]; Q];
        let mut at = 0;
        while at + L::COUNT <= dim {
            L::prefetch_far(ahead.wrapping_add(at));
            let mut row = [zero; R];
            for r in 0..R {
                row[r] = L::load(rows.add(r * dim + at));
            }
            for q in 0..Q {
                let query = L::load(queries.add(q * dim + at));
                for r in 0..R {
                    sums[q][r] = query.multiply_add(row[r], sums[q][r]);
                }
            }
            at += L::COUNT;
        }
        if at < dim {
            let part = dim - at;
            let mut row = [zero; R];
            for r in 0..R {
                row[r] = L::load_part(rows.add(r * dim + at), part);
            }
            for q in 0..Q {
                let query = L::load_part(queries.add(q * dim + at), part);
                for r in 0..R {
                    sums[q][r] = query.multiply_add(row[r], sums[q][r]);
                }
            }
        }
        if R == 4 || R == 6 {
            for q in 0..Q {
                let four = L::sums([sums[q][0], sums[q][1 % R], sums[q][2 % R], sums[q][3 % R]]);
                out.add(q * step).cast::<[f32; 4]>().write_unaligned(four);
            }
            if R == 6 {
                // The last two of two queries together.
                for q in (0..Q).step_by(2) {
                    let (one, other) = (sums[q], sums[q + 1]);
                    let four = [one[4 % R], one[5 % R], other[4 % R], other[5 % R]];
                    let [a, b, c, d] = L::sums(four);
                    out.add(q * step + 4).cast::<[f32; 2]>().write_unaligned([a, b]);
                    out.add((q + 1) * step + 4).cast::<[f32; 2]>().write_unaligned([c, d]);
                }
            }
        } else if Q == 4 {
            for r in 0..R {
                let four = L::sums([sums[0][r], sums[1 % Q][r], sums[2 % Q][r], sums[3 % Q][r]]);
                for q in 0..Q {
                    *out.add(q * step + r) = four[q];
                }
            }
        } else {
            for q in 0..Q {
                for r in 0..R {
                    *out.add(q * step + r) = L::sums([sums[q][r], zero, zero, zero])[0];
                }
            }
        }
    }
}

/// Adds to each row of `out` (n × dim), or where `fresh` puts there, the sum of `rows`
/// (m × dim) with the weights that begin at `weights[i·step]` for row i. Tiles of `Q` rows of
/// `out` and `V` registers; rows of `out` that are left over go one by one, `W` registers at
/// a time.
///
/// # Safety
/// As for [`Lanes`]; `out` and `rows` hold whole rows of `dim` values, and `weights` reaches
/// at least to the last of them.
#[inline(always)]
pub(super) unsafe fn add_weighted<L: Lanes, const Q: usize, const V: usize, const W: usize>(
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    fresh: bool,
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    let tiled = n / Q * Q;
    let (weights, rows, out) = (weights.as_ptr(), rows.as_ptr(), out.as_mut_ptr());
    let mut at = 0;
    // SAFETY: by this function's own condition; columns from `at` on are those of the rows
    // and of `out`, and queries before n those of `out` and of the weights.
    unsafe {
        while at < dim && tiled > 0 {
            let width = if at + V * L::COUNT <= dim { V * L::COUNT } else { L::COUNT };
            let rows = rows.add(at);
            for query in (0..tiled).step_by(Q) {
                let (weights, out) = (weights.add(query * step), out.add(query * dim + at));
                if width > L::COUNT && query == 0 && m >= BLOCK {
                    weighted_tile::<L, Q, V, true>((m, dim), weights, step, rows, out, fresh);
                } else if width > L::COUNT {
                    weighted_tile::<L, Q, V, false>((m, dim), weights, step, rows, out, fresh);
                } else if at + width <= dim {
                    weighted_tile::<L, Q, 1, false>((m, dim), weights, step, rows, out, fresh);
                } else {
                    weighted_part::<L, Q>((m, dim), weights, step, rows, (out, dim - at), fresh);
                }
            }
            at += width;
        }
        for query in tiled..n {
            let (weights, out) = (weights.add(query * step), out.add(query * dim));
            let mut at = 0;
            while at + W * L::COUNT <= dim {
                let (rows, out) = (rows.add(at), out.add(at));
                weighted_tile::<L, 1, W, false>((m, dim), weights, step, rows, out, fresh);
                at += W * L::COUNT;
            }
            while at + L::COUNT <= dim {
                let (rows, out) = (rows.add(at), out.add(at));
                weighted_tile::<L, 1, 1, false>((m, dim), weights, step, rows, out, fresh);
                at += L::COUNT;
            }
            if at < dim {
                let (rows, out) = (rows.add(at), out.add(at));
                weighted_part::<L, 1>((m, dim), weights, step, rows, (out, dim - at), fresh);
            }
        }
    }
}

/// Adds `m` weighted rows to a tile of `Q` rows of `out`, `V` registers each, or puts them
/// there where it is `fresh`. With `ASK`, the rows of the next block are asked for.
///
/// # Safety
/// As for [`Lanes`]; there are weights every `step`, rows and rows of `out` every `dim`
/// values.
#[inline(always)]
unsafe fn weighted_tile<L: Lanes, const Q: usize, const V: usize, const ASK: bool>(
    (m, dim): (usize, usize),
    weights: *const f32,
    step: usize,
    rows: *const f32,
    out: *mut f32,
    fresh: bool,
) {
    // SAFETY: by this function's own condition.
    unsafe {
        let zero = L::splat(0.0);
        let mut sums = [[zero; V]; Q];
        for k in 0..m {
            for v in 0..V {
                if ASK {
                    L::prefetch_far(rows.wrapping_add((m + k) * dim + v * L::COUNT));
                }
            }
            let mut row = [zero; V];
            for v in 0..V {
                row[v] = L::load(rows.add(k * dim + v * L::COUNT));
            }
            for q in 0..Q {
                let weight = L::splat(*weights.add(q * step + k));
                for v in 0..V {
                    sums[q][v] = weight.multiply_add(row[v], sums[q][v]);
                }
            }
        }
        for q in 0..Q {
            for v in 0..V {
                let place = out.add(q * dim + v * L::COUNT);
                let sum = if fresh { sums[q][v] } else { sums[q][v].add(L::load(place)) };
                sum.store(place);
            }
        }
    }
}

/// [`weighted_tile`] of `width` columns, fewer than a register has.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn weighted_part<L: Lanes, const Q: usize>(
    (m, dim): (usize, usize),
    weights: *const f32,
    step: usize,
    rows: *const f32,
    (out, width): (*mut f32, usize),
    fresh: bool,
) {
    // SAFETY: by this function's own condition.
    unsafe {
        for q in 0..Q {
            let mut sum = match fresh {
                true => L::splat(0.0),
                false => L::load_part(out.add(q * dim), width),
            };
            for k in 0..m {
                let row = L::load_part(rows.add(k * dim), width);
                sum = L::splat(*weights.add(q * step + k)).multiply_add(row, sum);
            }
            sum.store_part(out.add(q * dim), width);
        }
    }
}
