//! Searching an index.

use std::ops::Range;

use super::coarse::{CoarseQuantizer, ListOrder, RankedList};
use super::{IvfIndex, TOMBSTONE};
use crate::quantized::QuantizedQuery;
use crate::scratch::Scratch;
use crate::top_k::TopK;

/// Which rows may be found; all if there is no filter.
pub type Allowed<'a> = Option<&'a dyn Fn(usize) -> bool>;

/// Slots whose similarities are computed at a time.
const SCANNED: usize = 1024;

/// A shortlist of more than one row in so many saves nothing.
const MIN_SELECTIVITY: usize = 8;

/// How far single precision may move a similarity, with a wide margin.
const ROUNDING: f32 = 2e-6;

/// In inverted lists, rounding a row is assumed to move similarities by at most this many
/// standard deviations of an error in a random direction.
const DEVIATIONS: f32 = 8.0;

impl IvfIndex {
    /// The rows that may be among the k nearest to a unit vector, k above zero, each once and in
    /// any order; `None` if they are too many to save anything. A flat index never misses one of
    /// the k nearest, another one rarely.
    pub fn shortlist(
        &self,
        unit: &[f32],
        k: usize,
        allowed: Allowed<'_>,
    ) -> Option<Scratch<usize>> {
        let likely = match self.coarse {
            Some(_) => (DEVIATIONS / (unit.len() as f32).sqrt()).min(1.0),
            None => 1.0,
        };
        let rounding = 1.01 * QuantizedQuery::rounding(unit) + ROUNDING;
        let mut search = Search {
            index: self,
            query: &self.codes.quantize(unit),
            margin: 2.0 * (likely * self.distance + rounding),
            max_candidates: (self.slots() / MIN_SELECTIVITY).max(k.saturating_mul(4)),
            top: TopK::new(k),
            candidates: Scratch::new(),
            allowed,
        };
        match &self.coarse {
            None => search.scan_list(0, 0..self.codes.count(), self.codes.count())?,
            Some(coarse) => search.probe(coarse, coarse.probe_margin(k))?,
        }
        Some(search.finish())
    }
}

/// A search under way.
struct Search<'a> {
    index: &'a IvfIndex,
    query: &'a QuantizedQuery,
    /// Twice what rounding may move a similarity by.
    margin: f32,
    max_candidates: usize,
    top: TopK,
    /// Slots and similarities to the copies.
    candidates: Scratch<(usize, f32)>,
    allowed: Allowed<'a>,
}

impl Search<'_> {
    /// Scans the lists that may hold one of the k nearest; `None` if there are too many
    /// candidates, as in all methods.
    fn probe(&mut self, coarse: &CoarseQuantizer, margin: f32) -> Option<()> {
        let mut order = ListOrder::of(coarse.scores(self.query));
        let first = order.first();
        self.scan_lists(coarse, margin, &first)?;
        let others = order.others(self.top.threshold() - margin);
        self.scan_lists(coarse, margin, &others)
    }

    /// Scans lists, the best first, as long as they may hold one of the k nearest.
    fn scan_lists(
        &mut self,
        coarse: &CoarseQuantizer,
        margin: f32,
        lists: &[RankedList],
    ) -> Option<()> {
        for (at, list) in lists.iter().enumerate() {
            if list.score() < self.top.threshold() - margin {
                break;
            }
            let next = lists.get(at + 1).map(|next| coarse.offsets[next.number()]);
            let next = next.unwrap_or(self.index.codes.count());
            self.scan_list(list.number(), coarse.slots(list.number()), next)?;
        }
        Some(())
    }

    /// Scans a list, after which the slots from `next` on are likely to be scanned.
    fn scan_list(&mut self, list: usize, slots: Range<usize>, next: usize) -> Option<()> {
        let (codes, delta) = (&self.index.codes, &self.index.delta);
        let mut scores = [0.0; SCANNED];
        for first in slots.clone().step_by(SCANNED) {
            let part = first..slots.end.min(first + SCANNED);
            let next = if part.end == slots.end { next } else { part.end };
            let scores = &mut scores[..part.len()];
            codes.dots_quantized(self.query, part, next, scores);
            self.add(scores, |at| first + at)?;
        }
        for added in delta.of_list(list).chunks(SCANNED) {
            let scores = &mut scores[..added.len()];
            for (score, number) in scores.iter_mut().zip(added) {
                *score = delta.dot(self.query, *number as usize);
            }
            self.add(scores, |at| codes.count() + added[at] as usize)?;
        }
        Some(())
    }

    fn add(&mut self, scores: &mut [f32], slot: impl Fn(usize) -> usize) -> Option<()> {
        if self.allowed.is_some() || self.index.delta.has_tombstones() {
            for (at, score) in scores.iter_mut().enumerate() {
                // A tombstone is no row: the filter must not be asked about it.
                let row = self.index.row_of(slot(at));
                let allowed = || self.allowed.is_none_or(|allowed| allowed(row as usize));
                if row == TOMBSTONE || !allowed() {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        let candidates = &mut self.candidates;
        self.top.add(scores, self.margin, |at| {
            if scores[at] > f32::NEG_INFINITY {
                candidates.push((slot(at), scores[at]));
            }
        });
        if candidates.len() > self.max_candidates {
            let least = self.top.threshold() - self.margin;
            candidates.retain(|(_, score)| *score >= least);
        }
        (candidates.len() <= self.max_candidates).then_some(())
    }

    fn finish(self) -> Scratch<usize> {
        let least = self.top.threshold() - self.margin;
        let candidates = self.candidates.iter().filter(|(_, score)| *score >= least);
        candidates.map(|(slot, _)| self.index.row_of(*slot) as usize).collect()
    }
}
