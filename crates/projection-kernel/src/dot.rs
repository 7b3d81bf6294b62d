//! Dot products of one query with rows, and sums in double precision.
//!
//! Kernels keep their sums in registers and read every row once, in order. Products are accurate
//! to a few units in the last place of the largest term; last bits differ between CPUs.

use crate::dispatch::operations;
use crate::prefetch::{PrefetchHint, prefetch_line};
use crate::simd::{Simd, split_rows};

operations! {
    /// [`dots`] with a hint, for rows that are part of a larger matrix.
    ///
    /// With other hints than [`PrefetchHint::Cached`], equal rows have equal products to the last
    /// bit, wherever they stand, and the same as in [`dots_batch`](crate::dots_batch).
    pub fn dots_hinted(hint: PrefetchHint, query: &[f32], rows: &[f32], out: &mut [f32])
        = dots_kernel;
    /// The dot product of two vectors, in double precision.
    pub fn dot_f64(a: &[f32], b: &[f32]) -> f64 = dot_f64_kernel;
    /// The Euclidean norm. Finite for every finite vector, NaN or infinite for any other.
    pub fn norm(vector: &[f32]) -> f64 = norm_kernel;
    /// [`norm`] in single precision, for vectors whose squares it can hold; of others it is zero,
    /// infinite or NaN, or has lost digits.
    pub fn norm_f32(vector: &[f32]) -> f64 = norm_f32_kernel;
    /// Adds x·a − y·b to `out`, in double precision.
    pub fn add_difference(a: (f64, &[f32]), b: (f64, &[f32]), out: &mut [f64])
        = add_difference_kernel;
}

/// The dot product of `query` with every row of the row-major `rows`, into `out`.
pub fn dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
    dots_hinted(PrefetchHint::of(rows), query, rows, out);
}

/// Whether there are loops for the usual dimensions and for prefetching. A browser has to load
/// every one of them and cannot prefetch.
const SPECIALISED: bool = cfg!(not(target_arch = "wasm32"));

/// Values whose squares are added up in single precision.
const SQUARES: usize = 2048;

/// Sums of double precision in turn, so that additions overlap.
const LANES: usize = 64;

#[inline(always)]
pub(crate) fn dots_kernel<S: Simd<N>, const N: usize>(
    s: S,
    hint: PrefetchHint,
    query: &[f32],
    rows: &[f32],
    out: &mut [f32],
) {
    assert_eq!(rows.len(), query.len() * out.len());
    if query.is_empty() {
        return out.fill(0.0);
    }
    // Of the usual dimensions, the compiler knows the distance from row to row.
    match query.len() {
        384 if SPECIALISED => dots_by_hint(s, hint, 384, query, rows, out),
        768 if SPECIALISED => dots_by_hint(s, hint, 768, query, rows, out),
        1024 if SPECIALISED => dots_by_hint(s, hint, 1024, query, rows, out),
        1536 if SPECIALISED => dots_by_hint(s, hint, 1536, query, rows, out),
        dim => dots_by_hint(s, hint, dim, query, rows, out),
    }
}

#[inline(always)]
fn dots_by_hint<S: Simd<N>, const N: usize>(
    s: S,
    hint: PrefetchHint,
    dim: usize,
    query: &[f32],
    rows: &[f32],
    out: &mut [f32],
) {
    let query = &query[..dim];
    match hint {
        PrefetchHint::Cached | PrefetchHint::Alternating { .. } => {
            let backwards = hint == PrefetchHint::Alternating { backwards: true };
            by_fours::<S, N, 2, false>(s, query, rows, backwards, out);
        }
        PrefetchHint::Ahead if SPECIALISED => by_eights::<S, N, true>(s, query, rows, out),
        PrefetchHint::Ahead | PrefetchHint::Streaming => {
            by_eights::<S, N, false>(s, query, rows, out);
        }
    }
}

/// Eight rows together, for matrices outside of the second-level cache.
#[inline(always)]
fn by_eights<S: Simd<N>, const N: usize, const PREFETCH: bool>(
    s: S,
    query: &[f32],
    rows: &[f32],
    out: &mut [f32],
) {
    let dim = query.len();
    let (eights, rest) = out.as_chunks_mut::<8>();
    let (rows, rest_of_rows) = rows.split_at(8 * eights.len() * dim);
    for (out, rows) in eights.iter_mut().zip(rows.chunks_exact(8 * dim)) {
        *out = dots_of::<S, N, 8, 1, PREFETCH>(s, query, rows);
    }
    by_fours::<S, N, 1, PREFETCH>(s, query, rest_of_rows, false, rest);
}

/// Four rows together, the last ones first if `backwards`, with `A` sums in turn for each; then
/// the rest.
#[inline(always)]
fn by_fours<S: Simd<N>, const N: usize, const A: usize, const PREFETCH: bool>(
    s: S,
    query: &[f32],
    rows: &[f32],
    backwards: bool,
    out: &mut [f32],
) {
    let dim = query.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (rows, rest_of_rows) = rows.split_at(4 * fours.len() * dim);
    let all = fours.iter_mut().zip(rows.chunks_exact(4 * dim));
    if backwards {
        for (out, rows) in all.rev() {
            *out = dots_of::<S, N, 4, A, PREFETCH>(s, query, rows);
        }
    } else {
        for (out, rows) in all {
            *out = dots_of::<S, N, 4, A, PREFETCH>(s, query, rows);
        }
    }
    let (two, one) = rest.as_chunks_mut::<2>();
    let (rows, last_row) = rest_of_rows.split_at(2 * two.len() * dim);
    for out in two {
        *out = dots_of::<S, N, 2, A, PREFETCH>(s, query, rows);
    }
    for out in one {
        [*out] = dots_of::<S, N, 1, A, PREFETCH>(s, query, last_row);
    }
}

