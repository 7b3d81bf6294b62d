//! The training questions of a residual projection that are near a query.

use super::Projection;
use super::query::checked_norm;
use super::residual::{ResidualProjection, unit};
use crate::error::Result;
use crate::kernel;

/// A training question near a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Neighbour {
    /// The question's cluster.
    pub cluster_id: i64,
    /// The question's row among those of its cluster.
    pub row: usize,
    /// Its cosine with the query.
    pub similarity: f64,
    /// Its share in the rotation and in the routing, from 0 to 1. All shares sum to 1.
    pub weight: f64,
    /// The question's number among all of the model's, cluster after cluster.
    pub number: usize,
}

impl ResidualProjection {
    /// The training questions that route `query` (d) and, where the model has a rotation,
    /// move it; nearest first. Where the nearest questions are all equally near, they share
    /// the routing equally and do not move the query. Empty for a model without questions.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch),
    /// [`NotFinite`](crate::ErrorKind::NotFinite) or
    /// [`ZeroVector`](crate::ErrorKind::ZeroVector) for the query.
    pub fn neighbours_of(&self, query: &[f32]) -> Result<Vec<Neighbour>> {
        let terms = &*self.terms;
        let norm = checked_norm(query, self.input_dim())?;
        terms.check_values()?;
        if terms.ids.is_empty() {
            return Ok(Vec::new());
        }
        let questions = &terms.questions;
        let unit: Vec<f32> = unit(query, norm).collect();
        let (k, temperature) = (terms.neighbours, self.temperature());
        let nearest = questions.nearest_to((query, &unit), norm, k, temperature);
        let total: f64 = nearest.iter().map(|near| near.weight).sum();
        let neighbours = nearest.iter().map(|near| {
            let cluster = questions.cluster_of(near.question);
            let before = (0..near.question).rev();
            Neighbour {
                cluster_id: terms.ids[cluster],
                row: before.take_while(|other| questions.cluster_of(*other) == cluster).count(),
                similarity: near.similarity,
                weight: if total > 0.0 { near.weight } else { 1.0 / nearest.len() as f64 },
                number: near.question,
            }
        });
        Ok(neighbours.collect())
    }

    /// For each of [`cluster_ids`](Self::cluster_ids), the cosine of `query` (d) with the
    /// nearest training question of the cluster; −∞ for a cluster without questions.
    ///
    /// # Errors
    /// As [`neighbours_of`](Self::neighbours_of).
    pub fn nearest_question_scores(&self, query: &[f32]) -> Result<Vec<f32>> {
        let terms = &*self.terms;
        let norm = checked_norm(query, self.input_dim())?;
        terms.check_values()?;
        let mut similarities = self.dots(query, norm);
        terms.questions.scale(&mut similarities);
        let mut nearest = vec![f32::NEG_INFINITY; terms.ids.len()];
        for (question, similarity) in similarities.into_iter().enumerate() {
            let best = &mut nearest[terms.questions.cluster_of(question)];
            *best = best.max(similarity.clamp(-1.0, 1.0));
        }
        Ok(nearest)
    }

    /// The cluster of every training question, in the order of their numbers.
    pub fn clusters_of_questions(&self) -> Vec<i64> {
        let questions = &self.terms.questions;
        (0..questions.len()).map(|number| self.terms.ids[questions.cluster_of(number)]).collect()
    }

    /// A training question by its number, not normalised.
    pub fn question(&self, number: usize) -> &[f32] {
        self.terms.questions.question(number)
    }

    /// The dot products of the query at length 1 with all questions.
    fn dots(&self, query: &[f32], norm: f64) -> Vec<f32> {
        let unit: Vec<f32> = unit(query, norm).collect();
        let mut dots = vec![0.0; self.terms.questions.len()];
        kernel::dots(&unit, self.terms.questions.vectors(), &mut dots);
        dots
    }
}
