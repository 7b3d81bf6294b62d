//! One vector type for each instruction set, behind one trait, so that every kernel is written
//! once.
//!
//! A *token* such as `Avx2` is a value without content that exists only where the CPU has the
//! instructions of its type: [`Level`](crate::dispatch::Level) makes one after asking the CPU.
//! Whoever holds a token may therefore call all of its methods, and kernels, which take a token,
//! are safe functions over slices.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod register;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) use simd128::Simd128;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

use crate::quantized::int8::{self, Int8Query, Int8Rows};

/// A token of an instruction set whose vectors hold `N` values in single precision.
///
/// Methods are inlined into kernels, which are compiled for the same instructions, see
/// [`operations`](crate::dispatch).
pub(crate) trait Simd<const N: usize>: Copy {
    /// A vector of `N` values.
    type V: Copy;
    /// Whether there are 32 registers, not 16.
    const MANY_REGISTERS: bool = false;

    fn splat(self, value: f32) -> Self::V;
    fn load(self, from: &[f32; N]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [f32; N]);

    /// Loads fewer than `N` values, and zeros after them.
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        let mut all = [0.0; N];
        all[..from.len()].copy_from_slice(from);
        self.load(&all)
    }

    /// Stores the first of the values, fewer than `N`.
    #[inline(always)]
    fn store_part(self, value: Self::V, to: &mut [f32]) {
        let mut all = [0.0; N];
        self.store(value, &mut all);
        to.copy_from_slice(&all[..to.len()]);
    }

    /// The first `count` values, fewer than `N`, and zeros after them.
    #[inline(always)]
    fn first(self, value: Self::V, count: usize) -> Self::V {
        let mut all = [0.0; N];
        self.store(value, &mut all);
        all[count..].fill(0.0);
        self.load(&all)
    }

    /// a·b + c, rounded once where the CPU has an instruction for that.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The values where those of `x` are at least those of `limit`, else 0.
    fn keep_if_at_least(self, value: Self::V, x: Self::V, limit: Self::V) -> Self::V;
    /// 2ⁿ, for n in the lowest bits of the values.
    fn power_of_two(self, n: Self::V) -> Self::V;

    fn sum(self, value: Self::V) -> f32;
    fn largest(self, value: Self::V) -> f32;
    /// The sum of each vector.
    fn sums(self, four: [Self::V; 4]) -> [f32; 4];

    /// 2·N bfloat16 values as those of even and those of odd number.
    fn load_bf16(self, from: &[[u16; N]; 2]) -> (Self::V, Self::V);
    /// Values of even and of odd number, of two vectors one after another.
    fn deinterleave(self, first: Self::V, second: Self::V) -> (Self::V, Self::V);
    /// The inverse of [`deinterleave`](Self::deinterleave).
    fn interleave(self, even: Self::V, odd: Self::V) -> (Self::V, Self::V);
    fn load_i8(self, from: &[i8; N]) -> Self::V;

    /// The kernel [`int8::dots`]; overridden where instructions multiply bytes.
    #[inline(always)]
    fn dots_int8(self, query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) {
        int8::dots(query, rows, out);
    }

    /// The kernel [`int8::weighted_sum`]; overridden where instructions multiply bytes.
    #[inline(always)]
    fn weighted_sum_int8(self, weights: &[f32], rows: &[i8], overwrite: bool, out: &mut [f32]) {
        int8::weighted_sum(self, weights, rows, overwrite, out);
    }
}

/// `R` rows of equal length, as their whole vectors of `N` values and what is left of each. Written
/// out in loops, which the compiler unrolls, unlike closures.
#[inline(always)]
pub(crate) fn split_rows<T, const N: usize, const R: usize>(
    rows: &[T],
    dim: usize,
) -> ([&[[T; N]]; R], [&[T]; R]) {
    let mut split: ([&[[T; N]]; R], [&[T]; R]) = ([&[]; R], [&[]; R]);
    for r in 0..R {
        let (vectors, end) = rows[r * dim..][..dim].as_chunks();
        split.0[r] = &vectors[..dim / N];
        split.1[r] = end;
    }
    split
}

/// ln 2 in two parts, of which the first times any exponent is exact.
const LN_2: (f32, f32) = (355.0 / 512.0, -2.121_944_4e-4);
/// Adding this rounds to an integer, which is then in the lowest bits.
pub(crate) const ROUND: f32 = 12_582_912.0;
/// Below this, [`exp`] is 0.
const LOWEST: f32 = -85.0;
/// (exp(r) − 1 − r) / r² by the polynomial of Cephes' expf, highest power first.
const COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// exp(x) for x ≤ 0, to 2 units in the last place; 0 where it is below 1e-37.
#[inline(always)]
pub(crate) fn exp<S: Simd<N>, const N: usize>(s: S, x: S::V) -> S::V {
    // exp(x) = 2ⁿ·exp(r) with an integer n and |r| ≤ ln 2 / 2.
    let (lowest, round) = (s.splat(LOWEST), s.splat(ROUND));
    let bounded = s.max(x, lowest);
    let rounded = s.mul_add(bounded, s.splat(std::f32::consts::LOG2_E), round);
    let n = s.sub(rounded, round);
    let r = s.mul_add(n, s.splat(-LN_2.0), bounded);
    let r = s.mul_add(n, s.splat(-LN_2.1), r);
    let mut tail = s.splat(COEFFICIENTS[0]);
    for coefficient in &COEFFICIENTS[1..] {
        tail = s.mul_add(tail, r, s.splat(*coefficient));
    }
    let value = s.add(s.mul_add(tail, s.mul(r, r), r), s.splat(1.0));
    s.keep_if_at_least(s.mul(value, s.power_of_two(rounded)), x, lowest)
}
