//! The loops that take the time, written out for compilers that are asked for a small binary
//! and then unroll nothing: sums in an array stay in registers only where every index is a
//! constant. There is one tile for each loop; at the ends, where fewer rows are left, it works
//! on the last one more than once.
//!
//! Products of `dots` and of `dots_batch` are the same to the last bit.

use super::lanes::Lanes;
use super::table::Ends;

/// Queries of a batch that stay in the first-level cache while rows pass by.
const QUERIES: usize = 16;

/// Rows added up in single precision before the partial sum moves to the output, which
/// keeps the error of long sums that of short ones.
const ROWS: usize = 256;

/// Eight registers of zeros.
#[inline(always)]
unsafe fn zeros<L: Lanes>() -> [L; 8] {
    // SAFETY: by the caller's condition, that of `Lanes`.
    let zero = unsafe { L::splat(0.0) };
    [zero, zero, zero, zero, zero, zero, zero, zero]
}

/// Adds a·b to each of eight sums.
#[inline(always)]
unsafe fn multiply_add<L: Lanes>(sums: &mut [L; 8], a: [L; 8], b: [L; 8]) {
    // SAFETY: by the caller's condition, that of `Lanes`.
    unsafe {
        sums[0] = a[0].multiply_add(b[0], sums[0]);
        sums[1] = a[1].multiply_add(b[1], sums[1]);
        sums[2] = a[2].multiply_add(b[2], sums[2]);
        sums[3] = a[3].multiply_add(b[3], sums[3]);
        sums[4] = a[4].multiply_add(b[4], sums[4]);
        sums[5] = a[5].multiply_add(b[5], sums[5]);
        sums[6] = a[6].multiply_add(b[6], sums[6]);
        sums[7] = a[7].multiply_add(b[7], sums[7]);
    }
}

