//! The scores of all answers for a query; [`options`](super::options) has the formula.

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
                Ok(self.index().unseen_offset(Some(projection)))
            }
            (0.0, _) => Ok(0.0),
            (offset, _) if !offset.is_finite() => refuse("expected a finite number"),
            (_, None) => refuse("without a projection that has heads"),
            (offset, Some(projection)) => self.index().answer_side(projection).map(|_| offset),
        }
    }

    /// The offset of unseen answers if answers are ranked by nothing but cosine and offset.
    pub(super) fn offset_of_cosines(&self, options: &SearchOptions<'_>) -> Result<Option<f64>> {
        if options.hybrid_weight()? > 0.0 || options.score_mode == ScoreMode::MaxNearestQuestion {
            return Ok(None);
        }
        self.offset(options).map(Some)
    }

    pub(super) fn scores(
        &self,
        query: &SearchQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Scores> {
        let index = self.index();
        let hybrid_weight = options.hybrid_weight()?;
        let unseen_offset = self.offset(options)?;
        let side = index.side_for(options.projection, unseen_offset)?;
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
        for (head, row) in self.index().rows_of_heads(residual.cluster_ids())? {
            answers[row] = answers[row].max(clusters[head]);
        }
        Ok(answers)
    }
}
