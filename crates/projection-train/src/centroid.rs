//! The centroid of a cluster's questions.

use ndarray::ArrayView2;

use crate::error::{Error, ErrorKind, Result};

/// Rounds of re-weighting.
const ROUNDS: usize = 3;

/// The iteratively weighted mean (d) of a cluster's questions (n × d), of unit length.
///
/// Starts from equal weights; three times takes the weighted mean, normalises it, and sets
/// the weights to softmax(questions · mean), so that questions far from the others count
/// less. The questions are used as they are, which for unit vectors means by cosine. This
/// is how the existing Python code trains the heads of a multi-head projection.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for no questions, [`ErrorKind::NotFinite`] for questions
/// with NaN or infinity, [`ErrorKind::ZeroVector`] if the questions cancel out.
pub fn weighted_centroid(questions: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
    centroid_and_weights(questions).map(|(centroid, _)| centroid)
}

/// [`weighted_centroid`] and the weights of the questions, which sum to 1.
pub(super) fn centroid_and_weights(questions: ArrayView2<'_, f32>) -> Result<(Vec<f32>, Vec<f64>)> {
    let (count, dim) = questions.dim();
    if count == 0 {
        return Err(Error::new(ErrorKind::InvalidArgument, "a centroid of no questions"));
    }
    let mut weights = vec![1.0 / count as f64; count];
    let mut mean = vec![0.0f64; dim];
    for _ in 0..ROUNDS {
        mean.fill(0.0);
        for (question, weight) in questions.rows().into_iter().zip(&weights) {
            for (mean, value) in mean.iter_mut().zip(question) {
                *mean += weight * f64::from(*value);
            }
        }
        let norm = mean.iter().map(|value| value * value).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(Error::new(ErrorKind::NotFinite, "questions with NaN or infinity"));
        }
        if norm < 1e-12 {
            return Err(Error::new(ErrorKind::ZeroVector, "the questions cancel out, no mean"));
        }
        mean.iter_mut().for_each(|value| *value /= norm);

        for (weight, question) in weights.iter_mut().zip(questions.rows()) {
            *weight = question.iter().zip(&mean).map(|(q, m)| f64::from(*q) * m).sum();
        }
        let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - top).exp());
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    Ok((mean.into_iter().map(|value| value as f32).collect(), weights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn follows_the_definition() {
        // Worked by hand to the first weights: mean (2, 1)/√5, dots 2/√5, 2/√5 and 1/√5.
        let questions = array![[1.0f32, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let mut ratio: f64 = 0.5;
        for _ in 1..ROUNDS {
            let norm = (1.0 + ratio * ratio).sqrt();
            let (near, far) = ((1.0 / norm).exp(), (ratio / norm).exp());
            ratio = far / (2.0 * near);
        }
        let centroid = weighted_centroid(questions.view()).unwrap();
        let norm = (1.0 + ratio * ratio).sqrt();
        assert!((f64::from(centroid[0]) - 1.0 / norm).abs() < 1e-7, "{centroid:?}");
        assert!((f64::from(centroid[1]) - ratio / norm).abs() < 1e-7, "{centroid:?}");
    }

    #[test]
    fn needs_questions_with_a_direction() {
        let kind = |questions: ndarray::Array2<f32>| {
            weighted_centroid(questions.view()).unwrap_err().kind()
        };
        assert_eq!(kind(ndarray::Array2::zeros((0, 3))), ErrorKind::InvalidArgument);
        assert_eq!(kind(array![[1.0, 0.0], [-1.0, 0.0]]), ErrorKind::ZeroVector);
        assert_eq!(kind(array![[1.0, f32::NAN]]), ErrorKind::NotFinite);
    }
}
