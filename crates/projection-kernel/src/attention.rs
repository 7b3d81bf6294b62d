//! Softmax attention of queries over many heads, in blocks that stay in the caches.
//!
//! A block of heads is scored for some queries, its weights are made, and its answers are
//! added up, before the next block is looked at; the matrix of all scores exists only where
//! the caller wants it. The sums so far belong to the best score so far: where a block has a
//! better one, they are scaled down to it ("online softmax", Milakov and Gimelshein, 2018).

use crate::batch::{dots_batch, weighted_sum_batch};
use crate::dot::dots_hinted;
use crate::prefetch::PrefetchHint;
use crate::quantized::QuantizedRows;
use crate::softmax::{WHOLE, exponentials, exponentials_rows, largest, largest_rows, softmax_rows};
use crate::weighted_sum::{scale, weighted_sum_hinted};

/// Queries that pass by a block of heads before the next one; with their sums they stay in
/// the second-level cache beside the block.
const QUERIES: usize = 128;

/// Queries whose weights are made and used at a time.
const GROUP: usize = 16;

/// Heads of a block, a multiple of the values of every register.
const HEADS: usize = 64;

/// Heads that a single query sees at a time: their scores take part of the first-level
/// cache.
const HEADS_OF_ONE: usize = 1024;

/// The centroids (h × d) or the answers (h × o) of heads.
#[derive(Clone, Copy)]
pub enum RowsRef<'a> {
    /// Row-major, in single precision.
    F32(&'a [f32]),
    /// In half or a quarter of the memory.
    Quantized(&'a QuantizedRows),
}

impl RowsRef<'_> {
    /// How many there are, of `dim` values each.
    fn count(self, dim: usize) -> usize {
        match self {
            Self::F32(rows) => rows.len() / dim,
            Self::Quantized(rows) => rows.count(),
        }
    }

    /// Dot products with those from the `first` on.
    pub fn dots(self, query: &[f32], first: usize, out: &mut [f32]) {
        self.dots_hinted(None, query, first, out);
    }

    fn dots_hinted(self, hint: Option<PrefetchHint>, query: &[f32], first: usize, out: &mut [f32]) {
        match self {
            Self::F32(rows) => {
                let part = &rows[first * query.len()..][..out.len() * query.len()];
                let hint = hint.unwrap_or_else(|| PrefetchHint::of(rows));
                dots_hinted(hint, query, part, out);
            }
            Self::Quantized(rows) => rows.dots(query, first, out),
        }
    }

    /// alpha·Σₖ weightₖ·rowₖ of those from the `first` on, added to `out` or, with `overwrite`,
    /// written over it.
    pub fn weighted_sum(
        self,
        weights: &[f32],
        first: usize,
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) {
        self.weighted_sum_hinted(None, weights, first, overwrite, alpha, out);
    }

    fn weighted_sum_hinted(
        self,
        hint: Option<PrefetchHint>,
        weights: &[f32],
        first: usize,
        overwrite: bool,
        alpha: f32,
        out: &mut [f32],
    ) {
        match self {
            Self::F32(rows) => {
                let part = &rows[first * out.len()..][..weights.len() * out.len()];
                let hint = hint.unwrap_or_else(|| PrefetchHint::of(rows));
                weighted_sum_hinted(hint, weights, part, overwrite, alpha, out);
            }
            Self::Quantized(rows) => rows.weighted_sum(weights, first, overwrite, alpha, out),
        }
    }

    /// `count` of them, from the `first` on, in single precision. QuantizedRows ones are put into
    /// `room`.
    fn block<'b>(self, first: usize, count: usize, dim: usize, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        Self: 'b,
    {
        match self {
            Self::F32(all) => &all[first * dim..][..count * dim],
            Self::Quantized(all) => {
                room.resize(count * dim, 0.0);
                for (number, row) in room.chunks_exact_mut(dim).enumerate() {
                    all.decode(first + number, row);
                }
                room
            }
        }
    }
}

/// Room for a block of centroids and one of answers.
type Room = [Vec<f32>; 2];

