//! A vector register of single precision values, for one loop body on every instruction set.

/// A register of [`COUNT`](Self::COUNT) values.
///
/// # Safety
/// Every function may be called only where the CPU has the instructions of the type, and
/// only from code that is compiled for them (else it is correct, but slow). Pointers need no
/// alignment; they must be valid for as many values as are read or written.
pub(super) unsafe trait Lanes: Copy {
    const COUNT: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` values, fewer than [`COUNT`](Self::COUNT), and zeros after them.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Stores the first `count` values only.
    unsafe fn store_part(self, to: *mut f32, count: usize);

    /// The first `count` values, fewer than [`COUNT`](Self::COUNT), and zeros after them.
    unsafe fn first(self, count: usize) -> Self;

    /// self·b + c, rounded once.
    unsafe fn multiply_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn subtract(self, b: Self) -> Self;
    unsafe fn multiply(self, b: Self) -> Self;
    unsafe fn max(self, b: Self) -> Self;
    /// The values where those of `x` are at least those of `limit`, else 0.
    unsafe fn where_at_least(self, x: Self, limit: Self) -> Self;
    /// 2ⁿ, for n in the lowest bits of the values.
    unsafe fn power_of_two(self) -> Self;

    unsafe fn sum(self) -> f32;
    unsafe fn largest(self) -> f32;
    /// The sum of each.
    unsafe fn sums(four: [Self; 4]) -> [f32; 4];

    /// 2·COUNT half-wide values (bfloat16) as those of even and those of odd number.
    unsafe fn load_bf16(from: *const u16) -> (Self, Self);
    /// Values of even and of odd number, of two registers in turn.
    unsafe fn apart(first: Self, second: Self) -> (Self, Self);
    /// The inverse of [`apart`](Self::apart).
    unsafe fn together(even: Self, odd: Self) -> (Self, Self);
    /// COUNT bytes as numbers.
    unsafe fn load_i8(from: *const i8) -> Self;

    /// A hint that what lies there will be read soon; the address need not be valid.
    unsafe fn prefetch(at: *const f32);
    /// [`prefetch`](Self::prefetch) into the second-level cache.
    unsafe fn prefetch_far(at: *const f32);
}

/// exp(x) for x ≤ 0, to 2 units in the last place; 0 where it is below 1e-37.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn exp<L: Lanes>(x: L) -> L {
    use super::body::{COEFFICIENTS, LN_2, LOWEST, ROUND};
    // SAFETY: by this function's own condition.
    unsafe {
        // exp(x) = 2ⁿ·exp(r) with an integer n and |r| ≤ ln 2 / 2.
        let lowest = L::splat(LOWEST);
        let bounded = x.max(lowest);
        let rounded = bounded.multiply_add(L::splat(std::f32::consts::LOG2_E), L::splat(ROUND));
        let n = rounded.subtract(L::splat(ROUND));
        let r = n.multiply_add(L::splat(-LN_2.0), bounded);
        let r = n.multiply_add(L::splat(-LN_2.1), r);
        let mut tail = L::splat(COEFFICIENTS[0]);
        for coefficient in &COEFFICIENTS[1..] {
            tail = tail.multiply_add(r, L::splat(*coefficient));
        }
        let value = tail.multiply_add(r.multiply(r), r).add(L::splat(1.0));
        value.multiply(rounded.power_of_two()).where_at_least(x, lowest)
    }
}
