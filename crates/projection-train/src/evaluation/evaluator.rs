//! The methods that are compared, and the ranks they give the right answers.
//!
//! Every method scores all answers for a question. The rank of the right answer is 1 and the
//! number of answers with a higher score; where several are right (wordings of one answer),
//! the best of them counts. An answer that a method gives no score (BM25 without a common
//! word, the nearest question of an answer that has none) is not found at all.

use std::borrow::Cow;

use crate::TrainingData;
use crate::error::Result;
use crate::kernel;
use crate::kernel::gemm;
use crate::kernel::parallel::{Poll, parallel_chunks_until};
use crate::projection::{Model, Projection};
use crate::ranks::rank_of;
use crate::search::{DEFAULT_HYBRID_WEIGHT, LexicalIndex, fuse};

use super::{Corpus, EvaluationQueries};

/// The rank of an answer that is not found.
pub const NOT_FOUND: usize = usize::MAX;

/// Questions that are scored at a time.
const BLOCK: usize = 128;

/// A way of finding answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Cosine of question and answer.
    Cosine,
    /// BM25 of the question's words in the answer's text.
    Bm25,
    /// The highest cosine with a training question of the answer.
    NearestQuestion,
    /// The higher of cosine and nearest question.
    CosineOrQuestion,
    /// A multi-head projection at τ = 0.1, trained on the store's questions.
    MultiHead,
    /// The projection with this place among those that were chosen.
    Candidate(usize),
    /// The same fused with BM25 as hybrid search does it, at the weight that training chose,
    /// else [`DEFAULT_HYBRID_WEIGHT`].
    CandidateWithBm25(usize),
}

/// What a method found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The method.
    pub method: Method,
    /// Rank of the right answer to each question, or [`NOT_FOUND`].
    pub ranks: Vec<usize>,
    /// Row of the first answer, if there is any.
    pub first: Vec<Option<usize>>,
    /// Of a rounded model, the cosine of each projected question with what the exact model
    /// makes of it; else empty.
    pub cosines_with_exact: Vec<f64>,
}

/// Measures all methods on evaluation queries.
pub(super) struct Evaluator<'a> {
    pub corpus: &'a Corpus,
    /// The questions of the store that may be used.
    pub training: Option<&'a TrainingData>,
    /// Models with the method that each stands for.
    pub models: Vec<(Method, &'a Model)>,
    /// The weight of BM25 for each candidate.
    pub weights: Vec<f64>,
    /// `None` if answers or questions have no texts.
    pub lexical: Option<&'a dyn LexicalIndex>,
    pub threads: usize,
}

