//! Products of batches: tiles of queries × rows that stay in registers.

use crate::dispatch::operations;
use crate::dot::{self, sums_of_vectors};
use crate::prefetch::{PrefetchHint, prefetch_line};
use crate::simd::{Simd, split_rows};

operations! {
    /// The dot products of rows of `queries` and of `rows`, of `dim` values each: that of query i
    /// and row j goes to `out[i·step + j]`. Equal queries and rows have equal products to the
    /// last bit, wherever they stand and whatever else is in the batch.
    pub fn dots_batch(dim: usize, queries: &[f32], rows: &[f32], out: &mut [f32], step: usize)
        = dots_batch_kernel;
    /// Adds to each row of `out` (n × dim) or, with `overwrite`, writes over it the sum of `rows`
    /// (m × dim) with the weights that begin at `weights[i·step]` for row i.
    pub fn weighted_sum_batch(
        dim: usize,
        weights: &[f32],
        step: usize,
        rows: &[f32],
        out: &mut [f32],
        overwrite: bool,
    ) = weighted_sum_batch_kernel;
}

/// Queries that stay in the first-level cache while rows pass by.
const QUERIES: usize = 16;

/// Callers pass blocks of at least so many rows of a large matrix one after another.
const BLOCK: usize = 32;

#[inline(always)]
fn dots_batch_kernel<S: Simd<N>, const N: usize>(
    s: S,
    dim: usize,
    queries: &[f32],
    rows: &[f32],
    out: &mut [f32],
    step: usize,
) {
    let (n, m) = (queries.len() / dim, rows.len() / dim);
    assert!(queries.len() == n * dim && rows.len() == m * dim && m <= step);
    assert!(n == 0 || out.len() >= (n - 1) * step + m);
    for start in (0..n).step_by(QUERIES) {
        let count = QUERIES.min(n - start);
        let (queries, out) = (&queries[start * dim..][..count * dim], &mut out[start * step..]);
        match (N, S::MANY_REGISTERS) {
            (16, _) => tiles::<S, N, 4, 6>(s, dim, queries, rows, out, step),
            (_, true) => tiles::<S, N, 4, 4>(s, dim, queries, rows, out, step),
            (_, false) => tiles::<S, N, 2, 4>(s, dim, queries, rows, out, step),
        }
    }
}

/// Tiles of `Q` queries and four rows, or of few rows `W`, four or six.
#[inline(always)]
fn tiles<S: Simd<N>, const N: usize, const Q: usize, const W: usize>(
    s: S,
    dim: usize,
    queries: &[f32],
    rows: &[f32],
    out: &mut [f32],
    step: usize,
) {
    let m = rows.len() / dim;
    let tiled = queries.len() / dim / Q * Q;
    let mut row = 0;
    while row < m {
        let width = match m - row {
            // Fewer loads for each product, but rows of the next block that no tile requests.
            rest if W == 6 && m < BLOCK && rest >= 6 && rest != 8 => 6,
            rest if rest >= 4 => 4,
            rest => rest.min(2),
        };
        let tile_rows = &rows[row * dim..][..width * dim];
        for (number, query) in (0..tiled).step_by(Q).enumerate() {
            let (queries, out) =
                (&queries[query * dim..][..Q * dim], &mut out[query * step + row..]);
            // Each tile requests one row of the next block, if there may be one; else its own
            // query, which is there.
            let ahead = match m < BLOCK {
                true => queries.as_ptr(),
                false => tile_rows.as_ptr().wrapping_add((m + number) * dim),
            };
            match width {
                6 if W == 6 => tile::<S, N, Q, 6>(s, queries, tile_rows, out, step, ahead),
                4 => tile::<S, N, Q, 4>(s, queries, tile_rows, out, step, ahead),
                2 => tile::<S, N, Q, 2>(s, queries, tile_rows, out, step, ahead),
                _ => tile::<S, N, Q, 1>(s, queries, tile_rows, out, step, ahead),
            }
        }
        row += width;
    }
    for (number, query) in queries.chunks_exact(dim).enumerate().skip(tiled) {
        let out = &mut out[number * step..][..m];
        dot::dots_kernel(s, PrefetchHint::Streaming, query, rows, out);
    }
}

