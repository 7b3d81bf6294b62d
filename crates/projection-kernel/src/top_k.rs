//! The best of many scores, without sorting them.

use std::cmp::Ordering;

use crate::scratch::Scratch;
use crate::softmax::largest;

/// Scores that are passed over together where none is good enough.
const BLOCK: usize = 64;

/// Up to so many scores, counting them again and again is faster than keeping the best.
const FEW: usize = 2048;

/// The best k of the scores seen so far, of which the k-th is the threshold for others.
pub struct TopK {
    k: usize,
    /// Fewer than twice k of the best scores, in any order.
    kept: Scratch<f32>,
    threshold: f32,
}

impl TopK {
    /// For `k` above zero.
    pub fn new(k: usize) -> Self {
        Self { k, kept: Scratch::new(), threshold: f32::NEG_INFINITY }
    }

    /// Calls `see` with the position of each score that is not more than `margin` below what
    /// is known of the k-th best after its block, and perhaps with some more.
    pub fn add(&mut self, scores: &[f32], margin: f32, mut see: impl FnMut(usize)) {
        for (block, scores) in scores.chunks(BLOCK).enumerate() {
            let best = largest(scores);
            if best > self.threshold {
                let threshold = self.threshold;
                self.keep(scores.iter().copied().filter(|score| *score > threshold));
            }
            if best >= self.threshold - margin {
                for (at, score) in scores.iter().enumerate() {
                    if *score >= self.threshold - margin {
                        see(block * BLOCK + at);
                    }
                }
            }
        }
    }

    fn keep(&mut self, scores: impl Iterator<Item = f32>) {
        for score in scores {
            self.kept.push(score);
            if self.kept.len() / 2 >= self.k {
                self.cut();
            }
        }
        if self.kept.len() >= self.k {
            self.cut();
        }
    }

    fn cut(&mut self) {
        keep_top(&mut self.kept, self.k, |a, b| b.total_cmp(a));
        self.threshold = self.kept[self.k - 1];
    }

    /// The k-th best score, −∞ if there were fewer.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }
}

/// Truncates more than `k` values to the first `k` in an order, the last of them at the end; k is
/// above zero.
pub fn keep_top<T>(values: &mut Vec<T>, k: usize, order: fn(&T, &T) -> Ordering) {
    values.select_nth_unstable_by(k - 1, order);
    values.truncate(k);
}

/// The positions, ascending, of scores not more than `margin` below the k-th best one.
pub fn near_top_k(scores: &[f32], k: usize, margin: f32) -> Scratch<usize> {
    if scores.len() <= FEW {
        let threshold = kth_largest(scores, k) - margin;
        return (0..scores.len()).filter(|at| scores[*at] >= threshold).collect();
    }
    let mut cut = TopK::new(k);
    let mut found = Scratch::new();
    cut.add(scores, margin, |at| found.push(at));
    found.retain(|at| scores[*at] >= cut.threshold() - margin);
    found
}

/// The k-th best score, −∞ if fewer are finite. Halves the range in which it lies, until
/// a bound lets exactly k scores pass: a count is a few instructions for each register.
fn kth_largest(scores: &[f32], k: usize) -> f32 {
    let count = |least: f32| -> usize {
        let count_of = |part: &[f32]| part.iter().map(|s| u32::from(*s >= least)).sum::<u32>();
        scores.chunks(FEW).map(|part| count_of(part) as usize).sum()
    };
    let (mut above, mut below) = (largest(scores), f32::INFINITY);
    for score in scores.iter().filter(|score| **score > f32::NEG_INFINITY) {
        below = if *score < below { *score } else { below };
    }
    if count(above) >= k {
        return above;
    }
    if below == f32::INFINITY || count(below) < k {
        return f32::NEG_INFINITY;
    }
    // At least k scores are not less than `below`, and fewer than k not less than `above`.
    loop {
        let middle = below + (above - below) / 2.0;
        // Also if a score is NaN, which no comparison is true of.
        let between = below < middle && middle < above;
        if !between {
            return below;
        }
        match count(middle) {
            passed if passed == k => {
                let passing = scores.iter().copied().filter(|score| *score >= middle);
                return passing.fold(f32::INFINITY, f32::min);
            }
            passed if passed > k => below = middle,
            _ => above = middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_sorting_finds() {
        let rising: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let falling: Vec<f32> = rising.iter().rev().copied().collect();
        let mixed: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut gaps = mixed.clone();
        gaps[100..900].fill(f32::NEG_INFINITY);
        // Also more scores than are counted.
        let many: Vec<f32> = (0..3 * FEW).map(|i| (i as f32 * 0.7).sin()).collect();
        for scores in [&rising, &falling, &mixed, &gaps, &vec![0.5; 300], &many] {
            for k in [1, 2, 33, 200] {
                for margin in [0.0, 0.01, 5.0] {
                    let mut sorted = scores.clone();
                    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
                    let expected: Vec<usize> = (0..scores.len())
                        .filter(|at| scores[*at] >= sorted[k - 1] - margin)
                        .collect();
                    assert_eq!(*near_top_k(scores, k, margin), expected);
                }
            }
        }
    }
}
