//! The nearest rows to unit vectors, exactly or by lists.

use super::best::Best;
use super::{Hit, Index};
use crate::kernel::{self, Reading};

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

impl Index {
    /// The k rows nearest to each of some unit vectors (n × d), among the ascending rows
    /// `allowed`, or among all.
    pub(super) fn nearest(
        &self,
        allowed: Option<&[u32]>,
        targets: &[f32],
        k: usize,
    ) -> Vec<Vec<Hit>> {
        let k = k.min(allowed.map_or(self.len(), <[u32]>::len));
        let count = targets.len() / self.dim;
        let mut found = match self.nearest_by_lists(allowed, targets, k) {
            Some(found) => found,
            None => {
                let mut best: Vec<Best> = (0..count).map(|_| Best::new(k)).collect();
                match best.as_mut_slice() {
                    [best] => {
                        let best = std::slice::from_mut(best);
                        self.add_scores(
                            ROWS_OF_ONE,
                            allowed,
                            targets,
                            &mut [0.0; ROWS_OF_ONE],
                            best,
                        );
                    }
                    best => self.add_scores(ROWS, allowed, targets, &mut [0.0; GROUP * ROWS], best),
                }
                best.into_iter().map(Best::finish).collect()
            }
        };
        // Rounding must not make a cosine of more than 1.
        for hit in found.iter_mut().flatten() {
            hit.score = hit.score.clamp(-1.0, 1.0);
        }
        found
    }

    /// Scores all rows that are allowed, so many at a time, for each of `targets`. `scores` is
    /// room for those of some targets.
    fn add_scores(
        &self,
        rows: usize,
        allowed: Option<&[u32]>,
        targets: &[f32],
        scores: &mut [f32],
        best: &mut [Best],
    ) {
        let group = scores.len() / rows;
        let reading = Reading::of(&self.vectors).as_in_batches();
        let mut add = |vectors: &[f32], ids: &[i64]| {
            let groups = targets.chunks(group * self.dim).zip(best.chunks_mut(group));
            for (targets, best) in groups {
                match targets.len() == self.dim {
                    true => kernel::dots_read(reading, targets, vectors, &mut scores[..ids.len()]),
                    false => kernel::dots_of_batch(self.dim, targets, vectors, scores, rows),
                }
                for (best, scores) in best.iter_mut().zip(scores.chunks(rows)) {
                    best.add(ids, &scores[..ids.len()]);
                }
            }
        };
        let Some(allowed) = allowed else {
            let blocks = self.vectors.chunks(rows * self.dim).zip(self.ids.chunks(rows));
            return blocks.for_each(|(vectors, ids)| add(vectors, ids));
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
            let candidates = lists.candidates(target, k, may)?;
            let reading = Reading::of(&self.vectors).as_in_batches();
            let mut best = Best::new(k);
            for row in candidates {
                let mut score = [0.0];
                kernel::dots_read(reading, target, self.vectors.row(row), &mut score);
                best.add(&self.ids[row..row + 1], &score);
            }
            Some(best.finish())
        });
        found.collect()
    }
}
