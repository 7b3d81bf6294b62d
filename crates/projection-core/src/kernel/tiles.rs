//! The loops of batches: tiles of queries × heads that stay in registers.

use super::lanes::Lanes;
use super::vector::{dots, weighted_sum};

/// Queries of a batch that stay in the first-level cache while heads pass by.
const QUERIES: usize = 16;

/// Dot products of rows of `queries` and of `rows`: that of query i and row j goes to
/// `out[i·step + j]`. Tiles of `Q` queries and four rows.
///
/// # Safety
/// As for [`Lanes`]; `queries` and `rows` hold whole rows of `dim` values, and `out` reaches
/// at least to the last product.
#[inline(always)]
pub(super) unsafe fn dots_of_batch<L: Lanes, const Q: usize>(
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
            let along = |row: usize, width: usize| {
                let (rows, out) = (rows.as_ptr().add(row * dim), out.add(row));
                for query in (0..tiled).step_by(Q) {
                    let (query, out) = (queries.add(query * dim), out.add(query * step));
                    match width {
                        4 => tile::<L, Q, 4>(dim, query, rows, out, step),
                        2 => tile::<L, Q, 2>(dim, query, rows, out, step),
                        _ => tile::<L, Q, 1>(dim, query, rows, out, step),
                    }
                }
            };
            while row + 4 <= m {
                along(row, 4);
                row += 4;
            }
            if row + 2 <= m {
                along(row, 2);
                row += 2;
            }
            if row < m {
                along(row, 1);
            }
        }
        for query in start + tiled..start + count {
            let (query, out) = (&queries[query * dim..][..dim], &mut out[query * step..][..m]);
            // SAFETY: by this function's own condition; both have `dim` values a row.
            unsafe { dots::<L, 0, false>(query, rows, out) }
        }
    }
}

/// The products of `Q` queries and `R` rows.
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
) {
    // SAFETY: by this function's own condition; the last register is read in part.
    unsafe {
        let mut sums = [[L::splat(0.0); R]; Q];
        let mut at = 0;
        while at + L::COUNT <= dim {
            let row: [L; R] = std::array::from_fn(|r| L::load(rows.add(r * dim + at)));
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
            let row: [L; R] = std::array::from_fn(|r| L::load_part(rows.add(r * dim + at), part));
            for q in 0..Q {
                let query = L::load_part(queries.add(q * dim + at), part);
                for r in 0..R {
                    sums[q][r] = query.multiply_add(row[r], sums[q][r]);
                }
            }
        }
        if R == 4 {
            for q in 0..Q {
                let four = L::sums(std::array::from_fn(|r| sums[q][r]));
                out.add(q * step).cast::<[f32; 4]>().write_unaligned(four);
            }
        } else if Q == 4 {
            for r in 0..R {
                let four = L::sums(std::array::from_fn(|q| sums[q][r]));
                for q in 0..Q {
                    *out.add(q * step + r) = four[q];
                }
            }
        } else {
            for q in 0..Q {
                for r in 0..R {
                    *out.add(q * step + r) = sums[q][r].sum();
                }
            }
        }
    }
}

/// Adds to each row of `out` (n × dim) the sum of `rows` (m × dim) with the weights that
/// begin at `weights[i·step]` for row i. Tiles of `Q` rows of `out` and `V` registers; rows
/// of `out` that are left over go one by one, `W` registers at a time.
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
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    let tiled = n / Q * Q;
    let (tiles, rest) = out.split_at_mut(tiled * dim);
    let mut at = 0;
    // SAFETY: by this function's own condition; columns from `at` on are those of the rows
    // and of `out`, and queries before `tiled` are those of `tiles` and of the weights.
    unsafe {
        while at < dim && tiled > 0 {
            let width = match dim - at {
                left if left >= V * L::COUNT => V * L::COUNT,
                left => left.min(L::COUNT),
            };
            let (rows, out) = (rows.as_ptr().add(at), tiles.as_mut_ptr().add(at));
            for query in (0..tiled).step_by(Q) {
                let (weights, out) = (weights.as_ptr().add(query * step), out.add(query * dim));
                if width > L::COUNT {
                    weighted_tile::<L, Q, V>(m, dim, weights, step, rows, out);
                } else if width == L::COUNT {
                    weighted_tile::<L, Q, 1>(m, dim, weights, step, rows, out);
                } else {
                    weighted_part::<L, Q>(m, dim, weights, step, rows, out, width);
                }
            }
            at += width;
        }
        for (query, out) in rest.chunks_exact_mut(dim).enumerate() {
            let weights = &weights[(tiled + query) * step..][..m];
            weighted_sum::<L, W, false>(weights, rows, out, false);
        }
    }
}

/// Adds `m` weighted rows to a tile of `Q` rows of `out`, `V` registers each.
///
/// # Safety
/// As for [`Lanes`]; there are weights every `step`, rows and rows of `out` every `dim`
/// values.
#[inline(always)]
unsafe fn weighted_tile<L: Lanes, const Q: usize, const V: usize>(
    m: usize,
    dim: usize,
    weights: *const f32,
    step: usize,
    rows: *const f32,
    out: *mut f32,
) {
    // SAFETY: by this function's own condition.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; Q];
        for k in 0..m {
            let row: [L; V] = std::array::from_fn(|v| L::load(rows.add(k * dim + v * L::COUNT)));
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
                sums[q][v].add(L::load(place)).store(place);
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
    m: usize,
    dim: usize,
    weights: *const f32,
    step: usize,
    rows: *const f32,
    out: *mut f32,
    width: usize,
) {
    // SAFETY: by this function's own condition.
    unsafe {
        for q in 0..Q {
            let mut sum = L::load_part(out.add(q * dim), width);
            for k in 0..m {
                let row = L::load_part(rows.add(k * dim), width);
                sum = L::splat(*weights.add(q * step + k)).multiply_add(row, sum);
            }
            sum.store_part(out.add(q * dim), width);
        }
    }
}
