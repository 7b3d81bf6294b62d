//! Every compilation against double precision, on odd sizes, slices at any address, and
//! values at the ends of the range.

use super::table::available;
use super::*;

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

/// A copy of `values` that begins `shift` values after the start of its memory, with NaN on
/// both sides: whoever reads too much computes NaN.
struct Shifted {
    memory: Vec<f32>,
    shift: usize,
}

impl Shifted {
    fn new(values: &[f32], shift: usize) -> Self {
        let mut memory = vec![f32::NAN; shift];
        memory.extend(values);
        memory.extend([f32::NAN; 64]);
        Self { memory, shift }
    }

    fn get(&self, count: usize) -> &[f32] {
        &self.memory[self.shift..][..count]
    }

    fn get_mut(&mut self, count: usize) -> &mut [f32] {
        &mut self.memory[self.shift..][..count]
    }

    /// Whether nothing outside was written.
    fn is_intact(&self, count: usize) -> bool {
        let (before, rest) = self.memory.split_at(self.shift);
        before.iter().chain(&rest[count..]).all(|value| value.is_nan())
    }
}

const DIMS: [usize; 15] = [1, 3, 8, 15, 16, 17, 63, 64, 65, 129, 384, 385, 768, 1024, 1536];

#[test]
fn every_compilation_multiplies_as_double_precision() {
    for (name, kernels) in available() {
        for (case, dim) in DIMS.into_iter().enumerate() {
            for rows in [1, 2, 3, 4, 7, 8, 13, 18, 257, 600] {
                if dim * rows > 200_000 {
                    continue;
                }
                let shift = (case + rows) % 5;
                let (query, matrix) = (values(dim, 1), values(dim * rows, 2));
                let query = Shifted::new(&query, shift);
                let matrix = Shifted::new(&matrix, shift / 2);
                let weights = values(rows, 3);
                let (query, matrix) = (query.get(dim), matrix.get(dim * rows));
                let mut dots = Shifted::new(&vec![7.0; rows], shift);
                (kernels.dots)(PrefetchHint::of(matrix), query, matrix, dots.get_mut(rows));
                for (row, dot) in matrix.chunks(dim).zip(dots.get(rows)) {
                    let bound = 2e-7 * norm(row) * norm(query);
                    let exact = exact_dot(row, query);
                    assert!((exact - f64::from(*dot)).abs() <= bound, "{name}: {dim} × {rows}");
                }
                let mut sum = Shifted::new(&vec![7.0; dim], shift);
                (kernels.weighted_sum)(
                    PrefetchHint::Cached,
                    &weights,
                    matrix,
                    (true, 0.5),
                    sum.get_mut(dim),
                );
                let exact = exact_weighted_sum(&weights, matrix, dim);
                let bound = 2e-6 * (rows as f64).sqrt();
                for (exact, sum) in exact.iter().zip(sum.get(dim)) {
                    let error = 0.5 * exact - f64::from(*sum);
                    assert!(error.abs() < bound, "{name}: {dim} × {rows}");
                }
                // To what is there.
                (kernels.weighted_sum)(
                    PrefetchHint::Ahead,
                    &weights,
                    matrix,
                    (false, 2.0),
                    sum.get_mut(dim),
                );
                for (exact, sum) in exact.iter().zip(sum.get(dim)) {
                    let error = 2.0 * 1.5 * exact - f64::from(*sum);
                    assert!(error.abs() < 4.0 * bound, "{name}: {dim} × {rows}");
                }
                assert!(dots.is_intact(rows) && sum.is_intact(dim), "{name}: {dim} × {rows}");
            }
        }
    }
}

#[test]
fn every_way_of_reading_reads_the_same_rows() {
    for (name, kernels) in available() {
        for reading in [PrefetchHint::Cached, PrefetchHint::Ahead, PrefetchHint::Streaming] {
            for (dim, count) in [(384, 31), (400, 27), (7, 9)] {
                let (query, matrix) = (values(dim, 1), values(dim * count, 2));
                let mut found = vec![0.0; count];
                (kernels.dots)(reading, &query, &matrix, &mut found);
                for (row, found) in matrix.chunks(dim).zip(&found) {
                    let bound = 2e-7 * norm(row) * norm(&query);
                    let error = exact_dot(row, &query) - f64::from(*found);
                    assert!(error.abs() <= bound, "{name}: {reading:?}");
                }
            }
        }
    }
}