/// The products of `Q` queries and `R` rows, into `R` values every `step` of `out`. A row's
/// length from `ahead` on is requested.
#[inline(always)]
fn tile<S: Simd<N>, const N: usize, const Q: usize, const R: usize>(
    s: S,
    queries: &[f32],
    rows: &[f32],
    out: &mut [f32],
    step: usize,
    ahead: *const f32,
) {
    let dim = queries.len() / Q;
    let (query_vectors, query_ends) = split_rows::<f32, N, Q>(queries, dim);
    let (row_vectors, row_ends) = split_rows::<f32, N, R>(rows, dim);
    let mut sums = [[s.splat(0.0); R]; Q];
    for at in 0..dim / N {
        prefetch_line::<_, false>(ahead.wrapping_add(at * N));
        let mut values = [s.splat(0.0); R];
        for r in 0..R {
            values[r] = s.load(&row_vectors[r][at]);
        }
        for q in 0..Q {
            let query = s.load(&query_vectors[q][at]);
            for r in 0..R {
                sums[q][r] = s.mul_add(query, values[r], sums[q][r]);
            }
        }
    }
    if !dim.is_multiple_of(N) {
        let mut values = [s.splat(0.0); R];
        for r in 0..R {
            values[r] = s.load_part(row_ends[r]);
        }
        for q in 0..Q {
            let query = s.load_part(query_ends[q]);
            for r in 0..R {
                sums[q][r] = s.mul_add(query, values[r], sums[q][r]);
            }
        }
    }
    // Four sums are made together: of four rows, and of what is left of several queries.
    let whole = R / 4 * 4;
    for q in 0..Q {
        for r in (0..whole).step_by(4) {
            let four = s.sums([sums[q][r], sums[q][r + 1], sums[q][r + 2], sums[q][r + 3]]);
            out[q * step + r..][..4].copy_from_slice(&four);
        }
    }
    if R == 6 {
        for q in (0..Q).step_by(2) {
            let (one, other) = (sums[q], sums[q + 1]);
            let [a, b, c, d] = s.sums([one[R - 2], one[R - 1], other[R - 2], other[R - 1]]);
            out[q * step + 4..][..2].copy_from_slice(&[a, b]);
            out[(q + 1) * step + 4..][..2].copy_from_slice(&[c, d]);
        }
    } else if R < 4 {
        for r in 0..R {
            let mut of_row = [s.splat(0.0); Q];
            for q in 0..Q {
                of_row[q] = sums[q][r];
            }
            for (q, sum) in sums_of_vectors(s, of_row).into_iter().enumerate() {
                out[q * step + r] = sum;
            }
        }
    }
}

#[inline(always)]
fn weighted_sum_batch_kernel<S: Simd<N>, const N: usize>(
    s: S,
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    overwrite: bool,
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    assert!(out.len() == n * dim && rows.len() == m * dim && m <= step);
    assert!(n == 0 || weights.len() >= (n - 1) * step + m);
    match (N, S::MANY_REGISTERS) {
        (16, _) => weighted_tiles::<S, N, 8, 3, 24>(s, dim, weights, step, rows, out, overwrite),
        (_, true) => weighted_tiles::<S, N, 8, 2, 24>(s, dim, weights, step, rows, out, overwrite),
        (_, false) => weighted_tiles::<S, N, 4, 2, 12>(s, dim, weights, step, rows, out, overwrite),
    }
}