impl Evaluator<'_> {
    /// What every method finds. `progress` gets the number of queries that are done, several times
    /// a second.
    pub fn measure(
        &self,
        queries: &EvaluationQueries,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Found>> {
        let new = |method| Found {
            method,
            ranks: Vec::new(),
            first: Vec::new(),
            cosines_with_exact: Vec::new(),
        };
        let mut found: Vec<Found> = self.methods().into_iter().map(new).collect();
        let labels = self.training.map(|data| self.corpus.rows_of_labels(data));
        let moved = self.models.iter().map(|(_, model)| self.corpus.moved_by(model));
        let moved = moved.collect::<Result<Vec<_>>>()?;
        for start in (0..queries.len()).step_by(BLOCK) {
            let range = start..(start + BLOCK).min(queries.len());
            let block = queries.queries.slice(ndarray::s![range.clone(), ..]);
            let texts = &queries.texts[range.clone()];
            let poll = &mut || progress(start);
            let scores = self.scores(block, texts, labels.as_deref(), &moved, poll)?;
            for (method, scores) in scores {
                let own = found.iter_mut().find(|found| found.method == method);
                let own = own.expect("methods are those that are scored");
                let rows = scores.chunks(self.corpus.len()).zip(&queries.right[range.clone()]);
                for (scores, right) in rows {
                    own.ranks.push(rank(scores, right));
                    own.first.push(first(scores));
                }
            }
            progress(range.end)?;
        }
        Ok(found)
    }

    fn methods(&self) -> Vec<Method> {
        let mut methods = vec![Method::Cosine];
        methods.extend(self.lexical.map(|_| Method::Bm25));
        if self.training.is_some() {
            methods.extend([Method::NearestQuestion, Method::CosineOrQuestion]);
        }
        for (method, _) in &self.models {
            methods.push(*method);
            if let (Method::Candidate(place), Some(_)) = (method, self.lexical) {
                methods.push(Method::CandidateWithBm25(*place));
            }
        }
        methods
    }

    /// The scores (n × m) of every method for some questions.
    fn scores(
        &self,
        queries: ndarray::ArrayView2<'_, f32>,
        texts: &[Option<String>],
        labels: Option<&[Vec<usize>]>,
        moved: &[Cow<'_, [f32]>],
        poll: &mut Poll<'_>,
    ) -> Result<Vec<(Method, Vec<f32>)>> {
        let count = self.corpus.len();
        let units = unit_rows(queries);
        let cosines = self.cosines(&units, poll)?;
        let mut scores = Vec::new();
        let lexical = self.lexical.map(|lexical| bm25(lexical, texts, count, poll)).transpose()?;
        if let (Some(data), Some(labels)) = (self.training, labels) {
            let questions = data.questions().to_slice().expect("row-major");
            let similar = self.dots(&units, questions, poll)?;
            let mut nearest = vec![f32::NEG_INFINITY; cosines.len()];
            let rows = nearest.chunks_mut(count).zip(similar.chunks(data.labels().len()));
            for (nearest, similar) in rows {
                for (similarity, label) in similar.iter().zip(data.labels()) {
                    for row in &labels[*label] {
                        nearest[*row] = nearest[*row].max(*similarity);
                    }
                }
            }
            let higher = nearest.iter().zip(&cosines).map(|(a, b)| a.max(*b)).collect();
            scores.push((Method::NearestQuestion, nearest));
            scores.push((Method::CosineOrQuestion, higher));
        }
        for ((method, model), answers) in self.models.iter().zip(moved) {
            let cosines = self.projected(model, answers, queries, poll)?;
            if let (Method::Candidate(place), Some(lexical)) = (method, &lexical) {
                let mut fused = cosines.clone();
                let rows = fused.chunks_mut(count).zip(lexical.chunks(count));
                rows.for_each(|(scores, words)| fuse(scores, words, self.weights[*place]));
                scores.push((Method::CandidateWithBm25(*place), fused));
            }
            scores.push((*method, cosines));
        }
        scores.extend(lexical.map(|words| {
            // An answer without a common word is not found.
            let found = |score: f64| if score > 0.0 { score as f32 } else { f32::NEG_INFINITY };
            (Method::Bm25, words.into_iter().map(found).collect())
        }));
        scores.push((Method::Cosine, cosines));
        Ok(scores)
    }

    /// Cosines (n × m) of projected questions with the answers where the model moves them, those
    /// of unseen answers with the model's offset, as a store's search scores them.
    pub fn projected(
        &self,
        model: &Model,
        answers: &[f32],
        queries: ndarray::ArrayView2<'_, f32>,
        poll: &mut Poll<'_>,
    ) -> Result<Vec<f32>> {
        let mut projected = ndarray::Array2::zeros((queries.nrows(), model.output_dim()));
        model.project_batch_on(1, queries, projected.view_mut(), None, poll)?;
        let mut scores = self.dots(&unit_rows(projected.view()), answers, poll)?;
        let offset = model.unseen_offset().unwrap_or_default() as f32;
        if offset != 0.0 {
            let seen = self.corpus.in_clusters(model.head_ids().iter().copied());
            for scores in scores.chunks_mut(seen.len()) {
                let unseen = scores.iter_mut().zip(&seen).filter(|(_, seen)| !**seen);
                unseen.for_each(|(score, _)| *score += offset);
            }
        }
        Ok(scores)
    }

    fn cosines(&self, units: &[f32], poll: &mut Poll<'_>) -> Result<Vec<f32>> {
        self.dots(units, self.corpus.units(), poll)
    }

    fn dots(&self, units: &[f32], vectors: &[f32], poll: &mut Poll<'_>) -> Result<Vec<f32>> {
        let (dim, count) = (self.corpus.dim(), vectors.len() / self.corpus.dim());
        let mut dots = vec![0.0; units.len() / dim * count];
        let (threads, rows) = (self.threads, BLOCK / 4);
        parallel_chunks_until(threads, &mut dots, count, rows, poll, |range, out, _| {
            gemm::matmul_nt(&units[range.start * dim..range.end * dim], vectors, dim, out);
        })?;
        Ok(dots)
    }
}

/// The rank of the best of the rows in `right`.
pub(super) fn rank(scores: &[f32], right: &[usize]) -> usize {
    let own = right.iter().map(|row| scores[*row]).fold(f32::NEG_INFINITY, f32::max);
    if own == f32::NEG_INFINITY { NOT_FOUND } else { rank_of(scores, own) }
}

/// The row with the highest score, the first of equal ones.
fn first(scores: &[f32]) -> Option<usize> {
    let mut best = (None, f32::NEG_INFINITY);
    for (row, score) in scores.iter().enumerate() {
        if *score > best.1 {
            best = (Some(row), *score);
        }
    }
    best.0
}

/// Scores (n × m), 0 for answers that share no word with the question.
fn bm25(
    lexical: &dyn LexicalIndex,
    texts: &[Option<String>],
    count: usize,
    poll: &mut Poll<'_>,
) -> Result<Vec<f64>> {
    let mut scores = vec![0.0; texts.len() * count];
    for (text, scores) in texts.iter().zip(scores.chunks_mut(count)) {
        poll()?;
        for (row, score) in lexical.scores(text.as_deref().unwrap_or_default())? {
            scores[row as usize] = score;
        }
    }
    Ok(scores)
}

/// The weight of BM25 that a model is fused with.
pub(super) fn weight_of(model: &Model) -> f64 {
    model.hybrid_weight().unwrap_or(DEFAULT_HYBRID_WEIGHT)
}

/// Rows at length 1; a projection may be zero, which stays.
fn unit_rows(rows: ndarray::ArrayView2<'_, f32>) -> Vec<f32> {
    let mut units: Vec<f32> = rows.iter().copied().collect();
    units.chunks_mut(rows.ncols()).for_each(|unit| {
        kernel::normalize(unit);
    });
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_one_and_of_several_right_answers() {
        let none = f32::NEG_INFINITY;
        let scores = [0.4, 0.9, 0.5, none];
        assert_eq!(rank(&scores, &[2]), 2);
        assert_eq!(rank(&scores, &[0, 1]), 1);
        assert_eq!(rank(&scores, &[0, 3]), 3);
        assert_eq!(rank(&scores, &[3]), NOT_FOUND);
        assert_eq!((first(&scores), first(&[none, none])), (Some(1), None));
    }
}
