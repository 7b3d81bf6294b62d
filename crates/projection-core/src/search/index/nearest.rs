//! The nearest rows to unit vectors, exactly or by lists.

use std::ops::Range;

use super::best::{Best, better_first};
use super::{Hit, Index};
use crate::ivf::prefetched;
use crate::kernel::{self, PrefetchHint, parallel};

/// Rows that are scored for all queries of a block before the next ones: they stay in the
/// second-level cache.
const ROWS: usize = 128;

/// Queries whose scores of so many rows are looked through at a time.
const GROUP: usize = 16;

/// Rows scored at a time for one query.
const ROWS_OF_ONE: usize = 1024;

/// Where fewer rows than one in so many are allowed, these are looked at, not the lists.
const SPARSE: usize = 32;

/// From so many queries on, products with all rows beat reading all of them in bytes.
const MANY: usize = 3;

/// Rows to look at.
enum Among<'a> {
    /// All of a range.
    All(Range<usize>),
    /// These, ascending.
    These(&'a [u32]),
}

/// Rounding must not make a cosine of more than 1.
fn rounded(mut found: Vec<Vec<Hit>>) -> Vec<Vec<Hit>> {
    for hit in found.iter_mut().flatten() {
        hit.score = hit.score.clamp(-1.0, 1.0);
    }
    found
}

impl Index {
    /// The k rows nearest to each of some unit vectors (n × d), among the ascending rows
    /// `allowed`, or among all.
    pub fn nearest(&self, allowed: Option<&[u32]>, targets: &[f32], k: usize) -> Vec<Vec<Hit>> {
        let k = k.min(allowed.map_or(self.len(), <[u32]>::len));
        let found = self.nearest_by_lists(allowed, targets, k);
        rounded(found.unwrap_or_else(|| {
            let rows = allowed.map_or(Among::All(0..self.len()), Among::These);
            self.nearest_among(rows, targets, k)
        }))
    }

    /// [`nearest`](Self::nearest) for one vector, whose rows are shared out among threads.
    pub fn nearest_on(
        &self,
        threads: usize,
        allowed: Option<&[u32]>,
        target: &[f32],
        k: usize,
    ) -> Vec<Hit> {
        let count = allowed.map_or(self.len(), <[u32]>::len);
        // Whole blocks for each thread, at least one.
        let share = count.div_ceil(ROWS_OF_ONE).div_ceil(threads.max(1)).max(1) * ROWS_OF_ONE;
        // Without files there are no threads either.
        if count <= share || self.lists.is_some() || cfg!(target_arch = "wasm32") {
            return self.nearest(allowed, target, k).pop().unwrap_or_default();
        }
        let mut parts = vec![Vec::new(); count.div_ceil(share)];
        parallel::parallel_chunks(threads, &mut parts, 1, 1, |part, hits| {
            let rows = part.start * share..(part.end * share).min(count);
            let rows = match allowed {
                None => Among::All(rows),
                Some(allowed) => Among::These(&allowed[rows]),
            };
            hits[0] = rounded(self.nearest_among(rows, target, k)).pop().unwrap_or_default();
        });
        let mut hits = parts.concat();
        hits.sort_unstable_by(better_first);
        hits.truncate(k);
        hits
    }

    /// The k of some rows nearest to each of some unit vectors, by looking at all of them.
    fn nearest_among(&self, among: Among<'_>, targets: &[f32], k: usize) -> Vec<Vec<Hit>> {
        let count = match &among {
            Among::All(rows) => rows.len(),
            Among::These(rows) => rows.len(),
        };
        let new = || Best::new(k.min(count));
        let mut best: Vec<Best> = (0..targets.len() / self.dim).map(|_| new()).collect();
        match best.as_mut_slice() {
            [best] => {
                let (mut scores, best) = ([0.0; ROWS_OF_ONE], std::slice::from_mut(best));
                self.add_scores(among, ROWS_OF_ONE, targets, &mut scores, best);
            }
            best => self.add_scores(among, ROWS, targets, &mut [0.0; GROUP * ROWS], best),
        }
        best.into_iter().map(Best::finish).collect()
    }

    /// Scores the rows `among` all, so many at a time, for each of `targets`. `scores` is room
    /// for those of some targets.
    fn add_scores(
        &self,
        among: Among<'_>,
        rows: usize,
        targets: &[f32],
        scores: &mut [f32],
        best: &mut [Best],
    ) {
        let group = scores.len() / rows;
        let reading = PrefetchHint::of(&self.vectors).as_in_batches();
        let mut add = |vectors: &[f32], ids: &[i64]| {
            let groups = targets.chunks(group * self.dim).zip(best.chunks_mut(group));
            for (targets, best) in groups {
                match targets.len() == self.dim {
                    true => {
                        kernel::dots_hinted(reading, targets, vectors, &mut scores[..ids.len()])
                    }
                    false => kernel::dots_batch(self.dim, targets, vectors, scores, rows),
                }
                for (best, scores) in best.iter_mut().zip(scores.chunks(rows)) {
                    best.add(ids, &scores[..ids.len()]);
                }
            }
        };
        let allowed = match among {
            Among::These(rows) => rows,
            Among::All(range) => {
                let vectors = &self.vectors[range.start * self.dim..range.end * self.dim];
                let blocks = vectors.chunks(rows * self.dim).zip(self.ids[range].chunks(rows));
                return blocks.for_each(|(vectors, ids)| add(vectors, ids));
            }
        };
        let (mut vectors, mut ids) = (Vec::new(), Vec::new());
        for block in allowed.chunks(rows) {
            let (first, last) = (block[0] as usize, block[block.len() - 1] as usize);
            if last - first < block.len() {
                let (start, end) = (first * self.dim, (last + 1) * self.dim);
                add(&self.vectors[start..end], &self.ids[first..=last]);
                continue;
            }
            vectors.clear();
            ids.clear();
            for row in block {
                vectors.extend_from_slice(self.vectors.row(*row as usize));
                ids.push(self.ids[*row as usize]);
            }
            add(&vectors, &ids);
        }
    }

    /// The same by lists; `None` where there are none, or other ways are better.
    fn nearest_by_lists(
        &self,
        allowed: Option<&[u32]>,
        targets: &[f32],
        k: usize,
    ) -> Option<Vec<Vec<Hit>>> {
        let lists = self.lists.as_ref().filter(|_| k > 0)?;
        let few = allowed.is_some_and(|rows| rows.len() < self.len() / SPARSE);
        if few || lists.is_exact() && targets.len() / self.dim >= MANY {
            return None;
        }
        let mask = allowed.map(|rows| {
            let mut mask = vec![false; self.len()];
            rows.iter().for_each(|row| mask[*row as usize] = true);
            mask
        });
        let may = |row: usize| mask.as_ref().is_none_or(|mask| mask[row]);
        let may: Option<&dyn Fn(usize) -> bool> = if mask.is_some() { Some(&may) } else { None };
        let found = targets.chunks_exact(self.dim).map(|target| {
            let candidates = lists.shortlist(target, k, may)?;
            let reading = PrefetchHint::of(&self.vectors).as_in_batches();
            let mut best = Best::new(k);
            for row in prefetched(&candidates, &self.vectors) {
                let mut score = [0.0];
                kernel::dots_hinted(reading, target, self.vectors.row(row), &mut score);
                best.add(&self.ids[row..row + 1], &score);
            }
            Some(best.finish())
        });
        found.collect()
    }
}