/// Tiles of `Q` rows of `out` and `V` vectors; rows of `out` that are left over go one by one,
/// `W` vectors at a time.
#[inline(always)]
fn weighted_tiles<S: Simd<N>, const N: usize, const Q: usize, const V: usize, const W: usize>(
    s: S,
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    overwrite: bool,
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    let tiled = n / Q * Q;
    let whole = dim / N * N;
    let (out, single) = out.split_at_mut(tiled * dim);
    let (weights, single_weights) = weights.split_at(weights.len().min(tiled * step));
    let mut at = 0;
    while at < whole && tiled > 0 {
        let wide = at + V * N <= dim;
        for (tile, out) in out.chunks_exact_mut(Q * dim).enumerate() {
            let weights = &weights[tile * Q * step..];
            match wide {
                // The rows of the next block are requested once.
                true if tile == 0 && m >= BLOCK => {
                    weighted_tile::<S, N, Q, V, true>(
                        s, dim, weights, step, rows, at, out, overwrite,
                    );
                }
                true => {
                    weighted_tile::<S, N, Q, V, false>(
                        s, dim, weights, step, rows, at, out, overwrite,
                    );
                }
                false => {
                    weighted_tile::<S, N, Q, 1, false>(
                        s, dim, weights, step, rows, at, out, overwrite,
                    );
                }
            }
        }
        at += if wide { V * N } else { N };
    }
    for (number, out) in single.chunks_exact_mut(dim).enumerate() {
        let weights = &single_weights[number * step..];
        let mut at = 0;
        while at + W * N <= dim {
            weighted_tile::<S, N, 1, W, false>(s, dim, weights, step, rows, at, out, overwrite);
            at += W * N;
        }
        while at + N <= dim {
            weighted_tile::<S, N, 1, 1, false>(s, dim, weights, step, rows, at, out, overwrite);
            at += N;
        }
    }
    if whole < dim {
        let all = out.chunks_exact_mut(dim).zip(weights.chunks(step));
        let all = all.chain(single.chunks_exact_mut(dim).zip(single_weights.chunks(step)));
        for (out, weights) in all {
            let out = &mut out[whole..];
            let mut sum = if overwrite { s.splat(0.0) } else { s.load_part(out) };
            for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
                sum = s.mul_add(s.splat(*weight), s.load_part(&row[whole..]), sum);
            }
            s.store_part(sum, out);
        }
    }
}

/// Weighted rows for `Q` rows of `out`, `V` vectors of each from column `at` on. With `AHEAD`,
/// the rows of the next block are requested.
#[inline(always)]
#[expect(clippy::too_many_arguments)]
fn weighted_tile<S: Simd<N>, const N: usize, const Q: usize, const V: usize, const AHEAD: bool>(
    s: S,
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    at: usize,
    out: &mut [f32],
    overwrite: bool,
) {
    let m = rows.len() / dim;
    let mut of_row: [&[f32]; Q] = [&[]; Q];
    for q in 0..Q {
        of_row[q] = &weights[q * step..][..m];
    }
    let mut sums = [[s.splat(0.0); V]; Q];
    for (k, row) in rows.chunks_exact(dim).enumerate().take(m) {
        let columns = row[at..][..V * N].as_chunks::<N>().0;
        let mut values = [s.splat(0.0); V];
        for v in 0..V {
            if AHEAD {
                prefetch_line::<_, false>(columns[v].as_ptr().wrapping_add(m * dim));
            }
            values[v] = s.load(&columns[v]);
        }
        for q in 0..Q {
            let weight = s.splat(of_row[q][k]);
            for v in 0..V {
                sums[q][v] = s.mul_add(weight, values[v], sums[q][v]);
            }
        }
    }
    for q in 0..Q {
        let out = out[q * dim + at..][..V * N].as_chunks_mut::<N>().0;
        for v in 0..V {
            let sum = sums[q][v];
            s.store(if overwrite { sum } else { s.add(sum, s.load(&out[v])) }, &mut out[v]);
        }
    }
}
