//! What single precision cuts off vectors, in four bits a value.
//!
//! Rounding a value to single precision moves it by at most half a unit in its last place. The
//! rest is kept in fifteenths of that unit, −7 to 7, so that both together are within a thirtieth
//! of it, and a dot product with a vector of length 1 within 2⁻²³/30 < 4.1e-9 of the vector's
//! length, where single precision alone has 6e-8. What is zero stays exactly zero.

use crate::dot::dot_f64;
use crate::rows::Rows;
use crate::scratch::Scratch;
use crate::simd::ROUND;

/// A step in units in the last place, where the value's power of two is known.
const STEP: f32 = f32::EPSILON / 15.0;

const LANES: usize = 8;

/// The greatest number of steps.
const MOST: f32 = 7.0;

/// The bits of a value's power of two.
const EXPONENT: u32 = 0x7f80_0000;

/// What is cut off the rows of a matrix.
#[derive(Debug, Clone)]
pub struct Tails {
    /// Two values a byte: of a row of n, that with the number i < ⌈n/2⌉ in the low half of byte
    /// i, that with the number ⌈n/2⌉ + i in its high half, each in two's complement. Nothing
    /// where nothing is cut off.
    steps: Option<Rows<i8>>,
}

impl Tails {
    /// Nothing is cut off any row.
    pub fn none() -> Self {
        Self { steps: None }
    }

    /// No rows yet, with memory for `rows` of `dim` values.
    pub fn with_capacity(dim: usize, rows: usize) -> Self {
        Self { steps: Some(Rows::with_capacity(dim.div_ceil(2), rows)) }
    }

    /// Rows as [`steps`](Self::steps) gives them.
    pub fn from_steps(steps: Rows<i8>) -> Self {
        Self { steps: Some(steps) }
    }

    /// The bytes, of which a row of `dim` values has ⌈dim/2⌉; `None` where all are zero.
    pub fn steps(&self) -> Option<&[i8]> {
        self.steps.as_deref().filter(|steps| steps.iter().any(|byte| *byte != 0))
    }

    /// Adds a row: what `rounded` lacks of `exact`.
    pub fn push(&mut self, exact: &[f64], rounded: &[f32]) {
        let Some(steps) = &mut self.steps else {
            unreachable!("rows of no tails are not added to")
        };
        assert!(exact.len() == rounded.len() && exact.len().div_ceil(2) == steps.width());
        let mut row = Scratch::filled(steps.width(), 0);
        tail(exact, rounded, &mut row);
        steps.push(&row);
    }

    /// The row with this number, of which `rounded` is the rest, in double precision.
    pub fn whole(&self, number: usize, rounded: &[f32]) -> impl Iterator<Item = f64> {
        let row = self.steps.as_ref().map_or(&[][..], |steps| steps.row(number));
        rounded.iter().enumerate().map(move |(at, rounded)| {
            let count = match at.checked_sub(row.len()) {
                _ if row.is_empty() => 0,
                None => low(row[at]),
                Some(at) => high(row[at]),
            };
            with_tail(*rounded, count)
        })
    }

    /// The dot product of `query` with the row with this number, in double precision.
    pub fn dot(&self, number: usize, query: &[f32], rounded: &[f32]) -> f64 {
        assert_eq!(query.len(), rounded.len());
        match &self.steps {
            None => dot_f64(query, rounded),
            Some(steps) => {
                assert_eq!(steps.width(), query.len().div_ceil(2));
                dot_in_double(query, rounded, steps.row(number))
            }
        }
    }
}

/// The dot product in double precision with a vector and its tail.
#[inline(always)]
fn dot_in_double(query: &[f32], head: &[f32], tail: &[i8]) -> f64 {
    let (query, rest) = query.split_at(tail.len());
    let (head, rest_of_head) = head.split_at(tail.len());
    let first = dot_with_steps(query, head, tail, low);
    first + dot_with_steps(rest, rest_of_head, &tail[..rest.len()], high)
}

/// The tail of a vector that is rounded.
#[inline(always)]
fn tail(exact: &[f64], rounded: &[f32], tail: &mut [i8]) {
    let (exact, rest) = exact.split_at(tail.len());
    let (rounded, rest_of_rounded) = rounded.split_at(tail.len());
    for ((byte, exact), rounded) in tail.iter_mut().zip(exact).zip(rounded) {
        *byte = steps_between(*exact, *rounded) & 15;
    }
    for ((byte, exact), rounded) in tail.iter_mut().zip(rest).zip(rest_of_rounded) {
        *byte |= steps_between(*exact, *rounded) << 4;
    }
}

