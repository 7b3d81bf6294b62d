//! Every level of this CPU against double precision, on odd sizes, slices at any address, and
//! values at the ends of the range.

use crate::dispatch::Level;
use crate::*;
use crate::{batch, dot, softmax as softmaxes, weighted_sum as sums};

mod attention;
mod quantized;

/// Values in −1…1, the same in every run.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).max(1);
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        })
        .collect()
}

fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn exact_weighted_sum(weights: &[f32], rows: &[f32], dim: usize) -> Vec<f64> {
    let mut sum = vec![0.0; dim];
    for (weight, row) in weights.iter().zip(rows.chunks(dim)) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += f64::from(*weight) * f64::from(*value);
        }
    }
    sum
}

/// Whether all dot products are within rounding of the exact ones.
fn check_dots(what: &str, query: &[f32], rows: &[f32], dots: &[f32], bound: f64) {
    for (row, dot) in rows.chunks(query.len()).zip(dots) {
        let error = exact_dot(row, query) - f64::from(*dot);
        assert!(error.abs() <= bound * norm(row) * norm(query), "{what}: off by {error}");
    }
}

/// Whether all sums are within rounding of scale·exact + before.
fn check_sums(what: &str, exact: &[f64], (scale, before): (f64, f64), sums: &[f32], bound: f64) {
    for (exact, sum) in exact.iter().zip(sums) {
        let error = scale * exact + before - f64::from(*sum);
        assert!(error.abs() <= bound, "{what}: off by {error}");
    }
}

/// A copy of `values` that begins `shift` values after the start of its memory, with NaN on both
/// sides: whoever reads too much computes NaN.
struct Shifted {
    memory: Vec<f32>,
    shift: usize,
    count: usize,
}

impl Shifted {
    fn new(values: &[f32], shift: usize) -> Self {
        let mut memory = vec![f32::NAN; shift];
        memory.extend(values);
        memory.extend([f32::NAN; 64]);
        Self { memory, shift, count: values.len() }
    }

    fn get(&self) -> &[f32] {
        &self.memory[self.shift..][..self.count]
    }

    fn get_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.shift..][..self.count]
    }

    /// Whether nothing outside was written.
    fn is_intact(&self) -> bool {
        let (before, rest) = self.memory.split_at(self.shift);
        before.iter().chain(&rest[self.count..]).all(|value| value.is_nan())
    }
}

const HINTS: [PrefetchHint; 5] = [
    PrefetchHint::Cached,
    PrefetchHint::Ahead,
    PrefetchHint::Streaming,
    PrefetchHint::Alternating { backwards: false },
    PrefetchHint::Alternating { backwards: true },
];

#[test]
fn dots_and_weighted_sums() {
    for (name, level) in Level::available() {
        for dim in [1, 3, 8, 15, 16, 17, 63, 64, 65, 129, 384, 385, 768, 1024, 1536] {
            for count in [1, 2, 3, 4, 7, 8, 13, 18, 257, 600] {
                if dim * count > 200_000 {
                    continue;
                }
                let shift = (dim + count) % 5;
                let (query, rows) = (values(dim, 1), values(dim * count, 2));
                let (query, rows) = (Shifted::new(&query, shift), Shifted::new(&rows, shift / 2));
                let (query, rows, weights) = (query.get(), rows.get(), values(count, 3));
                let exact = exact_weighted_sum(&weights, rows, dim);
                let bound = 4e-6 * (count as f64).sqrt();
                for hint in HINTS {
                    let what = format!("{name}: {count} × {dim}, {hint:?}");
                    let mut dots = Shifted::new(&vec![7.0; count], shift);
                    dot::on::dots_hinted(level, hint, query, rows, dots.get_mut());
                    check_dots(&what, query, rows, dots.get(), 2e-7);
                    let mut sum = Shifted::new(&vec![7.0; dim], shift);
                    for (overwrite, alpha) in [(true, 0.5), (false, 2.0)] {
                        let out = sum.get_mut();
                        let weights = &weights;
                        sums::on::weighted_sum_hinted(
                            level, hint, weights, rows, overwrite, alpha, out,
                        );
                        let scale = if overwrite { 0.5 } else { 2.5 };
                        check_sums(&what, &exact, (scale, 0.0), out, bound);
                    }
                    assert!(dots.is_intact() && sum.is_intact(), "{what}");
                }
            }
        }
    }
}

