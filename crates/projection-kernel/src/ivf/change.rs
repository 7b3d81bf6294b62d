//! Adding rows to lists and taking rows out, without making them anew.
//!
//! A row that is added goes to the list of its nearest centre, a row that is taken out leaves
//! its place empty. IvfIndex stay as good as they were while what is added is like what was there.

use std::collections::HashMap;

use super::{GONE, IvfIndex, UnitVectors};
use crate::{QuantizedQuery, QuantizedRows};

/// Rows that were added, in bytes, and which places are empty.
#[derive(Debug, Clone)]
pub(super) struct Added {
    /// As they were added, with the number of the first one of each part.
    parts: Vec<(usize, QuantizedRows)>,
    rows: Vec<u32>,
    /// The added rows of each list.
    lists: Vec<Vec<u32>>,
    /// Places of rows by number; made when the first row is taken out.
    places: Option<HashMap<u32, u32>>,
    gone: usize,
}

impl Added {
    pub fn new(lists: usize) -> Self {
        let lists = vec![Vec::new(); lists];
        Self { parts: Vec::new(), rows: Vec::new(), lists, places: None, gone: 0 }
    }

    pub fn count(&self) -> usize {
        self.rows.len()
    }

    pub fn any_gone(&self) -> bool {
        self.gone > 0
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
        let (place, mut dot) = (number - first, [0.0]);
        codes.dots_quantized(query, place..place + 1, codes.count(), &mut dot);
        dot[0]
    }
}

impl IvfIndex {
    /// Adds the rows from `first` on, up to the count of `units`.
    pub fn add(&mut self, units: UnitVectors<'_>, first: usize) {
        let (codes, distance) = units.rounded(first..units.count);
        self.distance = self.distance.max(distance);
        let places = self.places() as u32;
        let mut row = vec![0.0; units.dim];
        for number in first..units.count {
            let list = match &self.routes {
                None => 0,
                Some(routes) => {
                    (units.copy_row)(number, &mut row);
                    routes.nearest_to(&row)
                }
            };
            self.added.lists[list].push(self.added.rows.len() as u32);
            self.added.rows.push(number as u32);
        }
        if let Some(known) = &mut self.added.places {
            known.extend((first as u32..units.count as u32).zip(places..));
        }
        let start = self.added.rows.len() - (units.count - first);
        self.added.parts.push((start, codes));
    }

    /// Takes out the row `number`, and gives the row `last` its number.
    pub fn swap_remove(&mut self, number: usize, last: usize) {
        if self.added.places.is_none() {
            let places = (0..self.places()).map(|place| (self.row_at(place), place as u32));
            self.added.places = Some(places.collect());
        }
        let Some(places) = &mut self.added.places else { return };
        let removed = places.remove(&(number as u32));
        let moved = if number == last { None } else { places.remove(&(last as u32)) };
        if let Some(place) = moved {
            places.insert(number as u32, place);
            self.set_row(place, number as u32);
        }
        if let Some(place) = removed {
            self.set_row(place, GONE);
            self.added.gone += 1;
        }
    }

    fn set_row(&mut self, place: u32, row: u32) {
        let (place, codes) = (place as usize, self.codes.count());
        if place >= codes {
            self.added.rows[place - codes] = row;
            return;
        }
        if self.rows.is_empty() {
            self.rows = (0..codes as u32).collect();
        }
        self.rows[place] = row;
    }
}
