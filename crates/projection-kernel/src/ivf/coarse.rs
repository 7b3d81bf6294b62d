//! The coarse quantizer: which lists a query scans, and in which order.

use super::{IndexStats, KS};
use crate::quantized::{QuantizedQuery, QuantizedRows};
use crate::scratch::Scratch;
use crate::softmax::largest;
use crate::top_k;

/// Lists that are scanned before the others are chosen by the similarities found.
const FIRST: usize = 8;

/// How much the spread of the rows of a list counts in its radius.
pub(super) const RADIUS: f32 = 0.3;

/// Scores that are passed over together where none is good enough.
const BLOCK: usize = 64;

/// The centroids of the inverted lists, and how to choose among the lists.
#[derive(Debug, Clone)]
pub(super) struct CoarseQuantizer {
    /// Means of lists (l × d).
    pub centroids: QuantizedRows,
    /// What the radius of each list adds to its score.
    pub radii: Vec<f32>,
    /// The slot at which each list begins, and the end of the last one (l + 1).
    pub offsets: Vec<usize>,
    /// The probe margin for each of [`KS`].
    pub probe_margins: [f32; KS.len()],
    pub stats: IndexStats,
}

impl CoarseQuantizer {
    /// Number of lists.
    pub fn count(&self) -> usize {
        self.radii.len()
    }

    /// The slots of a list.
    pub fn slots(&self, list: usize) -> std::ops::Range<usize> {
        self.offsets[list]..self.offsets[list + 1]
    }

    /// How far below the k-th best similarity the score of a list may be that is scanned.
    pub fn probe_margin(&self, k: usize) -> f32 {
        self.probe_margins[KS.iter().rposition(|known| *known <= k).unwrap_or(0)]
    }

    /// The list of a new row.
    pub fn nearest_to(&self, unit: &[f32]) -> usize {
        let scores = self.scores(&self.centroids.quantize(unit));
        let score = |list: usize| {
            // |c|² is in the radius; |x − c|² is least where x·c − |c|²/2 is greatest.
            let radius = self.radii[list];
            scores[list] - radius + (radius / RADIUS).powi(2) / 2.0
        };
        (0..scores.len()).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap_or(0)
    }

    /// The score of each list for a unit vector.
    pub fn scores(&self, query: &QuantizedQuery) -> Scratch<f32> {
        let mut scores = Scratch::filled(self.count(), 0.0);
        self.centroids.dots_quantized(query, 0..self.count(), self.count(), &mut scores);
        for (score, radius) in scores.iter_mut().zip(&self.radii) {
            *score += radius;
        }
        scores
    }
}

/// Lists by their scores, the best first. Sorting all of them would take longer than scanning
/// some: the first few tell what the others must reach.
pub(super) struct ListOrder {
    scores: Scratch<f32>,
    /// Those that were not among the first have lower scores.
    first: f32,
}

/// A score and the number of its list; ascending, the best one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RankedList(u64);

impl ListOrder {
    /// Of the scores of all lists.
    pub fn of(scores: Scratch<f32>) -> Self {
        Self { scores, first: f32::INFINITY }
    }

    /// The best few lists; to be called once.
    pub fn first(&mut self) -> Scratch<RankedList> {
        let best = top_k::near_top_k(&self.scores, FIRST.min(self.scores.len()), 0.0);
        let mut entries: Scratch<RankedList> =
            best.iter().map(|list| RankedList::of(*list, self.scores[*list])).collect();
        entries.sort_unstable();
        if let Some(last) = entries.last() {
            self.first = last.score();
        }
        entries
    }

    /// The others that have this score at least.
    pub fn others(self, least: f32) -> Scratch<RankedList> {
        let mut entries = Scratch::new();
        for (block, scores) in self.scores.chunks(BLOCK).enumerate() {
            if largest(scores) < least {
                continue;
            }
            for (at, score) in scores.iter().enumerate() {
                if *score >= least && *score < self.first {
                    entries.push(RankedList::of(block * BLOCK + at, *score));
                }
            }
        }
        entries.sort_unstable();
        entries
    }
}

impl RankedList {
    fn of(list: usize, score: f32) -> Self {
        // Whole numbers in the order of scores.
        let bits = score.to_bits();
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(!ordered) << 32 | list as u64)
    }

    pub fn number(self) -> usize {
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
        let entries: Vec<RankedList> =
            scores.iter().enumerate().map(|(list, score)| RankedList::of(list, *score)).collect();
        assert!(entries.is_sorted());
        for (list, (entry, score)) in entries.iter().zip(scores).enumerate() {
            assert_eq!((entry.number(), entry.score().to_bits()), (list, score.to_bits()));
        }
        assert!(
            RankedList::of(1, 0.5) < RankedList::of(2, 0.5)
                && RankedList::of(2, 0.5) < RankedList::of(1, 0.25)
        );
    }

    #[test]
    fn every_list_comes_once_and_the_best_first() {
        for count in [1, 5, 8, 9, 300, 5000] {
            // Many scores are equal.
            let scores: Vec<f32> = (0..count).map(|i| ((i * 7919) % 1000) as f32 / 999.0).collect();
            for least in [f32::NEG_INFINITY, 0.4, 2.0] {
                let mut order = ListOrder::of(scores.iter().copied().collect());
                let mut all = order.first();
                assert!(all.len() >= count.min(FIRST));
                let before = all.len();
                all.extend(order.others(least).iter());
                assert!(all.is_sorted());
                let mut lists: Vec<usize> = all.iter().map(|entry| entry.number()).collect();
                lists.sort_unstable();
                lists.dedup();
                let good = scores.iter().filter(|score| **score >= least).count();
                assert_eq!((lists.len(), all.len()), (all.len(), good.max(before)));
            }
        }
    }
}