#[test]
fn equal_rows_have_equal_products_wherever_they_stand() {
    for (name, level) in Level::available() {
        for dim in [5, 16, 100, 384] {
            let rows = values(dim, 2).repeat(23);
            let queries = values(dim, 1).repeat(21);
            let (mut products, mut one) = (vec![0.0; 21 * 23], vec![0.0; 23]);
            batch::on::dots_batch(level, dim, &queries, &rows, &mut products, 23);
            batch::on::dots_batch(level, dim, &queries[..dim], &rows, &mut one, 23);
            let hint = PrefetchHint::Cached.as_in_batches();
            let mut alone = vec![0.0; 23];
            dot::on::dots_hinted(level, hint, &queries[..dim], &rows, &mut alone);
            let first = products[0].to_bits();
            let all = products.iter().chain(&one).chain(&alone);
            assert!(all.into_iter().all(|product| product.to_bits() == first), "{name}: {dim}");
        }
    }
}

#[test]
fn batches() {
    for (name, level) in Level::available() {
        for dim in [1, 5, 16, 33, 63, 96, 384, 400] {
            for (n, m) in [(1, 1), (2, 5), (3, 4), (4, 3), (5, 7), (8, 18), (17, 9), (33, 70)] {
                let what = format!("{name}: {n} × {m} of {dim}");
                let (queries, rows) = (values(n * dim, 5), values(m * dim, 6));
                let rows = Shifted::new(&rows, n % 3);
                let (rows, step) = (rows.get(), m + 3);
                let mut out = Shifted::new(&vec![7.0; (n - 1) * step + m], m % 4);
                batch::on::dots_batch(level, dim, &queries, rows, out.get_mut(), step);
                for (query, dots) in queries.chunks(dim).zip(out.get().chunks(step)) {
                    check_dots(&what, query, rows, dots, 2e-7);
                    // Values between rows of products are not touched.
                    assert!(dots.iter().skip(m).all(|value| *value == 7.0), "{what}");
                }
                assert!(out.is_intact(), "{what}");

                let weights = values(n * step, 8);
                for overwrite in [false, true] {
                    let mut out = Shifted::new(&vec![7.0; n * dim], m % 4);
                    let (all, rows) = (out.get_mut(), rows);
                    batch::on::weighted_sum_batch(level, dim, &weights, step, rows, all, overwrite);
                    let before = if overwrite { 0.0 } else { 7.0 };
                    for (weights, sum) in weights.chunks(step).zip(out.get().chunks(dim)) {
                        let exact = exact_weighted_sum(&weights[..m], rows, dim);
                        check_sums(&what, &exact, (1.0, before), sum, 3e-6 * (m as f64).sqrt());
                    }
                    assert!(out.is_intact(), "{what}");
                }
            }
        }
    }
}

#[test]
fn norms_and_sums_in_double_precision() {
    for (name, level) in Level::available() {
        for count in [0, 1, 15, 16, 17, 33, 255, 257, 1000, 5000] {
            let (a, b) = (values(count, 4), values(count, 5));
            let shifted = Shifted::new(&a, count % 3);
            let square = exact_dot(&a, &a);
            assert!((dot::on::norm(level, &a).powi(2) - square).abs() <= 1e-13 * square, "{name}");
            let found = dot::on::norm_f32(level, shifted.get()).powi(2);
            assert!((found - square).abs() <= 1e-6 * square, "{name}: {found}, not {square}");
            let found = dot::on::dot_f64(level, &a, &b);
            assert!((found - exact_dot(&a, &b)).abs() <= 1e-13 * square, "{name}");
            let mut sum = vec![1.0; count];
            dot::on::add_difference(level, (0.5, &a), (0.25, &b), &mut sum);
            for ((sum, a), b) in sum.iter().zip(&a).zip(&b) {
                assert_eq!(*sum, 1.0 + (0.5 * f64::from(*a) - 0.25 * f64::from(*b)), "{name}");
            }
            let mut scaled = Shifted::new(&a, count % 4);
            sums::on::scale(level, scaled.get_mut(), 3.0);
            assert!(scaled.get().iter().zip(&a).all(|(scaled, value)| *scaled == 3.0 * value));
            assert!(scaled.is_intact(), "{name}");
        }
    }
}

#[test]
fn softmax_of_one_row() {
    for (name, level) in Level::available() {
        for count in [1, 2, 15, 16, 17, 18, 33, 255, 257, 1000] {
            let scores = values(count, 4);
            let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shifted = Shifted::new(&scores, count % 3);
            assert_eq!(softmaxes::on::largest(level, shifted.get()), top, "{name}");
            for scale in [0.1f32, 10.0, 50.0] {
                let mut weights = Shifted::new(&scores, count % 5);
                softmaxes::on::softmax(level, weights.get_mut(), scale);
                let mut exact = vec![0.0; count];
                let doubles: Vec<f64> = scores.iter().copied().map(f64::from).collect();
                softmax_f64(&doubles, 1.0 / f64::from(scale), &mut exact);
                for (weight, exact) in weights.get().iter().zip(exact) {
                    assert!((weight - exact).abs() < 1e-6 * exact.max(1e-2), "{name}");
                }
                assert!(weights.is_intact(), "{name}");
                let mut terms = scores.clone();
                let sum = softmaxes::on::exponentials(level, &mut terms, scale, top);
                let exact: f64 = terms.iter().copied().map(f64::from).sum();
                assert!((sum / exact - 1.0).abs() < 1e-6, "{name}: {sum}, not {exact}");
            }
        }
        assert_eq!(softmaxes::on::largest(level, &[]), f32::NEG_INFINITY, "{name}");
    }
}

