//! The best hits, without sorting all of them.

use std::cmp::Ordering;

use super::Hit;
use crate::kernel::{self, top_k};

/// The k best of any number of hits.
///
/// Hits are kept unsorted up to twice k and then cut back to the k best, which costs a
/// constant time per hit; hits below the last score that was kept are never added.
pub struct Best {
    k: usize,
    offset: f32,
    kept: Vec<Hit>,
    worst_kept: Option<Hit>,
}

impl Best {
    pub fn new(k: usize) -> Self {
        Self { k, offset: 0.0, kept: Vec::with_capacity(k.min(128)), worst_kept: None }
    }

    /// Of hits whose cosines an offset is added to.
    pub fn with_offset(k: usize, offset: f32) -> Self {
        Self { offset, ..Self::new(k) }
    }

    /// Adds the offset to cosines, and then the hits.
    pub fn add_cosines(&mut self, ids: &[i64], cosines: &mut [f32]) {
        if self.offset != 0.0 {
            for cosine in cosines.iter_mut() {
                *cosine = cosine.clamp(-1.0, 1.0) + self.offset;
            }
        }
        self.add(ids, cosines);
    }

    pub fn add(&mut self, ids: &[i64], scores: &[f32]) {
        // Looking for the largest score costs less than looking at each.
        if self.k == 0 || self.worst_kept.is_some_and(|worst| kernel::largest(scores) < worst.score)
        {
            return;
        }
        for (answer_id, score) in ids.iter().zip(scores) {
            let hit = Hit { answer_id: *answer_id, score: *score };
            if self.worst_kept.is_some_and(|worst| better_first(&worst, &hit).is_lt()) {
                continue;
            }
            self.kept.push(hit);
            if self.kept.len() == 2 * self.k {
                top_k::keep_top(&mut self.kept, self.k, better_first);
                self.worst_kept = self.kept.last().copied();
            }
        }
    }

    /// The best hits of [cosines](Self::add_cosines), which rounding must not make more than 1.
    pub fn finish_cosines(self) -> Vec<Hit> {
        let has_offset = self.offset != 0.0;
        let mut hits = self.finish();
        if !has_offset {
            hits.iter_mut().for_each(|hit| hit.score = hit.score.clamp(-1.0, 1.0));
        }
        hits
    }

    /// The best hits, in their order.
    pub fn finish(mut self) -> Vec<Hit> {
        self.kept.sort_unstable_by(better_first);
        self.kept.truncate(self.k);
        self.kept
    }
}

/// The order of hits: by descending score, equal ones by ascending id.
pub fn better_first(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.answer_id.cmp(&b.answer_id))
}
