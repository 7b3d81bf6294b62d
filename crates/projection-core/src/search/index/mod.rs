//! Vectors in memory and the k best of them.

mod best;
mod change;
mod clusters;
mod nearest;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;

use super::answer_sides::AnswerSides;
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IvfIndex;
use crate::kernel::progress::{OnProgress, Progress, ignore_progress};
use crate::kernel::{self, PrefetchHint, Rows, parallel};
use crate::projection::{Projection, row_major};
use best::Best;
pub use best::better_first;

/// Queries of a batch that pass by the rows together, and what one thread does at a time.
const BLOCK: usize = 64;

/// An answer that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The answer's id, as given when the index was made.
    pub answer_id: i64,
    /// Cosine of the (projected) query and the answer, from −1 to 1, unless
    /// `SearchOptions` ask for another score.
    pub score: f32,
}

/// Answers of an index, and what is added to their cosines.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Where the answers are.
    pub index: &'a Index,
    /// Their rows, ascending, or all for `None`.
    pub rows: Option<&'a [u32]>,
    /// Added to each cosine after it is limited to −1 to 1.
    pub offset: f32,
}

/// Answer vectors with their ids.
///
/// Searches are exact until [`build_index`](Self::build_index) adds an approximate index. Threads
/// may search at once; what changes an index borrows it exclusively. Clones share the vectors
/// until one of them changes.
#[derive(Debug, Clone)]
pub struct Index {
    ids: Vec<i64>,
    dim: usize,
    /// Unit vectors (len × dim), row-major.
    vectors: Rows,
    /// The row of each id; made when it is first needed.
    row_of: OnceLock<HashMap<i64, u32>>,
    /// Finds the nearest of many vectors faster, if it was asked for.
    ivf: Option<Arc<IvfIndex>>,
    /// Cluster and row of answers, ascending, if clusters are known.
    members: Option<Vec<(i64, u32)>>,
    /// The answers as projections see them; empty after a change.
    sides: Arc<AnswerSides>,
}

/// Whether an index may have an approximate one. In WebAssembly nothing builds it, so that what
/// would use it is left out.
const HAS_IVF: bool = cfg!(not(target_family = "wasm"));

impl Index {
    /// Makes an index of the rows of `vectors` (n × d), which need not be of unit length.
    /// `ids` (n) names them.
    ///
    /// # Errors
    /// [`ErrorKind::BufferSize`] if there are not as many ids as rows,
    /// [`ErrorKind::InvalidArgument`] for d = 0 or an id that comes twice,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`], naming the id.
    pub fn from_vectors(ids: &[i64], vectors: ArrayView2<'_, f32>) -> Result<Self> {
        Self::from_rows(ids, &row_major(vectors), vectors.dim())
    }

