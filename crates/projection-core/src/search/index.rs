//! Vectors in memory and the k best of them.

use std::cmp::Ordering;

use ndarray::ArrayView2;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows};
use crate::projection::Projection;

/// Rows scored at a time: their scores stay in the first-level cache.
const BLOCK: usize = 512;

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
        let target = self.target(query, projection)?;
        Ok(self.nearest(&target, k))
    }

    /// [`search`](Self::search) for every row of `queries` (n × d), in their order.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row.
    pub fn search_batch(
        &self,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        let queries = queries.as_standard_layout();
        let rows = queries.rows().into_iter().enumerate();
        rows.map(|(row, query)| {
            let query = query.to_slice().expect("rows of a row-major array are contiguous");
            self.search(query, projection, k).map_err(|error| error.context(format!("row {row}")))
        })
        .collect()
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
        let rows = self.vectors.chunks(BLOCK * self.dim);
        for (rows, scores) in rows.zip(scores.chunks_mut(BLOCK)) {
            kernel::dots(target, rows, scores);
        }
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

    /// The k rows nearest to a unit vector.
    fn nearest(&self, target: &[f32], k: usize) -> Vec<Hit> {
        let mut best = Best::new(k.min(self.len()));
        let mut scores = [0.0; BLOCK];
        let blocks = self.vectors.chunks(BLOCK * self.dim).zip(self.ids.chunks(BLOCK));
        for (rows, ids) in blocks {
            let scores = &mut scores[..ids.len()];
            kernel::dots(target, rows, scores);
            best.add(ids, scores);
        }
        let mut best = best.finish();
        // Rounding must not make a cosine of more than 1.
        for hit in &mut best {
            hit.score = hit.score.clamp(-1.0, 1.0);
        }
        best
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
        Self { k, kept: Vec::with_capacity(2 * k), worst_kept: None }
    }

    fn add(&mut self, ids: &[i64], scores: &[f32]) {
        if self.k == 0 {
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
    fn equal_answers_come_by_id() {
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
