//! One table of functions for each instruction set, and the choice among them.

#[cfg(not(target_arch = "wasm32"))]
use std::sync::LazyLock;

use super::body;
use super::narrow::{ByteQuery, ByteRows};

/// Whether a weighted sum is written without what is there, and what it is multiplied by.
pub(super) type Ends = (bool, f32);

/// Dimension, weights and their step, rows, what is added to, and whether it is fresh.
type AddWeighted = fn(usize, &[f32], usize, &[f32], &mut [f32], bool);

/// Scores, their step and width, factors, tops, and sums.
type ExponentialsOfRows = fn(&mut [f32], (usize, usize), &[f32], &[f32], &mut [f32]);

/// A vector and what it is multiplied by.
type Scaled<'a> = (f64, &'a [f32]);

/// One compilation of the loops. The lengths of slices fit together: the callers in the
/// parent module check them.
pub(super) struct Kernels {
    pub dots: fn(Reading, &[f32], &[f32], &mut [f32]),
    pub weighted_sum: fn(Reading, &[f32], &[f32], Ends, &mut [f32]),
    pub sum_of_squares: fn(&[f32]) -> f64,
    pub dot_of_singles: fn(&[f32], &[f32]) -> f64,
    pub dot_in_double: fn(&[f32], &[f32], &[f32]) -> f64,
    pub add_difference: fn(Scaled<'_>, Scaled<'_>, &mut [f64]),
    pub softmax: fn(&mut [f32], f32),
    pub softmax_of_rows: fn(&mut [f32], usize, usize, &[f32]),
    pub largest_of_rows: fn(&[f32], usize, usize, &mut [f32]),
    pub exponentials_of_rows: ExponentialsOfRows,
    pub squares: fn(&[f32]) -> f64,
    pub largest: fn(&[f32]) -> f32,
    pub largest_magnitude: fn(&[f32]) -> f32,
    pub exponentials: fn(&mut [f32], f32, f32) -> f64,
    pub scale: fn(&mut [f32], f32),
    pub dots_of_batch: fn(usize, &[f32], &[f32], &mut [f32], usize),
    pub add_weighted: AddWeighted,
    pub multiply_adds: fn(u64) -> (usize, f32),
    pub read: fn(&[f32]) -> f32,
    pub apart: fn(&[f32], &mut [f32]),
    pub dots_bf16: fn(Reading, &[f32], &[u16], &mut [f32]),
    pub weighted_sum_bf16: fn(Reading, &[f32], &[u16], Ends, &mut [f32]),
    pub to_bytes: fn(&[f32], f32, &mut [u8], &mut [u8]),
    pub dots_i8: fn(Reading, ByteQuery<'_>, ByteRows<'_>, &mut [f32]),
    pub weighted_sum_i8: fn(Reading, &[f32], &[i8], Ends, &mut [f32]),
}

/// The one table of a build for WebAssembly, where nothing is asked at run time: known when
/// it is compiled, so that only what is called gets into the binary.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub(super) fn kernels() -> &'static Kernels {
    #[cfg(target_feature = "simd128")]
    const KERNELS: &Kernels = &UNROLLED;
    #[cfg(not(target_feature = "simd128"))]
    const KERNELS: &Kernels = &PORTABLE;
    KERNELS
}

/// The best table for this CPU.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn kernels() -> &'static Kernels {
    static KERNELS: LazyLock<&'static Kernels> = LazyLock::new(|| available()[0].1);
    *KERNELS
}

const PORTABLE: Kernels = Kernels {
    dots: body::dots,
    weighted_sum: body::weighted_sum,
    sum_of_squares: body::sum_of_squares,
    dot_of_singles: body::dot_of_singles,
    dot_in_double: body::dot_in_double,
    add_difference: body::add_difference,
    softmax: body::softmax,
    softmax_of_rows: body::softmax_of_rows,
    largest_of_rows: body::largest_of_rows,
    exponentials_of_rows: body::exponentials_of_rows,
    squares: body::squares,
    largest: body::largest,
    largest_magnitude: body::largest_magnitude,
    exponentials: body::exponentials,
    scale: body::scale,
    dots_of_batch: body::dots_of_batch,
    add_weighted: body::add_weighted,
    multiply_adds: body::multiply_adds,
    read: body::read,
    apart: body::apart,
    dots_bf16: body::dots_bf16,
    weighted_sum_bf16: body::weighted_sum_bf16,
    to_bytes: body::to_bytes,
    dots_i8: body::dots_i8,
    weighted_sum_i8: body::weighted_sum_i8,
};