/// Rows of scores, as a batch has them, filled up with scores that weigh nothing.
#[test]
fn softmax_of_many_rows() {
    const STEP: usize = 48;
    const WIDTH: usize = 32;
    for (name, level) in Level::available() {
        for rows in [1, 4, 7] {
            let mut scores = values(rows * STEP, 5);
            scores.chunks_mut(STEP).for_each(|row| row[18..WIDTH].fill(f32::NEG_INFINITY));
            let factors: Vec<f32> = (1..=rows).map(|row| 3.0 * row as f32).collect();
            let (mut tops, mut totals) = (vec![7.0; rows], vec![7.0; rows]);
            softmaxes::on::largest_rows(level, &scores, STEP, WIDTH, &mut tops);
            let mut terms = scores.clone();
            let (shape, sums) = ((STEP, WIDTH), &mut totals);
            softmaxes::on::exponentials_rows(level, &mut terms, shape, &factors, &tops, sums);
            let mut weights = scores.clone();
            softmaxes::on::softmax_rows(level, &mut weights, STEP, WIDTH, &factors);
            for (row, before) in scores.chunks(STEP).enumerate() {
                let (terms, weights) = (&terms[row * STEP..][..STEP], &weights[row * STEP..]);
                let mut expected = before.to_vec();
                let top = before[..18].iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(tops[row], top, "{name}");
                let sum =
                    softmaxes::on::exponentials(level, &mut expected[..WIDTH], factors[row], top);
                assert_eq!(terms, expected, "{name}");
                assert!((f64::from(totals[row]) / sum - 1.0).abs() < 1e-6, "{name}");
                for (weight, term) in weights.iter().zip(&terms[..WIDTH]) {
                    assert!((weight - term / sum as f32).abs() < 1e-6, "{name}");
                }
                assert!(weights[18..WIDTH].iter().all(|weight| *weight == 0.0), "{name}");
                assert_eq!(weights[WIDTH..STEP], before[WIDTH..], "{name}");
            }
        }
    }
}

#[test]
fn the_exponential_is_accurate() {
    for (name, level) in Level::available() {
        let mut terms: Vec<f32> = (0..850_000).map(|step| -1e-4 * step as f32).collect();
        let exact: Vec<f64> = terms.iter().map(|x| f64::from(*x).exp()).collect();
        softmaxes::on::exponentials(level, &mut terms, 1.0, 0.0);
        for (term, exact) in terms.iter().zip(exact) {
            assert!((f64::from(*term) / exact - 1.0).abs() < 1.8e-7, "{name}: {term}, not {exact}");
        }
        let mut ends = [0.0, -0.0, -1e30];
        softmaxes::on::exponentials(level, &mut ends, 1.0, 0.0);
        assert_eq!(ends, [1.0, 1.0, 0.0], "{name}");
    }
}

#[test]
fn the_ends_of_the_range() {
    for (name, level) in Level::available() {
        let mut weights = [0.3, 0.3, -1.0];
        softmaxes::on::softmax(level, &mut weights, 1e30);
        assert_eq!(weights, [0.5, 0.5, 0.0], "{name}");
        let mut many = vec![-1.0; 50];
        many[33] = 1.0;
        softmaxes::on::softmax(level, &mut many, 1e30);
        assert!(many.iter().enumerate().all(|(at, w)| *w == f32::from(u8::from(at == 33))));
        // Denormals count as what they are.
        let tiny = vec![f32::from_bits(3); 40];
        let (mut product, mut sum) = ([0.0], vec![0.0; 40]);
        dot::on::dots_hinted(level, PrefetchHint::Cached, &tiny, &[2.0; 40], &mut product);
        assert_eq!(product[0], f32::from_bits(240), "{name}");
        let (hint, rows) = (PrefetchHint::Cached, tiny.repeat(2));
        sums::on::weighted_sum_hinted(level, hint, &[2.0, 1.0], &rows, true, 1.0, &mut sum);
        assert!(sum.iter().all(|value| *value == f32::from_bits(9)), "{name}");
    }
    let mut weights = [0.0; 3];
    softmax_f64(&[0.3, 0.3, -1.0], 1e-300, &mut weights);
    assert_eq!(weights, [0.5, 0.5, 0.0]);
    softmax_f64(&[0.3, 0.3, -1.0], 1e300, &mut weights);
    assert!(weights.iter().all(|w| (w - 1.0 / 3.0).abs() < 1e-7));
}
