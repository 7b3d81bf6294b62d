//! The scores of all answers for a query; [`options`](super::options) has the formula.

use std::ops::Range;
use std::sync::Arc;

use projection_core::projection::Projection;
use projection_core::search::{AnswerSide, Group, LexicalIndex};
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

impl Searcher {
    /// The offset of unseen answers: that of the options, or by default that of the projection if
    /// it is known which answers are unseen.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an offset that is not finite, and for one in the options
    /// if it is not known which answers are unseen.
    pub(super) fn offset(&self, options: &SearchOptions<'_>) -> Result<f64> {
        let refuse = |what: &str| {
            let message = format!("unseen offset {} {what}", options.unseen_offset);
            Err(Error::new(ErrorKind::InvalidArgument, message))
        };
        let heads = options.projection.filter(|projection| !projection.head_ids().is_empty());
        match (options.unseen_offset, heads) {
            (0.0, Some(projection)) if options.score_mode == ScoreMode::SeenUnseen => {
                let chosen = projection.unseen_offset().filter(|_| self.members().is_some());
                Ok(chosen.unwrap_or_default())
            }
            (0.0, _) => Ok(0.0),
            (offset, _) if !offset.is_finite() => refuse("expected a finite number"),
            (_, None) => refuse("without a projection that has heads"),
            (offset, Some(projection)) => self.answer_side(projection).map(|_| offset),
        }
    }

    /// The offset of unseen answers if answers are ranked by nothing but cosine and offset.
    pub(super) fn offset_of_cosines(&self, options: &SearchOptions<'_>) -> Result<Option<f64>> {
        if options.hybrid_weight()? > 0.0 || options.score_mode == ScoreMode::MaxNearestQuestion {
            return Ok(None);
        }
        self.offset(options).map(Some)
    }

    /// Calls `work` with the answers that may be found, where the projection moves them, in groups
    /// of one offset.
    pub(super) fn in_groups<R>(
        &self,
        options: &SearchOptions<'_>,
        offset: f64,
        work: impl FnOnce(&[Group<'_>]) -> R,
    ) -> Result<R> {
        let index = self.index();
        match self.side_for(options, offset)? {
            Some(side) => Ok(side.with_groups(index, options.allowed, offset as f32, work)),
            None => {
                let allowed = options.allowed.map(|ids| index.rows_of(ids));
                Ok(work(&[Group { index, rows: allowed.as_deref(), offset: 0.0 }]))
            }
        }
    }

    pub(super) fn scores(
        &self,
        query: &SearchQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Scores> {
        let index = self.index();
        let hybrid_weight = options.hybrid_weight()?;
        let unseen_offset = self.offset(options)?;
        let side = self.side_for(options, unseen_offset)?;
        let target = index.target(query.vector, options.projection)?;
        let cosine = match &side {
            Some(side) => side.scores(index, &target),
            None => index.scores(&target),
        };
        let mut total = cosine.clone();
        let nearest_question = match options.score_mode {
            ScoreMode::SeenUnseen | ScoreMode::Cosine => None,
            ScoreMode::MaxNearestQuestion => {
                let nearest = self.nearest_questions(query.vector, options.projection)?;
                for (total, nearest) in total.iter_mut().zip(&nearest) {
                    *total = total.max(NEAREST_QUESTION_FACTOR * nearest);
                }
                Some(nearest)
            }
        };
        if let Some(side) = side.filter(|_| unseen_offset != 0.0) {
            for (total, seen) in total.iter_mut().zip(side.seen()) {
                *total = total.clamp(-1.0, 1.0);
                if !seen {
                    *total += unseen_offset as f32;
                }
            }
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

    /// The answer side of the options' projection, if the search depends on it: if the projection
    /// moves answers and it is known which, or if there is an offset.
    fn side_for(
        &self,
        options: &SearchOptions<'_>,
        offset: f64,
    ) -> Result<Option<Arc<AnswerSide>>> {
        let moves = |projection: &dyn Projection| {
            projection.as_residual().is_some_and(|residual| residual.moves_answers())
        };
        let needed = |projection: &&dyn Projection| {
            offset != 0.0 || moves(*projection) && self.members().is_some()
        };
        let projection = options.projection.filter(needed);
        projection.map(|projection| self.answer_side(projection)).transpose()
    }

    /// The answers as a projection sees them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the answers' clusters are not known.
    pub(super) fn answer_side(&self, projection: &dyn Projection) -> Result<Arc<AnswerSide>> {
        self.answer_sides.get(projection, || self.make_answer_side(projection))
    }

    pub(super) fn make_answer_side(&self, projection: &dyn Projection) -> Result<AnswerSide> {
        let heads_of_rows = self.heads_of_rows(projection.head_ids())?;
        AnswerSide::new(self.index(), projection, heads_of_rows)
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
