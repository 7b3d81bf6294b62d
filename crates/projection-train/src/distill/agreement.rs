//! Measuring a student beside its teacher.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::error::Result;
use crate::kernel::{self, parallel::Poll};
use crate::projection::{Projection, TransformerProjection};
use crate::ranks::map_scores;

use super::Teacher;

/// How near a student is to its teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of questions.
    pub questions: usize,
    /// Mean cosine between the two projections of a question.
    #[serde(rename = "mean_cosine")]
    pub mean: f64,
    /// The lowest.
    #[serde(rename = "min_cosine")]
    pub min: f64,
    /// Share of the questions for which the same answer comes first by either, where there
    /// are answers of the projections' dimension.
    pub same_first: Option<f64>,
}

/// Measures how near `student` is to `teacher` on `questions` (n × d). Of `answers`, which
/// may have no rows, the nearest by either projection are compared.
///
/// # Errors
/// What either of them gives, and those of `poll`.
pub(super) fn agreement(
    teacher: &dyn Teacher,
    student: &TransformerProjection,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    threads: usize,
    poll: &mut Poll<'_>,
) -> Result<Agreement> {
    let answers = answers.as_standard_layout();
    let answer_values = answers.as_slice().expect("made row-major");
    let (_, dim) = teacher.dims();
    let asked = questions.as_standard_layout();
    let wanted = teacher.teach(asked.as_slice().expect("made row-major"), threads, poll)?;
    let mut found = Array2::zeros((questions.nrows(), dim));
    student.project_batch_on(1, questions, found.view_mut(), None, poll)?;
    let found = found.as_slice().expect("made row-major");
    let pairs: Vec<(&[f32], &[f32])> = wanted.chunks(dim).zip(found.chunks(dim)).collect();
    let cosine = |(a, b): &(&[f32], &[f32])| kernel::cosine(a, b);
    let cosines: Vec<f64> = pairs.iter().map(cosine).collect();
    let comparable = answers.nrows() > 0 && answers.ncols() == dim;
    let mut firsts = |projected| {
        map_scores(projected, answer_values, dim, threads, 1, poll, |_, scores, first| {
            let by_score = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a));
            first[0] = (0..scores.len()).max_by(by_score).expect("there are answers");
        })
    };
    let same_first = match comparable {
        true => {
            let (wanted, found) = (firsts(&wanted)?, firsts(found)?);
            let same = wanted.iter().zip(&found).filter(|(a, b)| a == b).count();
            Some(same as f64 / pairs.len().max(1) as f64)
        }
        false => None,
    };
    Ok(Agreement {
        questions: pairs.len(),
        mean: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        min: cosines.iter().copied().fold(1.0, f64::min),
        same_first,
    })
}
