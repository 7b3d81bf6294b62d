//! Vectors in half or a quarter of the memory.
//!
//! bfloat16 keeps 8 of 24 bits of each value, in half the memory. Bytes keep 8 bits of each value
//! relative to the largest one of its row, in a quarter. Computations with them are as exact as in
//! single precision; only the vectors are rounded.

pub(crate) mod bf16;
pub(crate) mod int8;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::prefetch::{PrefetchHint, prefetch};
use crate::rows::Rows;
use crate::scratch::Scratch;
use int8::{Int8Query, Int8Rows};

/// Rows are filled up with zeros to a multiple of so many values.
pub(crate) const PAD: usize = 64;

/// The longest rows of bytes: the products of two bytes for each value, added up, fit into
/// 32 bits.
pub const MAX_INT8_DIM: usize = 1 << 16;

/// The largest scale of a row of length 1, with room for rounding.
const MAX_UNIT_SCALE: f32 = 1.01 / 127.0;

/// Rows of bytes whose scales are multiplied into the weights at a time.
const BLOCK: usize = 256;

/// Bytes that are requested ahead of those that are multiplied: rows of bytes pass so fast that
/// a shorter lead would be too late.
const LEAD: usize = 6 << 10;

/// How the values of vectors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// bfloat16, in half the memory.
    Bf16,
    /// Bytes with a scale a row, in a quarter.
    Int8,
}

/// A matrix in a compact format.
#[derive(Debug, Clone)]
pub struct QuantizedRows {
    dim: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Bf16(Rows<u16>),
    /// Values are bytes·scale, with a scale for each row.
    Int8 {
        bytes: Rows<i8>,
        scales: Rows,
        /// The sums of the bytes of each row, which products with a query need; made when
        /// they are first needed, which rows of a mapped file may never be.
        sums: Arc<OnceLock<Vec<i32>>>,
    },
}

/// What a compact matrix is made of, for files.
pub enum QuantizedParts<'a> {
    /// The rows, whole ones one after another.
    Bf16(Vec<&'a [u16]>),
    /// The rows, and a scale for each of them.
    Int8(Vec<&'a [i8]>, &'a [f32]),
}

/// A query that is rounded for rows of bytes once, to be multiplied by rows in many places.
pub struct QuantizedQuery {
    /// High bytes, then low ones.
    bytes: Scratch<u8>,
    scale: f32,
}

impl QuantizedQuery {
    /// The greatest distance of a query from what is stored of it.
    pub(crate) fn rounding(query: &[f32]) -> f32 {
        // Half a step of the largest value, for each of them.
        let step = largest(query) / int8::HALF_RANGE;
        0.51 * step * (query.len() as f32).sqrt()
    }
}

impl QuantizedRows {
    /// Bytes of so many finite rows, which `copy` writes by their number.
    pub fn int8_of(dim: usize, count: usize, mut copy: impl FnMut(usize, &mut [f32])) -> Self {
        let width = dim.next_multiple_of(PAD);
        let mut bytes = Rows::with_capacity(width, count);
        let (mut row, mut padded) = (vec![0.0; dim], vec![0i8; width]);
        let mut scales = Vec::with_capacity(count);
        for number in 0..count {
            copy(number, &mut row);
            scales.push(round(&row, &mut padded));
            bytes.push(&padded);
        }
        let scales = Rows::from_values(count.max(1), &scales);
        Self { dim, values: Values::Int8 { bytes, scales, sums: Arc::default() } }
    }

    /// The nearest to finite `rows` of `dim` values.
    pub fn new(format: RowFormat, dim: usize, rows: &[f32]) -> Self {
        let (width, count) = (dim.next_multiple_of(PAD), rows.len() / dim);
        let values = match format {
            RowFormat::Bf16 => {
                let mut values = Rows::with_capacity(width, count);
                let mut padded = vec![0; width];
                for row in rows.chunks_exact(dim) {
                    for (padded, value) in padded.iter_mut().zip(row) {
                        *padded = half::bf16::from_f32(*value).to_bits();
                    }
                    values.push(&padded);
                }
                Values::Bf16(values)
            }
            RowFormat::Int8 => {
                let rows = |number: usize, row: &mut [f32]| {
                    row.copy_from_slice(&rows[number * dim..][..dim]);
                };
                return Self::int8_of(dim, count, rows);
            }
        };
        Self { dim, values }
    }

    /// Rows as a file holds them, which are shared where their dimension is one of whole
    /// `PAD`s, and copied otherwise.
    pub fn from_bf16(rows: Rows<u16>) -> Self {
        Self { dim: rows.width(), values: Values::Bf16(padded(rows)) }
    }