#[inline(always)]
fn dot_with_steps(query: &[f32], head: &[f32], tail: &[i8], steps: impl Fn(i8) -> i32) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (queries, last) = query.as_chunks::<LANES>();
    let (heads, last_head) = head.as_chunks::<LANES>();
    let (tails, last_tail) = tail.as_chunks::<LANES>();
    for ((query, head), tail) in queries.iter().zip(heads).zip(tails) {
        for i in 0..LANES {
            lanes[i] += f64::from(query[i]) * with_tail(head[i], steps(tail[i]));
        }
    }
    let last = last.iter().zip(last_head).zip(last_tail);
    let last: f64 = last.map(|((q, h), t)| f64::from(*q) * with_tail(*h, steps(*t))).sum();
    lanes.iter().sum::<f64>() + last
}

/// How many steps a value is from what it was rounded to.
#[inline(always)]
fn steps_between(exact: f64, rounded: f32) -> i8 {
    // One divided by the power of two; what has none has no steps, and any number will do.
    let inverse = f32::from_bits((254 << 23) - (rounded.to_bits() & EXPONENT).min(254 << 23));
    let missing = (exact - f64::from(rounded)) as f32 * inverse * (15.0 / f32::EPSILON);
    // Rounded in the lowest bits, see `ROUND`.
    (missing.clamp(-MOST, MOST) + ROUND).to_bits() as i8
}

#[inline(always)]
fn step_of(rounded: f32) -> f32 {
    f32::from_bits(rounded.to_bits() & EXPONENT) * STEP
}

/// The steps in the low half of a byte.
#[inline(always)]
fn low(byte: i8) -> i32 {
    (i32::from(byte) << 28) >> 28
}

/// The steps in its high half.
#[inline(always)]
fn high(byte: i8) -> i32 {
    i32::from(byte) >> 4
}

/// A value and so many steps.
#[inline(always)]
fn with_tail(rounded: f32, steps: i32) -> f64 {
    f64::from(rounded) + f64::from(steps as f32 * step_of(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Values of all sizes, some of them just below powers of two, and those without a rest.
    fn values(count: usize) -> Vec<f64> {
        let mut random = Random::new(5, 0);
        let mut value = |at: usize| match at % 7 {
            0 => 0.0,
            1 => -0.25,
            2 => 2f64.powi(-(at as i32 % 140)) * (1.0 - 1e-9),
            _ => {
                (random.below(1 << 50) as f64 / 2f64.powi(49) - 1.0) * 10f64.powi(-(at as i32 % 5))
            }
        };
        (0..count).map(&mut value).collect()
    }

    #[test]
    fn little_is_missing_and_nothing_of_what_is_whole() {
        for count in [1, 2, 3, 383, 384] {
            let exact = values(count);
            let rounded: Vec<f32> = exact.iter().map(|value| *value as f32).collect();
            let mut tails = Tails::with_capacity(count, 2);
            tails.push(&rounded.iter().copied().map(f64::from).collect::<Vec<_>>(), &rounded);
            assert!(tails.steps().is_none());
            tails.push(&exact, &rounded);
            let rest: Vec<f64> = tails.whole(0, &rounded).collect();
            assert!(rest.iter().zip(&rounded).all(|(rest, value)| *rest == f64::from(*value)));
            let whole: Vec<f64> = tails.whole(1, &rounded).collect();
            for (whole, exact) in whole.iter().zip(&exact) {
                // Below the powers of two of single precision there are no steps.
                let bound = (exact.abs() * 4.1e-9).max(1.5e-45);
                assert!((whole - exact).abs() <= bound, "{whole}, not {exact}");
            }
            let query: Vec<f32> = (0..count).map(|at| (at as f32).sin()).collect();
            let dot = |row: &[f64]| -> f64 {
                query.iter().zip(row).map(|(query, value)| f64::from(*query) * value).sum()
            };
            let size = count as f64 * 1e-15;
            assert!((tails.dot(1, &query, &rounded) - dot(&whole)).abs() < size);
            assert!((Tails::none().dot(0, &query, &rounded) - dot(&rest)).abs() < size);
        }
    }
}
