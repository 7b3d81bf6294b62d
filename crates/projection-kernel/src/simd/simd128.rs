//! The vectors of WebAssembly, in builds that are compiled for them.

use std::arch::wasm32::*;

use super::Simd;
use super::register::{plain, proven, read, write};

plain!(v128);

/// 4 values. WebAssembly has no fused multiply–add that every engine computes alike.
#[derive(Clone, Copy)]
pub(crate) struct Simd128;

impl Simd<4> for Simd128 {
    type V = v128;

    proven! {
        fn splat(value: f32) -> v128 = f32x4_splat;
        fn load(from: &[f32; 4]) -> v128 = read;
        fn store(value: v128, to: &mut [f32; 4]) = write;
        fn mul_add(a: v128, b: v128, c: v128) -> v128 = mul_add;
        fn add(a: v128, b: v128) -> v128 = f32x4_add;
        fn sub(a: v128, b: v128) -> v128 = f32x4_sub;
        fn mul(a: v128, b: v128) -> v128 = f32x4_mul;
        fn max(a: v128, b: v128) -> v128 = max;
        fn keep_if_at_least(value: v128, x: v128, limit: v128) -> v128 = keep_if_at_least;
        fn power_of_two(n: v128) -> v128 = power_of_two;
        fn sum(value: v128) -> f32 = sum;
        fn largest(value: v128) -> f32 = largest;
        fn sums(four: [v128; 4]) -> [f32; 4] = sums;
        fn load_bf16(from: &[[u16; 4]; 2]) -> (v128, v128) = load_bf16;
        fn deinterleave(a: v128, b: v128) -> (v128, v128) = deinterleave;
        fn interleave(a: v128, b: v128) -> (v128, v128) = interleave;
        fn load_i8(from: &[i8; 4]) -> v128 = load_i8;
    }
}

#[inline(always)]
fn mul_add(a: v128, b: v128, c: v128) -> v128 {
    f32x4_add(f32x4_mul(a, b), c)
}

/// The second operand if one is no number, as on x86.
#[inline(always)]
fn max(a: v128, b: v128) -> v128 {
    f32x4_pmax(b, a)
}

#[inline(always)]
fn keep_if_at_least(value: v128, x: v128, limit: v128) -> v128 {
    v128_and(value, f32x4_ge(x, limit))
}

#[inline(always)]
fn power_of_two(n: v128) -> v128 {
    i32x4_shl(i32x4_add(n, i32x4_splat(127)), 23)
}

#[inline(always)]
fn sum(value: v128) -> f32 {
    let halves = f32x4_add(value, i32x4_shuffle::<2, 3, 0, 1>(value, value));
    f32x4_extract_lane::<0>(halves) + f32x4_extract_lane::<1>(halves)
}

#[inline(always)]
fn largest(value: v128) -> f32 {
    let halves = f32x4_pmax(value, i32x4_shuffle::<2, 3, 0, 1>(value, value));
    f32x4_extract_lane::<0>(halves).max(f32x4_extract_lane::<1>(halves))
}

/// The sums of neighbours, of x and then of y.
#[inline(always)]
fn add_pairs(x: v128, y: v128) -> v128 {
    f32x4_add(i32x4_shuffle::<0, 2, 4, 6>(x, y), i32x4_shuffle::<1, 3, 5, 7>(x, y))
}

#[inline(always)]
fn sums([a, b, c, d]: [v128; 4]) -> [f32; 4] {
    read(&add_pairs(add_pairs(a, b), add_pairs(c, d)))
}

#[inline(always)]
fn load_bf16(from: &[[u16; 4]; 2]) -> (v128, v128) {
    let pairs = read(from);
    (i32x4_shl(pairs, 16), v128_and(pairs, u32x4_splat(0xffff_0000)))
}

#[inline(always)]
fn deinterleave(first: v128, second: v128) -> (v128, v128) {
    let even = i32x4_shuffle::<0, 2, 4, 6>(first, second);
    (even, i32x4_shuffle::<1, 3, 5, 7>(first, second))
}

#[inline(always)]
fn interleave(even: v128, odd: v128) -> (v128, v128) {
    let first = i32x4_shuffle::<0, 4, 1, 5>(even, odd);
    (first, i32x4_shuffle::<2, 6, 3, 7>(even, odd))
}

#[inline(always)]
fn load_i8(from: &[i8; 4]) -> v128 {
    let bytes = i32x4_splat(i32::from_le_bytes(from.map(|byte| byte as u8)));
    f32x4_convert_i32x4(i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(bytes)))
}
