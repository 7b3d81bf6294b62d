//! Which lists a query reads, and in which order.

use super::{IndexStats, KS, SPREAD};
use crate::scratch::Scratch;
use crate::{QuantizedQuery, QuantizedRows, largest, top_k};

/// IvfIndex that are read before the others are chosen by what they hold.
const FIRST: usize = 8;

/// Scores that are passed over together where none is good enough.
const BLOCK: usize = 64;

/// IvfIndex around their means.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    /// Means of lists (l × d).
    pub centres: QuantizedRows,
    /// What the spread of each list adds to its score.
    pub spreads: Vec<f32>,
    /// Where in the codes each list begins, and the last one ends (l + 1).
    pub offsets: Vec<usize>,
    /// For each of [`KS`].
    pub slacks: [f32; KS.len()],
    pub found: IndexStats,
}

impl Routes {
    /// Number of lists.
    pub fn count(&self) -> usize {
        self.spreads.len()
    }

    /// The places of a list.
    pub fn places(&self, list: usize) -> std::ops::Range<usize> {
        self.offsets[list]..self.offsets[list + 1]
    }

    /// How far below the k-th best similarity the score of a list may be that is read.
    pub fn slack(&self, k: usize) -> f32 {
        self.slacks[KS.iter().rposition(|known| *known <= k).unwrap_or(0)]
    }

    /// The list of a new row.
    pub fn nearest_to(&self, unit: &[f32]) -> usize {
        let scores = self.scores(&self.centres.quantize(unit));
        let score = |list: usize| {
            // |c|² is in the spread; |x − c|² is least where x·c − |c|²/2 is greatest.
            let spread = self.spreads[list];
            scores[list] - spread + (spread / SPREAD).powi(2) / 2.0
        };
        (0..scores.len()).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap_or(0)
    }

    /// The score of each list for a unit vector.
    pub fn scores(&self, query: &QuantizedQuery) -> Scratch<f32> {
        let mut scores = Scratch::filled(self.count(), 0.0);
        self.centres.dots_quantized(query, 0..self.count(), self.count(), &mut scores);
        for (score, spread) in scores.iter_mut().zip(&self.spreads) {
            *score += spread;
        }
        scores
    }
}

/// IvfIndex by their scores, the best first. Putting all of them in order would take longer than
/// reading some: the first few tell what the others must reach.
pub(super) struct Order {
    scores: Scratch<f32>,
    /// Those that were not among the first have lower scores.
    first: f32,
}

/// A score and the number of its list; ascending, the best one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u64);

impl Order {
    /// Of the scores of all lists.
    pub fn of(scores: Scratch<f32>) -> Self {
        Self { scores, first: f32::INFINITY }
    }

    /// The best few lists; to be asked for once.
    pub fn first(&mut self) -> Scratch<Entry> {
        let best = top_k::near_top_k(&self.scores, FIRST.min(self.scores.len()), 0.0);
        let mut entries: Scratch<Entry> =
            best.iter().map(|list| Entry::of(*list, self.scores[*list])).collect();
        entries.sort_unstable();
        if let Some(last) = entries.last() {
            self.first = last.score();
        }
        entries
    }

    /// The others that have this score at least.
    pub fn others(self, least: f32) -> Scratch<Entry> {
        let mut entries = Scratch::new();
        for (block, scores) in self.scores.chunks(BLOCK).enumerate() {
            if largest(scores) < least {
                continue;
            }
            for (at, score) in scores.iter().enumerate() {
                if *score >= least && *score < self.first {
                    entries.push(Entry::of(block * BLOCK + at, *score));
                }
            }
        }
        entries.sort_unstable();
        entries
    }
}

impl Entry {
    fn of(list: usize, score: f32) -> Self {
        // Whole numbers in the order of scores.
        let bits = score.to_bits();
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(!ordered) << 32 | list as u64)
    }

    pub fn list(self) -> usize {
        self.0 as u32 as usize
    }

    pub fn score(self) -> f32 {
        let ordered = !((self.0 >> 32) as u32);
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_the_order_of_scores_and_keep_them() {
        let scores = [f32::INFINITY, 3.0, 0.5, 1e-30, 0.0, -0.0, -1e-30, -2.0, f32::NEG_INFINITY];
        let entries: Vec<Entry> =
            scores.iter().enumerate().map(|(list, score)| Entry::of(list, *score)).collect();
        assert!(entries.is_sorted());
        for (list, (entry, score)) in entries.iter().zip(scores).enumerate() {
            assert_eq!((entry.list(), entry.score().to_bits()), (list, score.to_bits()));
        }
        assert!(Entry::of(1, 0.5) < Entry::of(2, 0.5) && Entry::of(2, 0.5) < Entry::of(1, 0.25));
    }

    #[test]
    fn every_list_comes_once_and_the_best_first() {
        for count in [1, 5, 8, 9, 300, 5000] {
            // Many scores are equal.
            let scores: Vec<f32> = (0..count).map(|i| ((i * 7919) % 1000) as f32 / 999.0).collect();
            for least in [f32::NEG_INFINITY, 0.4, 2.0] {
                let mut order = Order::of(scores.iter().copied().collect());
                let mut all = order.first();
                assert!(all.len() >= count.min(FIRST));
                let before = all.len();
                all.extend(order.others(least).iter());
                assert!(all.is_sorted());
                let mut lists: Vec<usize> = all.iter().map(|entry| entry.list()).collect();
                lists.sort_unstable();
                lists.dedup();
                let good = scores.iter().filter(|score| **score >= least).count();
                assert_eq!((lists.len(), all.len()), (all.len(), good.max(before)));
            }
        }
    }
}
