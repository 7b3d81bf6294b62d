//! What the machine can do at most, for benchmarks to compare with.

use crate::dispatch::operations;
use crate::simd::Simd;

operations! {
    /// Multiplies and adds in registers, without reading or writing memory, `rounds` times what
    /// is returned first: operations, of which a fused multiply–add is two. The second value only
    /// keeps the work from being left out.
    pub fn multiply_adds(rounds: u64) -> (u64, f32) = multiply_adds_kernel;
    /// Reads all `values`; the sum only keeps the work from being left out.
    pub fn read(values: &[f32]) -> f32 = read_kernel;
}

/// Sums in turn: enough for the latency of two units at a time.
const CHAINS: usize = 12;

#[inline(always)]
fn multiply_adds_kernel<S: Simd<N>, const N: usize>(s: S, rounds: u64) -> (u64, f32) {
    let factor = s.splat(std::hint::black_box(0.999));
    let mut sums = [factor; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.mul_add(*sum, factor, factor);
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = s.add(total, *sum);
    }
    ((2 * CHAINS * N) as u64, s.sum(total))
}

#[inline(always)]
fn read_kernel<S: Simd<N>, const N: usize>(s: S, values: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    for block in values.as_chunks::<N>().0.as_chunks::<4>().0 {
        for a in 0..4 {
            sums[a] = s.add(sums[a], s.load(&block[a]));
        }
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
