//! The loops that make weights of scores, by registers.

use super::lanes::{Lanes, exp};
use super::vector::scale;

/// Values whose exponentials are added up in single precision.
const TERMS: usize = 256;

/// The largest score; −∞ for none.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn largest<L: Lanes>(scores: &[f32]) -> f32 {
    if scores.len() < L::COUNT {
        return scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    }
    // SAFETY: by this function's own condition; the last register may overlap the one before.
    unsafe {
        let last = scores.len() - L::COUNT;
        let mut top = L::load(scores.as_ptr().add(last));
        let mut at = 0;
        while at < last {
            top = top.max(L::load(scores.as_ptr().add(at)));
            at += L::COUNT;
        }
        top.largest()
    }
}

/// Makes exp(scale·(s − top)) of scores, and gives their sum.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn exponentials<L: Lanes>(scores: &mut [f32], scale: f32, top: f32) -> f64 {
    let mut total = 0.0;
    // SAFETY: by this function's own condition; registers at the end of `scores` are read
    // and written in part.
    unsafe {
        let (scale, top) = (L::splat(scale), L::splat(top));
        for scores in scores.chunks_mut(TERMS) {
            let (count, scores) = (scores.len(), scores.as_mut_ptr());
            let mut sum = L::splat(0.0);
            let mut at = 0;
            while at + L::COUNT <= count {
                let value = L::load(scores.add(at)).subtract(top).multiply(scale);
                let value = exp(value);
                value.store(scores.add(at));
                sum = sum.add(value);
                at += L::COUNT;
            }
            if at < count {
                let part = count - at;
                let value = L::load_part(scores.add(at), part).subtract(top).multiply(scale);
                let value = exp(value).first(part);
                value.store_part(scores.add(at), part);
                sum = sum.add(value);
            }
            total += f64::from(sum.sum());
        }
    }
    total
}

/// Scores to weights in place: wₖ = exp(scale·(sₖ − max s)) / Σ of the same.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn softmax<L: Lanes>(scores: &mut [f32], factor: f32) {
    // SAFETY: by this function's own condition.
    unsafe {
        let top = largest::<L>(scores);
        let sum = exponentials::<L>(scores, factor, top);
        scale::<L>(scores, (1.0 / sum) as f32);
    }
}

/// [`softmax`] of rows that begin every `step` values; `width` is a multiple of
/// [`Lanes::COUNT`], and there is a factor a row. Four rows at a time, whose waiting times
/// overlap.
///
/// # Safety
/// As for [`Lanes`]; `scores` reaches at least to the end of the last row.
#[inline(always)]
pub(super) unsafe fn softmax_of_rows<L: Lanes>(
    scores: &mut [f32],
    step: usize,
    width: usize,
    factors: &[f32],
) {
    let (fours, rest) = factors.as_chunks::<4>();
    let whole = scores.as_mut_ptr();
    // SAFETY: by this function's own condition.
    unsafe {
        for (four, factors) in fours.iter().enumerate() {
            let rows = whole.add(four * 4 * step);
            let tops = largest_of::<L, 4>(rows, step, width);
            let sums = exponentials_of::<L, 4>(rows, step, width, *factors, tops);
            for r in 0..4 {
                let inverse = L::splat(1.0 / sums[r]);
                for at in (0..width).step_by(L::COUNT) {
                    let place = rows.add(r * step + at);
                    L::load(place).multiply(inverse).store(place);
                }
            }
        }
        let first = 4 * fours.len();
        for (row, factor) in rest.iter().enumerate() {
            softmax::<L>(&mut scores[(first + row) * step..][..width], *factor);
        }
    }
}

/// The largest score of each row, into `tops`; rows as in [`softmax_of_rows`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn largest_of_rows<L: Lanes>(
    scores: &[f32],
    step: usize,
    width: usize,
    tops: &mut [f32],
) {
    let (fours, rest) = tops.as_chunks_mut::<4>();
    let mut rows = scores.as_ptr();
    // SAFETY: by this function's own condition; `rows` stays among the rows, or behind the last.
    unsafe {
        for tops in fours {
            *tops = largest_of::<L, 4>(rows, step, width);
            rows = rows.wrapping_add(4 * step);
        }
        for top in rest {
            [*top] = largest_of::<L, 1>(rows, step, width);
            rows = rows.wrapping_add(step);
        }
    }
}

/// Makes exp(factor·(s − top)) of the scores of each row, with its own factor and top, and
/// puts their sums into `sums`; rows as in [`softmax_of_rows`].
///
/// # Safety
/// As there; there are as many factors and tops as sums.
#[inline(always)]
pub(super) unsafe fn exponentials_of_rows<L: Lanes>(
    scores: &mut [f32],
    (step, width): (usize, usize),
    factors: &[f32],
    tops: &[f32],
    sums: &mut [f32],
) {
    let ((factors, last_factors), (tops, last_tops)) = (factors.as_chunks(), tops.as_chunks());
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let mut rows = scores.as_mut_ptr();
    // SAFETY: by this function's own condition; `rows` stays among the rows, or behind the last.
    unsafe {
        for (sums, (factors, tops)) in fours.iter_mut().zip(factors.iter().zip(tops)) {
            *sums = exponentials_of::<L, 4>(rows, step, width, *factors, *tops);
            rows = rows.wrapping_add(4 * step);
        }
        for (sum, (factor, top)) in rest.iter_mut().zip(last_factors.iter().zip(last_tops)) {
            [*sum, ..] = exponentials_of::<L, 1>(rows, step, width, [*factor], [*top]);
            rows = rows.wrapping_add(step);
        }
    }
}

/// The largest scores of `R` rows.
///
/// # Safety
/// As for [`softmax_of_rows`], of the rows from `rows` on.
#[inline(always)]
unsafe fn largest_of<L: Lanes, const R: usize>(
    rows: *const f32,
    step: usize,
    width: usize,
) -> [f32; R] {
    // SAFETY: by this function's own condition.
    unsafe {
        let mut tops = [0.0; R];
        for r in 0..R {
            let mut top = L::load(rows.add(r * step));
            for at in (L::COUNT..width).step_by(L::COUNT) {
                top = top.max(L::load(rows.add(r * step + at)));
            }
            tops[r] = top.largest();
        }
        tops
    }
}

/// [`exponentials_of_rows`] of `R` rows, at most four, with the sums of as many.
///
/// # Safety
/// As for [`softmax_of_rows`], of the rows from `rows` on.
#[inline(always)]
unsafe fn exponentials_of<L: Lanes, const R: usize>(
    rows: *mut f32,
    step: usize,
    width: usize,
    factors: [f32; R],
    tops: [f32; R],
) -> [f32; 4] {
    // SAFETY: by this function's own condition.
    unsafe {
        let mut sums = [L::splat(0.0); 4];
        for at in (0..width).step_by(L::COUNT) {
            for r in 0..R {
                let place = rows.add(r * step + at);
                let value = L::load(place).subtract(L::splat(tops[r]));
                let value = exp(value.multiply(L::splat(factors[r])));
                value.store(place);
                sums[r] = sums[r].add(value);
            }
        }
        L::sums(sums)
    }
}
