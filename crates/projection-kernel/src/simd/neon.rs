//! NEON, which every aarch64 has.

use std::arch::aarch64::*;

use super::Simd;
use super::register::{plain, proven, read, write};

plain!(float32x4_t, uint32x4_t, int8x8_t);

/// 4 values.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

impl Simd<4> for Neon {
    type V = float32x4_t;
    const MANY_REGISTERS: bool = true;

    proven! {
        fn splat(value: f32) -> float32x4_t = vdupq_n_f32;
        fn load(from: &[f32; 4]) -> float32x4_t = read;
        fn store(value: float32x4_t, to: &mut [f32; 4]) = write;
        fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = mul_add;
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t = vaddq_f32;
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t = vsubq_f32;
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmulq_f32;
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmaxnmq_f32;
        fn keep_if_at_least(value: float32x4_t, x: float32x4_t, limit: float32x4_t) -> float32x4_t
            = keep_if_at_least;
        fn power_of_two(n: float32x4_t) -> float32x4_t = power_of_two;
        fn sum(value: float32x4_t) -> f32 = vaddvq_f32;
        fn largest(value: float32x4_t) -> f32 = vmaxnmvq_f32;
        fn sums(four: [float32x4_t; 4]) -> [f32; 4] = sums;
        fn load_bf16(from: &[[u16; 4]; 2]) -> (float32x4_t, float32x4_t) = load_bf16;
        fn deinterleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t)
            = deinterleave;
        fn interleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) = interleave;
        fn load_i8(from: &[i8; 4]) -> float32x4_t = load_i8;
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    vfmaq_f32(c, a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn keep_if_at_least(value: float32x4_t, x: float32x4_t, limit: float32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), vcgeq_f32(x, limit)))
}

#[inline]
#[target_feature(enable = "neon")]
fn power_of_two(n: float32x4_t) -> float32x4_t {
    let n = vaddq_u32(vreinterpretq_u32_f32(n), vdupq_n_u32(127));
    vreinterpretq_f32_u32(vshlq_n_u32::<23>(n))
}

#[inline]
#[target_feature(enable = "neon")]
fn sums([a, b, c, d]: [float32x4_t; 4]) -> [f32; 4] {
    read(&vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)))
}

#[inline]
#[target_feature(enable = "neon")]
fn load_bf16(from: &[[u16; 4]; 2]) -> (float32x4_t, float32x4_t) {
    let pairs: uint32x4_t = read(from);
    let odd = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
    (vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(odd))
}

#[inline]
#[target_feature(enable = "neon")]
fn deinterleave(first: float32x4_t, second: float32x4_t) -> (float32x4_t, float32x4_t) {
    (vuzp1q_f32(first, second), vuzp2q_f32(first, second))
}

#[inline]
#[target_feature(enable = "neon")]
fn interleave(even: float32x4_t, odd: float32x4_t) -> (float32x4_t, float32x4_t) {
    (vzip1q_f32(even, odd), vzip2q_f32(even, odd))
}

#[inline]
#[target_feature(enable = "neon")]
fn load_i8(from: &[i8; 4]) -> float32x4_t {
    let bytes: int8x8_t = read(&[*from, [0; 4]]);
    vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))
}
