//! Softmax attention of queries over many heads, in blocks that stay in the caches.
//!
//! A block of heads is scored for some queries, its weights are made, and its answers are
//! added up, before the next block is looked at; the matrix of all scores exists only where
//! the caller wants it. The sums so far belong to the best score so far: where a block has a
//! better one, they are scaled down to it ("online softmax", Milakov and Gimelshein, 2018).

use super::{Reading, WHOLE, add_weighted, dots, dots_of_batch, dots_read, exponentials};
use super::{largest, scale, softmax_of_rows, weighted_sum_read};

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

/// Softmax attention over heads with `centroids` (h × d) and `answers` (h × o): the answers
/// with weights softmax(factor·scores) of `query` (d), into `out` (o), and the weights (h)
/// where they are wanted, which changes no bit of `out`.
pub(crate) fn attend_one(
    query: &[f32],
    factor: f32,
    centroids: &[f32],
    answers: &[f32],
    weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let heads = centroids.len() / query.len();
    match weights {
        _ if heads > HEADS_OF_ONE => online_one(query, factor, centroids, answers, weights, out),
        Some(weights) => attend_with(query, factor, centroids, answers, weights, out),
        // A small array, which must be cleared, where that is enough.
        None if heads <= HEADS => {
            let weights = &mut [0.0; HEADS][..heads];
            attend_with(query, factor, centroids, answers, weights, out);
        }
        None => {
            let weights = &mut [0.0; HEADS_OF_ONE][..heads];
            attend_with(query, factor, centroids, answers, weights, out);
        }
    }
}

fn attend_with(
    query: &[f32],
    factor: f32,
    centroids: &[f32],
    answers: &[f32],
    weights: &mut [f32],
    out: &mut [f32],
) {
    dots(query, centroids, weights);
    let top = largest(weights);
    // The division takes time that the weighted sum can use, so it comes last.
    let inverse = (1.0 / exponentials(weights, factor, top)) as f32;
    weighted_sum_read(Reading::of(answers), weights, answers, (true, inverse), out);
    scale(weights, inverse);
}

fn online_one(
    query: &[f32],
    factor: f32,
    centroids: &[f32],
    answers: &[f32],
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let (dim, out_dim) = (query.len(), out.len());
    let readings = (Reading::of(centroids), Reading::of(answers));
    let mut scores = [0.0f32; HEADS_OF_ONE];
    let (mut top, mut sum) = (f32::NEG_INFINITY, 0.0);
    let blocks = centroids.chunks(HEADS_OF_ONE * dim).zip(answers.chunks(HEADS_OF_ONE * out_dim));
    for (block, (centroids, answers)) in blocks.enumerate() {
        let scores = &mut scores[..centroids.len() / dim];
        dots_read(readings.0, query, centroids, scores);
        let mut before: &mut [f32] = &mut [];
        let mut here = None;
        if let Some(weights) = &mut weights {
            let (done, rest) = weights.split_at_mut(block * HEADS_OF_ONE);
            (before, here) = (done, Some(&mut rest[..scores.len()]));
        }
        let sums = if block == 0 { &mut [][..] } else { &mut *out };
        weigh(scores, factor, (&mut top, &mut sum), [sums, before]);
        if let Some(here) = here {
            here.copy_from_slice(scores);
        }
        weighted_sum_read(readings.1, scores, answers, (block == 0, 1.0), out);
    }
    let inverse = (1.0 / sum) as f32;
    scale(out, inverse);
    scale(weights.unwrap_or_default(), inverse);
}

/// Makes weights of the scores of a block, relative to the best score so far, to which all
/// that there is so far is brought.
fn weigh(
    scores: &mut [f32],
    factor: f32,
    (top, sum): (&mut f32, &mut f64),
    so_far: [&mut [f32]; 2],
) {
    let best = largest(scores);
    if best > *top {
        let shrunk = ((f64::from(*top) - f64::from(best)) * f64::from(factor)).exp();
        *sum *= shrunk;
        *top = best;
        so_far.into_iter().for_each(|values| scale(values, shrunk as f32));
    }
    *sum += exponentials(scores, factor, *top);
}

