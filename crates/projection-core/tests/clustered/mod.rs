//! Vectors in clusters that overlap, as those of questions are.

use ndarray::Array2;

/// Rows around 120 points, `spread` from them. Every seed has the same points.
pub fn clustered(rows: usize, dim: usize, spread: f32, seed: u64) -> Array2<f32> {
    let values = |mut state: u64| {
        move || {
            let mut sum = 0.0;
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                sum += (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
            }
            sum
        }
    };
    let mut point = values(77);
    let points = Array2::from_shape_simple_fn((120, dim), &mut point);
    let mut noise = values(seed);
    Array2::from_shape_fn((rows, dim), |(row, at)| points[[row * 7 % 120, at]] + spread * noise())
}
