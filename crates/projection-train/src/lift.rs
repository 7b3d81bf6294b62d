//! The lift: the direction that raises the answers that have no questions.
//!
//! u = (AᵀA + λI)⁻¹ Aᵀt with the answers as the rows of A, t = 1 for an answer without
//! questions and 0 for others, less the mean of t.

use crate::TrainingData;
use crate::error::Result;
use crate::linalg::Ridge;

/// λ.
const RIDGE: f64 = 0.1;

/// The direction u (d); zero where all answers have questions, or none.
pub(super) fn lift_direction(data: &TrainingData) -> Result<Vec<f32>> {
    let seen = data.seen();
    let mean = seen.iter().filter(|seen| !**seen).count() as f64 / seen.len() as f64;
    let target = |seen: &bool| (f64::from(u8::from(!seen)) - mean) as f32;
    let targets: Vec<f32> = seen.iter().map(target).collect();
    let direction =
        Ridge::new(data.answer_values(), data.dim(), &targets, 1).solve(RIDGE, false)?;
    Ok(direction.into_raw_vec_and_offset().0)
}
