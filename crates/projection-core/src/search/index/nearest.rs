//! The nearest rows to unit vectors, exactly or by an approximate index.

use std::ops::Range;

use super::best::{Best, better_first};
use super::{Group, HAS_IVF, Hit, Index};
use crate::ivf::prefetched;
use crate::kernel::{self, PrefetchHint, parallel};

/// Rows that are scored for all queries of a block before the next ones: they stay in the
/// second-level cache.
const ROWS: usize = 128;

/// Queries whose scores of so many rows are looked through at a time.
const GROUP: usize = 16;

/// Rows scored at a time for one query.
const ROWS_OF_ONE: usize = 1024;

/// If fewer rows than one in so many are allowed, these are scored without the index.
const SPARSE: usize = 32;

/// From so many queries on, products with all rows beat reading all of them in bytes.
const MANY: usize = 3;

/// Rows to score.
enum Among<'a> {
    /// All of a range.
    All(Range<usize>),
    /// These, ascending.
    These(&'a [u32]),
}

impl Among<'_> {
    fn len(&self) -> usize {
        match self {
            Self::All(rows) => rows.len(),
            Self::These(rows) => rows.len(),
        }
    }
}

impl Group<'_> {
    fn len(&self) -> usize {
        self.rows.map_or(self.index.len(), <[u32]>::len)
    }

    /// Whether there are no answers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The k answers nearest to each of some unit vectors (n × d).
    pub(super) fn nearest(&self, targets: &[f32], k: usize) -> Vec<Vec<Hit>> {
        let k = k.min(self.len());
        self.nearest_by_index(targets, k).unwrap_or_else(|| {
            let among = self.rows.map_or(Among::All(0..self.index.len()), Among::These);
            self.index.nearest_among(among, self.offset, targets, k)
        })
    }

    /// [`nearest`](Self::nearest) for one vector; the answers are shared out among threads.
    pub(super) fn nearest_on(&self, threads: usize, target: &[f32], k: usize) -> Vec<Hit> {
        let (index, count) = (self.index, self.len());
        // Whole blocks for each thread, at least one.
        let share = count.div_ceil(ROWS_OF_ONE).div_ceil(threads.max(1)).max(1) * ROWS_OF_ONE;
        if count <= share || index.ivf.is_some() {
            return self.nearest(target, k).pop().unwrap_or_default();
        }
        let mut parts = vec![Vec::new(); count.div_ceil(share)];
        parallel::parallel_chunks(threads, &mut parts, 1, 1, |part, hits| {
            let rows = part.start * share..(part.end * share).min(count);
            let among = match self.rows {
                None => Among::All(rows),
                Some(allowed) => Among::These(&allowed[rows]),
            };
            let found = index.nearest_among(among, self.offset, target, k).pop();
            hits[0] = found.unwrap_or_default();
        });
        let mut hits = parts.concat();
        hits.sort_unstable_by(better_first);
        hits.truncate(k);
        hits
    }

    /// [`nearest`](Self::nearest) by the approximate index; `None` if there is none, or if scoring
    /// all rows is better.
    fn nearest_by_index(&self, targets: &[f32], k: usize) -> Option<Vec<Vec<Hit>>> {
        let Group { index, rows: allowed, offset } = *self;
        let ivf = index.ivf.as_ref().filter(|_| HAS_IVF && k > 0)?;
        let few = allowed.is_some_and(|rows| rows.len() < index.len() / SPARSE);
        if few || ivf.is_exact() && targets.len() / index.dim >= MANY {
            return None;
        }
        let mask = allowed.map(|rows| {
            let mut mask = vec![false; index.len()];
            rows.iter().for_each(|row| mask[*row as usize] = true);
            mask
        });
        let is_allowed = mask.as_ref().map(|mask| |row: usize| mask[row]);
        let is_allowed = is_allowed.as_ref().map(|allowed| allowed as &dyn Fn(usize) -> bool);
        let hint = PrefetchHint::of(&index.vectors).as_in_batches();
        let found = targets.chunks_exact(index.dim).map(|target| {
            let shortlist = ivf.shortlist(target, k, is_allowed)?;
            let mut best = Best::with_offset(k, offset);
            for row in prefetched(&shortlist, &index.vectors) {
                let mut score = [0.0];
                kernel::dots_hinted(hint, target, index.vectors.row(row), &mut score);
                best.add_cosines(&index.ids[row..row + 1], &mut score);
            }
            Some(best.finish_cosines())
        });
        found.collect()
    }
}

impl Index {
    /// The k of some rows nearest to each of some unit vectors, by scoring all of them.
    fn nearest_among(
        &self,
        among: Among<'_>,
        offset: f32,
        targets: &[f32],
        k: usize,
    ) -> Vec<Vec<Hit>> {
        let new = |_| Best::with_offset(k.min(among.len()), offset);
        let mut best: Vec<Best> = (0..targets.len() / self.dim).map(new).collect();
        let rows = if best.len() == 1 { ROWS_OF_ONE } else { ROWS };
        let mut scores = [0.0; GROUP * ROWS];
        let hint = PrefetchHint::of(&self.vectors).as_in_batches();
        self.for_each_block(among, rows, |vectors, ids| {
            let groups = targets.chunks(GROUP * self.dim).zip(best.chunks_mut(GROUP));
            for (targets, best) in groups {
                match best.len() {
                    1 => kernel::dots_hinted(hint, targets, vectors, &mut scores[..ids.len()]),
                    _ => kernel::dots_batch(self.dim, targets, vectors, &mut scores, rows),
                }
                for (best, scores) in best.iter_mut().zip(scores.chunks_mut(rows)) {
                    best.add_cosines(ids, &mut scores[..ids.len()]);
                }
            }
        });
        best.into_iter().map(Best::finish_cosines).collect()
    }

    /// Calls `work` with the vectors and ids of `size` rows at a time.
    fn for_each_block(&self, among: Among<'_>, size: usize, mut work: impl FnMut(&[f32], &[i64])) {
        let part = |rows: Range<usize>| {
            (&self.vectors[rows.start * self.dim..rows.end * self.dim], &self.ids[rows])
        };
        let allowed = match among {
            Among::These(rows) => rows,
            Among::All(rows) => {
                for row in rows.clone().step_by(size) {
                    let (vectors, ids) = part(row..(row + size).min(rows.end));
                    work(vectors, ids);
                }
                return;
            }
        };
        let (mut vectors, mut ids) = (Vec::new(), Vec::new());
        for rows in allowed.chunks(size) {
            let (first, last) = (rows[0] as usize, rows[rows.len() - 1] as usize);
            if last - first < rows.len() {
                let (vectors, ids) = part(first..last + 1);
                work(vectors, ids);
                continue;
            }
            vectors.clear();
            ids.clear();
            for row in rows {
                vectors.extend_from_slice(self.vectors.row(*row as usize));
                ids.push(self.ids[*row as usize]);
            }
            work(&vectors, &ids);
        }
    }
}
