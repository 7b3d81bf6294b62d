//! Why a search found what it found.

use std::collections::HashMap;

use projection_core::npy::NpyArray;
use projection_core::projection::{Projection, ResidualProjection};
use projection_core::search::better_first;
use projection_core::{Result, kernel};

use super::searcher::Origin;
use super::{Hit, SearchOptions, SearchQuery, SearchResult, Searcher};
use crate::embeddings::{EmbeddedText, EmbeddingModel};
use crate::store::Store;

/// Least cosine of the vectors of one question, as stored and as trained on.
const SAME_QUESTION: f64 = 0.99999;

/// What moved a query, how far, and how the answers' ranks changed.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Explanation {
    /// Angle between the query and its projection in degrees, from 0 to 180; `None` without a
    /// projection, or if the two have different dimensions.
    pub angle: Option<f64>,
    /// Routing weights by cluster, ascending; empty for projections without heads.
    pub heads: Vec<(i64, f32)>,
    /// The training questions behind these weights, the largest weight first, for residual
    /// projections.
    pub questions: Vec<ExplainedQuestion>,
    /// Whether the questions move the query, as the rotation of a residual projection does.
    /// Otherwise they only determine the routing weights.
    pub questions_move: bool,
    /// The weight of BM25 in the scores; 0 if words did not count.
    pub hybrid_weight: f64,
    /// The offset of unseen answers; 0 if there was none.
    pub unseen_offset: f64,
    /// The answers that were found, best first.
    pub hits: Vec<ExplainedHit>,
}

/// A training question near the query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplainedQuestion {
    /// The question's cluster.
    pub cluster_id: i64,
    /// Its row among the model's questions of the cluster.
    pub row: usize,
    /// Its cosine with the query.
    pub similarity: f64,
    /// Its weight; all weights sum to 1.
    pub weight: f64,
    /// Its id and text, if the searcher comes from a store that still has it.
    pub question: Option<(i64, String)>,
}

/// An answer that was found, with the parts of its score.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplainedHit {
    /// The answer's id.
    pub answer_id: i64,
    /// What it was ranked by.
    pub score: f32,
    /// Rank from 1.
    pub rank: usize,
    /// Rank and score by plain cosine, without projection, words and options; `None` if query
    /// and answers have different dimensions.
    pub before: Option<(usize, f32)>,
    /// Cosine with the query, or with its projection.
    pub cosine: f32,
    /// Cosine of the query with the nearest training question of the answer's cluster, if it
    /// counted and there is one.
    pub nearest_question: Option<f32>,
    /// BM25, if words counted.
    pub bm25: Option<f64>,
    /// Whether the projection has a head for it; `None` if the projection has no heads or the
    /// answers' clusters are not known.
    pub seen: Option<bool>,
}

impl From<Explanation> for SearchResult {
    fn from(explanation: Explanation) -> Self {
        let hit = |hit: &ExplainedHit| Hit { answer_id: hit.answer_id, score: hit.score };
        Self {
            hits: explanation.hits.iter().map(hit).collect(),
            hybrid_weight: explanation.hybrid_weight,
            unseen_offset: explanation.unseen_offset,
        }
    }
}

impl Searcher {
    /// Searches as [`search`](Self::search) does and says why the answers were found. Texts of
    /// training questions are read from the store again.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn explain(
        &self,
        query: &SearchQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<Explanation> {
        let scores = self.scores(query, options)?;
        let index = self.index();
        let heads = options.projection.filter(|projection| !projection.head_ids().is_empty());
        let seen = heads.and_then(|projection| index.answer_side(projection).ok());
        let before = (query.vector.len() == index.dim())
            .then(|| index.target(query.vector, None).map(|target| index.scores(&target)))
            .transpose()?;
        let row_of: HashMap<i64, usize> =
            index.ids().iter().enumerate().map(|(row, id)| (*id, row)).collect();
        let explain = |(number, hit): (usize, Hit)| {
            let row = row_of[&hit.answer_id];
            ExplainedHit {
                answer_id: hit.answer_id,
                score: hit.score,
                rank: number + 1,
                before: before
                    .as_ref()
                    .map(|scores| (rank(index.ids(), scores, row), scores[row].clamp(-1.0, 1.0))),
                cosine: scores.cosine[row].clamp(-1.0, 1.0),
                nearest_question: (scores.nearest_question.as_ref())
                    .map(|nearest| nearest[row])
                    .filter(|nearest| nearest.is_finite()),
                bm25: scores.bm25.as_ref().map(|bm25| bm25[row]),
                seen: seen.as_ref().map(|side| side.seen()[row]),
            }
        };
        let hits = scores.best(index, options).into_iter().enumerate().map(explain).collect();
        let mut explanation = Explanation {
            hybrid_weight: scores.hybrid_weight,
            unseen_offset: scores.unseen_offset,
            hits,
            ..Default::default()
        };
        if let Some(projection) = options.projection {
            explanation.explain_projection(query.vector, projection, self.origin())?;
        }
        Ok(explanation)
    }

