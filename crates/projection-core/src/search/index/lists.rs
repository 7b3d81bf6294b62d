//! IvfIndex that find the nearest of many vectors.

use ndarray::ArrayView2;
use std::sync::Arc;

use super::Index;
use crate::error::Result;
use crate::ivf::{IndexStats, IvfIndex, MIN_INDEX_ROWS, UnitVectors, scan_pays_off};
use crate::projection::Projection;

impl Index {
    /// Puts the vectors into lists, so that [`search`](Self::search) finds the nearest of many
    /// without comparing a query with each, and says what was found out: at least 99% of the
    /// true 1, 10 and 32 nearest answers are found for queries that are held out. Where lists
    /// cannot do that, since answers are not in clusters, and below 16,384 answers, searches
    /// stay exact, and from 256 answers on read a quarter of the memory.
    ///
    /// Some of the vectors, and vectors between them, serve as queries; `queries` (n × d) are
    /// more of them, projected by `projection` if there is one: a few hundred questions that
    /// were really asked make sure that the promise holds for such. Takes seconds for 100,000
    /// answers on one thread; the result does not depend on the number of threads. The
    /// lists take a quarter of the vectors' memory.
    ///
    /// # Errors
    /// As [`search`](Self::search) for each of the queries, naming the row.
    pub fn build_index(
        &mut self,
        queries: Option<ArrayView2<'_, f32>>,
        projection: Option<&dyn Projection>,
        threads: usize,
    ) -> Result<IndexStats> {
        let mut targets = Vec::new();
        for (row, query) in queries.iter().flat_map(|queries| queries.rows()).enumerate() {
            let target = self.target(&query.to_vec(), projection);
            targets.extend(target.map_err(|error| error.context(format!("row {row}")))?);
        }
        let copy = |row: usize, unit: &mut [f32]| unit.copy_from_slice(self.vectors.row(row));
        let units = UnitVectors { count: self.len(), dim: self.dim, copy_row: &copy };
        let lists = match self.len() {
            len if !scan_pays_off(len, self.dim) => None,
            len if len < MIN_INDEX_ROWS => Some(IvfIndex::flat(units)),
            _ => Some(IvfIndex::build(units, &targets, threads)),
        };
        self.lists = lists.map(Arc::new);
        Ok(self.index_stats().unwrap_or(IndexStats { recall: 1.0, read: 1.0, lists: 1 }))
    }

    /// Forgets the lists: searches are exact again.
    pub fn drop_index(&mut self) {
        self.lists = None;
    }

    /// What was found out when the lists were made, where there are any.
    pub fn index_stats(&self) -> Option<IndexStats> {
        self.lists.as_ref().map(|lists| lists.stats())
    }
}
