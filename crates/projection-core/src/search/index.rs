//! Vectors in memory and the k best of them.

use std::cmp::Ordering;
use std::ops::Range;

use ndarray::ArrayView2;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Reading, Rows, product};
use crate::projection::Projection;

/// Rows that are scored for all queries of a block before the next ones: they stay in the
/// second-level cache.
const ROWS: usize = 128;

/// Queries whose scores of so many rows are looked through at a time.
const GROUP: usize = 16;

/// Queries of a batch that pass by the rows together, and what one thread does at a time.
const BLOCK: usize = 64;

/// Rows scored at a time for one query.
const ROWS_OF_ONE: usize = 1024;

/// An answer that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The answer's id, as given when the index was made.
    pub answer_id: i64,
    /// Cosine of the (projected) query and the answer, from −1 to 1, unless
    /// [`SearchOptions`](super::SearchOptions) ask for another score.
    pub score: f32,
}

/// Answer vectors with their ids. Immutable, to be shared by any number of threads.
#[derive(Debug, Clone)]
pub struct Index {
    ids: Vec<i64>,
    dim: usize,
    /// Unit vectors (len × dim), row-major.
    vectors: Rows,
}

impl Index {
    /// Makes an index of the rows of `vectors` (n × d), which need not be of unit length.
    /// `ids` (n) names them.
    ///
    /// # Errors
    /// [`ErrorKind::BufferSize`] where there are not as many ids as rows,
    /// [`ErrorKind::InvalidArgument`] for d = 0 or an id that comes twice,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the id.
    pub fn from_vectors(ids: &[i64], vectors: ArrayView2<'_, f32>) -> Result<Self> {
        let (rows, dim) = vectors.dim();
        if dim == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "vectors of dimension 0"));
        }
        if ids.len() != rows {
            return Err(Error::new(
                ErrorKind::BufferSize,
                format!("{} ids for {rows} vectors, expected one each", ids.len()),
            ));
        }
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("two vectors with the id {}", pair[0]),
            ));
        }
        let mut units = Rows::with_capacity(dim, rows);
        for (id, vector) in ids.iter().zip(vectors.rows()) {
            let mut vector = vector.to_vec();
            let named = |error: Error| error.context(format!("vector of answer {id}"));
            normalise(&mut vector).map_err(named)?;
            units.push(&vector);
        }
        Ok(Self { ids: ids.to_vec(), dim, vectors: units })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The ids, in the order in which they were given.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// The vectors at length 1 (len × dim), row-major.
    pub(crate) fn units(&self) -> &[f32] {
        &self.vectors
    }

    /// The min(k, len) answers nearest to `query` (d) by cosine, best first, equal ones by
    /// ascending id. With a projection, the query is projected first; its dimension is then
    /// the projection's input dimension.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] where query, projection and index do not fit
    /// together, [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`] for the query or its
    /// projection.
    pub fn search(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        self.search_on(1, query, projection, k)
    }

    /// [`search`](Self::search) on up to `threads` threads, which end before it returns; 0
    /// counts as 1. The result does not depend on their number.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_on(
        &self,
        threads: usize,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        let target = self.target(query, projection)?;
        // Whole blocks for each thread, at least one.
        let blocks = self.len().div_ceil(ROWS_OF_ONE);
        let share = blocks.div_ceil(threads.max(1)).max(1) * ROWS_OF_ONE;
        let mut parts = vec![Vec::new(); self.len().div_ceil(share)];
        product::for_blocks(threads, &mut parts, 1, 1, |part, hits| {
            let rows = part.start * share..(part.end * share).min(self.len());
            hits[0] = self.nearest(rows, &target, k).pop().unwrap_or_default();
        });
        if let [_] = parts[..] {
            return Ok(parts.swap_remove(0));
        }
        let mut hits = parts.concat();
        hits.sort_unstable_by(better_first);
        hits.truncate(k);
        Ok(hits)
    }

    /// [`search`](Self::search) for every row of `queries` (n × d), in their order, with the
    /// same results.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row.
    pub fn search_batch(
        &self,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        self.search_batch_on(1, queries, projection, k)
    }

    /// [`search_batch`](Self::search_batch) on up to `threads` threads, which end before it
    /// returns; 0 counts as 1. The results do not depend on their number.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row.
    pub fn search_batch_on(
        &self,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        let queries = queries.as_standard_layout();
        // Fewer queries than a block for each thread are shared out evenly.
        let block = queries.nrows().div_ceil(threads.max(1)).clamp(1, BLOCK);
        let mut results: Vec<Result<Vec<Hit>>> = Vec::new();
        results.resize_with(queries.nrows(), || Ok(Vec::new()));
        product::for_blocks(threads, &mut results, 1, block, |rows, results| {
            let mut targets = Vec::with_capacity(rows.len() * self.dim);
            for row in rows.clone() {
                let query = queries.row(row);
                let query = query.to_slice().expect("rows of a row-major array are contiguous");
                match self.target(query, projection) {
                    Ok(target) => targets.extend(target),
                    Err(error) => {
                        results[row - rows.start] = Err(error.context(format!("row {row}")));
                        return;
                    }
                }
            }
            for (result, hits) in results.iter_mut().zip(self.nearest(0..self.len(), &targets, k)) {
                *result = Ok(hits);
            }
        });
        results.into_iter().collect()
    }

    /// The unit vector that answers are compared with: the query, or its projection.
    pub(super) fn target(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
    ) -> Result<Vec<f32>> {
        let mut target = match projection {
            None => {
                self.check_dim("query", query.len())?;
                query.to_vec()
            }
            Some(projection) => {
                self.check_dim("projected query", projection.output_dim())?;
                let mut projected = vec![0.0; projection.output_dim()];
                projection.project_into(query, &mut projected, None)?;
                projected
            }
        };
        normalise(&mut target).map_err(|error| match projection {
            None => error.context("query"),
            Some(_) => error.context("projected query"),
        })?;
        Ok(target)
    }

    /// The cosine of every answer with a unit vector, in the order of [`ids`](Self::ids).
    /// Rounding may leave them a little above 1.
    pub(super) fn scores(&self, target: &[f32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.len()];
        let reading = Reading::of(&self.vectors).as_in_batches();
        kernel::dots_read(reading, target, &self.vectors, &mut scores);
        scores
    }

    /// The k best of scores that are in the order of [`ids`](Self::ids).
    pub(super) fn best(&self, scores: &[f32], k: usize) -> Vec<Hit> {
        let mut best = Best::new(k.min(self.len()));
        best.add(&self.ids, scores);
        best.finish()
    }

    fn check_dim(&self, what: &str, found: usize) -> Result<()> {
        if found == self.dim {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("{what} of dimension {found}, expected {} as the answers have", self.dim),
        ))
    }

    /// The k of some rows nearest to each of some unit vectors (n × d).
    fn nearest(&self, among: Range<usize>, targets: &[f32], k: usize) -> Vec<Vec<Hit>> {
        let mut best: Vec<Best> =
            (0..targets.len() / self.dim).map(|_| Best::new(k.min(among.len()))).collect();
        match best.as_mut_slice() {
            [best] => {
                let (mut scores, best) = ([0.0; ROWS_OF_ONE], std::slice::from_mut(best));
                self.add_scores(among, ROWS_OF_ONE, targets, &mut scores, best);
            }
            best => self.add_scores(among, ROWS, targets, &mut [0.0; GROUP * ROWS], best),
        }
        let mut best: Vec<Vec<Hit>> = best.into_iter().map(Best::finish).collect();
        // Rounding must not make a cosine of more than 1.
        for hit in best.iter_mut().flatten() {
            hit.score = hit.score.clamp(-1.0, 1.0);
        }
        best
    }

    /// Scores the rows `among` all, so many at a time, for each of `targets`. `scores` is room
    /// for those of some targets.
    fn add_scores(
        &self,
        among: Range<usize>,
        rows: usize,
        targets: &[f32],
        scores: &mut [f32],
        best: &mut [Best],
    ) {
        let group = scores.len() / rows;
        let reading = Reading::of(&self.vectors).as_in_batches();
        let vectors = &self.vectors[among.start * self.dim..among.end * self.dim];
        let blocks = vectors.chunks(rows * self.dim).zip(self.ids[among].chunks(rows));
        for (vectors, ids) in blocks {
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
        }
    }
}