/// Softmax attention over heads with `centroids` (h × d) and `answers` (h × o): the answers
/// with weights softmax(factor·scores) of `query` (d), into `out` (o), and the weights (h)
/// where they are wanted, which changes no bit of `out`.
pub fn attend_one(
    query: &[f32],
    factor: f32,
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let heads = centroids.count(query.len());
    let vectors = (centroids, answers);
    match weights {
        _ if heads > HEADS_OF_ONE => online_one(query, factor, vectors, heads, weights, out),
        Some(weights) => attend_with(query, factor, vectors, weights, out),
        // A small array, which must be cleared, where that is enough.
        None if heads <= HEADS => {
            attend_with(query, factor, vectors, &mut [0.0; HEADS][..heads], out);
        }
        None => attend_with(query, factor, vectors, &mut [0.0; HEADS_OF_ONE][..heads], out),
    }
}

fn attend_with(
    query: &[f32],
    factor: f32,
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    weights: &mut [f32],
    out: &mut [f32],
) {
    let hint = match (centroids, answers) {
        (RowsRef::F32(centroids), RowsRef::F32(answers)) => {
            PrefetchHint::alternating(size_of_val(centroids) + size_of_val(answers))
        }
        _ => None,
    };
    centroids.dots_hinted(hint, query, 0, weights);
    let top = largest(weights);
    // The division takes time that the weighted sum can use, so it comes last.
    let inverse = (1.0 / exponentials(weights, factor, top)) as f32;
    answers.weighted_sum_hinted(hint, weights, 0, true, inverse, out);
    scale(weights, inverse);
}

fn online_one(
    query: &[f32],
    factor: f32,
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    heads: usize,
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let mut scores = [0.0f32; HEADS_OF_ONE];
    let (mut top, mut sum) = (f32::NEG_INFINITY, 0.0);
    for first in (0..heads).step_by(HEADS_OF_ONE) {
        let scores = &mut scores[..HEADS_OF_ONE.min(heads - first)];
        centroids.dots(query, first, scores);
        let mut before: &mut [f32] = &mut [];
        let mut here = None;
        if let Some(weights) = &mut weights {
            let (done, rest) = weights.split_at_mut(first);
            (before, here) = (done, Some(&mut rest[..scores.len()]));
        }
        let sums = if first == 0 { &mut [][..] } else { &mut *out };
        raise(largest(scores), factor, (&mut top, &mut sum), [sums, before]);
        sum += exponentials(scores, factor, top);
        if let Some(here) = here {
            here.copy_from_slice(scores);
        }
        answers.weighted_sum(scores, first, first == 0, 1.0, out);
    }
    let inverse = (1.0 / sum) as f32;
    scale(out, inverse);
    scale(weights.unwrap_or_default(), inverse);
}

/// Brings all that there is so far to the best score of a block, where that is a better one.
fn raise(best: f32, factor: f32, (top, sum): (&mut f32, &mut f64), so_far: [&mut [f32]; 2]) {
    if best > *top {
        let shrunk = ((f64::from(*top) - f64::from(best)) * f64::from(factor)).exp();
        *sum *= shrunk;
        *top = best;
        so_far.into_iter().for_each(|values| scale(values, shrunk as f32));
    }
}

/// [`attend_one`] for each of `queries` (n × d), into `out` (n × o), and the weights (n × h)
/// where they are wanted. There is a factor a query.
pub fn attend(
    (queries, factors): (&[f32], &[f32]),
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    if n == 0 {
        return;
    }
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    let heads = centroids.count(dim);
    assert_eq!(answers.count(out_dim), heads);
    let mut room = Room::default();
    let vectors = (centroids, answers);
    let blocks = queries.chunks(QUERIES * dim).zip(factors.chunks(QUERIES));
    for (block, (queries, factors)) in blocks.enumerate() {
        let queries = (queries, factors);
        let out = &mut out[block * QUERIES * out_dim..][..factors.len() * out_dim];
        let weights = weights.as_deref_mut();
        let weights =
            weights.map(|all| &mut all[block * QUERIES * heads..][..factors.len() * heads]);
        match heads {
            ..=HEADS => few_heads(queries, vectors, heads, &mut room, weights, out),
            _ => online(queries, vectors, heads, &mut room, weights, out),
        }
    }
}

