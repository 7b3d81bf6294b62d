//! One table of functions for each instruction set, and the choice among them.

use std::sync::LazyLock;

use super::body;

/// One compilation of the loops. The lengths of slices fit together: the callers in the
/// parent module check them.
pub(super) struct Kernels {
    pub dots: fn(&[f32], &[f32], &mut [f32]),
    pub weighted_sum: fn(&[f32], &[f32], f32, &mut [f32]),
    pub sum_of_squares: fn(&[f32]) -> f64,
    pub softmax: fn(&mut [f32], f32),
    pub softmax_of_rows: fn(&mut [f32], usize, usize, &[f32]),
    pub largest: fn(&[f32]) -> f32,
    pub exponentials: fn(&mut [f32], f32, f32) -> f64,
    pub scale: fn(&mut [f32], f32),
    pub dots_of_batch: fn(usize, &[f32], &[f32], &mut [f32], usize),
    pub add_weighted: fn(usize, &[f32], usize, &[f32], &mut [f32], bool),
}

/// The best table for this CPU.
pub(super) fn kernels() -> &'static Kernels {
    static KERNELS: LazyLock<&'static Kernels> = LazyLock::new(|| available()[0].1);
    *KERNELS
}

const PORTABLE: Kernels = Kernels {
    dots: body::dots,
    weighted_sum: body::weighted_sum,
    sum_of_squares: body::sum_of_squares,
    softmax: body::softmax,
    softmax_of_rows: body::softmax_of_rows,
    largest: body::largest,
    exponentials: body::exponentials,
    scale: body::scale,
    dots_of_batch: body::dots_of_batch,
    add_weighted: body::add_weighted,
};

/// Sizes in bytes between which rows to come are asked for early: smaller ones are in the
/// second-level cache, and with larger ones the memory is the limit.
const PREFETCHED: std::ops::Range<usize> = 800 << 10..16 << 20;

/// Compiles the loops for a set of CPU features and their type of registers. The constants
/// are how many registers of columns a weighted sum keeps, and the tiles of batches: queries
/// of dot products, queries and registers of weighted sums.
macro_rules! compiled_for {
    ($name:ident, $features:literal, $lanes:ty, $columns:literal, $queries:literal,
     $rows:literal x $registers:literal) => {
        pub(super) mod $name {
            use super::super::{body, tiles, vector};
            use super::{Kernels, PREFETCHED};

            pub(in super::super) const KERNELS: Kernels = Kernels {
                // SAFETY, for all of them: `available` offers this table only where the CPU
                // has the features, and callers have checked the lengths.
                dots: |query, rows, out| unsafe { dots(query, rows, out) },
                weighted_sum: |weights, rows, factor, out| unsafe {
                    weighted_sum(weights, rows, factor, out)
                },
                sum_of_squares: |vector| unsafe { sum_of_squares(vector) },
                softmax: |scores, scale| unsafe { softmax(scores, scale) },
                softmax_of_rows: |scores, step, width, factors| unsafe {
                    softmax_of_rows(scores, step, width, factors)
                },
                largest: |scores| unsafe { largest(scores) },
                exponentials: |scores, scale, top| unsafe { exponentials(scores, scale, top) },
                scale: |values, factor| unsafe { scale(values, factor) },
                dots_of_batch: |dim, queries, rows, out, step| unsafe {
                    dots_of_batch(dim, queries, rows, out, step)
                },
                add_weighted: |dim, weights, step, rows, out, fresh| unsafe {
                    add_weighted(dim, weights, step, rows, out, fresh)
                },
            };

            #[target_feature(enable = $features)]
            unsafe fn dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
                // SAFETY: the features are those of the registers, as for all below.
                unsafe {
                    match query.len() {
                        384 => dots_at::<384>(query, rows, out),
                        768 => dots_at::<768>(query, rows, out),
                        1024 => dots_at::<1024>(query, rows, out),
                        1536 => dots_at::<1536>(query, rows, out),
                        _ => dots_at::<0>(query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_at<const D: usize>(query: &[f32], rows: &[f32], out: &mut [f32]) {
                // SAFETY: as above.
                unsafe {
                    match size_of_val(rows) {
                        size if size < PREFETCHED.start => {
                            vector::dots::<$lanes, D, false, false>(query, rows, out)
                        }
                        size if size < PREFETCHED.end => {
                            vector::dots::<$lanes, D, true, true>(query, rows, out)
                        }
                        _ => vector::dots::<$lanes, D, true, false>(query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum(weights: &[f32], rows: &[f32], factor: f32, out: &mut [f32]) {
                // SAFETY: as above.
                unsafe {
                    match PREFETCHED.contains(&size_of_val(rows)) {
                        false => vector::weighted_sum::<$lanes, $columns, false>(
                            weights, rows, factor, out,
                        ),
                        true => vector::weighted_sum::<$lanes, $columns, true>(
                            weights, rows, factor, out,
                        ),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn sum_of_squares(vector: &[f32]) -> f64 {
                body::sum_of_squares(vector)
            }

            #[target_feature(enable = $features)]
            unsafe fn softmax(scores: &mut [f32], scale: f32) {
                // SAFETY: as above.
                unsafe { vector::softmax::<$lanes>(scores, scale) }
            }

            #[target_feature(enable = $features)]
            unsafe fn softmax_of_rows(
                scores: &mut [f32],
                step: usize,
                width: usize,
                factors: &[f32],
            ) {
                // SAFETY: as above.
                unsafe { vector::softmax_of_rows::<$lanes>(scores, step, width, factors) }
            }

            #[target_feature(enable = $features)]
            unsafe fn largest(scores: &[f32]) -> f32 {
                // SAFETY: as above.
                unsafe { vector::largest::<$lanes>(scores) }
            }

            #[target_feature(enable = $features)]
            unsafe fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f64 {
                // SAFETY: as above.
                unsafe { vector::exponentials::<$lanes>(scores, scale, top) }
            }

            #[target_feature(enable = $features)]
            unsafe fn scale(values: &mut [f32], factor: f32) {
                // SAFETY: as above.
                unsafe { vector::scale::<$lanes>(values, factor) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_of_batch(
                dim: usize,
                queries: &[f32],
                rows: &[f32],
                out: &mut [f32],
                step: usize,
            ) {
                // SAFETY: as above.
                unsafe { tiles::dots_of_batch::<$lanes, $queries>(dim, queries, rows, out, step) }
            }

            #[target_feature(enable = $features)]
            unsafe fn add_weighted(
                dim: usize,
                weights: &[f32],
                step: usize,
                rows: &[f32],
                out: &mut [f32],
                fresh: bool,
            ) {
                // SAFETY: as above.
                unsafe {
                    tiles::add_weighted::<$lanes, $rows, $registers, $columns>(
                        dim, weights, step, rows, out, fresh,
                    )
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled_for!(avx512, "avx512f,avx2,fma", super::super::x86::Avx512, 24, 4, 8 x 3);
#[cfg(target_arch = "x86_64")]
compiled_for!(avx2, "avx2,fma", super::super::x86::Avx2, 12, 2, 4 x 2);
#[cfg(target_arch = "aarch64")]
compiled_for!(neon, "neon", super::super::neon::Neon, 24, 4, 8 x 2);

/// The compilations that this CPU can run, best first.
pub(super) fn available() -> Vec<(&'static str, &'static Kernels)> {
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
    #[cfg(target_arch = "aarch64")]
    kernels.push(("neon", &neon::KERNELS));
    kernels.push(("portable", &PORTABLE));
    kernels
}
