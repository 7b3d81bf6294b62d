//! The rows of a matrix nearest to a vector, without reading all of their values.
//!
//! An index holds int8 copies of the rows at length 1, a quarter of their size. A search scans
//! copies, and returns a *shortlist*: the rows that may be among the k nearest, given how far
//! rounding may have moved a similarity. The caller reranks it with exact similarities.
//!
//! A *flat* index scans all copies, and finds all of the k nearest. For many rows, copies lie in
//! inverted lists around centroids (k-means), and a search scans only the lists that may hold one
//! of the k nearest, those with
//!
//! ```text
//! q·c + 0.3·√(1 − |c|²)  ≥  s_k − margin
//! ```
//!
//! where c is the mean of a list, so that q·c is the mean similarity of its rows; the second term
//! is the list's *radius*, which says how far its rows are from each other; s_k is the k-th best
//! similarity so far. The *probe margin* is tuned when the index is built: the least one that
//! finds the true nearest rows of held-out queries. A query near many lists scans many of them.
//! Inverted lists: J. Sivic and A. Zisserman, "Video Google", ICCV 2003; with quantized rows:
//! H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE
//! TPAMI 33(1), 2011.
//!
//! If rows do not form clusters, no margin finds enough of them for less than scanning all. Then
//! the index is flat, as it is for few rows.

mod build;
mod coarse;
mod delta;
mod search;
mod stored;
mod tune;
mod unit_vectors;

use crate::prefetch::prefetch;
use crate::quantized::{MAX_INT8_DIM, QuantizedRows};
use crate::rows::Rows;
use coarse::CoarseQuantizer;
use delta::Delta;

pub use search::Allowed;
pub use stored::StoredIndex;
pub use unit_vectors::UnitVectors;

/// From so many rows on, scanning int8 copies first saves more than rounding the query costs.
const MIN_SCAN_ROWS: usize = 256;

/// From so many rows on, [`IvfIndex::build`] is worth its time.
pub const MIN_INDEX_ROWS: usize = 16_384;

/// The share of the true nearest rows that a search must find, on average.
pub const LEAST_RECALL: f64 = 0.99;

/// Numbers of nearest rows that there is a probe margin for. The margin of the largest one that
/// is not above k serves for k, since margins fall with k.
const KS: [usize; 3] = [1, 10, 32];

/// The row of a slot whose row was removed.
const TOMBSTONE: u32 = u32::MAX;

/// Whether scanning int8 copies of so many rows of `dim` values each pays off.
pub fn scan_pays_off(rows: usize, dim: usize) -> bool {
    (MIN_SCAN_ROWS..TOMBSTONE as usize).contains(&rows) && dim <= MAX_INT8_DIM
}

/// Int8 copies of rows at length 1, in inverted lists or, in a flat index, in one list.
///
/// A copy lies in a *slot*: those of the rows that the index was built from come first, one list
/// after another, then those added later.
#[derive(Debug, Clone)]
pub struct IvfIndex {
    /// The copies, one list after another.
    codes: QuantizedRows,
    /// The row number of each of these slots; empty if rows are in their own order.
    rows: Vec<u32>,
    /// The greatest distance of a row from its copy: by Cauchy and Schwarz, rounding moves no
    /// similarity by more.
    distance: f32,
    /// What chooses the lists to scan; none in a flat index.
    coarse: Option<CoarseQuantizer>,
    /// Rows added and removed since.
    delta: Delta,
}

/// Recall and cost measured while building an index.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct IndexStats {
    /// The share of the true nearest rows that held-out queries find, the least of all groups of
    /// queries and numbers of rows; 1 in a flat index.
    pub recall: f64,
    /// The share of all rows that they scan on average.
    pub read: f64,
    /// Number of inverted lists.
    pub lists: usize,
}

impl IvfIndex {
    /// A flat index, which scans all rows.
    pub fn flat(units: UnitVectors<'_>) -> Self {
        let (codes, distance) = units.quantized(0..units.count);
        Self { codes, rows: Vec::new(), distance, coarse: None, delta: Delta::new(1) }
    }

    /// Recall and cost measured while the index was built.
    pub fn stats(&self) -> IndexStats {
        match &self.coarse {
            Some(coarse) => coarse.stats,
            None => IndexStats { recall: 1.0, read: 1.0, lists: 1 },
        }
    }

    /// Whether the index is flat, so that the nearest rows are always found.
    pub fn is_exact(&self) -> bool {
        self.coarse.is_none()
    }

    /// Number of slots, tombstones included.
    fn slots(&self) -> usize {
        self.codes.count() + self.delta.count()
    }

    /// The row of a slot, or [`TOMBSTONE`].
    fn row_of(&self, slot: usize) -> u32 {
        match slot.checked_sub(self.codes.count()) {
            Some(added) => self.delta.row(added),
            None if self.rows.is_empty() => slot as u32,
            None => self.rows[slot],
        }
    }
}

/// Numbers of rows, each of which is requested a few turns before it comes: they lie anywhere.
pub fn prefetched(numbers: &[usize], rows: &Rows) -> impl Iterator<Item = usize> {
    const LEAD: usize = 4;
    let request = |number: &usize| prefetch(rows.row(*number));
    numbers.iter().take(LEAD).for_each(request);
    numbers.iter().enumerate().map(move |(at, number)| {
        numbers.get(at + LEAD).into_iter().for_each(request);
        *number
    })
}

#[cfg(test)]
mod tests;
