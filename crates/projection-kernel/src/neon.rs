//! Registers of NEON, which every aarch64 has.

use std::arch::aarch64::*;

use super::lanes::Lanes;

/// 4 values.
#[derive(Clone, Copy)]
pub(super) struct Neon(float32x4_t);

// SAFETY: the functions do what the trait says with NEON alone; parts are read and written
// value by value.
unsafe impl Lanes for Neon {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: by the trait's condition, as for all functions below.
        unsafe { Self(vdupq_n_f32(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { Self(vld1q_f32(from)) }
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
        unsafe { vst1q_f32(to, self.0) }
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
        // SAFETY: as above.
        unsafe { Self(vfmaq_f32(c.0, self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vaddq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn subtract(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vsubq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn multiply(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vmulq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vmaxnmq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn where_at_least(self, x: Self, limit: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let bits = vandq_u32(vreinterpretq_u32_f32(self.0), vcgeq_f32(x.0, limit.0));
            Self(vreinterpretq_f32_u32(bits))
        }
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let n = vaddq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_u32(127));
            Self(vreinterpretq_f32_u32(vshlq_n_u32::<23>(n)))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as above.
        unsafe { vaddvq_f32(self.0) }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: as above.
        unsafe { vmaxnmvq_f32(self.0) }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: as above; an array of four values is as large as the register stored.
        unsafe {
            let mut sums = [0.0; 4];
            let pairs = vpaddq_f32(vpaddq_f32(a.0, b.0), vpaddq_f32(c.0, d.0));
            vst1q_f32(sums.as_mut_ptr(), pairs);
            sums
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let pairs = vreinterpretq_u32_u16(vld1q_u16(from));
            let even = vshlq_n_u32::<16>(pairs);
            let odd = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
            (Self(vreinterpretq_f32_u32(even)), Self(vreinterpretq_f32_u32(odd)))
        }
    }

    #[inline(always)]
    unsafe fn apart(first: Self, second: Self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe { (Self(vuzp1q_f32(first.0, second.0)), Self(vuzp2q_f32(first.0, second.0))) }
    }

    #[inline(always)]
    unsafe fn together(even: Self, odd: Self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe { (Self(vzip1q_f32(even.0, odd.0)), Self(vzip2q_f32(even.0, odd.0))) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: as above; four bytes are read.
        unsafe {
            let bytes = vcreate_s8(u64::from(from.cast::<u32>().read_unaligned()));
            Self(vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes)))))
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn prefetch_far(_: *const f32) {}
}
