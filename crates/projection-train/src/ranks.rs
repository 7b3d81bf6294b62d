//! The rank of each question's right answer.

use ndarray::ArrayView2;

use crate::error::Result;
use crate::kernel::{gemm, parallel};

/// Scores that a thread keeps at a time.
const SCORES: usize = 1 << 18;

/// The rank of answer `labels[i]` for row i of `queries` (n × d) among all `answers`
/// (m × d), by dot product: 1 and the number of answers with a higher one.
///
/// The dot products are cosines if `answers` have length 1. The ranks do not depend on
/// `threads`. `poll` is called several times a second.
///
/// # Errors
/// Those of `poll`.
///
/// # Panics
/// If the dimensions differ, there are not as many labels as queries, or a label is not a row
/// of `answers`.
pub fn ranks(
    queries: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    threads: usize,
    poll: &mut parallel::Poll<'_>,
) -> Result<Vec<usize>> {
    let rank = |scores: &[f32], label: usize| rank_of(scores, scores[label]);
    ranks_by(queries, answers, labels, threads, poll, rank)
}

/// [`ranks`] where `offset` is added to the scores of the answers that are not `seen`.
pub(crate) fn raised_ranks(
    queries: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    (seen, offset): (&[bool], f32),
    threads: usize,
    poll: &mut parallel::Poll<'_>,
) -> Result<Vec<usize>> {
    ranks_by(queries, answers, labels, threads, poll, |scores, label| {
        let raised = |row: usize| scores[row] + if seen[row] { 0.0 } else { offset };
        let own = raised(label);
        1 + (0..scores.len()).filter(|row| raised(*row) > own).count()
    })
}

fn ranks_by(
    queries: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    threads: usize,
    poll: &mut parallel::Poll<'_>,
    rank_of: impl Fn(&[f32], usize) -> usize + Sync,
) -> Result<Vec<usize>> {
    assert_eq!(queries.ncols(), answers.ncols(), "dimensions of queries and answers");
    assert_eq!(queries.nrows(), labels.len(), "one label a query");
    let (queries, answers) = (queries.as_standard_layout(), answers.as_standard_layout());
    let [queries, answers] =
        [&queries, &answers].map(|rows| rows.as_slice().expect("the layout is row-major"));
    let dim = queries.len() / labels.len().max(1);
    map_scores(queries, answers, dim, threads, 1, poll, |row, scores, rank| {
        rank[0] = rank_of(scores, labels[row]);
    })
}

/// Calls `work` with the number of each query, its dot products with all `answers`, and its
/// row of the result (n × `width`). Work is shared among `threads`; the result does not
/// depend on their number.
///
/// # Errors
/// Those of `poll`.
pub(crate) fn map_scores<T: Clone + Default + Send>(
    queries: &[f32],
    answers: &[f32],
    dim: usize,
    threads: usize,
    width: usize,
    poll: &mut parallel::Poll<'_>,
    work: impl Fn(usize, &[f32], &mut [T]) + Sync,
) -> Result<Vec<T>> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let count = answers.len() / dim;
    let mut out = vec![T::default(); queries.len() / dim * width];
    let rows = (SCORES / count.max(1)).clamp(1, parallel::BLOCK_ROWS);
    parallel::parallel_chunks_until(threads, &mut out, width, rows, poll, |range, out, _| {
        let mut scores = vec![0.0; range.len() * count];
        gemm::matmul_nt(&queries[range.start * dim..range.end * dim], answers, dim, &mut scores);
        for ((row, scores), out) in range.zip(scores.chunks(count)).zip(out.chunks_mut(width)) {
            work(row, scores, out);
        }
    })?;
    Ok(out)
}

/// 1 and how many scores are higher than `own`.
pub(crate) fn rank_of(scores: &[f32], own: f32) -> usize {
    // Counted in blocks of a size at which the compiler keeps the counts in registers.
    let higher = |block: &[f32]| block.iter().map(|score| u32::from(*score > own)).sum::<u32>();
    1 + scores.chunks(1024).map(|block| higher(block) as usize).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn counts_higher_scores_only() {
        let answers = array![[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]];
        let queries = array![[1.0, 0.1], [0.1, 1.0], [0.6, 0.8]];
        for threads in [1, 3] {
            let go_on = &mut || Ok(());
            let found = ranks(queries.view(), answers.view(), &[0, 0, 3], threads, go_on);
            assert_eq!(found.unwrap(), [1, 4, 1]);
            let raised = (&[true, true, false, true][..], 0.5);
            let labels = [0, 0, 3];
            let found =
                raised_ranks(queries.view(), answers.view(), &labels, raised, threads, go_on);
            assert_eq!(found.unwrap(), [2, 4, 2]);
        }
    }
}
