//! What the machine can do at most, for benchmarks to compare with.

use super::lanes::Lanes;
use super::table::kernels;

/// Multiplies and adds in registers, without reading or writing memory, `rounds` times what
/// is returned first: operations, of which a fused multiply–add is two. The second value
/// only keeps the work from being left out.
pub fn multiply_adds(rounds: u64) -> (u64, f32) {
    let (lanes, sum) = (kernels().multiply_adds)(rounds);
    (2 * CHAINS as u64 * lanes as u64, sum)
}

/// Reads all `values`; the sum only keeps the work from being left out.
pub fn read(values: &[f32]) -> f32 {
    (kernels().read)(values)
}

/// Sums in turn: enough for the latency of two units at a time.
const CHAINS: usize = 12;

/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn chains<L: Lanes>(rounds: u64) -> (usize, f32) {
    // SAFETY: by this function's own condition.
    unsafe {
        let factor = L::splat(std::hint::black_box(0.999));
        let mut sums = [factor; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.multiply_add(factor, factor);
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = total.add(*sum);
        }
        (L::COUNT, total.sum())
    }
}