/// The products of two queries and four rows, each of `dim` values: those of the first query,
/// then those of the second.
unsafe fn tile<L: Lanes>(dim: usize, q: [*const f32; 2], r: [*const f32; 4]) -> [[f32; 4]; 2] {
    // SAFETY: by the caller's condition, that of `Lanes`; the last register is read in part.
    unsafe {
        let mut sums = zeros::<L>();
        let mut at = 0;
        while at + L::COUNT <= dim {
            let (a, b) = (L::load(q[0].add(at)), L::load(q[1].add(at)));
            let (w, x) = (L::load(r[0].add(at)), L::load(r[1].add(at)));
            let (y, z) = (L::load(r[2].add(at)), L::load(r[3].add(at)));
            multiply_add(&mut sums, [a, a, a, a, b, b, b, b], [w, x, y, z, w, x, y, z]);
            at += L::COUNT;
        }
        if at < dim {
            let part = |from: *const f32| L::load_part(from.add(at), dim - at);
            let (a, b) = (part(q[0]), part(q[1]));
            let (w, x, y, z) = (part(r[0]), part(r[1]), part(r[2]), part(r[3]));
            multiply_add(&mut sums, [a, a, a, a, b, b, b, b], [w, x, y, z, w, x, y, z]);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        [L::sums([a, b, c, d]), L::sums([e, f, g, h])]
    }
}

/// The products of a query and eight rows.
unsafe fn fan<L: Lanes>(dim: usize, query: *const f32, rows: *const f32) -> [[f32; 4]; 2] {
    // SAFETY: by the caller's condition, that of `Lanes`; the last register is read in part.
    unsafe {
        let mut sums = zeros::<L>();
        let mut at = 0;
        while at + L::COUNT <= dim {
            let q = L::load(query.add(at));
            let row = |number: usize| L::load(rows.add(number * dim + at));
            let rows = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
            multiply_add(&mut sums, [q, q, q, q, q, q, q, q], rows);
            at += L::COUNT;
        }
        if at < dim {
            let q = L::load_part(query.add(at), dim - at);
            let row = |number: usize| L::load_part(rows.add(number * dim + at), dim - at);
            let rows = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
            multiply_add(&mut sums, [q, q, q, q, q, q, q, q], rows);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        [L::sums([a, b, c, d]), L::sums([e, f, g, h])]
    }
}

/// See `vector`.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as `out` values, of the length of `query`.
#[inline(always)]
pub(super) unsafe fn dots<L: Lanes>(query: &[f32], rows: &[f32], out: &mut [f32]) {
    let dim = query.len();
    let (eights, rest) = out.as_chunks_mut::<8>();
    let rest_of_rows = &rows[eights.len() * 8 * dim..];
    for (eight, out) in eights.iter_mut().enumerate() {
        // SAFETY: by this function's own condition: there are eight rows for eight values.
        let found = unsafe { fan::<L>(dim, query.as_ptr(), rows[eight * 8 * dim..].as_ptr()) };
        out.copy_from_slice(found.as_flattened());
    }
    // SAFETY: by this function's own condition.
    unsafe { dots_batch::<L>(dim, query, rest_of_rows, rest, rest.len()) }
}

/// See `tiles`.
///
/// # Safety
/// As for [`Lanes`]; `queries` and `rows` hold whole rows of `dim` values, and `out` reaches
/// at least to the last product.
pub(super) unsafe fn dots_batch<L: Lanes>(
    dim: usize,
    queries: &[f32],
    rows: &[f32],
    out: &mut [f32],
    step: usize,
) {
    let (n, m) = (queries.len() / dim, rows.len() / dim);
    for start in (0..n).step_by(QUERIES) {
        let end = n.min(start + QUERIES);
        for first in (0..m).step_by(4) {
            let width = 4.min(m - first);
            // SAFETY: by this function's own condition: the numbers are below m and n.
            unsafe {
                let row = |number: usize| rows.as_ptr().add((first + number).min(m - 1) * dim);
                let four = [row(0), row(1), row(2), row(3)];
                for query in (start..end).step_by(2) {
                    let second = (query + 1).min(end - 1);
                    let place = |number: usize| queries.as_ptr().add(number * dim);
                    let found = tile::<L>(dim, [place(query), place(second)], four);
                    out[query * step + first..][..width].copy_from_slice(&found[0][..width]);
                    out[second * step + first..][..width].copy_from_slice(&found[1][..width]);
                }
            }
        }
    }
}

/// See `tiles`.
///
/// # Safety
/// As for [`Lanes`]; `out` and `rows` hold whole rows of `dim` values, and `weights` reaches
/// at least to the last of them.
#[inline(always)]
pub(super) unsafe fn add_weighted<L: Lanes>(
    dim: usize,
    weights: &[f32],
    step: usize,
    rows: &[f32],
    out: &mut [f32],
    fresh: bool,
) {
    let (n, m) = (out.len() / dim, rows.len() / dim);
    if fresh {
        out.fill(0.0);
    }
    let whole = dim - dim % (2 * L::COUNT);
    for at in (0..whole).step_by(2 * L::COUNT) {
        for query in (0..n).step_by(4) {
            let (a, b) = (query, (query + 1).min(n - 1));
            let (c, d) = ((query + 2).min(n - 1), (query + 3).min(n - 1));
            // SAFETY: by this function's own condition: the numbers are below n, and two
            // registers from `at` on are inside a row.
            unsafe {
                let weight = |number: usize| weights.as_ptr().add(number * step);
                let weights = [weight(a), weight(b), weight(c), weight(d)];
                let out = out.as_mut_ptr().add(at);
                let place = |number: usize| out.add(number * dim);
                let out = [place(a), place(b), place(c), place(d)];
                weighted_tile::<L>((m, dim), weights, rows.as_ptr().add(at), out);
            }
        }
    }
    if whole < dim {
        for (query, out) in out.chunks_exact_mut(dim).enumerate() {
            let weights = &weights[query * step..][..m];
            add_columns(weights, rows, whole, out);
        }
    }
}

/// Adds `m` weighted rows, which lie `dim` values apart, to four times two registers. Those
/// that are the same get the same.
unsafe fn weighted_tile<L: Lanes>(
    (m, dim): (usize, usize),
    w: [*const f32; 4],
    rows: *const f32,
    out: [*mut f32; 4],
) {
    // SAFETY: by the caller's condition, that of `Lanes`. All are read before one is written.
    unsafe {
        let second = |number: usize| L::load(out[number].add(L::COUNT));
        let mut sums = [
            L::load(out[0]),
            L::load(out[1]),
            L::load(out[2]),
            L::load(out[3]),
            second(0),
            second(1),
            second(2),
            second(3),
        ];
        let mut row = rows;
        let [mut p, mut q, mut r, mut s] = w;
        for _ in 0..m {
            let (x, y) = (L::load(row), L::load(row.add(L::COUNT)));
            let (a, b, c, d) = (L::splat(*p), L::splat(*q), L::splat(*r), L::splat(*s));
            multiply_add(&mut sums, [a, b, c, d, a, b, c, d], [x, x, x, x, y, y, y, y]);
            row = row.wrapping_add(dim);
            (p, q) = (p.wrapping_add(1), q.wrapping_add(1));
            (r, s) = (r.wrapping_add(1), s.wrapping_add(1));
        }
        sums[0].store(out[0]);
        sums[1].store(out[1]);
        sums[2].store(out[2]);
        sums[3].store(out[3]);
        sums[4].store(out[0].add(L::COUNT));
        sums[5].store(out[1].add(L::COUNT));
        sums[6].store(out[2].add(L::COUNT));
        sums[7].store(out[3].add(L::COUNT));
    }
}

/// Adds the weighted columns from `at` on, one by one.
fn add_columns(weights: &[f32], rows: &[f32], at: usize, out: &mut [f32]) {
    let dim = out.len();
    for (column, out) in out.iter_mut().enumerate().skip(at) {
        let mut sum = 0.0;
        for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
            sum += weight * row[column];
        }
        *out += sum;
    }
}

/// See `vector`.
///
/// # Safety
/// As for [`Lanes`]; `rows` holds as many rows as there are weights, of the length of `out`.
#[inline(always)]
pub(super) unsafe fn weighted_sum<L: Lanes>(
    weights: &[f32],
    rows: &[f32],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    if fresh {
        out.fill(0.0);
    }
    let whole = dim - dim % (8 * L::COUNT);
    for (weights, rows) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)) {
        for at in (0..whole).step_by(8 * L::COUNT) {
            // SAFETY: by this function's own condition: eight registers from `at` on are
            // inside a row.
            unsafe {
                strip::<L>(weights, dim, rows.as_ptr().add(at), out.as_mut_ptr().add(at));
            }
        }
        add_columns(weights, rows, whole, out);
    }
    if factor != 1.0 {
        // SAFETY: by this function's own condition.
        unsafe { super::vector::scale::<L>(out, factor) }
    }
}

