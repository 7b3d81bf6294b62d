//! Dot products, weighted sums and softmax: every sum the engine takes over vectors.
//!
//! The loops of [`body`] are compiled once per instruction set; the best one that the CPU
//! has is chosen at first use. All of them are accurate to a few units in the last place of
//! the largest term, but their last bits differ between CPUs.

mod body;
pub(crate) mod gelu;
pub(crate) mod product;
pub(crate) mod random;

use std::sync::LazyLock;

/// One compilation of the loops.
struct Kernels {
    dots: fn(&[f32], &[f32], &mut [f32]),
    weighted_sum: fn(&[f32], &[f32], &mut [f32]),
    sum_of_squares: fn(&[f32]) -> f64,
    softmax: fn(&mut [f32], f32),
}

static KERNELS: LazyLock<&'static Kernels> = LazyLock::new(|| available()[0].1);

const PORTABLE: Kernels = Kernels {
    dots: body::dots::<false>,
    weighted_sum: body::weighted_sum::<false>,
    sum_of_squares: body::sum_of_squares,
    softmax: body::softmax::<false>,
};

/// Compiles the loops for a set of CPU features. The plain functions may be called only
/// where the CPU has them, which [`available`] checks.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($name:ident, $features:literal) => {
        mod $name {
            use super::{Kernels, body};

            pub(super) const KERNELS: Kernels =
                Kernels { dots, weighted_sum, sum_of_squares, softmax };

            #[target_feature(enable = $features)]
            fn dots_with_features(query: &[f32], rows: &[f32], out: &mut [f32]) {
                body::dots::<true>(query, rows, out)
            }

            #[target_feature(enable = $features)]
            fn weighted_sum_with_features(weights: &[f32], rows: &[f32], out: &mut [f32]) {
                body::weighted_sum::<true>(weights, rows, out)
            }

            #[target_feature(enable = $features)]
            fn sum_of_squares_with_features(vector: &[f32]) -> f64 {
                body::sum_of_squares(vector)
            }

            #[target_feature(enable = $features)]
            fn softmax_with_features(scores: &mut [f32], scale: f32) {
                body::softmax::<true>(scores, scale)
            }

            fn dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
                // SAFETY: `available` offers this table only where the CPU has the features.
                unsafe { dots_with_features(query, rows, out) }
            }

            fn weighted_sum(weights: &[f32], rows: &[f32], out: &mut [f32]) {
                // SAFETY: as for `dots`.
                unsafe { weighted_sum_with_features(weights, rows, out) }
            }

            fn sum_of_squares(vector: &[f32]) -> f64 {
                // SAFETY: as for `dots`.
                unsafe { sum_of_squares_with_features(vector) }
            }

            fn softmax(scores: &mut [f32], scale: f32) {
                // SAFETY: as for `dots`.
                unsafe { softmax_with_features(scores, scale) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled_for!(avx512, "avx512f,avx2,fma");
#[cfg(target_arch = "x86_64")]
compiled_for!(avx2, "avx2,fma");

/// The compilations that this CPU can run, best first.
fn available() -> Vec<(&'static str, &'static Kernels)> {
    let mut kernels: Vec<(&'static str, &'static Kernels)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2_and_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2_and_fma && is_x86_feature_detected!("avx512f") {
            kernels.push(("avx512", &avx512::KERNELS));
        }
        if avx2_and_fma {
            kernels.push(("avx2", &avx2::KERNELS));
        }
    }
    kernels.push(("portable", &PORTABLE));
    kernels
}

/// The dot product of `query` with every row of the row-major `rows`, into `out`.
pub(crate) fn dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
    assert_eq!(rows.len(), query.len() * out.len());
    (KERNELS.dots)(query, rows, out)
}

/// Σₖ weightₖ·rowₖ of the row-major `rows`, into `out`.
pub(crate) fn weighted_sum(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    assert_eq!(rows.len(), weights.len() * out.len());
    (KERNELS.weighted_sum)(weights, rows, out)
}

/// The dot product of `query` with the vector `head + tail`, in double precision. The pair
/// holds a double precision vector as two single precision ones.
pub(crate) fn dot_in_double(query: &[f32], head: &[f32], tail: &[f32]) -> f64 {
    assert!(query.len() == head.len() && query.len() == tail.len());
    const LANES: usize = 8;
    let mut lanes = [0.0f64; LANES];
    for ((query, head), tail) in query.chunks(LANES).zip(head.chunks(LANES)).zip(tail.chunks(LANES))
    {
        for (i, ((q, h), t)) in query.iter().zip(head).zip(tail).enumerate() {
            lanes[i] += f64::from(*q) * (f64::from(*h) + f64::from(*t));
        }
    }
    lanes.iter().sum()
}

