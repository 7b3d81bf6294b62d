//! Plain Rust, for CPUs without a vector type of their own. Small arrays, which the compiler
//! puts into whatever registers there are.

use super::Simd;

/// 4 values. There is no fused multiply–add: without an instruction for it, it is a slow call.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// A function of each value.
#[inline(always)]
fn each(of: impl Fn(usize) -> f32) -> [f32; 4] {
    [of(0), of(1), of(2), of(3)]
}

impl Simd<4> for Portable {
    type V = [f32; 4];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 4]) -> [f32; 4] {
        *from
    }

    #[inline(always)]
    fn store(self, value: [f32; 4], to: &mut [f32; 4]) {
        *to = value;
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        each(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn keep_if_at_least(self, value: [f32; 4], x: [f32; 4], limit: [f32; 4]) -> [f32; 4] {
        each(|i| if x[i] >= limit[i] { value[i] } else { 0.0 })
    }

    #[inline(always)]
    fn power_of_two(self, n: [f32; 4]) -> [f32; 4] {
        each(|i| f32::from_bits(n[i].to_bits().wrapping_add(127) << 23))
    }

    #[inline(always)]
    fn sum(self, [a, b, c, d]: [f32; 4]) -> f32 {
        (a + c) + (b + d)
    }

    #[inline(always)]
    fn largest(self, [a, b, c, d]: [f32; 4]) -> f32 {
        a.max(b).max(c.max(d))
    }

    #[inline(always)]
    fn sums(self, four: [[f32; 4]; 4]) -> [f32; 4] {
        each(|i| self.sum(four[i]))
    }

    #[inline(always)]
    fn load_bf16(self, from: &[[u16; 4]; 2]) -> ([f32; 4], [f32; 4]) {
        let pairs = from.as_flattened();
        let value = |at: usize| f32::from_bits(u32::from(pairs[at]) << 16);
        (each(|i| value(2 * i)), each(|i| value(2 * i + 1)))
    }

    #[inline(always)]
    fn deinterleave(self, a: [f32; 4], b: [f32; 4]) -> ([f32; 4], [f32; 4]) {
        ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]])
    }

    #[inline(always)]
    fn interleave(self, even: [f32; 4], odd: [f32; 4]) -> ([f32; 4], [f32; 4]) {
        ([even[0], odd[0], even[1], odd[1]], [even[2], odd[2], even[3], odd[3]])
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8; 4]) -> [f32; 4] {
        from.map(f32::from)
    }
}
