//! AVX-512, with and without instructions that multiply bytes, and AVX2 with FMA.

mod vnni;

use std::arch::x86_64::*;

use super::Simd;
use super::register::{plain, proven, read, write};
use crate::quantized::int8::{self, Int8Query, Int8Rows};

plain!(__m128, __m128i, __m256, __m256i, __m512, __m512i);

/// 16 values. With `VNNI`, the CPU multiplies bytes as well.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>(());

impl<const VNNI: bool> Avx512<VNNI> {
    pub fn detect() -> Option<Self> {
        let bytes =
            || is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
        let avx512 = Avx2::detect().is_some() && is_x86_feature_detected!("avx512f");
        (avx512 && (!VNNI || bytes())).then_some(Self(()))
    }
}

impl<const VNNI: bool> Simd<16> for Avx512<VNNI> {
    type V = __m512;
    const MANY_REGISTERS: bool = true;

    proven! {
        fn splat(value: f32) -> __m512 = _mm512_set1_ps;
        fn load(from: &[f32; 16]) -> __m512 = read;
        fn load_part(from: &[f32]) -> __m512 = avx512::load_part;
        fn store(value: __m512, to: &mut [f32; 16]) = write;
        fn store_part(value: __m512, to: &mut [f32]) = avx512::store_part;
        fn first(value: __m512, count: usize) -> __m512 = avx512::first;
        fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps;
        fn add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps;
        fn sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps;
        fn mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps;
        fn max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps;
        fn keep_if_at_least(value: __m512, x: __m512, limit: __m512) -> __m512
            = avx512::keep_if_at_least;
        fn power_of_two(n: __m512) -> __m512 = avx512::power_of_two;
        fn sum(value: __m512) -> f32 = _mm512_reduce_add_ps;
        fn largest(value: __m512) -> f32 = _mm512_reduce_max_ps;
        fn sums(four: [__m512; 4]) -> [f32; 4] = avx512::sums;
        fn load_bf16(from: &[[u16; 16]; 2]) -> (__m512, __m512) = avx512::load_bf16;
        fn deinterleave(a: __m512, b: __m512) -> (__m512, __m512) = avx512::deinterleave;
        fn interleave(a: __m512, b: __m512) -> (__m512, __m512) = avx512::interleave;
        fn load_i8(from: &[i8; 16]) -> __m512 = avx512::load_i8;
    }

    #[inline(always)]
    fn dots_int8(self, query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) {
        if VNNI {
            // SAFETY: the token with VNNI exists, so that the CPU has the instructions.
            unsafe { vnni::dots(query, rows, out) }
        } else {
            int8::dots(query, rows, out);
        }
    }

    #[inline(always)]
    fn weighted_sum_int8(self, weights: &[f32], rows: &[i8], overwrite: bool, out: &mut [f32]) {
        // Bytes of weights have no sign. Those of a softmax need none.
        if VNNI && weights.iter().all(|weight| *weight >= 0.0) {
            // SAFETY: the token with VNNI exists, so that the CPU has the instructions.
            unsafe { vnni::weighted_sum(weights, rows, overwrite, out) }
        } else {
            int8::weighted_sum(self, weights, rows, overwrite, out);
        }
    }
}