    /// [`from_vectors`](Self::from_vectors) of row-major `values` of `rows` × `dim`.
    pub fn from_rows(ids: &[i64], values: &[f32], (rows, dim): (usize, usize)) -> Result<Self> {
        if dim == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "vectors of dimension 0"));
        }
        let mut index = Self {
            ids: Vec::new(),
            dim,
            vectors: Rows::new(dim),
            row_of: OnceLock::new(),
            ivf: None,
            members: None,
            sides: Arc::default(),
        };
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(twice(pair[0]));
        }
        index.vectors = index.units_of(ids, values, (rows, dim))?;
        index.ids = ids.to_vec();
        Ok(index)
    }

    /// Row-major vectors at length 1.
    fn units_of(&self, ids: &[i64], values: &[f32], (rows, dim): (usize, usize)) -> Result<Rows> {
        if ids.len() != rows {
            return Err(Error::new(
                ErrorKind::BufferSize,
                format!("{} ids for {rows} vectors, expected one each", ids.len()),
            ));
        }
        self.check_dim("vectors", dim)?;
        let mut units = Rows::with_capacity(dim, rows);
        let mut unit = vec![0.0; dim];
        for (id, vector) in ids.iter().zip(values.chunks_exact(dim)) {
            unit.copy_from_slice(vector);
            let named = |error: Error| error.context(format!("vector of answer {id}"));
            normalize(&mut unit).map_err(named)?;
            units.push(&unit);
        }
        Ok(units)
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

    /// The ids, in the order in which they were given, but that [`remove`](Self::remove) puts
    /// the last ones into the places of those it removes.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// The vectors at length 1 (len × dim), row-major.
    pub fn units(&self) -> &[f32] {
        &self.vectors
    }

    /// The vector of a row at length 1.
    pub(crate) fn unit(&self, row: usize) -> &[f32] {
        self.vectors.row(row)
    }

    /// The min(k, len) answers nearest to `query` (d) by cosine, best first, equal ones by
    /// ascending id. With a projection, the query is projected first; its dimension is then
    /// the projection's input dimension; if the answers' clusters are known, see
    /// [`with_clusters`](Self::with_clusters). With an approximate index, see
    /// [`build_index`](Self::build_index), an answer may be missed.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] if query, projection and index do not fit together,
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::ZeroVector`] for the query or its projection.
    pub fn search(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        self.search_among(None, 1, query, projection, k)
    }

    /// [`search`](Self::search) among the answers with the `allowed` ids, in any order, or among
    /// all for `None`, on up to `threads` threads, which end before it returns. Ids of no answer
    /// are ignored; 0 threads count as 1. The result does not depend on their number.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_among(
        &self,
        allowed: Option<&[i64]>,
        threads: usize,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        self.in_groups(allowed, projection, self.unseen_offset(projection), |groups| {
            self.search_in(groups, threads, query, projection, k)
        })?
    }

    /// The min(k, all) best answers of groups that share none, by cosine plus the group's offset;
    /// otherwise as [`search_among`](Self::search_among). The groups' indexes have the dimension of
    /// this one.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_in(
        &self,
        groups: &[Group<'_>],
        threads: usize,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        let target = self.target(query, projection)?;
        Ok(merged(groups.iter().map(|group| group.nearest_on(threads, &target, k)), k))
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
        self.search_batch_among(None, 1, queries, projection, k, &mut ignore_progress)
    }

    /// [`search_batch`](Self::search_batch) among the `allowed` answers and on threads, as
    /// [`search_among`](Self::search_among). A step of `progress` is a query.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row, and [`ErrorKind::Cancelled`].
    pub fn search_batch_among(
        &self,
        allowed: Option<&[i64]>,
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Hit>>> {
        self.in_groups(allowed, projection, self.unseen_offset(projection), |groups| {
            self.search_batch_in(groups, threads, queries, projection, k, progress)
        })?
    }

    /// [`search_in`](Self::search_in) for every row of `queries` (n × d), in their order, with the
    /// same results. A step of `progress` is a query.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row, and [`ErrorKind::Cancelled`].
    pub fn search_batch_in(
        &self,
        groups: &[Group<'_>],
        threads: usize,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Hit>>> {
        // Fewer queries than a block for each thread are shared out evenly.
        let block = queries.nrows().div_ceil(threads.max(1)).clamp(1, BLOCK);
        let mut results: Vec<Result<Vec<Hit>>> = Vec::new();
        results.resize_with(queries.nrows(), || Ok(Vec::new()));
        let (done, count) = (AtomicUsize::new(0), queries.nrows());
        let mut poll =
            || Progress::new("searching", done.load(Ordering::Relaxed), count).send(progress);
        parallel::parallel_chunks_until(
            threads,
            &mut results,
            1,
            block,
            &mut poll,
            |rows, results, _| {
                done.fetch_add(rows.len(), Ordering::Relaxed);
                let mut targets = Vec::with_capacity(rows.len() * self.dim);
                for (row, result) in rows.zip(results.iter_mut()) {
                    match self.target(&queries.row(row).to_vec(), projection) {
                        Ok(target) => targets.extend(target),
                        Err(error) => {
                            *result = Err(error.context(format!("row {row}")));
                            return;
                        }
                    }
                }
                let found = groups.iter().map(|group| group.nearest(&targets, k));
                let mut found: Vec<_> = found.map(Vec::into_iter).collect();
                for result in results {
                    let hits = found.iter_mut().map(|found| found.next().unwrap_or_default());
                    *result = Ok(merged(hits, k));
                }
            },
        )?;
        results.into_iter().collect()
    }

    /// The rows of ids, ascending, each once.
    pub fn rows_of(&self, ids: &[i64]) -> Vec<u32> {
        let row_of = self.row_of();
        let mut rows: Vec<u32> = ids.iter().filter_map(|id| row_of.get(id).copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn row_of(&self) -> &HashMap<i64, u32> {
        self.row_of.get_or_init(|| self.ids.iter().copied().zip(0..).collect())
    }

    /// The unit vector that answers are compared with: the query, or its projection.
    pub fn target(&self, query: &[f32], projection: Option<&dyn Projection>) -> Result<Vec<f32>> {
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
        normalize(&mut target).map_err(|error| match projection {
            None => error.context("query"),
            Some(_) => error.context("projected query"),
        })?;
        Ok(target)
    }

    /// The cosine of every answer with a unit vector, in the order of [`ids`](Self::ids).
    /// Rounding may leave them a little above 1.
    pub fn scores(&self, target: &[f32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.len()];
        let reading = PrefetchHint::of(&self.vectors).as_in_batches();
        kernel::dots_hinted(reading, target, &self.vectors, &mut scores);
        scores
    }

    /// The k best of scores that are in the order of [`ids`](Self::ids), of the rows
    /// `allowed`, or of all.
    pub fn best(&self, allowed: Option<&[u32]>, scores: &[f32], k: usize) -> Vec<Hit> {
        let mut best = Best::new(k.min(self.len()));
        match allowed {
            None => best.add(&self.ids, scores),
            Some(rows) => {
                for row in rows {
                    let row = *row as usize..*row as usize + 1;
                    best.add(&self.ids[row.clone()], &scores[row]);
                }
            }
        }
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
}

/// The k best of the best hits of groups.
fn merged(mut groups: impl ExactSizeIterator<Item = Vec<Hit>>, k: usize) -> Vec<Hit> {
    if groups.len() == 1 {
        return groups.next().unwrap_or_default();
    }
    let mut hits = groups.collect::<Vec<_>>().concat();
    hits.sort_unstable_by(better_first);
    hits.truncate(k);
    hits
}

fn twice(id: i64) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("two vectors with the id {id}"))
}

/// Scales a vector to length 1.
fn normalize(vector: &mut [f32]) -> Result<()> {
    let norm = kernel::normalize(vector);
    if norm > 0.0 && norm.is_finite() {
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
mod tests;
