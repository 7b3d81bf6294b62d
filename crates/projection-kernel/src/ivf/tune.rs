//! Tuning the probe margins, by queries whose true nearest rows are known.
//!
//! Held-out rows are queries: no centroid was made of them, and none finds itself. Questions may
//! be further from all rows than rows are from each other. Therefore as many queries between two
//! rows are a second group, and the caller's are a third. Half of each group chooses the margins,
//! the other half measures the recall.

use super::coarse::CoarseQuantizer;
use super::{IndexStats, IvfIndex, KS, LEAST_RECALL, UnitVectors};
use crate::batch::dots_batch;
use crate::dot::dots;
use crate::error::Result;
use crate::normalize::normalize;
use crate::parallel::{Poll, parallel_chunks_until};
use crate::softmax::largest;

/// Held-out rows.
pub(super) const QUERIES: usize = 512;

/// Rows compared with queries at a time, and queries.
const ROWS: usize = 128;
const BLOCK: usize = 128;

/// Shares of the true nearest rows whose lists are to be read, tried in turn for each of [`KS`].
/// Searches find more than that, since they scan lists before they know all that rules them out.
const SHARES: [f64; 8] = [0.983, 0.986, 0.989, 0.992, 0.994, 0.996, 0.9975, 0.999];

/// What the other half of the queries finds above [`LEAST_RECALL`], so that others like them
/// find that share too: chance moves what some hundred queries find by half as much. Only the
/// last of [`SHARES`] will do without.
const MARGIN: f64 = 0.004;

/// Queries that a thread takes at a time when they are counted.
const COUNTED: usize = 16;

/// Inverted lists that read more of the rows than this do not pay off.
const MAX_READ: f64 = 0.25;

/// How much of another row is added to make a query between two.
const OTHER: f32 = 0.7;

/// Similarities that differ by less count as equal.
const EQUAL: f32 = 1e-6;

/// One more than the largest of [`KS`], for the query itself.
const KEPT: usize = KS[KS.len() - 1] + 1;

/// A query with its true nearest rows, best first, without itself.
struct TestQuery<'a> {
    unit: &'a [f32],
    itself: Option<usize>,
    nearest: Vec<(f32, u32)>,
}

impl IvfIndex {
    /// Chooses probe_margins and records what they find. `lists` are the lists of the rows. Whether
    /// the lists find enough, and read little enough.
    pub(super) fn tune(
        &mut self,
        units: UnitVectors<'_>,
        lists: &[u32],
        held_out: &[usize],
        queries: &[f32],
        threads: usize,
        poll: &mut Poll<'_>,
    ) -> Result<bool> {
        let dim = units.dim;
        let rows = units.gather(held_out.iter().copied());
        let between = between(&rows, dim);
        let mut groups = vec![(&rows[..], Some(held_out)), (&between[..], None)];
        if !queries.is_empty() {
            groups.push((queries, None));
        }
        let groups: Vec<Vec<TestQuery<'_>>> = groups
            .into_iter()
            .map(|(group, own)| test_queries(units, group, own, threads, poll))
            .collect::<Result<_>>()?;
        let mut found = IndexStats { recall: 1.0, read: 0.0, lists: 0 };
        for (number, k) in KS.into_iter().enumerate() {
            let Some(coarse) = &self.coarse else { return Ok(false) };
            let needed: Vec<_> =
                groups.iter().map(|group| coarse.needed(group, lists, k)).collect();
            let mut chosen = None;
            for share in SHARES {
                let probe_margins = needed.iter().map(|needed| at_share(needed, share));
                let probe_margin = probe_margins.fold(f32::NEG_INFINITY, f32::max);
                let Some(coarse) = &mut self.coarse else { return Ok(false) };
                coarse.probe_margins[number] = probe_margin;
                let mut recall = 1.0f64;
                for group in &groups {
                    recall = recall.min(self.recall(units, group, k, threads, poll)?);
                }
                let last = share == SHARES[SHARES.len() - 1];
                let wanted = if last { LEAST_RECALL } else { LEAST_RECALL + MARGIN };
                if recall >= wanted {
                    chosen = Some((recall, probe_margin));
                    break;
                }
            }
            let (Some((recall, probe_margin)), Some(coarse)) = (chosen, &self.coarse) else {
                return Ok(false);
            };
            let read_by =
                |group: &Vec<TestQuery<'_>>| coarse.read(group, k, probe_margin, units.count);
            let read = groups.iter().map(read_by).sum::<f64>() / groups.len() as f64;
            found.recall = found.recall.min(recall);
            found.read += read / KS.len() as f64;
        }
        let Some(coarse) = &mut self.coarse else { return Ok(false) };
        found.lists = coarse.count();
        coarse.stats = found;
        Ok(found.read <= MAX_READ)
    }

