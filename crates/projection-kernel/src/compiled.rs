//! The loops compiled for each set of instructions: a table of functions each.

use super::SMALL;
use super::narrow::{ByteQuery, ByteRows};
use super::prefetch::PrefetchHint;
use super::table::{Ends, Kernels, Scaled};

/// Compiles the loops for a set of CPU features and their type of registers. The constants
/// are how many registers of columns a weighted sum keeps, and the tiles of batches: queries
/// and rows of dot products, queries and registers of weighted sums.
macro_rules! compiled_for {
    ($name:ident, $features:literal, $lanes:ty, $columns:literal,
     $queries:literal x $wide:literal, $rows:literal x $registers:literal) => {
        pub(super) mod $name {
            use super::super::lanes::Lanes;
            use std::mem::MaybeUninit;

            use super::super::{body, narrow, peak, scores, tails, tiles, vector};
            use super::{ByteQuery, ByteRows, Ends, Kernels, PrefetchHint, SMALL, Scaled};

            pub(in super::super) const KERNELS: Kernels = Kernels {
                // SAFETY: `available` offers this table only where the CPU has the features, and
                // callers have checked the lengths, as for all of them.
                dots: |reading, query, rows, out| unsafe { dots(reading, query, rows, out) },
                // SAFETY: as above.
                weighted_sum: |reading, weights, rows, ends, out| unsafe {
                    weighted_sum(reading, weights, rows, ends, out)
                },
                // SAFETY: as above.
                weighted_blocks: |weights, rows, factor, backwards, out| unsafe {
                    weighted_blocks(weights, rows, factor, backwards, out)
                },
                // SAFETY: as above.
                sum_of_squares: |vector| unsafe { sum_of_squares(vector) },
                // SAFETY: as above.
                dot_f64: |a, b| unsafe { dot_f64(a, b) },
                // SAFETY: as above.
                dot_in_double: |query, head, tail| unsafe { dot_in_double(query, head, tail) },
                // SAFETY: as above.
                squares_of_doubles: |vector| unsafe { squares_of_doubles(vector) },
                // SAFETY: as above.
                scale_and_round: |exact, factor, out| unsafe {
                    scale_and_round(exact, factor, out)
                },
                // SAFETY: as above.
                tail: |exact, rounded, out| unsafe { tail(exact, rounded, out) },
                // SAFETY: as above.
                add_difference: |a, b, out| unsafe { add_difference(a, b, out) },
                // SAFETY: as above.
                softmax: |scores, scale| unsafe { softmax(scores, scale) },
                // SAFETY: as above.
                softmax_of_rows: |scores, step, width, factors| unsafe {
                    softmax_of_rows(scores, step, width, factors)
                },
                // SAFETY: as above.
                largest_of_rows: |scores, step, width, tops| unsafe {
                    largest_of_rows(scores, step, width, tops)
                },
                // SAFETY: as above.
                exponentials_of_rows: |scores, shape, factors, tops, sums| unsafe {
                    exponentials_of_rows(scores, shape, factors, tops, sums)
                },
                // SAFETY: as above.
                squares: |values| unsafe { squares(values) },
                // SAFETY: as above.
                largest: |scores| unsafe { largest(scores) },
                // SAFETY: as above.
                largest_magnitude: |values| unsafe { largest_magnitude(values) },
                // SAFETY: as above.
                exponentials: |scores, scale, top| unsafe { exponentials(scores, scale, top) },
                // SAFETY: as above.
                scale: |values, factor| unsafe { scale(values, factor) },
                // SAFETY: as above.
                dots_batch: |dim, queries, rows, out, step| unsafe {
                    dots_batch(dim, queries, rows, out, step)
                },
                // SAFETY: as above.
                add_weighted: |dim, weights, step, rows, out, fresh| unsafe {
                    add_weighted(dim, weights, step, rows, out, fresh)
                },
                // SAFETY: as above.
                multiply_adds: |rounds| unsafe { multiply_adds(rounds) },
                // SAFETY: as above.
                read: |values| unsafe { read(values) },
                // SAFETY: as above.
                apart: |query, out| unsafe { apart(query, out) },
                // SAFETY: as above.
                dots_bf16: |reading, query, rows, out| unsafe {
                    dots_bf16(reading, query, rows, out)
                },
                // SAFETY: as above.
                weighted_sum_bf16: |weights, rows, ends, out| unsafe {
                    weighted_sum_bf16(weights, rows, ends, out)
                },
                // SAFETY: as above.
                to_bytes: |query, factor, high, low| unsafe { to_bytes(query, factor, high, low) },
                // SAFETY: as above.
                dots_i8: |query, rows, out| unsafe { dots_i8(query, rows, out) },
                // SAFETY: as above.
                weighted_sum_i8: |weights, rows, ends, out| unsafe {
                    weighted_sum_i8(weights, rows, ends, out)
                },
            };

            #[target_feature(enable = $features)]
            unsafe fn multiply_adds(rounds: u64) -> (usize, f32) {
                // SAFETY: as for `dots`.
                unsafe { peak::chains::<$lanes>(rounds) }
            }

            #[target_feature(enable = $features)]
            unsafe fn read(values: &[f32]) -> f32 {
                body::read(values)
            }

            #[target_feature(enable = $features)]
            unsafe fn apart(query: &[f32], out: &mut [MaybeUninit<f32>]) {
                // SAFETY: as for `dots`, as for all below.
                unsafe { narrow::apart::<$lanes>(query, out) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_bf16(
                reading: PrefetchHint,
                query: &[f32],
                rows: &[u16],
                out: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    match reading {
                        PrefetchHint::Ahead | PrefetchHint::Streaming if !SMALL => {
                            narrow::dots_bf16::<$lanes, true>(query, rows, out)
                        }
                        _ => narrow::dots_bf16::<$lanes, false>(query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum_bf16(
                weights: &[f32],
                rows: &[u16],
                ends: Ends,
                out: &mut [f32],
            ) {
                const PAIRS: usize = $columns / 2;
                // SAFETY: as above.
                unsafe { narrow::weighted_sum_bf16::<$lanes, PAIRS>(weights, rows, ends, out) }
            }

            #[target_feature(enable = $features)]
            unsafe fn to_bytes(query: &[f32], factor: f32, high: &mut [u8], low: &mut [u8]) {
                body::to_bytes(query, factor, high, low)
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_i8(query: ByteQuery<'_>, rows: ByteRows<'_>, out: &mut [f32]) {
                body::dots_i8(query, rows, out)
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum_i8(weights: &[f32], rows: &[i8], ends: Ends, out: &mut [f32]) {
                // SAFETY: as above.
                unsafe { narrow::weighted_sum_i8::<$lanes, $columns>(weights, rows, ends, out) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots(reading: PrefetchHint, query: &[f32], rows: &[f32], out: &mut [f32]) {
                // SAFETY: the features are those of the registers, as for all below.
                unsafe {
                    match query.len() {
                        _ if SMALL => dots_of::<0>(reading, query, rows, out),
                        384 => dots_of::<384>(reading, query, rows, out),
                        768 => dots_of::<768>(reading, query, rows, out),
                        1024 => dots_of::<1024>(reading, query, rows, out),
                        1536 => dots_of::<1536>(reading, query, rows, out),
                        _ => dots_of::<0>(reading, query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_of<const D: usize>(
                reading: PrefetchHint,
                query: &[f32],
                rows: &[f32],
                out: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    match reading {
                        _ if SMALL => vector::dots::<$lanes, D, true, false>(query, rows, out),
                        PrefetchHint::Cached => {
                            vector::dots::<$lanes, D, false, false>(query, rows, out)
                        }
                        PrefetchHint::Reversed => {
                            vector::dots_backwards::<$lanes, D>(query, rows, out)
                        }
                        PrefetchHint::Ahead => {
                            vector::dots::<$lanes, D, true, true>(query, rows, out)
                        }
                        PrefetchHint::Streaming => {
                            vector::dots::<$lanes, D, true, false>(query, rows, out)
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum(
                reading: PrefetchHint,
                weights: &[f32],
                rows: &[f32],
                ends: Ends,
                out: &mut [f32],
            ) {
                const V: usize = $columns;
                // SAFETY: as above.
                unsafe {
                    match reading {
                        PrefetchHint::Ahead if !SMALL => {
                            vector::weighted_sum::<$lanes, V, true>(weights, rows, ends, out)
                        }
                        _ => vector::weighted_sum::<$lanes, V, false>(weights, rows, ends, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_blocks(
                weights: &[f32],
                rows: &[f32],
                factor: f32,
                backwards: bool,
                out: &mut [f32],
            ) {
                const HALF: usize = $columns / 2;
                // SAFETY: as above.
                unsafe {
                    match out.len() % (HALF * <$lanes>::COUNT) {
                        0 => vector::weighted_blocks::<$lanes, HALF>(
                            weights, rows, factor, backwards, out,
                        ),
                        _ => weighted_sum(PrefetchHint::Cached, weights, rows, (true, factor), out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn sum_of_squares(vector: &[f32]) -> f64 {
                body::sum_of_squares(vector)
            }

            #[target_feature(enable = $features)]
            unsafe fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
                body::dot_f64(a, b)
            }

            #[target_feature(enable = $features)]
            unsafe fn dot_in_double(query: &[f32], head: &[f32], tail: &[i8]) -> f64 {
                tails::dot_in_double(query, head, tail)
            }

            #[target_feature(enable = $features)]
            unsafe fn squares_of_doubles(vector: &[f64]) -> f64 {
                tails::squares_of_doubles(vector)
            }

            #[target_feature(enable = $features)]
            unsafe fn scale_and_round(exact: &mut [f64], factor: f64, out: &mut [f32]) {
                tails::scale_and_round(exact, factor, out)
            }

            #[target_feature(enable = $features)]
            unsafe fn tail(exact: &[f64], rounded: &[f32], out: &mut [i8]) {
                tails::tail(exact, rounded, out)
            }

            #[target_feature(enable = $features)]
            unsafe fn add_difference(a: Scaled<'_>, b: Scaled<'_>, out: &mut [f64]) {
                body::add_difference(a, b, out)
            }

            #[target_feature(enable = $features)]
            unsafe fn softmax(scores: &mut [f32], scale: f32) {
                // SAFETY: as above.
                unsafe { scores::softmax::<$lanes>(scores, scale) }
            }

            #[target_feature(enable = $features)]
            unsafe fn softmax_of_rows(
                scores: &mut [f32],
                step: usize,
                width: usize,
                factors: &[f32],
            ) {
                // SAFETY: as above.
                unsafe { scores::softmax_of_rows::<$lanes>(scores, step, width, factors) }
            }

            #[target_feature(enable = $features)]
            unsafe fn largest_of_rows(scores: &[f32], step: usize, width: usize, tops: &mut [f32]) {
                // SAFETY: as above.
                unsafe { scores::largest_of_rows::<$lanes>(scores, step, width, tops) }
            }

            #[target_feature(enable = $features)]
            unsafe fn exponentials_of_rows(
                scores: &mut [f32],
                shape: (usize, usize),
                factors: &[f32],
                tops: &[f32],
                sums: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    scores::exponentials_of_rows::<$lanes>(scores, shape, factors, tops, sums)
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn squares(values: &[f32]) -> f64 {
                // SAFETY: as above.
                unsafe { vector::squares::<$lanes>(values) }
            }

            #[target_feature(enable = $features)]
            unsafe fn largest(scores: &[f32]) -> f32 {
                // SAFETY: as above.
                unsafe { scores::largest::<$lanes>(scores) }
            }

            #[target_feature(enable = $features)]
            unsafe fn largest_magnitude(values: &[f32]) -> f32 {
                // SAFETY: as above.
                unsafe { vector::largest_magnitude::<$lanes>(values) }
            }

            #[target_feature(enable = $features)]
            unsafe fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f64 {
                // SAFETY: as above.
                unsafe { scores::exponentials::<$lanes>(scores, scale, top) }
            }

            #[target_feature(enable = $features)]
            unsafe fn scale(values: &mut [f32], factor: f32) {
                // SAFETY: as above.
                unsafe { vector::scale::<$lanes>(values, factor) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_batch(
                dim: usize,
                queries: &[f32],
                rows: &[f32],
                out: &mut [f32],
                step: usize,
            ) {
                // SAFETY: as above.
                unsafe {
                    tiles::dots_batch::<$lanes, $queries, $wide>(dim, queries, rows, out, step)
                }
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
compiled_for!(avx512, "avx512f,avx2,fma", super::super::x86::Avx512, 24, 4 x 6, 8 x 3);
#[cfg(target_arch = "x86_64")]
compiled_for!(avx2, "avx2,fma", super::super::x86::Avx2, 12, 2 x 4, 4 x 2);
#[cfg(target_arch = "aarch64")]
compiled_for!(neon, "neon", super::super::neon::Neon, 24, 4 x 4, 8 x 2);

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
compiled_for!(simd128, "simd128", super::super::simd128::Simd128, 12, 2 x 4, 4 x 2);

/// WebAssembly's registers with the loops that are written out.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) const UNROLLED: Kernels = {
    use super::simd128::Simd128;
    use super::unrolled;

    Kernels {
        // SAFETY: the whole binary is compiled for these instructions, and callers have checked
        // the lengths.
        dots: |_, query, rows, out| unsafe { unrolled::dots::<Simd128>(query, rows, out) },
        // SAFETY: as above.
        weighted_sum: |_, weights, rows, ends, out| unsafe {
            unrolled::weighted_sum::<Simd128>(weights, rows, ends, out)
        },
        // SAFETY: as above.
        dots_batch: |dim, queries, rows, out, step| unsafe {
            unrolled::dots_batch::<Simd128>(dim, queries, rows, out, step)
        },
        // SAFETY: as above.
        add_weighted: |dim, weights, step, rows, out, fresh| unsafe {
            unrolled::add_weighted::<Simd128>(dim, weights, step, rows, out, fresh)
        },
        // Of the parts that there are anyway.
        softmax: |scores, factor| {
            let top = super::largest(scores);
            let sum = super::exponentials(scores, factor, top);
            super::scale(scores, (1.0 / sum) as f32);
        },
        ..simd128::KERNELS
    }
};

/// AVX-512 with products of bytes in one instruction.
#[cfg(target_arch = "x86_64")]
pub(super) static AVX512_VNNI: Kernels = Kernels {
    // SAFETY: `available` offers this table only where the CPU has the features, and callers
    // have checked the lengths.
    dots_i8: |query, rows, out| unsafe {
        match rows.next.is_empty() {
            true => super::bytes::dots_i8::<false>(query, rows, out),
            false => super::bytes::dots_i8::<true>(query, rows, out),
        }
    },
    // SAFETY: as above.
    weighted_sum_i8: |weights, rows, ends, out| unsafe {
        super::bytes::weighted_sum_i8(weights, rows, ends, out)
    },
    ..avx512::KERNELS
};