#[test]
fn reading_backwards_changes_no_bit() {
    for (name, kernels) in available() {
        for dim in [7, 16, 96, 192, 384, 400, 768] {
            for count in [1, 2, 3, 4, 5, 18, 23] {
                let (query, matrix) = (values(dim, 1), values(dim * count, 2));
                let matrix = Shifted::new(&matrix, count % 3);
                let matrix = matrix.get(dim * count);
                let mut forwards = vec![7.0; count];
                let mut backwards = Shifted::new(&forwards, 2);
                (kernels.dots)(PrefetchHint::Cached, &query, matrix, &mut forwards);
                (kernels.dots)(PrefetchHint::Reversed, &query, matrix, backwards.get_mut(count));
                assert_eq!(backwards.get(count), forwards, "{name}: {dim} × {count}");
                assert!(backwards.is_intact(count), "{name}: {dim} × {count}");

                let weights = values(count, 3);
                let mut whole = vec![7.0; dim];
                (kernels.weighted_sum)(
                    PrefetchHint::Cached,
                    &weights,
                    matrix,
                    (true, 0.5),
                    &mut whole,
                );
                for back in [false, true] {
                    let mut blocks = Shifted::new(&vec![7.0; dim], 3);
                    (kernels.weighted_blocks)(&weights, matrix, 0.5, back, blocks.get_mut(dim));
                    assert_eq!(blocks.get(dim), whole, "{name}: {dim} × {count}");
                    assert!(blocks.is_intact(dim), "{name}: {dim} × {count}");
                }
            }
        }
    }
}

#[test]
fn equal_rows_have_equal_products_wherever_they_stand() {
    for (name, kernels) in available() {
        for dim in [5, 16, 100, 384] {
            let row = values(dim, 2);
            let rows = row.repeat(23);
            let queries = values(dim, 1).repeat(21);
            let mut products = vec![0.0; 21 * 23];
            (kernels.dots_batch)(dim, &queries, &rows, &mut products, 23);
            let mut one = vec![0.0; 23];
            (kernels.dots_batch)(dim, &queries[..dim], &rows, &mut one, 23);
            let reading = PrefetchHint::Cached.as_in_batches();
            let mut alone = vec![0.0; 23];
            (kernels.dots)(reading, &row, &row.repeat(23), &mut alone);
            assert!(alone.iter().all(|p| p.to_bits() == alone[0].to_bits()), "{name}: {dim}");
            (kernels.dots)(reading, &queries[..dim], &rows, &mut alone);
            let first = products[0].to_bits();
            let all = products.iter().chain(&one).chain(&alone);
            assert!(all.into_iter().all(|p| p.to_bits() == first), "{name}: {dim}");
        }
    }
}

#[test]
fn every_compilation_multiplies_batches_as_double_precision() {
    for (name, kernels) in available() {
        for dim in [1, 5, 16, 33, 63, 96, 384, 400] {
            for (n, m) in [(1, 1), (2, 5), (3, 4), (4, 3), (5, 7), (8, 18), (17, 9), (33, 70)] {
                let (queries, rows) = (values(n * dim, 5), values(m * dim, 6));
                let rows = Shifted::new(&rows, n % 3);
                let rows = rows.get(m * dim);
                let step = m + 3;
                let length = (n - 1) * step + m;
                let mut out = Shifted::new(&vec![7.0; length], m % 4);
                (kernels.dots_batch)(dim, &queries, rows, out.get_mut(length), step);
                for (i, query) in queries.chunks(dim).enumerate() {
                    for (j, row) in rows.chunks(dim).enumerate() {
                        let error =
                            exact_dot(query, row) - f64::from(out.get(length)[i * step + j]);
                        let bound = 2e-7 * norm(row) * norm(query);
                        assert!(error.abs() <= bound, "{name}: {n} × {m} of {dim}");
                    }
                    // What lies between rows of products is not touched.
                    let between = out.get(length)[i * step..].iter().skip(m).take(3);
                    assert!(between.into_iter().all(|value| *value == 7.0), "{name}");
                }
                assert!(out.is_intact(length), "{name}");

                let weights = values(n * step, 8);
                let fresh = dim % 2 == 0;
                let before = if fresh { vec![0.0; n * dim] } else { values(n * dim, 9) };
                let mut out = Shifted::new(&before, m % 4);
                if fresh {
                    out.get_mut(n * dim).fill(7.0);
                }
                (kernels.add_weighted)(dim, &weights, step, rows, out.get_mut(n * dim), fresh);
                for i in 0..n {
                    let exact = exact_weighted_sum(&weights[i * step..][..m], rows, dim);
                    let found = &out.get(n * dim)[i * dim..][..dim];
                    for ((exact, found), before) in exact.iter().zip(found).zip(&before[i * dim..])
                    {
                        let error = exact + f64::from(*before) - f64::from(*found);
                        let bound = 2e-6 * (m as f64).sqrt();
                        assert!(error.abs() < bound, "{name}: {n} × {m} of {dim}");
                    }
                }
                assert!(out.is_intact(n * dim), "{name}");
            }
        }
    }
}