    /// The share of the true k nearest rows that the second half of the queries find.
    fn recall(
        &self,
        units: UnitVectors<'_>,
        group: &[TestQuery<'_>],
        k: usize,
        threads: usize,
        poll: &mut Poll<'_>,
    ) -> Result<f64> {
        let queries = &group[group.len() / 2..];
        let mut found = vec![0; queries.len()];
        parallel_chunks_until(threads, &mut found, 1, COUNTED, poll, |range, found, _| {
            for (query, found) in queries[range].iter().zip(found) {
                *found = self.found_of(units, query, k);
            }
        })?;
        let all: usize = queries.iter().map(|query| k.min(query.nearest.len())).sum();
        Ok(found.iter().sum::<usize>() as f64 / all.max(1) as f64)
    }

    /// How many of its true k nearest rows a query finds.
    fn found_of(&self, units: UnitVectors<'_>, query: &TestQuery<'_>, k: usize) -> usize {
        let nearest = &query.nearest[..k.min(query.nearest.len())];
        let Some(least) = nearest.last().map(|(score, _)| score - EQUAL) else { return 0 };
        let wanted = k + usize::from(query.itself.is_some());
        let Some(candidates) = self.shortlist(query.unit, wanted, None) else {
            return nearest.len();
        };
        let mut row = vec![0.0; units.dim];
        let good = candidates.iter().copied().filter(|number| {
            (units.copy_row)(*number, &mut row);
            let mut dot = [0.0];
            dots(query.unit, &row, &mut dot);
            Some(*number) != query.itself && dot[0] >= least
        });
        good.count().min(nearest.len())
    }
}

/// The least of ascending probe_margins with which this share of rows is in lists that are read.
fn at_share(needed: &[f32], share: f64) -> f32 {
    let at = (needed.len().saturating_sub(1) as f64 * share).ceil() as usize;
    needed.get(at).copied().unwrap_or(f32::NEG_INFINITY)
}

impl CoarseQuantizer {
    /// The probe_margins with which the lists of the true k nearest rows of the first half of the
    /// queries are read, ascending.
    fn needed(&self, group: &[TestQuery<'_>], lists: &[u32], k: usize) -> Vec<f32> {
        let mut needed = Vec::new();
        for query in &group[..group.len().div_ceil(2)] {
            let scores = self.scores(&self.centroids.quantize(query.unit));
            let nearest = &query.nearest[..k.min(query.nearest.len())];
            let Some((worst, _)) = nearest.last() else { continue };
            let lists = nearest.iter().map(|(_, row)| lists[*row as usize] as usize);
            needed.extend(lists.map(|list| worst - scores[list]));
        }
        needed.sort_unstable_by(f32::total_cmp);
        needed
    }

    /// The share of so many rows that a query of the group reads on average.
    fn read(&self, group: &[TestQuery<'_>], k: usize, probe_margin: f32, count: usize) -> f64 {
        let mut rows = 0;
        for query in group {
            let nearest = &query.nearest[..k.min(query.nearest.len())];
            let Some((worst, _)) = nearest.last() else { continue };
            let scores = self.scores(&self.centroids.quantize(query.unit));
            let sizes = self.offsets.windows(2).map(|pair| pair[1] - pair[0]);
            let read = sizes
                .zip(scores.iter().copied())
                .filter(|(_, score)| *score >= worst - probe_margin);
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
        normalize(query);
    }
    all
}

/// The true nearest rows of queries, which may be rows themselves.
fn test_queries<'a>(
    units: UnitVectors<'_>,
    queries: &'a [f32],
    own: Option<&[usize]>,
    threads: usize,
    poll: &mut Poll<'_>,
) -> Result<Vec<TestQuery<'a>>> {
    let dim = units.dim;
    let mut all: Vec<TestQuery<'a>> = queries
        .chunks_exact(dim)
        .enumerate()
        .map(|(number, unit)| TestQuery {
            unit,
            itself: own.map(|own| own[number]),
            nearest: Vec::new(),
        })
        .collect();
    parallel_chunks_until(threads, &mut all, 1, BLOCK, poll, |range, group, stop| {
        let queries = &queries[range.start * dim..range.end * dim];
        let mut dots = vec![0.0; group.len() * ROWS];
        for first in (0..units.count).step_by(ROWS) {
            if stop() {
                return;
            }
            let last = (first + ROWS).min(units.count);
            let rows = units.gather(first..last);
            dots_batch(dim, queries, &rows, &mut dots, ROWS);
            for (group, dots) in group.iter_mut().zip(dots.chunks(ROWS)) {
                group.add(first, &dots[..last - first]);
            }
        }
        group.iter_mut().for_each(TestQuery::finish);
    })?;
    Ok(all)
}

impl TestQuery<'_> {
    fn add(&mut self, first: usize, scores: &[f32]) {
        let full = self.nearest.len() >= KEPT;
        // After a cut, the last one is the worst.
        let least = if full { self.nearest[KEPT - 1].0 } else { f32::NEG_INFINITY };
        if full && largest(scores) <= least {
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
