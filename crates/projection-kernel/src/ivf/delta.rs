//! Adding rows to an index and removing them, without building it again.
//!
//! An added row goes to the list of its nearest centroid; a removed one leaves a tombstone in its
//! slot. Lists stay as good as they were while added rows are like those before. When tombstones
//! outnumber rows, copies are written anew without them, so that an index whose rows are replaced
//! again and again does not grow.

use std::collections::HashMap;

use super::{IvfIndex, TOMBSTONE, UnitVectors};
use crate::quantized::{QuantizedQuery, QuantizedRows};

/// Copies of the rows that were added, and the tombstones.
#[derive(Debug, Clone)]
pub(super) struct Delta {
    /// Copies as they were added, with the number of the first one of each part.
    parts: Vec<(usize, QuantizedRows)>,
    rows: Vec<u32>,
    /// The added rows of each list.
    lists: Vec<Vec<u32>>,
    /// Slots of rows by number; made when the first row is removed.
    slots: Option<HashMap<u32, u32>>,
    tombstones: usize,
}

impl Delta {
    pub fn new(lists: usize) -> Self {
        let lists = vec![Vec::new(); lists];
        Self { parts: Vec::new(), rows: Vec::new(), lists, slots: None, tombstones: 0 }
    }

    pub fn count(&self) -> usize {
        self.rows.len()
    }

    pub fn has_tombstones(&self) -> bool {
        self.tombstones > 0
    }

    pub fn row(&self, number: usize) -> u32 {
        self.rows[number]
    }

    pub fn of_list(&self, list: usize) -> &[u32] {
        &self.lists[list]
    }

    /// The similarity with an added row.
    pub fn dot(&self, query: &QuantizedQuery, number: usize) -> f32 {
        let part = self.parts.partition_point(|(first, _)| *first <= number) - 1;
        let (first, codes) = &self.parts[part];
        let (slot, mut dot) = (number - first, [0.0]);
        codes.dots_quantized(query, slot..slot + 1, codes.count(), &mut dot);
        dot[0]
    }
}

impl IvfIndex {
    /// Adds the rows `numbers` of `units`.
    pub fn add(&mut self, units: UnitVectors<'_>, numbers: &[usize]) {
        let (codes, distance) = units.quantized(numbers.iter().copied());
        self.distance = self.distance.max(distance);
        let (first_slot, start) = (self.slots() as u32, self.delta.rows.len());
        let mut row = vec![0.0; units.dim];
        for &number in numbers {
            let list = match &self.coarse {
                None => 0,
                Some(coarse) => {
                    (units.copy_row)(number, &mut row);
                    coarse.nearest_to(&row)
                }
            };
            self.delta.lists[list].push(self.delta.rows.len() as u32);
            self.delta.rows.push(number as u32);
        }
        if let Some(slots) = &mut self.delta.slots {
            slots.extend(numbers.iter().map(|number| *number as u32).zip(first_slot..));
        }
        self.delta.parts.push((start, codes));
        if self.delta.tombstones > units.count {
            self.compact(units);
        }
    }

    /// Writes the copies anew, without tombstones and with added rows in their lists.
    fn compact(&mut self, units: UnitVectors<'_>) {
        let Some(coarse) = &self.coarse else {
            *self = Self::flat(units);
            return;
        };
        let (mut rows, mut offsets) = (Vec::with_capacity(units.count), vec![0]);
        for list in 0..coarse.count() {
            let added = self.delta.of_list(list).iter();
            let slots = coarse.slots(list).map(|slot| self.row_of(slot));
            let all = slots.chain(added.map(|number| self.delta.row(*number as usize)));
            rows.extend(all.filter(|row| *row != TOMBSTONE));
            offsets.push(rows.len());
        }
        let (codes, distance) = units.quantized(rows.iter().map(|row| *row as usize));
        self.delta = Delta::new(coarse.count());
        if let Some(coarse) = &mut self.coarse {
            coarse.offsets = offsets;
        }
        (self.codes, self.rows, self.distance) = (codes, rows, distance);
    }

    /// Removes the row `number`; the row `last` takes its number. Without another row, `last` is
    /// `number`.
    pub fn swap_remove(&mut self, number: usize, last: usize) {
        if self.delta.slots.is_none() {
            let slots = (0..self.slots()).map(|slot| (self.row_of(slot), slot as u32));
            self.delta.slots = Some(slots.collect());
        }
        let Some(slots) = &mut self.delta.slots else { return };
        let removed = slots.remove(&(number as u32));
        let moved = if number == last { None } else { slots.remove(&(last as u32)) };
        if let Some(slot) = moved {
            slots.insert(number as u32, slot);
            self.set_row(slot, number as u32);
        }
        if let Some(slot) = removed {
            self.set_row(slot, TOMBSTONE);
            self.delta.tombstones += 1;
        }
    }

    fn set_row(&mut self, slot: u32, row: u32) {
        let (slot, codes) = (slot as usize, self.codes.count());
        if slot >= codes {
            self.delta.rows[slot - codes] = row;
            return;
        }
        if self.rows.is_empty() {
            self.rows = (0..codes as u32).collect();
        }
        self.rows[slot] = row;
    }
}