mod avx512 {
    use super::*;

    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn load_part(from: &[f32]) -> __m512 {
        debug_assert!(from.len() < 16);
        // SAFETY: the mask is as long as the slice, and nothing outside of it is read.
        unsafe { _mm512_maskz_loadu_ps(mask(from.len()), from.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn store_part(value: __m512, to: &mut [f32]) {
        debug_assert!(to.len() < 16);
        // SAFETY: the mask is as long as the slice, and nothing outside of it is written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), mask(to.len()), value) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn first(value: __m512, count: usize) -> __m512 {
        _mm512_maskz_mov_ps(mask(count), value)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn keep_if_at_least(value: __m512, x: __m512, limit: __m512) -> __m512 {
        _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, limit), value)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn power_of_two(n: __m512) -> __m512 {
        let n = _mm512_add_epi32(_mm512_castps_si512(n), _mm512_set1_epi32(127));
        _mm512_castsi512_ps(_mm512_slli_epi32::<23>(n))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // In each quarter: the sums of two values of a, b, a, b; then of four of a, b, c, d.
        let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
        let low = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
        let quarters = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
        let halves = _mm512_shuffle_f32x4::<0b01_00_11_10>(quarters, quarters);
        let halves = _mm512_add_ps(quarters, halves);
        let whole = _mm512_shuffle_f32x4::<0b10_11_00_01>(halves, halves);
        read(&_mm512_castps512_ps128(_mm512_add_ps(halves, whole)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn load_bf16(from: &[[u16; 16]; 2]) -> (__m512, __m512) {
        let pairs: __m512i = read(from);
        let odd = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32));
        (_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)), _mm512_castsi512_ps(odd))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn deinterleave(first: __m512, second: __m512) -> (__m512, __m512) {
        let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        let odd = _mm512_permutex2var_ps(first, odd, second);
        (_mm512_permutex2var_ps(first, even, second), odd)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn interleave(even: __m512, odd: __m512) -> (__m512, __m512) {
        let low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        let second = _mm512_permutex2var_ps(even, high, odd);
        (_mm512_permutex2var_ps(even, low, odd), second)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn load_i8(from: &[i8; 16]) -> __m512 {
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(read(from)))
    }
}

/// 8 values.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let detected = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        detected.then_some(Self(()))
    }
}

impl Simd<8> for Avx2 {
    type V = __m256;

    proven! {
        fn splat(value: f32) -> __m256 = _mm256_set1_ps;
        fn load(from: &[f32; 8]) -> __m256 = read;
        fn store(value: __m256, to: &mut [f32; 8]) = write;
        fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps;
        fn add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps;
        fn sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps;
        fn mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps;
        fn max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps;
        fn keep_if_at_least(value: __m256, x: __m256, limit: __m256) -> __m256
            = avx2::keep_if_at_least;
        fn power_of_two(n: __m256) -> __m256 = avx2::power_of_two;
        fn sum(value: __m256) -> f32 = avx2::sum;
        fn largest(value: __m256) -> f32 = avx2::largest;
        fn sums(four: [__m256; 4]) -> [f32; 4] = avx2::sums;
        fn load_bf16(from: &[[u16; 8]; 2]) -> (__m256, __m256) = avx2::load_bf16;
        fn deinterleave(a: __m256, b: __m256) -> (__m256, __m256) = avx2::deinterleave;
        fn interleave(a: __m256, b: __m256) -> (__m256, __m256) = avx2::interleave;
        fn load_i8(from: &[i8; 8]) -> __m256 = avx2::load_i8;
    }
}

mod avx2 {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn keep_if_at_least(value: __m256, x: __m256, limit: __m256) -> __m256 {
        _mm256_and_ps(value, _mm256_cmp_ps::<_CMP_GE_OQ>(x, limit))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn power_of_two(n: __m256) -> __m256 {
        let n = _mm256_add_epi32(_mm256_castps_si256(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(n))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn sum(value: __m256) -> f32 {
        sums([value; 4])[0]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn largest(value: __m256) -> f32 {
        let half = _mm256_extractf128_ps::<1>(value);
        let half = _mm_max_ps(_mm256_castps256_ps128(value), half);
        let pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
        _mm_cvtss_f32(_mm_max_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn sums([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        let halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        let high = _mm256_extractf128_ps::<1>(halves);
        read(&_mm_add_ps(_mm256_castps256_ps128(halves), high))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn load_bf16(from: &[[u16; 8]; 2]) -> (__m256, __m256) {
        let pairs: __m256i = read(from);
        let odd = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32 as i32));
        (_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(odd))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn deinterleave(first: __m256, second: __m256) -> (__m256, __m256) {
        // Shuffles stay in each half: afterwards, the quarters are in the order 0 2 1 3.
        let even = _mm256_shuffle_ps::<0b10_00_10_00>(first, second);
        let odd = _mm256_shuffle_ps::<0b11_01_11_01>(first, second);
        let even = _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(even));
        let odd = _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(odd));
        (_mm256_castpd_ps(even), _mm256_castpd_ps(odd))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn interleave(even: __m256, odd: __m256) -> (__m256, __m256) {
        let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
        let first = _mm256_permute2f128_ps::<0x20>(low, high);
        (first, _mm256_permute2f128_ps::<0x31>(low, high))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn load_i8(from: &[i8; 8]) -> __m256 {
        let bytes = _mm_set1_epi64x(i64::from_le_bytes(from.map(|byte| byte as u8)));
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
    }
}
