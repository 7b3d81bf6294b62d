//! Explanations: how near a query is to the heads and training questions of a model.

use super::compute::Compute;
use super::query::checked_norm;
use super::{Model, MultiHeadProjection, Projection, ResidualProjection};
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
    /// The training questions that route `query` (d) and, if the model has a rotation,
    /// move it; nearest first. If the nearest questions are all equally near, they share
    /// the routing equally and do not move the query. Empty for a model without questions.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch),
    /// [`NotFinite`](crate::ErrorKind::NotFinite) or
    /// [`ZeroVector`](crate::ErrorKind::ZeroVector) for the query.
    pub fn neighbours_of(&self, query: &[f32]) -> Result<Vec<Neighbour>> {
        let norm = self.checked_norm(query)?;
        self.validate()?;
        let questions = &self.parts().questions;
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let unit: Vec<f32> = kernel::normalized(query, norm).collect();
        let nearest = self.nearest(query, &unit, norm);
        let total: f64 = nearest.iter().map(|near| near.weight).sum();
        let neighbours = nearest.iter().map(|near| {
            let cluster = questions.facts().clusters[near.question];
            let first: usize = questions.counts()[..cluster].iter().sum();
            Neighbour {
                cluster_id: self.cluster_ids()[cluster],
                row: near.question - first,
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
        let norm = self.checked_norm(query)?;
        self.validate()?;
        let questions = &self.parts().questions;
        let unit: Vec<f32> = kernel::normalized(query, norm).collect();
        let mut dots = vec![0.0; questions.len()];
        kernel::dots(&unit, questions.vectors(), &mut dots);
        let mut nearest = vec![f32::NEG_INFINITY; self.cluster_ids().len()];
        let facts = questions.facts();
        let scales = facts.scales.iter().zip(&facts.clusters);
        for (dot, (scale, cluster)) in dots.into_iter().zip(scales) {
            let best = &mut nearest[*cluster];
            *best = best.max((dot * *scale as f32).clamp(-1.0, 1.0));
        }
        Ok(nearest)
    }

    /// The cluster of every training question, in the order of their numbers.
    pub fn clusters_of_questions(&self) -> impl Iterator<Item = i64> {
        let counts = self.parts().questions.counts().iter();
        let clusters = self.cluster_ids().iter().zip(counts);
        clusters.flat_map(|(cluster, count)| std::iter::repeat_n(*cluster, *count))
    }
}

impl MultiHeadProjection {
    /// The cosine of `query` (d) with the centroid of each head, in the order of
    /// [`cluster_ids`](Self::cluster_ids).
    ///
    /// # Errors
    /// As [`Projection::project_into`], for the query.
    pub fn head_similarities(&self, query: &[f32]) -> Result<Vec<f32>> {
        let norm = checked_norm(query, self.input_dim())?;
        self.validate()?;
        let cosines = self.parts().cosines(query, norm, 0..self.cluster_ids().len());
        Ok(cosines.map(|cosine| cosine.clamp(-1.0, 1.0) as f32).collect())
    }
}

impl Model {
    /// For each of [`head_ids`](Projection::head_ids), the cosine of `query` (d) with what
    /// the head represents: its centroid, or for a residual projection the nearest training
    /// question of its cluster (−∞ without questions). Empty for kinds that do not route.
    ///
    /// # Errors
    /// As [`Projection::project_into`], for the query.
    pub fn head_similarities(&self, query: &[f32]) -> Result<Vec<f32>> {
        match self {
            Self::MultiHead(model) => model.head_similarities(query),
            Self::Residual(model) => model.nearest_question_scores(query),
            Self::Linear(_) | Self::Transformer(_) => {
                checked_norm(query, self.input_dim())?;
                Ok(Vec::new())
            }
        }
    }
}
