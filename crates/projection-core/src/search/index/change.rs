//! Adding and removing answers, and the approximate index over them.

use std::collections::HashSet;
use std::sync::Arc;

use ndarray::ArrayView2;

use super::{HAS_IVF, Index, twice};
use crate::error::Result;
use crate::ivf::{IndexStats, IvfIndex, MIN_INDEX_ROWS, UnitVectors, scan_pays_off};
use crate::kernel::progress::{OnProgress, Progress};
use crate::projection::{Projection, row_major};

impl Index {
    /// Adds the rows of `vectors` (n × d), named by `ids` (n), which the index does not have
    /// yet. An approximate index takes them in; after many changes, or if new answers are unlike
    /// the others, build it anew. Nothing is added after an error.
    ///
    /// # Errors
    /// As [`from_vectors`](Self::from_vectors), and
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch) for vectors of
    /// another dimension than the index has.
    pub fn add(&mut self, ids: &[i64], vectors: ArrayView2<'_, f32>) -> Result<()> {
        self.put(ids, vectors, false)
    }

    /// Adds the rows of `vectors` (n × d), named by `ids` (n), as [`add`](Self::add) does; an id
    /// that the index has already gets its new vector, in the place of the old one.
    ///
    /// # Errors
    /// As [`add`](Self::add). Nothing changes then.
    pub fn replace(&mut self, ids: &[i64], vectors: ArrayView2<'_, f32>) -> Result<()> {
        self.put(ids, vectors, true)
    }

    fn put(&mut self, ids: &[i64], vectors: ArrayView2<'_, f32>, replace: bool) -> Result<()> {
        let units = self.units_of(ids, &row_major(vectors), vectors.dim())?;
        let mut seen = HashSet::with_capacity(ids.len());
        let known = self.row_of();
        let refused = |id: &&i64| !seen.insert(**id) || (!replace && known.contains_key(id));
        if let Some(id) = ids.iter().find(refused) {
            return Err(twice(*id));
        }
        let mut ivf = self.ivf.take();
        let mut rows = Vec::with_capacity(ids.len());
        for (number, id) in ids.iter().enumerate() {
            let (unit, known) = (units.row(number), self.row_of().get(id).copied());
            let row = known.map_or(self.len(), |row| row as usize);
            if known.is_some() {
                self.vectors.set(row, unit);
                if HAS_IVF && let Some(ivf) = &mut ivf {
                    Arc::make_mut(ivf).swap_remove(row, row);
                }
            } else {
                self.vectors.push(unit);
                self.ids.push(*id);
                if let Some(row_of) = self.row_of.get_mut() {
                    row_of.insert(*id, row as u32);
                }
            }
            rows.push(row);
        }
        if HAS_IVF
            && !rows.is_empty()
            && let Some(ivf) = &mut ivf
        {
            self.with_units(|units| Arc::make_mut(ivf).add(units, &rows));
        }
        self.ivf = ivf;
        self.forget_sides();
        Ok(())
    }

    /// Removes the answers with these ids, and returns how many there were. The last answers take
    /// the places of those that are removed.
    pub fn remove(&mut self, ids: &[i64]) -> usize {
        self.remove_rows(ids).len()
    }

    /// [`remove`](Self::remove). Returns the rows that were removed one after another, each
    /// with the number that the last row had then.
    fn remove_rows(&mut self, ids: &[i64]) -> Vec<(usize, usize)> {
        self.row_of();
        let mut removed = Vec::new();
        for id in ids {
            let Some(row_of) = self.row_of.get_mut() else { break };
            let Some(row) = row_of.remove(id) else { continue };
            let (row, last) = (row as usize, self.ids.len() - 1);
            if row != last {
                row_of.insert(self.ids[last], row as u32);
            }
            self.ids.swap_remove(row);
            self.vectors.swap_remove(row);
            if HAS_IVF && let Some(ivf) = &mut self.ivf {
                Arc::make_mut(ivf).swap_remove(row, last);
            }
            removed.push((row, last));
        }
        self.remove_members(&removed);
        self.forget_sides();
        removed
    }

    /// Builds an approximate index, so that [`search`](Self::search) finds the nearest of many
    /// answers without comparing a query with each. Returns its recall and cost: at least 99% of
    /// the true 1, 10 and 32 nearest answers are found for queries that are held out. If that
    /// cannot be reached, because answers are not in clusters, and below 16,384 answers, searches
    /// stay exact, and from 256 answers on read a quarter of the memory.
    ///
    /// Some of the vectors, and vectors between them, serve as queries; `queries` (n × d) are
    /// more, projected by `projection` if there is one: with a few hundred real questions the
    /// promise holds for such. If it is known which answers `projection` moves, the moved ones get
    /// an index of their own. Takes seconds for 100,000 answers on one thread; the result does
    /// not depend on the number of threads. The index takes a quarter of the vectors' memory.
    ///
    /// # Errors
    /// As [`search`](Self::search) for each of the queries, naming the row, and
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); the index is as before then.
    pub fn build_index(
        &mut self,
        queries: Option<ArrayView2<'_, f32>>,
        projection: Option<&dyn Projection>,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<IndexStats> {
        let mut targets = Vec::new();
        for (row, query) in queries.iter().flat_map(|queries| queries.rows()).enumerate() {
            let target = self.target(&query.to_vec(), projection);
            targets.extend(target.map_err(|error| error.context(format!("row {row}")))?);
        }
        let index = match self.len() {
            len if !scan_pays_off(len, self.dim) => None,
            len if len < MIN_INDEX_ROWS => Some(self.with_units(IvfIndex::flat)),
            _ => Some(self.with_units(|units| {
                let mut poll = || Progress::new("building an index", 0, 1).send(progress);
                IvfIndex::build(units, &targets, threads, &mut poll)
            })?),
        };
        self.ivf = index.map(Arc::new);
        if let Some(projection) = projection.filter(|_| self.members.is_some()) {
            let mut side = self.new_answer_side(projection)?;
            side.build_index(queries, projection, threads, progress)?;
            self.sides.put(projection, side);
        }
        Ok(self.index_stats().unwrap_or(IndexStats { recall: 1.0, read: 1.0, lists: 1 }))
    }

    /// Drops the approximate index: searches are exact again.
    pub fn drop_index(&mut self) {
        self.ivf = None;
    }

    /// Recall and cost of the approximate index, if there is one.
    pub fn index_stats(&self) -> Option<IndexStats> {
        self.ivf.as_ref().map(|ivf| ivf.stats())
    }

    fn with_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        let copy_row = |row: usize, unit: &mut [f32]| unit.copy_from_slice(self.vectors.row(row));
        work(UnitVectors { count: self.len(), dim: self.dim, copy_row: &copy_row })
    }
}
