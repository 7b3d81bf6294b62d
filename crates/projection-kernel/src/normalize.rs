//! Lengths of vectors, and vectors at length 1.

use crate::dot::{dot_f64, norm};

/// Divides a vector by its Euclidean norm, in double precision, and returns the norm. A vector
/// without a direction (zero, or not finite) stays as it is; its norm says so.
pub fn normalize(vector: &mut [f32]) -> f64 {
    let norm = norm(vector);
    if norm > 0.0 && norm.is_finite() {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
    norm
}

/// The values of a vector divided by its `norm`, which the caller knows already.
pub fn normalized(vector: &[f32], norm: f64) -> impl ExactSizeIterator<Item = f32> + Clone {
    vector.iter().map(move |value| (f64::from(*value) / norm) as f32)
}

/// The cosine of the angle between two vectors, from −1 to 1; 0 if one of them has no direction.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let norms = norm(a) * norm(b);
    if norms > 0.0 { (dot_f64(a, b) / norms).clamp(-1.0, 1.0) } else { 0.0 }
}

/// The Euclidean norm of a vector in double precision; not finite if a square is not.
pub fn norm_of_f64(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Multiplies a vector in double precision, and rounds it to single precision.
pub fn scale_and_round(exact: &mut [f64], factor: f64, rounded: &mut [f32]) {
    for (exact, rounded) in exact.iter_mut().zip(rounded) {
        *exact *= factor;
        *rounded = *exact as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one_unless_they_have_no_direction() {
        for scale in [1e-30f32, 1.0, 1e30] {
            let mut vector = [3.0 * scale, 0.0, -4.0 * scale];
            let unit: Vec<f32> = normalized(&vector, norm(&vector)).collect();
            let length = normalize(&mut vector);
            assert!((length / f64::from(scale) / 5.0 - 1.0).abs() < 1e-6);
            assert_eq!((vector, &unit[..]), ([0.6, 0.0, -0.8], &vector[..]));
        }
        let mut zero = [0.0; 3];
        assert_eq!((normalize(&mut zero), zero), (0.0, [0.0; 3]));
        assert!(!normalize(&mut [f32::INFINITY, 1.0]).is_finite());
    }

    #[test]
    fn cosines_are_of_directions() {
        assert_eq!(cosine(&[1e-20, 0.0], &[5.0, 0.0]), 1.0);
        assert_eq!(cosine(&[0.0, 2.0], &[0.0, -1e20]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[5.0, 0.0]), 0.0);
    }
}
