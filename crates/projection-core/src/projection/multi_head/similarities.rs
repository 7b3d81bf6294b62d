//! The cosines of a query with the centroids.

use super::MultiHeadProjection;
use crate::error::Result;
use crate::projection::query::checked_norm;

impl MultiHeadProjection {
    /// The cosine of `query` (d) with the centroid of each head, in the order of
    /// [`cluster_ids`](Self::cluster_ids).
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch),
    /// [`NotFinite`](crate::ErrorKind::NotFinite) or
    /// [`ZeroVector`](crate::ErrorKind::ZeroVector) for the query.
    pub fn head_similarities(&self, query: &[f32]) -> Result<Vec<f32>> {
        let norm = checked_norm(query, self.input_dim())?;
        self.check_values()?;
        let heads = 0..self.cluster_ids().len();
        let cosines = self.heads.cosines_in_double(query, norm, heads);
        Ok(cosines.map(|cosine| cosine.clamp(-1.0, 1.0) as f32).collect())
    }
}
