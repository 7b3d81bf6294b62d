//! How near a query is to each head of a model: what explains routing weights.

use super::query::checked_norm;
use super::{Model, Projection};
use crate::error::Result;

impl Model {
    /// For each of [`head_ids`](Projection::head_ids), the cosine of `query` (d) with what
    /// the head stands for: its centroid, or for a residual projection the nearest training
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