/// The dot product of single precision vectors, in double precision.
pub(crate) fn dot_of_singles(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    const LANES: usize = 8;
    let mut lanes = [0.0f64; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            lanes[i] += f64::from(*a) * f64::from(*b);
        }
    }
    lanes.iter().sum()
}

/// The Euclidean norm. Finite for every finite vector, NaN or infinite for any other.
pub(crate) fn norm(vector: &[f32]) -> f64 {
    (KERNELS.sum_of_squares)(vector).sqrt()
}

/// Turns scores into weights in place: wₖ = exp(scale·(sₖ − max s)) / Σ of the same.
pub(crate) fn softmax(scores: &mut [f32], scale: f32) {
    (KERNELS.softmax)(scores, scale)
}

/// [`softmax`] of double precision scores, with wₖ = exp((sₖ − max s)/temperature) / Σ.
pub(crate) fn softmax_in_double(scores: &[f64], temperature: f64, weights: &mut [f32]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |score: f64| ((score - top) / temperature).exp();
    let sum: f64 = scores.iter().copied().map(weight).sum();
    for (out, score) in weights.iter_mut().zip(scores) {
        *out = (weight(*score) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn every_compilation_agrees_with_double_precision() {
        for (name, kernels) in available() {
            for dim in [1, 3, 8, 63, 64, 65, 127, 128, 129, 384, 1000] {
                for rows in [1, 2, 18, 255, 257, 600] {
                    let (query, matrix) = (values(dim, 1), values(dim * rows, 2));
                    let weights = values(rows, 3);
                    let mut dots = vec![0.0; rows];
                    (kernels.dots)(&query, &matrix, &mut dots);
                    for (row, dot) in matrix.chunks(dim).zip(&dots) {
                        let exact: f64 =
                            row.iter().zip(&query).map(|(a, b)| *a as f64 * *b as f64).sum();
                        let bound = 1e-7 * norm(row) * norm(&query);
                        assert!((exact - *dot as f64).abs() <= bound, "{name}, {dim}");
                    }
                    let mut sum = vec![7.0; dim];
                    (kernels.weighted_sum)(&weights, &matrix, &mut sum);
                    for (column, sum) in sum.iter().enumerate() {
                        let exact: f64 = (0..rows)
                            .map(|r| weights[r] as f64 * matrix[r * dim + column] as f64)
                            .sum();
                        assert!(
                            (exact - *sum as f64).abs() < 2e-6 * (rows as f64).sqrt(),
                            "{name}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_compilation_routes_and_measures_as_double_precision() {
        for (name, kernels) in available() {
            for count in [1, 2, 15, 16, 17, 18, 33, 1000] {
                let scores = values(count, 4);
                let squares: f64 = scores.iter().map(|v| *v as f64 * *v as f64).sum();
                let found = (kernels.sum_of_squares)(&scores);
                assert!((found / squares - 1.0).abs() < 1e-14, "{name}: {found}, not {squares}");
                for scale in [0.1f32, 10.0, 50.0] {
                    let mut weights = scores.clone();
                    (kernels.softmax)(&mut weights, scale);
                    let mut exact = vec![0.0; count];
                    let doubles: Vec<f64> = scores.iter().copied().map(f64::from).collect();
                    softmax_in_double(&doubles, 1.0 / f64::from(scale), &mut exact);
                    for (weight, exact) in weights.iter().zip(exact) {
                        assert!((weight - exact).abs() < 1e-6 * exact.max(1e-2), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn softmax_survives_extreme_scales() {
        let mut weights = [0.3, 0.3, -1.0];
        softmax(&mut weights, 1e30);
        assert_eq!(weights, [0.5, 0.5, 0.0]);
        let mut weights = [0.0; 3];
        softmax_in_double(&[0.3, 0.3, -1.0], 1e-300, &mut weights);
        assert_eq!(weights, [0.5, 0.5, 0.0]);
        softmax_in_double(&[0.3, 0.3, -1.0], 1e300, &mut weights);
        assert!(weights.iter().all(|w| (w - 1.0 / 3.0).abs() < 1e-7));
    }
}
