//! Adding and removing answers.

use std::collections::HashSet;
use std::sync::Arc;

use ndarray::ArrayView2;

use super::{Index, twice};
use crate::error::Result;
use crate::ivf::UnitVectors;
use crate::projection::row_major;

impl Index {
    /// Adds the rows of `vectors` (n × d), named by `ids` (n), which the index does not have
    /// yet. IvfIndex are kept up, and remain as good as they are where the new answers are like
    /// the others; after many changes, make them anew. Nothing is added after an error.
    ///
    /// # Errors
    /// As [`from_vectors`](Self::from_vectors), and
    /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch) for vectors of
    /// another dimension than the index has.
    pub fn add(&mut self, ids: &[i64], vectors: ArrayView2<'_, f32>) -> Result<()> {
        let units = self.units_of(ids, &row_major(vectors), vectors.dim())?;
        let mut new = HashSet::with_capacity(ids.len());
        let known = self.row_of();
        if let Some(id) = ids.iter().find(|id| known.contains_key(id) || !new.insert(**id)) {
            return Err(twice(*id));
        }
        let first = self.len();
        self.vectors.push(&units);
        self.ids.extend_from_slice(ids);
        if let Some(row_of) = self.row_of.get_mut() {
            row_of.extend(ids.iter().copied().zip(first as u32..));
        }
        if let Some(lists) = &mut self.lists
            && !ids.is_empty()
        {
            let vectors = &self.vectors;
            let copy = |row: usize, unit: &mut [f32]| unit.copy_from_slice(vectors.row(row));
            let units = UnitVectors { count: self.ids.len(), dim: self.dim, copy_row: &copy };
            Arc::make_mut(lists).add(units, first);
        }
        Ok(())
    }

    /// Removes the answers with these ids, and gives how many of them there were. The last answers take the places of those that are removed.
    pub fn remove(&mut self, ids: &[i64]) -> usize {
        self.remove_rows(ids).len()
    }

    /// [`remove`](Self::remove). Gives the rows that were removed one after another, each
    /// with the number that the last row had then.
    pub fn remove_rows(&mut self, ids: &[i64]) -> Vec<(usize, usize)> {
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
            if let Some(lists) = &mut self.lists {
                Arc::make_mut(lists).swap_remove(row, last);
            }
            removed.push((row, last));
        }
        removed
    }
}