/// The dot products with `R` rows, with `A` sums in turn for each.
#[inline(always)]
fn dots_of<S: Simd<N>, const N: usize, const R: usize, const A: usize, const PREFETCH: bool>(
    s: S,
    query: &[f32],
    rows: &[f32],
) -> [f32; R] {
    let dim = query.len();
    let (vectors, query_end) = query.as_chunks::<N>();
    let (blocks, single) = vectors.as_chunks::<A>();
    let (row_vectors, row_ends) = split_rows::<f32, N, R>(rows, dim);
    let mut row_blocks: [&[[[f32; N]; A]]; R] = [&[]; R];
    for r in 0..R {
        row_blocks[r] = &row_vectors[r].as_chunks().0[..blocks.len()];
    }
    let mut sums = [[s.splat(0.0); A]; R];
    for at in 0..blocks.len() {
        for a in 0..A {
            let query = s.load(&blocks[at][a]);
            for r in 0..R {
                let values = &row_blocks[r][at][a];
                if PREFETCH && ((at * A + a) * N).is_multiple_of(16) {
                    prefetch_line::<_, true>(values.as_ptr().wrapping_add(8 * dim));
                }
                sums[r][a] = s.mul_add(s.load(values), query, sums[r][a]);
            }
        }
    }
    let first = vectors.len() - single.len();
    for at in first..vectors.len() {
        let query = s.load(&vectors[at]);
        for r in 0..R {
            sums[r][0] = s.mul_add(s.load(&row_vectors[r][at]), query, sums[r][0]);
        }
    }
    if !query_end.is_empty() {
        let query = s.load_part(query_end);
        for r in 0..R {
            let values = s.load_part(row_ends[r]);
            sums[r][0] = s.mul_add(values, query, sums[r][0]);
        }
    }
    let mut whole = [s.splat(0.0); R];
    for r in 0..R {
        whole[r] = sums[r][0];
        for a in 1..A {
            whole[r] = s.add(whole[r], sums[r][a]);
        }
    }
    sums_of_vectors(s, whole)
}

/// The sum of each vector.
#[inline(always)]
pub(crate) fn sums_of_vectors<S: Simd<N>, const N: usize, const R: usize>(
    s: S,
    vectors: [S::V; R],
) -> [f32; R] {
    let mut totals = [0.0; R];
    for (four, totals) in totals.chunks_mut(4).enumerate() {
        let mut group = [s.splat(0.0); 4];
        for at in 0..totals.len() {
            group[at] = vectors[4 * four + at];
        }
        totals.copy_from_slice(&s.sums(group)[..totals.len()]);
    }
    totals
}

/// The sum of lanes by halves, whose additions overlap.
#[inline(always)]
fn sum_of_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

#[inline(always)]
fn dot_f64_kernel<S: Simd<N>, const N: usize>(_: S, a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut lanes = [0.0f64; LANES];
    let (blocks, end) = a.as_chunks::<LANES>();
    let (other_blocks, other_end) = b.as_chunks::<LANES>();
    for (a, b) in blocks.iter().zip(other_blocks) {
        for i in 0..LANES {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let end: f64 = end.iter().zip(other_end).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sum_of_lanes(lanes) + end
}

#[inline(always)]
fn norm_kernel<S: Simd<N>, const N: usize>(s: S, vector: &[f32]) -> f64 {
    dot_f64_kernel(s, vector, vector).sqrt()
}

#[inline(always)]
fn norm_f32_kernel<S: Simd<N>, const N: usize>(s: S, vector: &[f32]) -> f64 {
    let mut total = 0.0;
    for values in vector.chunks(SQUARES) {
        let (vectors, end) = values.as_chunks::<N>();
        let (blocks, single) = vectors.as_chunks::<4>();
        let mut sums = [s.splat(0.0); 4];
        for block in blocks {
            for a in 0..4 {
                let value = s.load(&block[a]);
                sums[a] = s.mul_add(value, value, sums[a]);
            }
        }
        for value in single {
            let value = s.load(value);
            sums[0] = s.mul_add(value, value, sums[0]);
        }
        if !end.is_empty() {
            let value = s.load_part(end);
            sums[1] = s.mul_add(value, value, sums[1]);
        }
        let sum = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
        total += f64::from(s.sum(sum));
    }
    total.sqrt()
}

#[inline(always)]
fn add_difference_kernel<S: Simd<N>, const N: usize>(
    _: S,
    (x, a): (f64, &[f32]),
    (y, b): (f64, &[f32]),
    out: &mut [f64],
) {
    assert!(a.len() == out.len() && b.len() == out.len());
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out += x * f64::from(*a) - y * f64::from(*b);
    }
}
