//! The rows that an index is built from, and their int8 copies.

use crate::quantized::QuantizedRows;

/// Rows of a matrix at length 1, each by its number.
#[derive(Clone, Copy)]
pub struct UnitVectors<'a> {
    /// Number of rows.
    pub count: usize,
    /// Values of a row.
    pub dim: usize,
    /// Writes the row with this number.
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
    pub(super) fn quantized(
        &self,
        numbers: impl ExactSizeIterator<Item = usize>,
    ) -> (QuantizedRows, f32) {
        let numbers: Vec<usize> = numbers.collect();
        let mut row = vec![0.0; self.dim];
        let rows = QuantizedRows::int8_of(self.dim, numbers.len(), |slot, row| {
            (self.copy_row)(numbers[slot], row);
        });
        let mut decoded = vec![0.0; self.dim];
        let mut distance = 0.0f64;
        for (slot, number) in numbers.into_iter().enumerate() {
            (self.copy_row)(number, &mut row);
            rows.decode(slot, &mut decoded);
            let pairs = row.iter().zip(&decoded);
            let squares: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            distance = distance.max(squares.sqrt());
        }
        // Rounded up, as a bound has to be.
        (rows, (distance as f32).next_up())
    }
}