    /// The same of bytes of at most [`MAX_INT8_DIM`] values a row, with a scale for each row
    /// in one row.
    pub fn from_int8(bytes: Rows<i8>, scales: Rows) -> Self {
        assert!(scales.len() == bytes.count() && bytes.width() <= MAX_INT8_DIM);
        let dim = bytes.width();
        Self { dim, values: Values::Int8 { bytes: padded(bytes), scales, sums: Arc::default() } }
    }

    /// What the matrix is made of.
    pub fn parts(&self) -> QuantizedParts<'_> {
        match &self.values {
            Values::Bf16(values) => QuantizedParts::Bf16(trimmed(values, self.dim)),
            Values::Int8 { bytes, scales, .. } => {
                QuantizedParts::Int8(trimmed(bytes, self.dim), scales)
            }
        }
    }

    /// Values of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The first row with a value that is no number up to `most` in size.
    pub fn above(&self, most: f32) -> Option<usize> {
        match &self.values {
            // In the order of sizes, with NaN above all numbers.
            Values::Bf16(values) => (0..values.count()).find(|row| {
                let sizes = values.row(*row).iter().map(|value| value & 0x7fff);
                sizes.max() > Some(half::bf16::from_f32(most).to_bits())
            }),
            Values::Int8 { scales, .. } => {
                scales.iter().position(|scale| !(0.0..=most).contains(&(scale.abs() * 128.0)))
            }
        }
    }

    /// The first row of bytes whose scale no vector of length 1 has, since none of its values is
    /// above 1.
    pub fn no_unit_scale(&self) -> Option<(usize, f32)> {
        let Values::Int8 { scales, .. } = &self.values else { return None };
        let row = scales.iter().position(|scale| !(0.0..=MAX_UNIT_SCALE).contains(scale))?;
        Some((row, scales[row]))
    }

    /// The first row with a scale below zero, which only bytes have.
    pub fn negative_scale(&self) -> Option<(usize, f32)> {
        match &self.values {
            Values::Bf16(_) => None,
            Values::Int8 { scales, .. } => {
                let row = scales.iter().position(|scale| *scale < 0.0)?;
                Some((row, scales[row]))
            }
        }
    }

    /// How far rounding may have moved the length of a row from 1.
    pub fn length_error(&self, number: usize) -> f64 {
        match &self.values {
            Values::Bf16(_) => 1.0 / 256.0,
            // Half a step for each value.
            Values::Int8 { scales, .. } => {
                0.5 * f64::from(scales[number]) * (self.dim as f64).sqrt()
            }
        }
    }

    /// How values are stored.
    pub fn format(&self) -> RowFormat {
        match &self.values {
            Values::Bf16(_) => RowFormat::Bf16,
            Values::Int8 { .. } => RowFormat::Int8,
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        match &self.values {
            Values::Bf16(values) => values.count(),
            Values::Int8 { bytes, .. } => bytes.count(),
        }
    }

    /// The values of the row with this number, as they are stored.
    pub fn decode(&self, number: usize, row: &mut [f32]) {
        match &self.values {
            Values::Bf16(values) => {
                for (row, value) in row.iter_mut().zip(values.row(number)) {
                    *row = half::bf16::from_bits(*value).to_f32();
                }
            }
            Values::Int8 { bytes, scales, .. } => {
                for (row, value) in row.iter_mut().zip(bytes.row(number)) {
                    *row = f32::from(*value) * scales[number];
                }
            }
        }
    }

    /// The dot product of `query` (dim) with `out.len()` rows from the `first` on.
    pub fn dots(&self, query: &[f32], first: usize, out: &mut [f32]) {
        assert!(query.len() == self.dim && first + out.len() <= self.count());
        match &self.values {
            Values::Bf16(values) => {
                let width = values.width();
                let mut padded = Scratch::new();
                let mut query = query;
                if width != self.dim {
                    padded.extend_from_slice(query);
                    padded.resize(width, 0.0);
                    query = &padded;
                }
                let mut deinterleaved = Scratch::filled(width, 0.0);
                bf16::deinterleave(query, &mut deinterleaved);
                let rows = &values[first * width..][..out.len() * width];
                bf16::dots(PrefetchHint::of(values), &deinterleaved, rows, out);
            }
            Values::Int8 { .. } => {
                let range = first..first + out.len();
                self.dots_quantized(&self.quantize(query), range.clone(), range.end, out);
            }
        }
    }

    /// Rounds a query (dim) for these and other rows of bytes.
    pub fn quantize(&self, query: &[f32]) -> QuantizedQuery {
        assert_eq!(query.len(), self.dim);
        let width = self.dim.next_multiple_of(PAD);
        let mut bytes = Scratch::filled(2 * width, 0);
        let (high, low) = bytes.split_at_mut(width);
        let scale = int8::quantize(query, high, low);
        QuantizedQuery { bytes, scale }
    }

    /// [`dots`](Self::dots) of a range of rows of bytes with a query of
    /// [`quantize`](Self::quantize). The rows from `next` on are those to be read then, and are
    /// requested early.
    pub fn dots_quantized(
        &self,
        query: &QuantizedQuery,
        range: Range<usize>,
        next: usize,
        out: &mut [f32],
    ) {
        let Values::Int8 { bytes, scales, sums } = &self.values else {
            unreachable!("a query is quantized for rows of bytes only")
        };
        let width = bytes.width();
        assert!(query.bytes.len() == 2 * width && range.len() == out.len());
        let (high, low) = query.bytes.split_at(width);
        let query = Int8Query { high, low, scale: query.scale };
        let sums = &sums.get_or_init(|| sums_of(bytes))[..];
        let rows = |first: usize, count: usize, next| Int8Rows {
            bytes: &bytes[first * width..][..count * width],
            scales: &scales[first..][..count],
            sums: &sums[first..][..count],
            next,
        };
        if PrefetchHint::of(bytes) == PrefetchHint::Cached {
            return int8::dots_int8(query, rows(range.start, out.len(), &[][..]), out);
        }
        // While the first are multiplied, later ones are requested; with the last, the next.
        let lead = LEAD.div_ceil(width);
        let last = range.end - range.len().min(lead);
        let (out, out_of_last) = out.split_at_mut(last - range.start);
        let parts = [(range.start, range.start + lead, out), (last, next, out_of_last)];
        for (first, next, out) in parts {
            let next = next.min(self.count());
            let end = self.count().min(next + out.len());
            prefetch(&scales[next..end]);
            prefetch(&sums[next..end]);
            int8::dots_int8(query, rows(first, out.len(), &bytes[next * width..]), out);
        }
    }

    /// alpha·Σₖ weightₖ·rowₖ for rows from the `first` on, added to `out` (dim) or, with
    /// `overwrite`, written over it.
    pub fn weighted_sum(
        &self,
        weights: &[f32],
        first: usize,
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) {
        assert!(out.len() == self.dim && first + weights.len() <= self.count());
        let width = self.dim.next_multiple_of(PAD);
        if width == self.dim {
            return self.padded_sum(weights, first, overwrite, alpha, out);
        }
        let mut padded = Scratch::new();
        padded.extend_from_slice(out);
        padded.resize(width, 0.0);
        self.padded_sum(weights, first, overwrite, alpha, &mut padded);
        out.copy_from_slice(&padded[..self.dim]);
    }

    fn padded_sum(
        &self,
        weights: &[f32],
        first: usize,
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) {
        let width = out.len();
        match &self.values {
            Values::Bf16(values) => {
                let rows = &values[first * width..][..weights.len() * width];
                bf16::weighted_sum(weights, rows, overwrite, alpha, out);
            }
            Values::Int8 { bytes, scales, .. } => {
                let mut scaled = [0.0; BLOCK];
                for (block, weights) in weights.chunks(BLOCK).enumerate() {
                    let start = first + block * BLOCK;
                    let scaled = &mut scaled[..weights.len()];
                    let pairs = weights.iter().zip(&scales[start..]);
                    for (scaled, (weight, scale)) in scaled.iter_mut().zip(pairs) {
                        *scaled = weight * scale * alpha;
                    }
                    let rows = &bytes[start * width..][..weights.len() * width];
                    int8::weighted_sum_int8(scaled, rows, overwrite && block == 0, out);
                }
            }
        }
    }
}

