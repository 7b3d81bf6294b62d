//! The scores of all answers for a query; [`options`](super::options) has the formula.

use std::ops::Range;

use projection_core::projection::Projection;
use projection_core::search::LexicalIndex;
use projection_core::{Error, ErrorKind, Result};

use super::options::{NEAREST_QUESTION_FACTOR, ScoreMode, SearchOptions, SearchQuery};
use super::{Hit, Index, Searcher, fuse};

/// The scores of all answers, each part in the order of the index.
pub(super) struct Scores {
    /// Cosine with the query or its projection.
    pub cosine: Vec<f32>,
    /// Cosine with the nearest training question of the answer's cluster, if it counts; −∞ for
    /// answers without any.
    pub nearest_question: Option<Vec<f32>>,
    /// Whether the projection has a head for the answer, if that counts.
    pub seen: Option<Vec<bool>>,
    /// BM25, 0 for answers that share no word, if words count.
    pub bm25: Option<Vec<f64>>,
    /// What answers are ranked by.
    pub total: Vec<f32>,
    /// The weight of BM25.
    pub hybrid_weight: f64,
    /// The offset of unseen answers.
    pub unseen_offset: f64,
    /// Whether `total` is a cosine, which rounding must not make more than 1.
    is_cosine: bool,
}

impl Scores {
    /// The k best answers, of those that are allowed.
    pub(super) fn best(&self, index: &Index, options: &SearchOptions<'_>) -> Vec<Hit> {
        let allowed = options.allowed.map(|ids| index.rows_of(ids));
        let mut best = index.best(allowed.as_deref(), &self.total, options.k);
        if self.is_cosine {
            for hit in &mut best {
                hit.score = hit.score.clamp(-1.0, 1.0);
            }
        }
        best
    }
}

/// Whether answers are ranked by the cosine alone.
pub(super) fn is_plain(options: &SearchOptions<'_>, hybrid_weight: f64) -> bool {
    hybrid_weight == 0.0 && options.score_mode == ScoreMode::Cosine && options.unseen_offset == 0.0
}

impl Searcher {
    pub(super) fn scores(
        &self,
        query: &SearchQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Scores> {
        let index = self.index();
        let hybrid_weight = options.hybrid_weight()?;
        let cosine = index.scores(&index.target(query.vector, options.projection)?);
        let mut total = cosine.clone();
        let nearest_question = match options.score_mode {
            ScoreMode::Cosine | ScoreMode::SeenUnseen => None,
            ScoreMode::MaxNearestQuestion => {
                let nearest = self.nearest_questions(query.vector, options.projection)?;
                for (total, nearest) in total.iter_mut().zip(&nearest) {
                    *total = total.max(NEAREST_QUESTION_FACTOR * nearest);
                }
                Some(nearest)
            }
        };
        let mut seen = None;
        let unseen_offset = options.effective_offset();
        if unseen_offset != 0.0 || options.score_mode == ScoreMode::SeenUnseen {
            let answers = self.seen_for_offset(options)?;
            for (total, seen) in total.iter_mut().zip(&answers) {
                if !seen {
                    *total += unseen_offset as f32;
                }
            }
            seen = Some(answers);
        }
        let mut bm25 = None;
        if hybrid_weight > 0.0 {
            let words = self.word_scores(query)?;
            fuse(&mut total, &words, hybrid_weight);
            bm25 = Some(words);
        }
        let is_cosine = bm25.is_none() && unseen_offset == 0.0;
        Ok(Scores {
            cosine,
            nearest_question,
            seen,
            bm25,
            total,
            hybrid_weight,
            unseen_offset,
            is_cosine,
        })
    }

    /// BM25 of every answer, 0 for those without a word of the query.
    fn word_scores(&self, query: &SearchQuery<'_>) -> Result<Vec<f64>> {
        let Some(text) = query.text else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "hybrid search without the query's text",
            ));
        };
        let mut scores = vec![0.0; self.index().len()];
        for (row, score) in self.bm25()?.scores(text)? {
            scores[row as usize] = score;
        }
        Ok(scores)
    }

    fn nearest_questions(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
    ) -> Result<Vec<f32>> {
        let residual = projection.and_then(|projection| projection.as_residual());
        let residual = residual.filter(|residual| !residual.cluster_ids().is_empty());
        let Some(residual) = residual else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "max-nearest-question without a residual projection that holds training \
                 questions",
            ));
        };
        let clusters = residual.nearest_question_scores(query)?;
        let mut answers = vec![f32::NEG_INFINITY; self.index().len()];
        for (head, row) in self.heads_of_rows(residual.cluster_ids())? {
            answers[row] = answers[row].max(clusters[head]);
        }
        Ok(answers)
    }

    fn seen_for_offset(&self, options: &SearchOptions<'_>) -> Result<Vec<bool>> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        let offset = options.effective_offset();
        if !offset.is_finite() {
            return refuse(format!("unseen offset {offset}, expected a finite number"));
        }
        match options.projection {
            Some(projection) if !projection.head_ids().is_empty() => self.seen(projection),
            _ => refuse(format!("unseen offset {offset} without a projection that has heads")),
        }
    }

    /// For each answer whether the projection has a head for it.
    pub(super) fn seen(&self, projection: &dyn Projection) -> Result<Vec<bool>> {
        let mut seen = vec![false; self.index().len()];
        for (_, row) in self.heads_of_rows(projection.head_ids())? {
            seen[row] = true;
        }
        Ok(seen)
    }

    /// Numbers of heads, whose clusters ascend, each with the row of an answer in its cluster.
    fn heads_of_rows(&self, head_ids: &[i64]) -> Result<Vec<(usize, usize)>> {
        let Some(members) = self.members() else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the answers' clusters are not known, expected answers of a store",
            ));
        };
        let mut found = Vec::with_capacity(head_ids.len());
        let mut rest = 0;
        for (head, cluster) in head_ids.iter().enumerate() {
            let of_cluster: Range<usize> = {
                let start = rest + members[rest..].partition_point(|(id, _)| id < cluster);
                start..start + members[start..].partition_point(|(id, _)| id <= cluster)
            };
            rest = of_cluster.end;
            found.extend(members[of_cluster].iter().map(|(_, row)| (head, *row)));
        }
        Ok(found)
    }
}
