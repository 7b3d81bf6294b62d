//! The table of functions that every set of instructions has, and the choice among them.

use std::mem::MaybeUninit;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::LazyLock;

use super::body;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
use super::compiled;
use super::narrow::{ByteQuery, ByteRows};
use super::prefetch::PrefetchHint;
use super::tails;

/// Whether a weighted sum is written without what is there, and what it is multiplied by.
pub(super) type Ends = (bool, f32);

/// Dimension, weights and their step, rows, what is added to, and whether it is fresh.
type AddWeighted = fn(usize, &[f32], usize, &[f32], &mut [f32], bool);

/// Scores, their step and width, factors, tops, and sums.
type ExponentialsOfRows = fn(&mut [f32], (usize, usize), &[f32], &[f32], &mut [f32]);

/// A vector and what it is multiplied by.
pub(super) type Scaled<'a> = (f64, &'a [f32]);

/// One compilation of the loops. The lengths of slices fit together: the callers in the
/// parent module check them.
pub(super) struct Kernels {
    pub dots: fn(PrefetchHint, &[f32], &[f32], &mut [f32]),
    pub weighted_sum: fn(PrefetchHint, &[f32], &[f32], Ends, &mut [f32]),
    pub weighted_blocks: fn(&[f32], &[f32], f32, bool, &mut [f32]),
    pub sum_of_squares: fn(&[f32]) -> f64,
    pub dot_f64: fn(&[f32], &[f32]) -> f64,
    pub dot_in_double: fn(&[f32], &[f32], &[i8]) -> f64,
    pub squares_of_doubles: fn(&[f64]) -> f64,
    pub scale_and_round: fn(&mut [f64], f64, &mut [f32]),
    pub tail: fn(&[f64], &[f32], &mut [i8]),
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
    pub dots_batch: fn(usize, &[f32], &[f32], &mut [f32], usize),
    pub add_weighted: AddWeighted,
    pub multiply_adds: fn(u64) -> (usize, f32),
    pub read: fn(&[f32]) -> f32,
    pub apart: fn(&[f32], &mut [MaybeUninit<f32>]),
    pub dots_bf16: fn(PrefetchHint, &[f32], &[u16], &mut [f32]),
    pub weighted_sum_bf16: fn(&[f32], &[u16], Ends, &mut [f32]),
    pub to_bytes: fn(&[f32], f32, &mut [u8], &mut [u8]),
    pub dots_i8: fn(ByteQuery<'_>, ByteRows<'_>, &mut [f32]),
    pub weighted_sum_i8: fn(&[f32], &[i8], Ends, &mut [f32]),
}

/// The one table of a build for WebAssembly, where nothing is asked at run time: known when
/// it is compiled, so that only what is called gets into the binary.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub(super) fn kernels() -> &'static Kernels {
    #[cfg(target_feature = "simd128")]
    const KERNELS: &Kernels = &compiled::UNROLLED;
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
    weighted_blocks: body::weighted_blocks,
    sum_of_squares: body::sum_of_squares,
    dot_f64: body::dot_f64,
    dot_in_double: tails::dot_in_double,
    squares_of_doubles: tails::squares_of_doubles,
    scale_and_round: tails::scale_and_round,
    tail: tails::tail,
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
    dots_batch: body::dots_batch,
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
            kernels.push(("avx512 with vnni", &compiled::AVX512_VNNI));
        }
        if avx512 {
            kernels.push(("avx512", &compiled::avx512::KERNELS));
        }
        if avx2_and_fma {
            kernels.push(("avx2", &compiled::avx2::KERNELS));
        }
    }
    #[cfg(target_arch = "aarch64")]
    kernels.push(("neon", &compiled::neon::KERNELS));
    kernels.push(("portable", &PORTABLE));
    kernels
}