/// At most [`HEADS`] heads.
fn few_heads(
    (queries, factors): (&[f32], &[f32]),
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    heads: usize,
    room: &mut Room,
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    let [centroids_room, answers_room] = room;
    let centroids = centroids.block(0, heads, dim, centroids_room);
    let answers = answers.block(0, heads, out_dim, answers_room);
    // After the last head, scores of −∞ and so weights of 0 fill a register up: partly
    // written registers would hold up whoever reads beside them.
    let filled = heads.next_multiple_of(WHOLE);
    let mut scores = [f32::NEG_INFINITY; GROUP * HEADS];
    let groups = queries.chunks(GROUP * dim).zip(factors.chunks(GROUP));
    // The last queries come first: the caller has just measured them, so that they lie nearer.
    for (group, (queries, factors)) in groups.enumerate().rev() {
        dots_batch(dim, queries, centroids, &mut scores, HEADS);
        for scores in scores.chunks_exact_mut(HEADS).take(factors.len()) {
            scores[heads..filled].fill(f32::NEG_INFINITY);
        }
        softmax_rows(&mut scores, HEADS, filled, factors);
        if let Some(weights) = &mut weights {
            let weights = weights[group * GROUP * heads..].chunks_exact_mut(heads);
            for (weights, scores) in weights.zip(scores.chunks_exact(HEADS)).take(factors.len()) {
                weights.copy_from_slice(&scores[..heads]);
            }
        }
        let out = &mut out[group * GROUP * out_dim..][..factors.len() * out_dim];
        weighted_sum_batch(out_dim, &scores, HEADS, answers, out, true);
    }
}

/// At most [`QUERIES`] queries.
fn online(
    (queries, factors): (&[f32], &[f32]),
    (centroids, answers): (RowsRef<'_>, RowsRef<'_>),
    heads: usize,
    room: &mut Room,
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    // Of each query the best score so far, and the sum of weights relative to it.
    let mut tops = [f32::NEG_INFINITY; QUERIES];
    let mut sums = [0.0f64; QUERIES];
    let mut scores = [0.0f32; GROUP * HEADS];
    for start in (0..heads).step_by(HEADS) {
        let width = HEADS.min(heads - start);
        let filled = width.next_multiple_of(WHOLE);
        let [centroids_room, answers_room] = &mut *room;
        let centroids = centroids.block(start, width, dim, centroids_room);
        let answers = answers.block(start, width, out_dim, answers_room);
        for (group, queries) in queries.chunks(GROUP * dim).enumerate() {
            let first = group * GROUP;
            let count = queries.len() / dim;
            let out = &mut out[first * out_dim..][..count * out_dim];
            dots_batch(dim, queries, centroids, &mut scores, HEADS);
            if filled > width {
                let rows = scores.chunks_exact_mut(HEADS).take(count);
                rows.for_each(|scores| scores[width..filled].fill(f32::NEG_INFINITY));
            }
            let factors = &factors[first..][..count];
            let (tops, sums) = (&mut tops[first..][..count], &mut sums[first..][..count]);
            let mut here = [0.0; GROUP];
            let here = &mut here[..count];
            largest_rows(&scores, HEADS, filled, here);
            for (query, best) in here.iter().enumerate() {
                let before = weights.as_mut().map(|weights| {
                    let row = &mut weights[(first + query) * heads..];
                    &mut row[..start]
                });
                let out = match start {
                    0 => &mut [][..],
                    _ => &mut out[query * out_dim..][..out_dim],
                };
                let so_far = (&mut tops[query], &mut sums[query]);
                raise(*best, factors[query], so_far, [out, before.unwrap_or_default()]);
            }
            exponentials_rows(&mut scores, (HEADS, filled), factors, tops, here);
            sums.iter_mut().zip(here).for_each(|(sum, here)| *sum += f64::from(*here));
            if let Some(weights) = &mut weights {
                let rows = weights[first * heads..].chunks_exact_mut(heads);
                for (weights, scores) in rows.zip(scores.chunks_exact(HEADS)).take(count) {
                    weights[start..][..width].copy_from_slice(&scores[..width]);
                }
            }
            weighted_sum_batch(out_dim, &scores, HEADS, answers, out, start == 0);
        }
    }
    for (query, (out, sum)) in out.chunks_exact_mut(out_dim).zip(sums).enumerate() {
        let inverse = (1.0 / sum) as f32;
        scale(out, inverse);
        if let Some(weights) = &mut weights {
            scale(&mut weights[query * heads..][..heads], inverse);
        }
    }
}
