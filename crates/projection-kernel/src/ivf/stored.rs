//! An index as files hold it: a few flat arrays.

use std::borrow::Cow;

use super::coarse::CoarseQuantizer;
use super::delta::Delta;
use super::{IndexStats, IvfIndex, KS};
use crate::quantized::QuantizedRows;

/// The parts of an index of n rows of dimension d in l inverted lists.
pub struct StoredIndex<'a> {
    /// Rows in bytes (n × d), one list after another.
    pub codes: Cow<'a, QuantizedRows>,
    /// The numbers of these rows (n).
    pub rows: Vec<i64>,
    /// Where each list begins, and the last one ends (l + 1).
    pub offsets: Vec<i64>,
    /// The centroids of the lists (l × d).
    pub centroids: Cow<'a, QuantizedRows>,
    /// What the radius of each list adds to its score (l).
    pub radii: Cow<'a, [f32]>,
    /// The greatest distance of a row from its copy, recall, the share that is read, and the probe
    /// margins: [`StoredIndex::STATS`] values.
    pub stats: Vec<f64>,
}

impl StoredIndex<'_> {
    /// Number of values in [`stats`](Self::stats).
    pub const STATS: usize = 3 + KS.len();
}

impl IvfIndex {
    /// The parts; `None` for a flat index, which is built as fast as read, and for an index that
    /// has changed since it was built.
    pub fn stored(&self) -> Option<StoredIndex<'_>> {
        let coarse = self.coarse.as_ref()?;
        if self.delta.count() > 0 || self.delta.has_tombstones() {
            return None;
        }
        let IndexStats { recall, read, .. } = coarse.stats;
        let probe_margins = coarse.probe_margins.iter().copied().map(f64::from);
        Some(StoredIndex {
            codes: Cow::Borrowed(&self.codes),
            rows: self.rows.iter().copied().map(i64::from).collect(),
            offsets: coarse.offsets.iter().map(|offset| *offset as i64).collect(),
            centroids: Cow::Borrowed(&coarse.centroids),
            radii: Cow::Borrowed(&coarse.radii),
            stats: [f64::from(self.distance), recall, read]
                .into_iter()
                .chain(probe_margins)
                .collect(),
        })
    }

    /// An index of parts whose shapes fit together.
    ///
    /// # Errors
    /// What is wrong with the values of the parts.
    pub fn from_stored(parts: StoredIndex<'_>) -> Result<Self, String> {
        for (name, rows) in [("codes", &parts.codes), ("centroids", &parts.centroids)] {
            if let Some((row, scale)) = rows.no_unit_scale() {
                return Err(format!(
                    "{name} of the index: the scale {scale} of row {row}, expected that of a \
                     vector of length 1 at most"
                ));
            }
        }
        let (count, lists) = (parts.codes.count(), parts.radii.len());
        let ends = (parts.offsets.first(), parts.offsets.last());
        if ends != (Some(&0), Some(&(count as i64))) || !parts.offsets.is_sorted() {
            return Err(format!(
                "offsets of the index: expected ascending numbers from 0 to {count}"
            ));
        }
        let mut seen = vec![false; count];
        let mut rows = Vec::with_capacity(count);
        for row in parts.rows {
            let seen = usize::try_from(row).ok().and_then(|row| seen.get_mut(row));
            if seen.is_none_or(|seen| std::mem::replace(seen, true)) {
                return Err(format!(
                    "rows of the index: {row}, expected each from 0 to {count} once"
                ));
            }
            rows.push(row as u32);
        }
        let [distance, recall, read, ref margins @ ..] = parts.stats[..] else {
            return Err("statistics of the index are missing".into());
        };
        // Vectors of length 1 are at most 2 from each other, and so are similarities.
        let ranges = [("distance", distance, 0.0..=2.0), ("recall", recall, 0.0..=1.0)]
            .into_iter()
            .chain([("share that is read", read, 0.0..=1.0)])
            .chain(margins.iter().map(|margin| ("probe margin", *margin, -3.0..=3.0)));
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                let (low, high) = (range.start(), range.end());
                return Err(format!(
                    "statistics of the index: {name} {value:?}, expected {low} to {high}"
                ));
            }
        }
        if let Some(list) = parts.radii.iter().position(|radius| !(0.0..=1.0).contains(radius)) {
            let radius = parts.radii[list];
            return Err(format!("radii of the index: {radius:?} at {list}, expected 0 to 1"));
        }
        let mut probe_margins = [0.0; KS.len()];
        probe_margins.iter_mut().zip(margins).for_each(|(to, margin)| *to = *margin as f32);
        let coarse = CoarseQuantizer {
            centroids: parts.centroids.into_owned(),
            radii: parts.radii.into_owned(),
            offsets: parts.offsets.iter().map(|offset| *offset as usize).collect(),
            probe_margins,
            stats: IndexStats { recall, read, lists },
        };
        let (distance, delta) = (distance as f32, Delta::new(lists));
        Ok(Self { codes: parts.codes.into_owned(), rows, distance, coarse: Some(coarse), delta })
    }
}