/// How to read the rows of a matrix of a certain size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// They lie in the second-level cache.
    Near,
    /// Rows to come are asked for early.
    Ahead,
    /// The memory is the limit, and finds what comes next by itself.
    Stream,
}

impl Reading {
    /// The sizes in bytes between which asking early makes a difference.
    const AHEAD: std::ops::Range<usize> = 800 << 10..16 << 20;

    /// For all rows of a model, even where they are read in several calls.
    pub fn of(rows: &[f32]) -> Self {
        Self::of_size(size_of_val(rows))
    }

    /// The same by the size in bytes.
    pub fn of_size(size: usize) -> Self {
        match size {
            size if size < Self::AHEAD.start => Self::Near,
            size if size < Self::AHEAD.end => Self::Ahead,
            _ => Self::Stream,
        }
    }

    /// The same without [`Near`](Self::Near), the one way whose products differ in the last
    /// bit from those of a batch.
    pub fn as_in_batches(self) -> Self {
        if self == Self::Near { Self::Stream } else { self }
    }
}

/// Whether the size of the binary counts more than the last percent: then a loop is compiled
/// once, not for each of the usual dimensions and ways of reading.
pub(super) const SMALL: bool = cfg!(target_arch = "wasm32");

/// Compiles the loops for a set of CPU features and their type of registers. The constants
/// are how many registers of columns a weighted sum keeps, and the tiles of batches: queries
/// and rows of dot products, queries and registers of weighted sums.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! compiled_for {
    ($name:ident, $features:literal, $lanes:ty, $columns:literal,
     $queries:literal x $wide:literal, $rows:literal x $registers:literal) => {
        pub(super) mod $name {
            use super::super::{body, limits, narrow, scores, tiles, vector};
            use super::{ByteQuery, ByteRows, Ends, Kernels, Reading, SMALL, Scaled};

            pub(in super::super) const KERNELS: Kernels = Kernels {
                // SAFETY: `available` offers this table only where the CPU has the features, and
                // callers have checked the lengths, as for all of them.
                dots: |reading, query, rows, out| unsafe { dots(reading, query, rows, out) },
                // SAFETY: as above.
                weighted_sum: |reading, weights, rows, ends, out| unsafe {
                    weighted_sum(reading, weights, rows, ends, out)
                },
                // SAFETY: as above.
                sum_of_squares: |vector| unsafe { sum_of_squares(vector) },
                // SAFETY: as above.
                dot_of_singles: |a, b| unsafe { dot_of_singles(a, b) },
                // SAFETY: as above.
                dot_in_double: |query, head, tail| unsafe { dot_in_double(query, head, tail) },
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
                dots_of_batch: |dim, queries, rows, out, step| unsafe {
                    dots_of_batch(dim, queries, rows, out, step)
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
                weighted_sum_bf16: |reading, weights, rows, ends, out| unsafe {
                    weighted_sum_bf16(reading, weights, rows, ends, out)
                },
                // SAFETY: as above.
                to_bytes: |query, factor, high, low| unsafe { to_bytes(query, factor, high, low) },
                // SAFETY: as above.
                dots_i8: |reading, query, rows, out| unsafe { dots_i8(reading, query, rows, out) },
                // SAFETY: as above.
                weighted_sum_i8: |reading, weights, rows, ends, out| unsafe {
                    weighted_sum_i8(reading, weights, rows, ends, out)
                },
            };

            #[target_feature(enable = $features)]
            unsafe fn multiply_adds(rounds: u64) -> (usize, f32) {
                // SAFETY: as for `dots`.
                unsafe { limits::chains::<$lanes>(rounds) }
            }

            #[target_feature(enable = $features)]
            unsafe fn read(values: &[f32]) -> f32 {
                body::read(values)
            }

            #[target_feature(enable = $features)]
            unsafe fn apart(query: &[f32], out: &mut [f32]) {
                // SAFETY: as for `dots`, as for all below.
                unsafe { narrow::apart::<$lanes>(query, out) }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_bf16(reading: Reading, query: &[f32], rows: &[u16], out: &mut [f32]) {
                // SAFETY: as above.
                unsafe {
                    match reading {
                        Reading::Ahead if !SMALL => {
                            narrow::dots_bf16::<$lanes, true>(query, rows, out)
                        }
                        _ => narrow::dots_bf16::<$lanes, false>(query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum_bf16(
                reading: Reading,
                weights: &[f32],
                rows: &[u16],
                ends: Ends,
                out: &mut [f32],
            ) {
                const PAIRS: usize = $columns / 2;
                // SAFETY: as above.
                unsafe {
                    if reading == Reading::Ahead && !SMALL {
                        narrow::weighted_sum_bf16::<$lanes, PAIRS, true>(weights, rows, ends, out)
                    } else {
                        narrow::weighted_sum_bf16::<$lanes, PAIRS, false>(weights, rows, ends, out)
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn to_bytes(query: &[f32], factor: f32, high: &mut [u8], low: &mut [u8]) {
                body::to_bytes(query, factor, high, low)
            }

            #[target_feature(enable = $features)]
            unsafe fn dots_i8(
                reading: Reading,
                query: ByteQuery<'_>,
                rows: ByteRows<'_>,
                out: &mut [f32],
            ) {
                body::dots_i8(reading, query, rows, out)
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum_i8(
                reading: Reading,
                weights: &[f32],
                rows: &[i8],
                ends: Ends,
                out: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    if reading == Reading::Ahead && !SMALL {
                        narrow::weighted_sum_i8::<$lanes, $columns, true>(weights, rows, ends, out)
                    } else {
                        narrow::weighted_sum_i8::<$lanes, $columns, false>(weights, rows, ends, out)
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn dots(reading: Reading, query: &[f32], rows: &[f32], out: &mut [f32]) {
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
                reading: Reading,
                query: &[f32],
                rows: &[f32],
                out: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    match reading {
                        _ if SMALL => vector::dots::<$lanes, D, true, false>(query, rows, out),
                        Reading::Near => vector::dots::<$lanes, D, false, false>(query, rows, out),
                        Reading::Ahead => vector::dots::<$lanes, D, true, true>(query, rows, out),
                        Reading::Stream => vector::dots::<$lanes, D, true, false>(query, rows, out),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn weighted_sum(
                reading: Reading,
                weights: &[f32],
                rows: &[f32],
                ends: Ends,
                out: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe {
                    if reading == Reading::Ahead && !SMALL {
                        vector::weighted_sum::<$lanes, $columns, true>(weights, rows, ends, out)
                    } else {
                        vector::weighted_sum::<$lanes, $columns, false>(weights, rows, ends, out)
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn sum_of_squares(vector: &[f32]) -> f64 {
                body::sum_of_squares(vector)
            }

            #[target_feature(enable = $features)]
            unsafe fn dot_of_singles(a: &[f32], b: &[f32]) -> f64 {
                body::dot_of_singles(a, b)
            }

            #[target_feature(enable = $features)]
            unsafe fn dot_in_double(query: &[f32], head: &[f32], tail: &[f32]) -> f64 {
                body::dot_in_double(query, head, tail)
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
            unsafe fn dots_of_batch(
                dim: usize,
                queries: &[f32],
                rows: &[f32],
                out: &mut [f32],
                step: usize,
            ) {
                // SAFETY: as above.
                unsafe {
                    tiles::dots_of_batch::<$lanes, $queries, $wide>(dim, queries, rows, out, step)
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
const UNROLLED: Kernels = {
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
        dots_of_batch: |dim, queries, rows, out, step| unsafe {
            unrolled::dots_of_batch::<Simd128>(dim, queries, rows, out, step)
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
static AVX512_VNNI: Kernels = Kernels {
    // SAFETY: `available` offers this table only where the CPU has the features, and callers
    // have checked the lengths.
    dots_i8: |reading, query, rows, out| unsafe {
        match reading {
            Reading::Near => super::bytes::dots_i8::<false>(query, rows, out),
            _ => super::bytes::dots_i8::<true>(query, rows, out),
        }
    },
    // SAFETY: as above.
    weighted_sum_i8: |reading, weights, rows, ends, out| unsafe {
        match reading {
            Reading::Near => super::bytes::weighted_sum_i8::<false>(weights, rows, ends, out),
            _ => super::bytes::weighted_sum_i8::<true>(weights, rows, ends, out),
        }
    },
    ..avx512::KERNELS
};

/// The compilations that this CPU can run, best first.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn available() -> Vec<(&'static str, &'static Kernels)> {
    let mut kernels: Vec<(&'static str, &'static Kernels)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2_and_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2_and_fma && is_x86_feature_detected!("avx512f");
        let bytes = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
        if avx512 && bytes {
            kernels.push(("avx512 with vnni", &AVX512_VNNI));
        }
        if avx512 {
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