#[test]
fn every_compilation_routes_and_measures_as_double_precision() {
    for (name, kernels) in available() {
        for count in [1, 2, 15, 16, 17, 18, 33, 255, 257, 1000] {
            let scores = values(count, 4);
            let squares = exact_dot(&scores, &scores);
            let found = (kernels.sum_of_squares)(&scores);
            assert!((found / squares - 1.0).abs() < 1e-14, "{name}: {found}, not {squares}");
            let shifted = Shifted::new(&scores, count % 3);
            let found = (kernels.squares)(shifted.get(count));
            assert!((found / squares - 1.0).abs() < 5e-7, "{name}: {found}, not {squares}");
            let largest = scores.iter().fold(0.0f32, |top, value| top.max(value.abs()));
            assert_eq!((kernels.largest_magnitude)(shifted.get(count)), largest, "{name}");
            let others = values(count, 6);
            let size = squares.max(exact_dot(&others, &others)).max(1.0);
            let near = |found: f64, exact: f64| (found - exact).abs() <= 1e-14 * size;
            let (dot, exact) = ((kernels.dot_f64)(&scores, &others), exact_dot(&scores, &others));
            assert!(near(dot, exact), "{name}: {dot}, not {exact}");
            let steps: Vec<i8> = (0..count.div_ceil(2)).map(|at| (at * 37) as i8).collect();
            let dot = (kernels.dot_in_double)(&scores, &others, &steps);
            let tails = Tails::from_steps(Rows::from_values(steps.len(), &steps));
            let whole = tails.whole(0, &others).zip(&scores);
            let exact: f64 = whole.map(|(whole, score)| whole * f64::from(*score)).sum();
            assert!(near(dot, exact), "{name}: {dot}, not {exact}");
            let doubles: Vec<f64> = others.iter().map(|v| f64::from(*v) * (1.0 + 2e-8)).collect();
            let exact: f64 = doubles.iter().map(|v| v * v).sum();
            assert!(near((kernels.squares_of_doubles)(&doubles), exact), "{name}");
            let mut scaled = doubles.clone();
            let mut rounded = vec![0.0; count];
            (kernels.scale_and_round)(&mut scaled, 1.75, &mut rounded);
            for (value, (scaled, rounded)) in doubles.iter().zip(scaled.iter().zip(&rounded)) {
                assert_eq!((*scaled, *rounded), (value * 1.75, (value * 1.75) as f32), "{name}");
            }
            let mut tail = vec![0; count.div_ceil(2)];
            (kernels.tail)(&doubles, &others, &mut tail);
            let tails = Tails::from_steps(Rows::from_values(tail.len(), &tail));
            for (whole, exact) in tails.whole(0, &others).zip(&doubles) {
                assert!((whole - exact).abs() < 4.1e-9 * exact.abs(), "{name}: {whole}");
            }
            let mut sums = vec![0.25f64; count];
            (kernels.add_difference)((1.5, &scores), (-0.75, &others), &mut sums);
            for (sum, (a, b)) in sums.iter().zip(scores.iter().zip(&others)) {
                let exact = 0.25 + 1.5 * f64::from(*a) + 0.75 * f64::from(*b);
                assert!((sum - exact).abs() < 1e-15, "{name}: {sum}, not {exact}");
            }
            let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shifted = Shifted::new(&scores, count % 3);
            assert_eq!((kernels.largest)(shifted.get(count)), top, "{name}");
            for scale in [0.1f32, 10.0, 50.0] {
                let mut weights = Shifted::new(&scores, count % 5);
                (kernels.softmax)(weights.get_mut(count), scale);
                let mut exact = vec![0.0; count];
                let doubles: Vec<f64> = scores.iter().copied().map(f64::from).collect();
                softmax_f64(&doubles, 1.0 / f64::from(scale), &mut exact);
                for (weight, exact) in weights.get(count).iter().zip(exact) {
                    assert!((weight - exact).abs() < 1e-6 * exact.max(1e-2), "{name}");
                }
                assert!(weights.is_intact(count), "{name}");
                let mut terms = scores.clone();
                let sum = (kernels.exponentials)(&mut terms, scale, top);
                let exact: f64 = terms.iter().copied().map(f64::from).sum();
                assert!((sum / exact - 1.0).abs() < 1e-6, "{name}: {sum}, not {exact}");
            }
        }
        // Rows of scores, as a batch has them, filled up with scores that weigh nothing.
        for rows in [1, 4, 7] {
            let mut scores = values(rows * 48, 5);
            scores.chunks_mut(48).for_each(|row| row[18..32].fill(f32::NEG_INFINITY));
            let factors: Vec<f32> = (1..=rows).map(|row| 3.0 * row as f32).collect();
            let before = scores.clone();
            let (mut tops, mut sums) = (vec![7.0; rows], vec![7.0; rows]);
            (kernels.largest_of_rows)(&scores, 48, 32, &mut tops);
            let mut terms = scores.clone();
            (kernels.exponentials_of_rows)(&mut terms, (48, 32), &factors, &tops, &mut sums);
            for (row, (found, before)) in terms.chunks(48).zip(before.chunks(48)).enumerate() {
                let top = before[..32].iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(tops[row], top, "{name}");
                for (term, score) in found.iter().zip(&before[..32]) {
                    let exact = f64::from(factors[row] * (score - top)).exp();
                    assert!((f64::from(*term) - exact).abs() < 1e-6, "{name}");
                }
                let sum: f64 = found[..32].iter().copied().map(f64::from).sum();
                assert!((f64::from(sums[row]) / sum - 1.0).abs() < 1e-6, "{name}");
                assert_eq!(found[32..], before[32..], "{name}");
            }
            (kernels.softmax_of_rows)(&mut scores, 48, 32, &factors);
            for ((found, before), factor) in scores.chunks(48).zip(before.chunks(48)).zip(factors) {
                let doubles: Vec<f64> = before[..18].iter().copied().map(f64::from).collect();
                let mut exact = [0.0; 18];
                softmax_f64(&doubles, 1.0 / f64::from(factor), &mut exact);
                for (weight, exact) in found.iter().zip(exact) {
                    assert!((weight - exact).abs() < 1e-6 * exact.max(1e-2), "{name}");
                }
                assert!(found[18..32].iter().all(|weight| *weight == 0.0), "{name}");
                assert_eq!(found[32..], before[32..], "{name}");
            }
        }
        assert_eq!((kernels.largest)(&[]), f32::NEG_INFINITY, "{name}");
        assert_eq!(((kernels.largest_magnitude)(&[]), (kernels.squares)(&[])), (0.0, 0.0));
    }
}

