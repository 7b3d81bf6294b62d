//! Building an index: k-means on a sample, then every row into the list of its centroid.

use super::coarse::{CoarseQuantizer, RADIUS};
use super::delta::Delta;
use super::{IndexStats, IvfIndex, KS, UnitVectors, tune};
use crate::batch::dots_batch;
use crate::dot::norm;
use crate::error::Result;
use crate::parallel::{Poll, parallel_chunks_until};
use crate::quantized::{QuantizedRows, RowFormat};
use crate::random::Random;
use crate::softmax::largest;

/// Seed of everything random: equal rows have equal indexes.
const SEED: u64 = 0x11575;

/// The number of lists of n rows is so many times n^0.8: more centroids take longer to compare,
/// fewer lists are longer. Measured on 25,000 real questions, for which half as many more lists
/// are no better, and on up to 1,000,000 rows in clusters, where 12,000 lists read a quarter less
/// than 8,000.
const LISTS: f64 = 0.19;

/// Rows of the sample for each list, and of all lists, and how often centroids are moved.
const SAMPLED: usize = 40;
const MOST_SAMPLED: usize = 160_000;
const ROUNDS: usize = 4;

/// Centroids that rows are compared with at a time, and rows.
const CENTROIDS: usize = 128;
const BLOCK: usize = 64;

impl IvfIndex {
    /// An index with inverted lists if they find [`LEAST_RECALL`](super::LEAST_RECALL) of the true
    /// nearest rows for much less than scanning all; otherwise a flat one. `queries` (n × d), of
    /// length 1, are more held-out queries to tune the probe margins with. The result does not
    /// depend on the number of threads.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn build(
        units: UnitVectors<'_>,
        queries: &[f32],
        threads: usize,
        poll: &mut Poll<'_>,
    ) -> Result<Self> {
        let dim = units.dim;
        let mut random = Random::new(SEED, 0);
        let mut numbers: Vec<usize> = (0..units.count).collect();
        random.shuffle(&mut numbers);
        let held_out = tune::QUERIES.min(units.count / 8);
        let (held_out, others) = numbers.split_at(held_out);
        let count = (LISTS * (units.count as f64).powf(0.8)) as usize;
        let count = count.clamp(1, others.len().max(1));
        // Each list begins at a row of the sample.
        let sampled = (count * SAMPLED).min(MOST_SAMPLED.max(count)).min(others.len());
        let sample = units.gather(others[..sampled].iter().copied());
        let mut centroids = sample[..count * dim].to_vec();
        for _ in 0..ROUNDS {
            let lists = assign(sample.len() / dim, &centroids, dim, threads, poll, &|rows| {
                sample[rows.start * dim..rows.end * dim].to_vec()
            })?;
            centroids = means(dim, count, &lists, &mut random, &|row, values| {
                values.copy_from_slice(&sample[row * dim..][..dim]);
            });
        }
        drop(sample);
        let lists =
            assign(units.count, &centroids, dim, threads, poll, &|rows| units.gather(rows))?;
        let centroids = means(dim, count, &lists, &mut random, units.copy_row);
        poll()?;
        let (offsets, rows) = members(count, &lists);
        let (codes, distance) = units.quantized(rows.iter().map(|row| *row as usize));
        let radius =
            |centroid: &[f32]| RADIUS * (1.0 - norm(centroid).powi(2)).max(0.0).sqrt() as f32;
        let coarse = CoarseQuantizer {
            radii: centroids.chunks_exact(dim).map(radius).collect(),
            centroids: QuantizedRows::new(RowFormat::Int8, dim, &centroids),
            offsets,
            probe_margins: [0.0; KS.len()],
            stats: IndexStats { recall: 0.0, read: 1.0, lists: count },
        };
        let coarse = Some(coarse);
        let mut index = Self { codes, rows, distance, coarse, delta: Delta::new(count) };
        match index.tune(units, &lists, held_out, queries, threads, poll)? {
            true => Ok(index),
            false => Ok(Self::flat(units)),
        }
    }
}

/// The number of the nearest centroid of each of so many rows, which `copy` returns in blocks.
fn assign(
    count: usize,
    centroids: &[f32],
    dim: usize,
    threads: usize,
    poll: &mut Poll<'_>,
    copy: &(dyn Fn(std::ops::Range<usize>) -> Vec<f32> + Sync),
) -> Result<Vec<u32>> {
    // |x − c|² is least where x·c − |c|²/2 is greatest.
    let halves: Vec<f32> =
        centroids.chunks_exact(dim).map(|c| (norm(c).powi(2) / 2.0) as f32).collect();
    let mut nearest = vec![0u32; count];
    parallel_chunks_until(threads, &mut nearest, 1, BLOCK, poll, |range, nearest, _| {
        let rows = copy(range);
        let mut best = [f32::NEG_INFINITY; BLOCK];
        let mut dots = [0.0; BLOCK * CENTROIDS];
        let blocks = centroids.chunks(CENTROIDS * dim).zip(halves.chunks(CENTROIDS));
        for (block, (centroids, halves)) in blocks.enumerate() {
            dots_batch(dim, &rows, centroids, &mut dots, CENTROIDS);
            for (row, (nearest, best)) in nearest.iter_mut().zip(&mut best).enumerate() {
                let scores = &mut dots[row * CENTROIDS..][..halves.len()];
                scores.iter_mut().zip(halves).for_each(|(score, half)| *score -= half);
                // Looking for the largest score costs less than looking at each.
                let top = largest(scores);
                if top > *best
                    && let Some(at) = scores.iter().position(|score| *score == top)
                {
                    (*best, *nearest) = (top, (block * CENTROIDS + at) as u32);
                }
            }
        }
    })?;
    Ok(nearest)
}

/// The mean of the rows of each list; of an empty one, a row drawn at random.
fn means(
    dim: usize,
    count: usize,
    lists: &[u32],
    random: &mut Random,
    copy: &dyn Fn(usize, &mut [f32]),
) -> Vec<f32> {
    let mut sums = vec![0.0f64; count * dim];
    let mut sizes = vec![0u32; count];
    let mut row = vec![0.0; dim];
    for (number, list) in lists.iter().enumerate() {
        copy(number, &mut row);
        sizes[*list as usize] += 1;
        let sum = &mut sums[*list as usize * dim..][..dim];
        sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let mut means = vec![0.0; count * dim];
    for ((mean, sum), size) in means.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)).zip(sizes) {
        if size == 0 {
            copy(random.below(lists.len()), mean);
        } else {
            let share = 1.0 / f64::from(size);
            mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = (sum * share) as f32);
        }
    }
    means
}

/// Where each list begins, and the rows of all lists, ascending within each.
fn members(count: usize, lists: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut offsets = vec![0usize; count + 1];
    lists.iter().for_each(|list| offsets[*list as usize + 1] += 1);
    for list in 0..count {
        offsets[list + 1] += offsets[list];
    }
    let mut next = offsets.clone();
    let mut rows = vec![0u32; lists.len()];
    for (row, list) in lists.iter().enumerate() {
        rows[next[*list as usize]] = row as u32;
        next[*list as usize] += 1;
    }
    (offsets, rows)
}
