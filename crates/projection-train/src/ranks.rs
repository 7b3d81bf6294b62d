//! The rank of each question's right answer.

use ndarray::ArrayView2;

use crate::kernel::{gemm, parallel};

/// Scores that a thread keeps at a time.
const SCORES: usize = 1 << 20;

/// The rank of answer `labels[i]` for row i of `queries` (n × d) among all `answers`
/// (m × d), by dot product: 1 and the number of answers with a higher one.
///
/// For cosines, `answers` are of length 1. `threads` may be anything above zero; the ranks
/// do not depend on it.
///
/// # Panics
/// Where the dimensions differ, there are not as many labels as queries, or a label is not
/// a row of `answers`.
pub fn ranks(
    queries: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    threads: usize,
) -> Vec<usize> {
    assert_eq!(queries.ncols(), answers.ncols(), "dimensions of queries and answers");
    assert_eq!(queries.nrows(), labels.len(), "one label a query");
    let (dim, count) = (queries.ncols(), answers.nrows());
    let (queries, answers) = (queries.as_standard_layout(), answers.as_standard_layout());
    let queries = queries.as_slice().expect("the layout is row-major");
    let answers = answers.as_slice().expect("the layout is row-major");
    let mut ranks = vec![0; labels.len()];
    let rows = (SCORES / count.max(1)).clamp(1, parallel::BLOCK_ROWS);
    parallel::parallel_chunks(threads, &mut ranks, 1, rows, |range, ranks| {
        let mut scores = vec![0.0; range.len() * count];
        let block = &queries[range.start * dim..range.end * dim];
        gemm::matmul_nt(block, answers, dim, &mut scores);
        for ((rank, label), scores) in
            ranks.iter_mut().zip(&labels[range]).zip(scores.chunks(count))
        {
            *rank = rank_of(scores, scores[*label]);
        }
    });
    ranks
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
            let found = ranks(queries.view(), answers.view(), &[0, 0, 3], threads);
            assert_eq!(found, [1, 4, 1]);
        }
    }
}