#[test]
fn every_compilation_has_an_accurate_exponential() {
    for (name, kernels) in available() {
        let mut terms: Vec<f32> = (0..850_000).map(|step| -1e-4 * step as f32).collect();
        let exact: Vec<f64> = terms.iter().map(|x| f64::from(*x).exp()).collect();
        (kernels.exponentials)(&mut terms, 1.0, 0.0);
        for (term, exact) in terms.iter().zip(exact) {
            assert!((f64::from(*term) / exact - 1.0).abs() < 1.8e-7, "{name}: {term}, not {exact}");
        }
    }
}

#[test]
fn every_compilation_survives_the_ends_of_the_range() {
    for (name, kernels) in available() {
        let mut weights = [0.3, 0.3, -1.0];
        (kernels.softmax)(&mut weights, 1e30);
        assert_eq!(weights, [0.5, 0.5, 0.0], "{name}");
        let mut many = vec![-1.0; 50];
        many[33] = 1.0;
        (kernels.softmax)(&mut many, 1e30);
        assert!(many.iter().enumerate().all(|(at, w)| *w == f32::from(u8::from(at == 33))));
        // Denormals count as what they are.
        let tiny = vec![f32::from_bits(3); 40];
        let mut dot = [0.0];
        (kernels.dots)(PrefetchHint::Cached, &tiny, &[2.0; 40], &mut dot);
        assert_eq!(dot[0], f32::from_bits(240), "{name}");
        let mut sum = vec![0.0; 40];
        (kernels.weighted_sum)(
            PrefetchHint::Cached,
            &[2.0, 1.0],
            &tiny.repeat(2),
            (true, 1.0),
            &mut sum,
        );
        assert!(sum.iter().all(|value| *value == f32::from_bits(9)), "{name}");
    }
}

#[test]
fn softmax_in_double_survives_extreme_temperatures() {
    let mut weights = [0.0; 3];
    softmax_f64(&[0.3, 0.3, -1.0], 1e-300, &mut weights);
    assert_eq!(weights, [0.5, 0.5, 0.0]);
    softmax_f64(&[0.3, 0.3, -1.0], 1e300, &mut weights);
    assert!(weights.iter().all(|w| (w - 1.0 / 3.0).abs() < 1e-7));
}
