//! Rows that lists are made of, and their bytes.

use super::IvfIndex;
use super::change::Added;
use crate::QuantizedRows;

/// Rows of a matrix at length 1: how many, of which dimension, and each by its number.
#[derive(Clone, Copy)]
pub struct UnitVectors<'a> {
    pub count: usize,
    pub dim: usize,
    pub copy_row: &'a (dyn Fn(usize, &mut [f32]) + Sync),
}

impl UnitVectors<'_> {
    /// The rows with these numbers, one after another.
    pub fn gather(&self, numbers: impl ExactSizeIterator<Item = usize>) -> Vec<f32> {
        let mut all = vec![0.0; numbers.len() * self.dim];
        for (row, number) in all.chunks_exact_mut(self.dim).zip(numbers) {
            (self.copy_row)(number, row);
        }
        all
    }

    /// The rows in bytes, in the order of the numbers, and the greatest distance of one from
    /// what is stored of it.
    pub(super) fn rounded(
        &self,
        numbers: impl ExactSizeIterator<Item = usize>,
    ) -> (QuantizedRows, f32) {
        let numbers: Vec<usize> = numbers.collect();
        let mut row = vec![0.0; self.dim];
        let rows = QuantizedRows::bytes_of(self.dim, numbers.len(), |place, row| {
            (self.copy_row)(numbers[place], row);
        });
        let mut decoded = vec![0.0; self.dim];
        let mut distance = 0.0f64;
        for (place, number) in numbers.into_iter().enumerate() {
            (self.copy_row)(number, &mut row);
            rows.decode(place, &mut decoded);
            let pairs = row.iter().zip(&decoded);
            let squares: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            distance = distance.max(squares.sqrt());
        }
        // Rounded up, as a bound has to be.
        (rows, (distance as f32).next_up())
    }
}

impl IvfIndex {
    /// All rows in one list.
    pub fn flat(units: UnitVectors<'_>) -> Self {
        let (codes, distance) = units.rounded(0..units.count);
        Self { codes, rows: Vec::new(), distance, routes: None, added: Added::new(1) }
    }
}