/// Rows filled up with zeros to whole [`PAD`]s.
fn padded<T: Copy + Default>(rows: Rows<T>) -> Rows<T> {
    let width = rows.width().next_multiple_of(PAD);
    if width == rows.width() {
        return rows;
    }
    let mut all = Rows::with_capacity(width, rows.count());
    let mut padded = vec![T::default(); width];
    for number in 0..rows.count() {
        padded[..rows.width()].copy_from_slice(rows.row(number));
        all.push(&padded);
    }
    all
}

/// The inverse, in pieces.
fn trimmed<T: Copy>(rows: &Rows<T>, dim: usize) -> Vec<&[T]> {
    match rows.width() == dim {
        true => vec![rows],
        false => (0..rows.count()).map(|number| &rows.row(number)[..dim]).collect(),
    }
}

fn sums_of(bytes: &Rows<i8>) -> Vec<i32> {
    (0..bytes.count()).map(|row| bytes.row(row).iter().copied().map(i32::from).sum()).collect()
}

/// Puts the nearest bytes to a row into `bytes`, and returns their scale.
fn round(row: &[f32], bytes: &mut [i8]) -> f32 {
    let scale = largest(row) / 127.0;
    for (byte, value) in bytes.iter_mut().zip(row) {
        // A row of zeros has 0/0 here, which becomes 0.
        *byte = (value / scale).round() as i8;
    }
    scale
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |top, value| f32::max(top, value.abs()))
}
