//! Registers of WebAssembly's SIMD.

use std::arch::wasm32::*;

use super::lanes::Lanes;

/// 4 values. There is no fused multiply–add: products are rounded on their own.
#[derive(Clone, Copy)]
pub(super) struct Simd128(v128);

// SAFETY: the functions do what the trait says with simd128 alone; parts are read and written
// value by value.
unsafe impl Lanes for Simd128 {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by the trait's condition, as for all functions below.
        unsafe { Self(v128_load(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        let mut values = [0.0; 4];
        // SAFETY: as above.
        unsafe {
            from.copy_to_nonoverlapping(values.as_mut_ptr(), count);
            Self::load(values.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { v128_store(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        let mut values = [0.0; 4];
        // SAFETY: as above.
        unsafe {
            self.store(values.as_mut_ptr());
            to.copy_from_nonoverlapping(values.as_ptr(), count);
        }
    }

    #[inline(always)]
    unsafe fn first(self, count: usize) -> Self {
        let mut values = [0.0; 4];
        // SAFETY: as above.
        unsafe {
            self.store_part(values.as_mut_ptr(), count);
            Self::load(values.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, c: Self) -> Self {
        Self(f32x4_add(f32x4_mul(self.0, b.0), c.0))
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(f32x4_add(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn subtract(self, b: Self) -> Self {
        Self(f32x4_sub(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn multiply(self, b: Self) -> Self {
        Self(f32x4_mul(self.0, b.0))
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Self(f32x4_pmax(b.0, self.0))
    }

    #[inline(always)]
    unsafe fn where_at_least(self, x: Self, limit: Self) -> Self {
        Self(v128_and(self.0, f32x4_ge(x.0, limit.0)))
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(i32x4_shl(i32x4_add(self.0, i32x4_splat(127)), 23))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let halves = f32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        f32x4_extract_lane::<0>(halves) + f32x4_extract_lane::<1>(halves)
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        let halves = f32x4_pmax(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        f32x4_extract_lane::<0>(halves).max(f32x4_extract_lane::<1>(halves))
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // Pairs of a and b, then of c and d, then of both.
        let pairs = |x: v128, y: v128| {
            f32x4_add(i32x4_shuffle::<0, 2, 4, 6>(x, y), i32x4_shuffle::<1, 3, 5, 7>(x, y))
        };
        let mut sums = [0.0f32; 4];
        let all = pairs(pairs(a.0, b.0), pairs(c.0, d.0));
        // SAFETY: as above; an array of four values is as large as the register.
        unsafe { v128_store(sums.as_mut_ptr().cast(), all) };
        sums
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> (Self, Self) {
        // SAFETY: as above.
        let pairs = unsafe { v128_load(from.cast()) };
        (Self(i32x4_shl(pairs, 16)), Self(v128_and(pairs, u32x4_splat(0xffff_0000))))
    }

    #[inline(always)]
    unsafe fn apart(first: Self, second: Self) -> (Self, Self) {
        let even = i32x4_shuffle::<0, 2, 4, 6>(first.0, second.0);
        let odd = i32x4_shuffle::<1, 3, 5, 7>(first.0, second.0);
        (Self(even), Self(odd))
    }

    #[inline(always)]
    unsafe fn together(even: Self, odd: Self) -> (Self, Self) {
        let first = i32x4_shuffle::<0, 4, 1, 5>(even.0, odd.0);
        let second = i32x4_shuffle::<2, 6, 3, 7>(even.0, odd.0);
        (Self(first), Self(second))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: as above; four bytes are read.
        let bytes = unsafe { v128_load32_zero(from.cast()) };
        let words = i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(bytes));
        Self(f32x4_convert_i32x4(words))
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn prefetch_far(_: *const f32) {}
}