/// The k best of any number of hits.
///
/// Candidates are kept unsorted up to twice k and then cut back to the k best, which costs a
/// constant time per hit; hits below the cut's last score are never added.
struct Best {
    k: usize,
    kept: Vec<Hit>,
    worst_kept: Option<Hit>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, kept: Vec::with_capacity(k.min(ROWS)), worst_kept: None }
    }

    fn add(&mut self, ids: &[i64], scores: &[f32]) {
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
                self.kept.select_nth_unstable_by(self.k - 1, better_first);
                self.kept.truncate(self.k);
                self.worst_kept = self.kept.last().copied();
            }
        }
    }

    fn finish(mut self) -> Vec<Hit> {
        self.kept.sort_unstable_by(better_first);
        self.kept.truncate(self.k);
        self.kept
    }
}

pub(super) fn better_first(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.answer_id.cmp(&b.answer_id))
}

/// Scales a vector to length 1.
fn normalise(vector: &mut [f32]) -> Result<()> {
    let norm = kernel::norm(vector);
    if norm > 0.0 && norm.is_finite() {
        for value in vector {
            *value = (f64::from(*value) / norm) as f32;
        }
        return Ok(());
    }
    Err(match vector.iter().position(|value| !value.is_finite()) {
        Some(at) => Error::new(
            ErrorKind::NotFinite,
            format!("the value {} at index {at}, expected finite numbers", vector[at]),
        ),
        None => Error::new(ErrorKind::ZeroVector, "all values are zero, there is no direction"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn wave(rows: usize, dim: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, dim), |(r, c)| ((r * 7 + c * 13) as f32 * 0.37).sin())
    }

    #[test]
    fn finds_what_sorting_everything_finds() {
        let vectors = wave(1500, 20);
        let ids: Vec<i64> = (0..1500).map(|i| 5000 - i).collect();
        let index = Index::from_vectors(&ids, vectors.view()).unwrap();
        let query: Vec<f32> = (0..20).map(|i| (i as f32).cos()).collect();
        let all = index.search(&query, None, 1500).unwrap();
        assert_eq!(all.len(), 1500);
        assert!(all.windows(2).all(|pair| better_first(&pair[0], &pair[1]).is_lt()));
        for k in [0, 1, 2, 10, 700, 2000] {
            assert_eq!(index.search(&query, None, k).unwrap(), all[..k.min(1500)]);
        }
    }

    #[test]
    fn batches_find_what_single_queries_find() {
        let vectors = wave(1500, 20);
        let ids: Vec<i64> = (0..1500).collect();
        let index = Index::from_vectors(&ids, vectors.view()).unwrap();
        let queries = Array2::from_shape_fn((150, 20), |(r, c)| ((r * 5 + c * 3) as f32).cos());
        for threads in [0, 1, 2, 5] {
            let found = index.search_batch_on(threads, queries.view(), None, 7).unwrap();
            assert_eq!(found.len(), 150);
            for (query, found) in queries.rows().into_iter().zip(found) {
                assert_eq!(found, index.search(query.to_slice().unwrap(), None, 7).unwrap());
            }
        }
        let mut bad = queries.clone();
        bad[[70, 3]] = f32::NAN;
        bad[[149, 3]] = f32::NAN;
        let error = index.search_batch_on(2, bad.view(), None, 7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        assert!(error.to_string().contains("row 70"), "{error}");
        let none = Index::from_vectors(&[], Array2::zeros((0, 20)).view()).unwrap();
        assert_eq!(none.search_batch(queries.view(), None, 7).unwrap(), vec![vec![]; 150]);
    }

    #[test]
    fn equal_answers_come_by_id() {
        // Enough for every path of the products, with the same vector at all places.
        let vectors = Array2::from_shape_fn((2311, 33), |(_, c)| (c as f32 * 0.7).sin());
        let ids: Vec<i64> = (0..2311).rev().collect();
        let index = Index::from_vectors(&ids, vectors.view()).unwrap();
        let queries = Array2::from_shape_fn((9, 33), |(r, c)| (r as f32 + c as f32).cos());
        for hits in index.search_batch(queries.view(), None, 5).unwrap() {
            assert_eq!(hits.iter().map(|hit| hit.answer_id).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        }
        let vectors = Array2::from_shape_fn((9, 4), |(_, c)| c as f32);
        let index = Index::from_vectors(&[9, 4, 8, 1, 2, 7, 3, 6, 5], vectors.view()).unwrap();
        let hits = index.search(&[1.0, 1.0, 0.0, 0.0], None, 3).unwrap();
        assert_eq!(hits.iter().map(|hit| hit.answer_id).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn refuses_what_has_no_cosine() {
        let vectors = wave(3, 4);
        let index = Index::from_vectors(&[1, 2, 3], vectors.view()).unwrap();
        let kind = |query: &[f32]| index.search(query, None, 1).unwrap_err().kind();
        assert_eq!(kind(&[0.0; 4]), ErrorKind::ZeroVector);
        assert_eq!(kind(&[f32::NAN, 0.0, 0.0, 0.0]), ErrorKind::NotFinite);
        assert_eq!(kind(&[1.0; 3]), ErrorKind::DimensionMismatch);
        let kind = |ids: &[i64], vectors: &Array2<f32>| {
            Index::from_vectors(ids, vectors.view()).unwrap_err().kind()
        };
        assert_eq!(kind(&[1, 2], &vectors), ErrorKind::BufferSize);
        assert_eq!(kind(&[1, 2, 1], &vectors), ErrorKind::InvalidArgument);
        assert_eq!(kind(&[1, 2, 3], &Array2::zeros((3, 4))), ErrorKind::ZeroVector);
        assert_eq!(kind(&[1, 2, 3], &Array2::zeros((3, 0))), ErrorKind::InvalidArgument);
    }
}
