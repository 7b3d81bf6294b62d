//! Choosing how many lists to read, by queries whose true nearest rows are known.
//!
//! Held-out rows are queries: no centre was made of them, and none finds itself. Questions may
//! be further from all rows than rows are from each other, so that the same number of queries
//! between two rows are a second group, and the caller's are a third. Half of each group
//! chooses, the other half tells the recall.

use super::{Found, KS, LEAST_RECALL, Lists, Routes, Units};
use crate::kernel::{self, product};

/// Held-out rows.
pub(super) const QUERIES: usize = 512;

/// Rows compared with queries at a time, and queries.
const ROWS: usize = 128;
const BLOCK: usize = 128;

/// Shares of the true nearest rows whose lists are to be read, tried in turn for each of [`KS`].
const SHARES: [f64; 4] = [0.992, 0.9945, 0.997, 0.999];

/// Lists that read more of the rows than this are not worth it.
const MOST_READ: f64 = 0.25;

/// How much of another row is added to make a query between two.
const OTHER: f32 = 0.7;

/// Similarities that differ by less count as equal.
const EQUAL: f32 = 1e-6;

/// One more than the largest of [`KS`], for the query itself.
const KEPT: usize = KS[KS.len() - 1] + 1;

/// A query with its true nearest rows, best first, without itself.
struct Known<'a> {
    unit: &'a [f32],
    itself: Option<usize>,
    nearest: Vec<(f32, u32)>,
}

impl Lists {
    /// Chooses slacks and records what they find. `lists` are the lists of the rows. Whether
    /// the lists find enough, and read little enough.
    pub(super) fn calibrate(
        &mut self,
        units: Units<'_>,
        lists: &[u32],
        held_out: &[usize],
        queries: &[f32],
        threads: usize,
    ) -> bool {
        let dim = units.dim;
        let rows = units.gather(held_out.iter().copied());
        let between = between(&rows, dim);
        let mut groups = vec![(&rows[..], Some(held_out)), (&between[..], None)];
        if !queries.is_empty() {
            groups.push((queries, None));
        }
        let groups: Vec<Vec<Known<'_>>> =
            groups.into_iter().map(|(group, own)| known(units, group, own, threads)).collect();
        let mut found = Found { recall: 1.0, read: 0.0, lists: 0 };
        for (number, k) in KS.into_iter().enumerate() {
            let chosen = SHARES.into_iter().find_map(|share| {
                let routes = self.routes.as_mut()?;
                let slack = |group: &Vec<Known<'_>>| routes.slack(group, lists, k, share);
                let slack = groups.iter().map(slack).fold(f32::NEG_INFINITY, f32::max);
                routes.slacks[number] = slack;
                let read_by = |group: &Vec<Known<'_>>| routes.read(group, k, slack, units.count);
                let read = groups.iter().map(read_by).sum::<f64>() / groups.len() as f64;
                let recalls = groups.iter().map(|group| self.recall(units, group, k));
                let recall = recalls.fold(1.0, f64::min);
                (recall >= LEAST_RECALL).then_some((recall, read))
            });
            let Some((recall, read)) = chosen else { return false };
            found.recall = found.recall.min(recall);
            found.read += read / KS.len() as f64;
        }
        let Some(routes) = &mut self.routes else { return false };
        found.lists = routes.spreads.len();
        routes.found = found;
        found.read <= MOST_READ
    }

    /// The share of the true k nearest rows that the second half of the queries find.
    fn recall(&self, units: Units<'_>, group: &[Known<'_>], k: usize) -> f64 {
        let (mut found, mut all) = (0, 0);
        let mut row = vec![0.0; units.dim];
        for query in &group[group.len() / 2..] {
            let nearest = &query.nearest[..k.min(query.nearest.len())];
            let Some(least) = nearest.last().map(|(score, _)| score - EQUAL) else { continue };
            all += nearest.len();
            let wanted = k + usize::from(query.itself.is_some());
            let Some(candidates) = self.candidates(query.unit, wanted, None) else {
                found += nearest.len();
                continue;
            };
            let good = candidates.iter().copied().filter(|number| {
                (units.copy)(*number, &mut row);
                let mut dot = [0.0];
                kernel::dots(query.unit, &row, &mut dot);
                Some(*number) != query.itself && dot[0] >= least
            });
            found += good.count().min(nearest.len());
        }
        f64::from(found as u32) / f64::from(all.max(1) as u32)
    }
}

