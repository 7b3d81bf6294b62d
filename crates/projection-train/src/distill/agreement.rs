//! Measuring a student beside its teacher.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::error::Result;
use crate::kernel;
use crate::projection::{Projection, TransformerProjection};

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
/// What either of them gives.
pub(super) fn agreement(
    teacher: &dyn Teacher,
    student: &TransformerProjection,
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    threads: usize,
) -> Result<Agreement> {
    let answers = answers.as_standard_layout();
    let answer_values = answers.as_slice().expect("made row-major");
    let (_, dim) = teacher.dims();
    let asked = questions.as_standard_layout();
    let wanted = teacher.teach(asked.as_slice().expect("made row-major"), threads)?;
    let mut found = Array2::zeros((questions.nrows(), dim));
    student.project_batch_into(questions, found.view_mut(), None)?;
    let found = found.as_slice().expect("made row-major");
    let pairs: Vec<(&[f32], &[f32])> = wanted.chunks(dim).zip(found.chunks(dim)).collect();
    let cosine = |(a, b): &(&[f32], &[f32])| kernel::cosine(a, b);
    let cosines: Vec<f64> = pairs.iter().map(cosine).collect();
    let first = |projected: &[f32]| {
        let mut scores = vec![0.0; answers.nrows()];
        kernel::dots(projected, answer_values, &mut scores);
        (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
    };
    let comparable = answers.nrows() > 0 && answers.ncols() == dim;
    let same_first = comparable.then(|| {
        let same = pairs.iter().filter(|(a, b)| first(a) == first(b)).count();
        same as f64 / pairs.len().max(1) as f64
    });
    Ok(Agreement {
        questions: pairs.len(),
        mean: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        min: cosines.iter().copied().fold(1.0, f64::min),
        same_first,
    })
}