/// Adds weighted rows, which lie `dim` values apart, to eight registers.
unsafe fn strip<L: Lanes>(weights: &[f32], dim: usize, rows: *const f32, out: *mut f32) {
    // SAFETY: by the caller's condition, that of `Lanes`.
    unsafe {
        let mut sums = zeros::<L>();
        let mut row = rows;
        for weight in weights {
            let w = L::splat(*weight);
            let part = |number: usize| L::load(row.add(number * L::COUNT));
            let parts = [part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7)];
            multiply_add(&mut sums, [w, w, w, w, w, w, w, w], parts);
            row = row.wrapping_add(dim);
        }
        let add = |number: usize, sum: L| {
            let place = out.add(number * L::COUNT);
            sum.add(L::load(place)).store(place);
        };
        add(0, sums[0]);
        add(1, sums[1]);
        add(2, sums[2]);
        add(3, sums[3]);
        add(4, sums[4]);
        add(5, sums[5]);
        add(6, sums[6]);
        add(7, sums[7]);
    }
}

// With registers of this CPU: WebAssembly's run the conformance vectors.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    #[cfg(target_arch = "aarch64")]
    type Registers = super::super::neon::Neon;
    #[cfg(target_arch = "x86_64")]
    type Registers = super::super::x86::Avx2;

    fn available() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        #[cfg(target_arch = "aarch64")]
        true
    }

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    fn close(found: f32, exact: f64, what: &str) {
        assert!((f64::from(found) - exact).abs() < 2e-5, "{what}: {found}, expected {exact}");
    }

    #[test]
    fn loops_multiply_as_double_precision() {
        assert!(available(), "a CPU with the registers that are tested");
        for (n, m, dim) in [(1, 1, 1), (2, 3, 7), (5, 18, 64), (17, 9, 67), (33, 300, 130)] {
            let step = m + 2;
            let (queries, rows) = (wave(n * dim, 0.37), wave(m * dim, 0.71));
            let weights: Vec<f32> = wave(n * step, 0.13).iter().map(|w| w / m as f32).collect();
            let dot = |i: usize, j: usize| -> f64 {
                let (query, row) = (&queries[i * dim..][..dim], &rows[j * dim..][..dim]);
                query.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let column = |i: usize, column: usize| -> f64 {
                (0..m)
                    .map(|k| f64::from(weights[i * step + k]) * f64::from(rows[k * dim + column]))
                    .sum()
            };
            let mut products = vec![9.0; (n - 1) * step + m];
            let mut sums = vec![1.0; n * dim];
            // SAFETY: the CPU has the registers, and the lengths are those of the shapes.
            unsafe {
                dots_batch::<Registers>(dim, &queries, &rows, &mut products, step);
                add_weighted::<Registers>(dim, &weights, step, &rows, &mut sums, false);
            }
            for i in 0..n {
                let what = format!("{n} × {m} × {dim}, query {i}");
                let (mut single, mut sum) = (vec![0.0; m], vec![3.0; dim]);
                let weights = &weights[i * step..][..m];
                // SAFETY: as above.
                unsafe {
                    dots::<Registers>(&queries[i * dim..][..dim], &rows, &mut single);
                    weighted_sum::<Registers>(weights, &rows, (false, 0.5), &mut sum);
                }
                assert_eq!(single, products[i * step..][..m], "{what}");
                (0..m).for_each(|j| close(single[j], dot(i, j), &what));
                for at in 0..dim {
                    close(sums[i * dim + at], 1.0 + column(i, at), &what);
                    close(sum[at], 0.5 * (3.0 + column(i, at)), &what);
                }
                // What lies between the rows of products stays.
                let between = products[i * step..].iter().skip(m).take(2);
                between.for_each(|value| assert_eq!(*value, 9.0));
            }
        }
    }
}