    /// The texts of a model's training questions, in the order of the model; `None` for a
    /// question that the store no longer has.
    pub fn training_questions(&self, residual: &ResidualProjection) -> Vec<Option<String>> {
        let mut texts = QuestionTexts::new(self.origin(), residual);
        let clusters = residual.clusters_of_questions().enumerate();
        clusters.map(|(number, cluster)| Some(texts.of(cluster, number)?.1)).collect()
    }
}

impl Explanation {
    /// Says how a projection moves a query, without a search: there are no hits and no texts of
    /// training questions.
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    pub fn of_projection(query: &[f32], projection: &dyn Projection) -> Result<Self> {
        let mut explanation = Self::default();
        explanation.explain_projection(query, projection, None)?;
        Ok(explanation)
    }

    /// `origin` is the store that texts of training questions are read from.
    fn explain_projection(
        &mut self,
        query: &[f32],
        projection: &dyn Projection,
        origin: Option<&Origin>,
    ) -> Result<()> {
        let mut projected = vec![0.0; projection.output_dim()];
        let mut weights = vec![0.0; projection.head_ids().len()];
        projection.project_into(query, &mut projected, Some(&mut weights))?;
        self.heads = projection.head_ids().iter().copied().zip(weights).collect();
        if projected.len() == query.len() {
            self.angle = angle(query, &projected);
        }
        let Some(residual) = projection.as_residual() else { return Ok(()) };
        let mut neighbours = residual.neighbours_of(query)?;
        neighbours.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        self.questions_move = residual.parts().rotation;
        let mut texts = QuestionTexts::new(origin, residual);
        for neighbour in neighbours {
            self.questions.push(ExplainedQuestion {
                cluster_id: neighbour.cluster_id,
                row: neighbour.row,
                similarity: neighbour.similarity,
                weight: neighbour.weight,
                question: texts.of(neighbour.cluster_id, neighbour.number),
            });
        }
        Ok(())
    }
}

/// Angle in degrees of two vectors; none for a zero vector.
fn angle(a: &[f32], b: &[f32]) -> Option<f64> {
    let norms = kernel::norm(a) * kernel::norm(b);
    if !(norms > 0.0 && norms.is_finite()) {
        return None;
    }
    let cosine = kernel::dot_f64(a, b) / norms;
    Some(cosine.clamp(-1.0, 1.0).acos().to_degrees())
}

/// The rank from 1 of a row.
fn rank(ids: &[i64], scores: &[f32], row: usize) -> usize {
    let hit = |row: usize| Hit { answer_id: ids[row], score: scores[row] };
    let own = hit(row);
    1 + (0..ids.len()).filter(|row| better_first(&hit(*row), &own).is_lt()).count()
}

/// Finds the texts of training questions by their vectors: a model does not know the ids
/// that its questions have in the store, and clusters may have changed since.
struct QuestionTexts<'a> {
    store: Option<(Store, EmbeddingModel)>,
    residual: &'a ResidualProjection,
    clusters: HashMap<i64, Vec<(EmbeddedText, Vec<f32>)>>,
}

impl<'a> QuestionTexts<'a> {
    fn new(origin: Option<&Origin>, residual: &'a ResidualProjection) -> Self {
        // A text that can't be read is no reason to fail, here and below.
        let store = origin.and_then(|origin| origin.open().ok());
        Self { store, residual, clusters: HashMap::new() }
    }

    fn of(&mut self, cluster_id: i64, number: usize) -> Option<(i64, String)> {
        let (store, model) = self.store.as_ref()?;
        let questions = self.clusters.entry(cluster_id).or_insert_with(|| {
            let questions = store.embedded_questions(model, cluster_id);
            let with_vector = |question: EmbeddedText| {
                let vector = NpyArray::load(&question.vector).ok()?.to_f32().ok()?;
                Some((question, vector))
            };
            questions.unwrap_or_default().into_iter().filter_map(with_vector).collect()
        });
        let trained = self.residual.parts().questions.question(number);
        let cosine = |vector: &[f32]| {
            let norms = kernel::norm(vector) * kernel::norm(trained);
            if vector.len() == trained.len() {
                kernel::dot_f64(vector, trained) / norms
            } else {
                0.0
            }
        };
        let best = questions
            .iter()
            .map(|(question, vector)| (question, cosine(vector)))
            .filter(|(_, cosine)| *cosine >= SAME_QUESTION)
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.id.cmp(&a.0.id)));
        best.map(|(question, _)| (question.id, question.text.clone()))
    }
}
