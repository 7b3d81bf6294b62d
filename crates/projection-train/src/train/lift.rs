//! The lift: the direction that raises the answers that have no questions.
//!
//! u = (AᵀA + λI)⁻¹ Aᵀt with the answers as the rows of A, t = 1 for an answer without
//! questions and 0 for others, less the mean of t.

use super::TrainingData;
use super::solve::{gram, solve};
use crate::error::Result;

/// λ.
const RIDGE: f64 = 0.1;

/// The direction u (d); zero where all answers have questions, or none.
pub(super) fn lift_direction(data: &TrainingData, threads: usize) -> Result<Vec<f32>> {
    let (seen, dim) = (data.seen(), data.dim());
    let mean = seen.iter().filter(|seen| !**seen).count() as f64 / seen.len() as f64;
    let mut target = vec![0.0f64; dim];
    for (answer, seen) in data.answers().rows().into_iter().zip(&seen) {
        let t = f64::from(u8::from(!seen)) - mean;
        target.iter_mut().zip(answer).for_each(|(sum, value)| *sum += t * f64::from(*value));
    }
    let mut matrix = gram(data.answer_values(), dim, threads);
    (0..dim).for_each(|i| matrix[i * dim + i] += RIDGE);
    solve(&mut matrix, &mut target, dim)?;
    Ok(target.into_iter().map(|value| value as f32).collect())
}