/// [`attend_one`] for each of `queries` (n × d), into `out` (n × o), and the weights (n × h)
/// where they are wanted. There is a factor a query.
pub(crate) fn attend(
    (queries, factors): (&[f32], &[f32]),
    centroids: &[f32],
    answers: &[f32],
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    if n == 0 {
        return;
    }
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    let heads = centroids.len() / dim;
    assert_eq!(answers.len(), heads * out_dim);
    let blocks = queries.chunks(QUERIES * dim).zip(factors.chunks(QUERIES));
    for (block, (queries, factors)) in blocks.enumerate() {
        let queries = (queries, factors);
        let out = &mut out[block * QUERIES * out_dim..][..factors.len() * out_dim];
        let weights = weights.as_deref_mut();
        let weights =
            weights.map(|all| &mut all[block * QUERIES * heads..][..factors.len() * heads]);
        match heads {
            ..=HEADS => few_heads(queries, centroids, answers, weights, out),
            _ => online(queries, centroids, answers, weights, out),
        }
    }
}

/// At most [`HEADS`] heads.
fn few_heads(
    (queries, factors): (&[f32], &[f32]),
    centroids: &[f32],
    answers: &[f32],
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    let heads = centroids.len() / dim;
    // After the last head, scores of −∞ and so weights of 0 fill a register up: partly
    // written registers would hold up whoever reads beside them.
    let filled = heads.next_multiple_of(WHOLE);
    let mut scores = [f32::NEG_INFINITY; GROUP * HEADS];
    let groups = queries.chunks(GROUP * dim).zip(factors.chunks(GROUP));
    for (group, (queries, factors)) in groups.enumerate() {
        dots_of_batch(dim, queries, centroids, &mut scores, HEADS);
        for scores in scores.chunks_exact_mut(HEADS).take(factors.len()) {
            scores[heads..filled].fill(f32::NEG_INFINITY);
        }
        softmax_of_rows(&mut scores, HEADS, filled, factors);
        if let Some(weights) = &mut weights {
            let weights = weights[group * GROUP * heads..].chunks_exact_mut(heads);
            for (weights, scores) in weights.zip(scores.chunks_exact(HEADS)).take(factors.len()) {
                weights.copy_from_slice(&scores[..heads]);
            }
        }
        let out = &mut out[group * GROUP * out_dim..][..factors.len() * out_dim];
        add_weighted(out_dim, &scores, HEADS, answers, out, true);
    }
}

/// At most [`QUERIES`] queries.
fn online(
    (queries, factors): (&[f32], &[f32]),
    centroids: &[f32],
    answers: &[f32],
    mut weights: Option<&mut [f32]>,
    out: &mut [f32],
) {
    let n = factors.len();
    let (dim, out_dim) = (queries.len() / n, out.len() / n);
    let all_heads = centroids.len() / dim;
    // Of each query the best score so far, and the sum of weights relative to it.
    let mut tops = [f32::NEG_INFINITY; QUERIES];
    let mut sums = [0.0f64; QUERIES];
    let mut scores = [0.0f32; GROUP * HEADS];
    let blocks = centroids.chunks(HEADS * dim).zip(answers.chunks(HEADS * out_dim));
    for (block, (centroids, answers)) in blocks.enumerate() {
        let heads = centroids.len() / dim;
        for (group, queries) in queries.chunks(GROUP * dim).enumerate() {
            let first = group * GROUP;
            let count = queries.len() / dim;
            let out = &mut out[first * out_dim..][..count * out_dim];
            dots_of_batch(dim, queries, centroids, &mut scores, HEADS);
            for query in 0..count {
                let scores = &mut scores[query * HEADS..][..heads];
                let so_far = (&mut tops[first + query], &mut sums[first + query]);
                let mut before: &mut [f32] = &mut [];
                let mut here = None;
                if let Some(weights) = &mut weights {
                    let row = &mut weights[(first + query) * all_heads..][..all_heads];
                    let (done, rest) = row.split_at_mut(block * HEADS);
                    (before, here) = (done, Some(&mut rest[..heads]));
                }
                let sums = match block {
                    0 => &mut [][..],
                    _ => &mut out[query * out_dim..][..out_dim],
                };
                weigh(scores, factors[first + query], so_far, [sums, before]);
                if let Some(here) = here {
                    here.copy_from_slice(scores);
                }
            }
            add_weighted(out_dim, &scores, HEADS, answers, out, block == 0);
        }
    }
    for (query, (out, sum)) in out.chunks_exact_mut(out_dim).zip(sums).enumerate() {
        let inverse = (1.0 / sum) as f32;
        scale(out, inverse);
        if let Some(weights) = &mut weights {
            scale(&mut weights[query * all_heads..][..all_heads], inverse);
        }
    }
}