impl Routes {
    /// The least slack with which this share of the true k nearest rows of the first half of
    /// the queries is in lists that are read.
    fn slack(&self, group: &[Known<'_>], lists: &[u32], k: usize, share: f64) -> f32 {
        let mut needed = Vec::new();
        for query in &group[..group.len().div_ceil(2)] {
            let scores = self.scores(query.unit);
            let nearest = &query.nearest[..k.min(query.nearest.len())];
            let Some((worst, _)) = nearest.last() else { continue };
            let lists = nearest.iter().map(|(_, row)| lists[*row as usize] as usize);
            needed.extend(lists.map(|list| worst - scores[list]));
        }
        if needed.is_empty() {
            return f32::NEG_INFINITY;
        }
        let at = ((needed.len() - 1) as f64 * share).ceil() as usize;
        *needed.select_nth_unstable_by(at, f32::total_cmp).1
    }

    /// The share of so many rows that a query of the group reads on average.
    fn read(&self, group: &[Known<'_>], k: usize, slack: f32, count: usize) -> f64 {
        let mut rows = 0;
        for query in group {
            let nearest = &query.nearest[..k.min(query.nearest.len())];
            let Some((worst, _)) = nearest.last() else { continue };
            let scores = self.scores(query.unit);
            let sizes = self.offsets.windows(2).map(|pair| pair[1] - pair[0]);
            let read =
                sizes.zip(scores.iter().copied()).filter(|(_, score)| *score >= worst - slack);
            rows += read.map(|(size, _)| size).sum::<usize>();
        }
        rows as f64 / (group.len().max(1) * count) as f64
    }
}

/// Queries between each of `rows` and another one.
fn between(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut all = rows.to_vec();
    let count = rows.len() / dim;
    for (number, query) in all.chunks_exact_mut(dim).enumerate() {
        let other = (number + count / 2) % count * dim;
        let other = &rows[other..other + dim];
        query.iter_mut().zip(other).for_each(|(value, other)| *value += OTHER * other);
        let norm = kernel::norm(query);
        if norm > 0.0 {
            kernel::scale(query, (1.0 / norm) as f32);
        }
    }
    all
}

/// The true nearest rows of queries, which may be rows themselves.
fn known<'a>(
    units: Units<'_>,
    queries: &'a [f32],
    own: Option<&[usize]>,
    threads: usize,
) -> Vec<Known<'a>> {
    let dim = units.dim;
    let mut all: Vec<Known<'a>> = queries
        .chunks_exact(dim)
        .enumerate()
        .map(|(number, unit)| Known {
            unit,
            itself: own.map(|own| own[number]),
            nearest: Vec::new(),
        })
        .collect();
    product::for_blocks(threads, &mut all, 1, BLOCK, |range, known| {
        let queries = &queries[range.start * dim..range.end * dim];
        let mut dots = vec![0.0; known.len() * ROWS];
        for first in (0..units.count).step_by(ROWS) {
            let last = (first + ROWS).min(units.count);
            let rows = units.gather(first..last);
            kernel::dots_of_batch(dim, queries, &rows, &mut dots, ROWS);
            for (known, dots) in known.iter_mut().zip(dots.chunks(ROWS)) {
                known.add(first, &dots[..last - first]);
            }
        }
        known.iter_mut().for_each(Known::finish);
    });
    all
}

impl Known<'_> {
    fn add(&mut self, first: usize, scores: &[f32]) {
        let full = self.nearest.len() >= KEPT;
        // After a cut, the last one is the worst.
        let least = if full { self.nearest[KEPT - 1].0 } else { f32::NEG_INFINITY };
        if full && kernel::largest(scores) <= least {
            return;
        }
        let better = scores.iter().enumerate().filter(|(_, score)| !full || **score > least);
        self.nearest.extend(better.map(|(at, score)| (*score, (first + at) as u32)));
        self.cut();
    }

    fn cut(&mut self) {
        self.nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.nearest.truncate(KEPT);
    }

    fn finish(&mut self) {
        self.nearest.retain(|(_, row)| Some(*row as usize) != self.itself);
        self.nearest.truncate(KEPT - 1);
    }
}
