//! The multi-head projection: one head per cluster of questions with a common answer.
//!
//! For a query q, heads k with unit centroids c_k and answers a_k, and temperature τ:
//!
//! ```text
//! w         = softmax_k(cos(q, c_k) / τ)
//! projected = Σ_k w_k a_k        where head k has a matrix W_k, its term is w_k W_k q
//! ```
//!
//! This is attention over the clusters, in the form of UnifyWeaver's book, chapter
//! "Cross-Target Deployment".

mod similarities;
mod stored;

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Projection;
use super::deferred::Deferred;
use super::query::{check_batch_buffers, check_buffer, checked_norm, checked_rows, project_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Compact, Format, Rows, Vectors, select};

pub(crate) use stored::StoredHeads;

/// One head, as a caller or a file gives it.
#[derive(Debug, Clone)]
pub struct Head {
    /// The cluster that the head answers for; no two heads of a model have the same.
    pub cluster_id: i64,
    /// Mean question (d) in double precision, of any norm above zero.
    pub centroid: Vec<f64>,
    /// Answer (o), used as it is.
    pub answer: Vec<f32>,
    /// Matrix (o × d) that is applied to the query instead of using the answer.
    pub matrix: Option<Array2<f32>>,
}

/// What an error in a head is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum HeadPart {
    Centroid,
    Answer,
    Matrix,
}

impl HeadPart {
    fn name(self) -> &'static str {
        match self {
            Self::Centroid => "centroid",
            Self::Answer => "answer",
            Self::Matrix => "matrix W",
        }
    }
}

/// A multi-head projection. Cheap to clone: clones share their heads.
#[derive(Debug, Clone)]
pub struct MultiHeadProjection {
    heads: Arc<Heads>,
    temperature: f64,
    /// Only so many of the nearest heads take part; all of them where it is `None`.
    top_k: Option<usize>,
    /// See [`Projection::hybrid_weight`].
    pub(super) hybrid_weight: Option<f64>,
    /// See [`Projection::unheaded_offset`].
    pub(super) unheaded_offset: Option<f64>,
}

/// All heads in ascending order of cluster id, as rows of row-major matrices.
#[derive(Debug)]
struct Heads {
    ids: Vec<i64>,
    dim: usize,
    output_dim: usize,
    /// Unit centroids (h × d), and what single precision cuts off them.
    centroids: Rows,
    centroid_tails: Rows,
    /// Answers (h × o); zero where the head has a matrix.
    answers: Rows,
    /// Head number and matrix (o × d), row-major.
    matrices: Vec<(usize, Rows)>,
    /// Of a model from a mapped file, the check of all these vectors.
    unread: Deferred,
    /// Centroids and answers in less memory; then there are no others.
    compact: Option<(Compact, Compact)>,
}

/// How a model keeps its vectors in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, and centroids in nearly double precision for low temperatures.
    #[default]
    F32,
    /// bfloat16, in half the memory: errors of projected queries of less than 1% of their
    /// largest value, of which their direction notices about a hundred-thousandth.
    Bf16,
    /// Bytes with a scale for each vector, in a quarter of the memory: errors of about 1%.
    Int8,
}

/// Below this temperature, and for queries outside this range of norms, cosines are taken
/// in double precision: an error of ε in a cosine is one of ε/τ in a weight, and single
/// precision has ε ≈ 1e-7.
const LOWEST_SINGLE_TEMPERATURE: f64 = 0.02;
const SINGLE_NORMS: std::ops::Range<f64> = 1e-12..1e12;

/// Norms of centroids whose squares are far from the ends of double precision.
const USUAL_NORMS: std::ops::Range<f64> = 1e-100..1e100;

/// Twice what single precision, and the rounding of a query for compact heads, may misjudge a
/// cosine by, with a wide margin.
const DOUBT: f32 = 4e-6;
const COMPACT_DOUBT: f32 = 2e-3;

/// Queries of a batch that pass by the heads together.
const BLOCK: usize = 128;

impl MultiHeadProjection {
    /// Makes a projection from heads in any order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no heads or two heads of one cluster,
    /// [`ErrorKind::DimensionMismatch`], [`ErrorKind::NotFinite`] or
    /// [`ErrorKind::ZeroVector`], naming the head, and [`ErrorKind::InvalidArgument`] for a
    /// temperature that is not a finite number above zero.
    pub fn from_heads(mut heads: Vec<Head>, temperature: f64) -> Result<Self> {
        heads.sort_by_key(|head| head.cluster_id);
        Self::from_named_heads(heads, temperature, |_, part| part.name().to_string())
    }

    /// [`from_heads`](Self::from_heads) of heads in ascending order of cluster id. `name_of`
    /// gives the name of a part of the head with a number, for messages.
    pub(super) fn from_named_heads(
        heads: Vec<Head>,
        temperature: f64,
        name_of: impl Fn(usize, HeadPart) -> String,
    ) -> Result<Self> {
        let ids = heads.iter().map(|head| head.cluster_id).collect();
        let all_have_matrices = heads.iter().all(|head| head.matrix.is_some());
        let heads = heads.into_iter().map(Ok);
        Self::from_iterator(ids, all_have_matrices, heads, temperature, name_of)
    }

    /// [`from_named_heads`](Self::from_named_heads) of heads that come one after another, so
    /// that all of them are never in memory twice. `ids` are their clusters, ascending.
    pub(super) fn from_iterator(
        ids: Vec<i64>,
        all_have_matrices: bool,
        heads: impl Iterator<Item = Result<Head>>,
        temperature: f64,
        name_of: impl Fn(usize, HeadPart) -> String,
    ) -> Result<Self> {
        check_temperature(temperature)?;
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("two heads of cluster {}", pair[0]),
            ));
        }
        let mut heads = heads.peekable();
        let (dim, output_dim) = match heads.peek() {
            Some(Ok(first)) => (first.centroid.len(), first.answer.len()),
            // It is given back below.
            Some(Err(_)) => (0, 0),
            None => return Err(Error::new(ErrorKind::InvalidModel, "a projection without heads")),
        };
        // A projected query is a point among answers, unless every head maps it elsewhere.
        if dim != output_dim && !all_have_matrices {
            return Err(Error::new(
                ErrorKind::DimensionMismatch,
                format!(
                    "head of cluster {}: {}: dimension {output_dim}, expected {dim} as the \
                     centroid has",
                    ids[0],
                    name_of(0, HeadPart::Answer)
                ),
            ));
        }
        let mut model = Heads {
            dim,
            output_dim,
            centroids: Rows::with_capacity(dim, ids.len()),
            centroid_tails: Rows::with_capacity(dim, ids.len()),
            answers: Rows::with_capacity(output_dim, ids.len()),
            ids,
            matrices: Vec::new(),
            unread: Deferred::nothing(),
            compact: None,
        };
        for (number, head) in heads.enumerate() {
            let head = head?;
            let cluster = head.cluster_id;
            model.push(number, head).map_err(|(part, error)| {
                error.context(name_of(number, part)).context(format!("head of cluster {cluster}"))
            })?;
        }
        Ok(Self {
            heads: Arc::new(model),
            temperature,
            top_k: None,
            hybrid_weight: None,
            unheaded_offset: None,
        })
    }

    /// Dimension of queries.
    pub fn input_dim(&self) -> usize {
        self.heads.dim
    }

    /// Dimension of projected queries.
    pub fn output_dim(&self) -> usize {
        self.heads.output_dim
    }

    /// The clusters of the heads, ascending: the order of routing weights.
    pub fn cluster_ids(&self) -> &[i64] {
        &self.heads.ids
    }

    /// The softmax temperature τ.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The same heads at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number above zero.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        check_temperature(temperature)?;
        Ok(Self { temperature, ..self.clone() })
    }

    /// How many of the nearest heads take part, or `None` for all.
    pub fn top_k(&self) -> Option<usize> {
        self.top_k
    }

    /// The same heads, of which only the `top_k` nearest to a query take part, or all for
    /// `None`; the others have weight 0. Of equally near heads the lower cluster id counts
    /// as nearer. The vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0.
    pub fn with_top_k(&self, top_k: Option<usize>) -> Result<Self> {
        if top_k == Some(0) {
            return Err(Error::new(ErrorKind::InvalidArgument, "top_k 0, expected at least 1"));
        }
        Ok(Self { top_k, ..self.clone() })
    }

    /// How the vectors are kept.
    pub fn precision(&self) -> Precision {
        match &self.heads.compact {
            None => Precision::F32,
            Some((centroids, _)) if centroids.format() == Format::Bf16 => Precision::Bf16,
            Some(_) => Precision::Int8,
        }
    }

    /// The same model with its vectors kept in less memory. Matrices stay as they are. What
    /// a temperature below 0.02 makes of rounded centroids is only as exact as they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another precision than the model's where that is
    /// not [`Precision::F32`]: what was cut off is gone.
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        if precision == self.precision() {
            return Ok(self.clone());
        }
        let format = match precision {
            Precision::Bf16 => Format::Bf16,
            _ => Format::Int8,
        };
        if self.heads.compact.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("precision {precision:?} of a model in {:?}", self.precision()),
            ));
        }
        // Rounding must not hide values that no model may have.
        self.heads.check_values()?;
        let Heads { dim, output_dim, ref ids, ref matrices, .. } = *self.heads;
        let compact = (
            Compact::new(format, dim, &self.heads.centroids),
            Compact::new(format, output_dim, &self.heads.answers),
        );
        let heads = Heads {
            ids: ids.clone(),
            dim,
            output_dim,
            centroids: Rows::new(dim),
            centroid_tails: Rows::new(dim),
            answers: Rows::new(output_dim),
            matrices: matrices.clone(),
            unread: Deferred::nothing(),
            compact: Some(compact),
        };
        Ok(Self { heads: Arc::new(heads), ..self.clone() })
    }

    /// Projects one query (d). Gives the projected query (o) and the routing weights in the
    /// order of [`cluster_ids`](Self::cluster_ids).
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    pub fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut projected = vec![0.0; self.output_dim()];
        let mut weights = vec![0.0; self.cluster_ids().len()];
        self.project_into(query, &mut projected, Some(&mut weights))?;
        Ok((projected, weights))
    }

    /// [`project`](Self::project) into the caller's buffers.
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    pub fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        let heads = &*self.heads;
        check_buffer("the projected query", projected.len(), heads.output_dim)?;
        if let Some(weights) = &weights {
            check_buffer("routing weights", weights.len(), heads.ids.len())?;
        }
        let norm = checked_norm(query, heads.dim)?;
        heads.check_values()?;
        if let (Some(factor), true) = (self.single_factor(norm), heads.matrices.is_empty()) {
            kernel::attend_one(query, factor, heads.vectors(), weights, projected);
            return Ok(());
        }
        // Weights always succeed, but a matrix may overflow: then nothing is written.
        let mut routed = vec![0.0; heads.ids.len()];
        self.route(query, norm, &mut routed);
        heads.combine(query, &routed, projected)?;
        if let Some(weights) = weights {
            weights.copy_from_slice(&routed);
        }
        Ok(())
    }

    /// Projects the rows of `queries` (n × d). Gives projected queries (n × o) and routing
    /// weights (n × heads).
    ///
    /// # Errors
    /// As [`Projection::project_batch_into`].
    pub fn project_batch(
        &self,
        queries: ArrayView2<'_, f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let mut projected = Array2::zeros((queries.nrows(), self.output_dim()));
        let mut weights = Array2::zeros((queries.nrows(), self.cluster_ids().len()));
        self.project_batch_into(queries, projected.view_mut(), Some(weights.view_mut()))?;
        Ok((projected, weights))
    }

    /// [`project_batch`](Self::project_batch) into the caller's buffers.
    ///
    /// # Errors
    /// As [`Projection::project_batch_into`].
    pub fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        mut projected: ArrayViewMut2<'_, f32>,
        mut weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        let (queries, norms) = checked_rows(queries, self.input_dim())?;
        let queries = queries.view();
        check_batch_buffers(self, queries.nrows(), &projected, weights.as_ref())?;
        self.heads.check_values()?;
        let in_place = projected.is_standard_layout()
            && weights.as_ref().is_none_or(|weights| weights.is_standard_layout());
        if self.heads.matrices.is_empty() && in_place {
            self.project_blocks(&queries, &norms, projected, weights);
            return Ok(());
        }
        // Columns can't be written to directly, and a matrix may overflow on a later row, when
        // nothing may have been written.
        let mut results = Array2::zeros(projected.raw_dim());
        let mut routed = Array2::zeros((queries.nrows(), self.cluster_ids().len()));
        if self.heads.matrices.is_empty() {
            let routed = Some(routed.view_mut());
            self.project_blocks(&queries, &norms, results.view_mut(), routed);
        } else {
            project_rows(self, &queries, &mut results, &mut routed)?;
        }
        projected.assign(&results);
        if let Some(weights) = &mut weights {
            weights.assign(&routed);
        }
        Ok(())
    }

    /// Projects row-major queries of known norms into row-major buffers, without matrices.
    fn project_blocks(
        &self,
        queries: &ArrayView2<'_, f32>,
        norms: &[f64],
        mut projected: ArrayViewMut2<'_, f32>,
        mut weights: Option<ArrayViewMut2<'_, f32>>,
    ) {
        let heads = &*self.heads;
        let (h, dim, out) = (heads.ids.len(), heads.dim, heads.output_dim);
        let queries = queries.as_slice().expect("the caller checked the layout");
        let projected = projected.as_slice_mut().expect("the caller checked the layout");
        for (block, norms) in norms.chunks(BLOCK).enumerate() {
            let queries = &queries[block * BLOCK * dim..][..norms.len() * dim];
            let projected = &mut projected[block * BLOCK * out..][..norms.len() * out];
            let mut weights = match &mut weights {
                Some(weights) => {
                    let weights = weights.as_slice_mut().expect("the caller checked the layout");
                    Some(&mut weights[block * BLOCK * h..][..norms.len() * h])
                }
                None => None,
            };
            let mut factors = [0.0; BLOCK];
            let all_single = norms.iter().zip(&mut factors).all(|(norm, factor)| {
                self.single_factor(*norm).map(|found| *factor = found).is_some()
            });
            if all_single {
                let factors = &factors[..norms.len()];
                kernel::attend((queries, factors), heads.vectors(), weights, projected);
                continue;
            }
            let mut scratch = vec![0.0; if weights.is_some() { 0 } else { h }];
            let rows = queries.chunks_exact(dim).zip(norms).zip(projected.chunks_exact_mut(out));
            for (row, ((query, norm), projected)) in rows.enumerate() {
                let routed = match &mut weights {
                    Some(weights) => &mut weights[row * h..(row + 1) * h],
                    None => &mut scratch,
                };
                self.route(query, *norm, routed);
                heads.vectors().1.weighted_sum(routed, 0, (true, 1.0), projected);
            }
        }
    }

    /// What turns dot products with a query of the given norm into exponents of the softmax,
    /// where single precision is enough and all heads take part.
    fn single_factor(&self, norm: f64) -> Option<f32> {
        let all = self.top_k.is_none_or(|k| k >= self.heads.ids.len());
        (all && self.temperature >= LOWEST_SINGLE_TEMPERATURE && SINGLE_NORMS.contains(&norm))
            .then(|| (1.0 / (norm * self.temperature)) as f32)
    }

    /// The routing weights of a query of the given norm.
    fn route(&self, query: &[f32], norm: f64, weights: &mut [f32]) {
        let heads = &*self.heads;
        if let Some(factor) = self.single_factor(norm) {
            heads.vectors().0.dots(query, 0, weights);
            kernel::softmax(weights, factor);
        } else {
            // Which heads take part must not depend on rounding.
            let top_k = self.top_k.filter(|k| *k < heads.ids.len());
            let mut scores = match top_k {
                Some(k) if SINGLE_NORMS.contains(&norm) => heads.best_in_double(query, norm, k),
                _ => heads.cosines_in_double(query, norm, 0..heads.ids.len()).collect(),
            };
            if let Some(k) = top_k {
                let mut order: Vec<usize> =
                    (0..scores.len()).filter(|head| scores[*head] > f64::NEG_INFINITY).collect();
                order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
                order[k..].iter().for_each(|head| scores[*head] = f64::NEG_INFINITY);
            }
            kernel::softmax_in_double(&scores, self.temperature, weights);
        }
    }
}

impl Heads {
    /// Centroids and answers, however they are kept.
    fn vectors(&self) -> (Vectors<'_>, Vectors<'_>) {
        match &self.compact {
            Some((centroids, answers)) => (Vectors::Compact(centroids), Vectors::Compact(answers)),
            None => (Vectors::Single(&self.centroids), Vectors::Single(&self.answers)),
        }
    }

    /// The cosines of a query of the given norm with the centroids of some heads.
    fn cosines_in_double(
        &self,
        query: &[f32],
        norm: f64,
        heads: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = f64> {
        let mut decoded = vec![0.0; if self.compact.is_some() { self.dim } else { 0 }];
        heads.map(move |head| match &self.compact {
            Some((centroids, _)) => {
                centroids.decode(head, &mut decoded);
                kernel::dot_of_singles(query, &decoded) / norm
            }
            None => {
                let (row, tail) = (self.centroids.row(head), self.centroid_tails.row(head));
                kernel::dot_in_double(query, row, tail) / norm
            }
        })
    }

    /// The cosines of at least the k nearest heads, and −∞ for others.
    fn best_in_double(&self, query: &[f32], norm: f64, k: usize) -> Vec<f64> {
        let mut rough = vec![0.0; self.ids.len()];
        self.vectors().0.dots(query, 0, &mut rough);
        kernel::scale(&mut rough, (1.0 / norm) as f32);
        let doubt = if self.compact.is_some() { COMPACT_DOUBT } else { DOUBT };
        let candidates = select::near_best(&rough, k, doubt);
        let mut cosines = vec![f64::NEG_INFINITY; rough.len()];
        let exact = self.cosines_in_double(query, norm, candidates.iter().copied());
        for (head, cosine) in candidates.iter().zip(exact) {
            cosines[*head] = cosine;
        }
        cosines
    }

    /// Adds a head whose number is the number of heads so far. An error comes with the part
    /// of the head that it is about.
    fn push(&mut self, number: usize, mut head: Head) -> Result<(), (HeadPart, Error)> {
        let centroid = |error| (HeadPart::Centroid, error);
        check_len(head.centroid.len(), self.dim).map_err(centroid)?;
        let norm = match kernel::norm_of_doubles(&head.centroid) {
            norm if USUAL_NORMS.contains(&norm) => norm,
            _ => {
                check_finite(&head.centroid).map_err(centroid)?;
                let largest = head.centroid.iter().fold(0.0f64, |top, v| top.max(v.abs()));
                if largest == 0.0 {
                    return Err(centroid(Error::new(ErrorKind::ZeroVector, "all values are zero")));
                }
                // Scaled first, so that the squares stay finite and above zero.
                head.centroid.iter_mut().for_each(|v| *v /= largest);
                kernel::norm_of_doubles(&head.centroid)
            }
        };
        head.centroid.iter_mut().for_each(|v| *v /= norm);
        let unit = &head.centroid;
        self.centroids.push(&unit.iter().map(|v| *v as f32).collect::<Vec<_>>());
        let tail = unit.iter().map(|v| (v - f64::from(*v as f32)) as f32);
        self.centroid_tails.push(&tail.collect::<Vec<_>>());
        let answer = |error| (HeadPart::Answer, error);
        check_len(head.answer.len(), self.output_dim).map_err(answer)?;
        check_finite(&head.answer).map_err(answer)?;
        let Some(matrix) = head.matrix else {
            self.answers.push(&head.answer);
            return Ok(());
        };
        let values: Vec<f32> = matrix.iter().copied().collect();
        check_matrix_shape(matrix.dim(), (self.output_dim, self.dim))
            .and_then(|()| check_finite(&values))
            .map_err(|error| (HeadPart::Matrix, error))?;
        self.answers.push(&vec![0.0; self.output_dim]);
        self.matrices.push((number, Rows::from_values(self.dim, &values)));
        Ok(())
    }

    /// Σ w_k a_k, with w_k W_k q for heads that have a matrix.
    fn combine(&self, query: &[f32], weights: &[f32], projected: &mut [f32]) -> Result<()> {
        if self.matrices.is_empty() {
            self.vectors().1.weighted_sum(weights, 0, (true, 1.0), projected);
            return Ok(());
        }
        let mut sum = vec![0.0; self.output_dim];
        let mut mapped = vec![0.0; self.output_dim];
        self.vectors().1.weighted_sum(weights, 0, (true, 1.0), &mut sum);
        for (head, matrix) in &self.matrices {
            kernel::dots(query, matrix, &mut mapped);
            for (sum, mapped) in sum.iter_mut().zip(&mapped) {
                *sum += weights[*head] * mapped;
            }
        }
        if sum.iter().any(|value| !value.is_finite()) {
            return Err(Error::new(
                ErrorKind::NotFinite,
                "projected query overflows: the query is too large for the heads' matrices",
            ));
        }
        projected.copy_from_slice(&sum);
        Ok(())
    }
}

pub(super) fn check_temperature(temperature: f64) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("temperature {temperature}, expected a finite number above zero"),
    ))
}

fn check_len(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DimensionMismatch,
        format!("dimension {found}, expected {expected} as in the other heads"),
    ))
}

fn check_matrix_shape(found: (usize, usize), expected: (usize, usize)) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DimensionMismatch,
        format!("shape {found:?}, expected {expected:?}, the answer's and the centroid's size"),
    ))
}

fn check_finite<T: Copy + Into<f64>>(values: &[T]) -> Result<()> {
    match values.iter().position(|value| !(*value).into().is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::new(
            ErrorKind::NotFinite,
            format!("the value {} at index {at}, expected finite numbers", values[at].into()),
        )),
    }
}

impl Projection for MultiHeadProjection {
    fn input_dim(&self) -> usize {
        self.input_dim()
    }

    fn output_dim(&self) -> usize {
        self.output_dim()
    }

    fn head_ids(&self) -> &[i64] {
        self.cluster_ids()
    }

    fn project_into(
        &self,
        query: &[f32],
        projected: &mut [f32],
        weights: Option<&mut [f32]>,
    ) -> Result<()> {
        self.project_into(query, projected, weights)
    }

    fn project_batch_into(
        &self,
        queries: ArrayView2<'_, f32>,
        projected: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<()> {
        self.project_batch_into(queries, projected, weights)
    }

    fn hybrid_weight(&self) -> Option<f64> {
        self.hybrid_weight
    }

    fn unheaded_offset(&self) -> Option<f64> {
        self.unheaded_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Random;

    fn random_model(heads: usize, dim: usize) -> MultiHeadProjection {
        let mut random = Random::new(3, 0);
        let mut value = || random.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5;
        let heads = (0..heads).map(|head| Head {
            cluster_id: head as i64,
            centroid: (0..dim).map(|_| value()).collect(),
            answer: (0..dim).map(|_| value() as f32).collect(),
            matrix: None,
        });
        MultiHeadProjection::from_heads(heads.collect(), 0.1).unwrap()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        kernel::dot_of_singles(a, b) / (kernel::norm(a) * kernel::norm(b))
    }

    #[test]
    fn compact_heads_project_almost_as_all_bits_do() {
        for (count, dim) in [(18, 384), (3, 20), (1500, 100)] {
            let model = random_model(count, dim);
            let queries = Array2::from_shape_fn((20, dim), |(row, at)| {
                model.heads.centroids.row(row % count)[at] + 0.02 * ((row + at) as f32).sin()
            });
            for (precision, bound) in [(Precision::Bf16, 1e-5), (Precision::Int8, 5e-4)] {
                let compact = model.with_precision(precision).unwrap();
                assert_eq!((compact.precision(), model.precision()), (precision, Precision::F32));
                let (batch, batch_weights) = compact.project_batch(queries.view()).unwrap();
                let top_k = compact.with_top_k(Some(2)).unwrap();
                for (row, query) in queries.rows().into_iter().enumerate() {
                    let query = query.to_slice().unwrap();
                    let (exact, weights) = model.project(query).unwrap();
                    let (projected, compact_weights) = compact.project(query).unwrap();
                    assert!(1.0 - cosine(&projected, &exact) < bound, "{precision:?}");
                    let best = |weights: &[f32]| {
                        (0..count).max_by(|a, b| weights[*a].total_cmp(&weights[*b]))
                    };
                    assert_eq!(best(&compact_weights), best(&weights));
                    // A batch decodes what single queries use as it is.
                    let batch = batch.row(row);
                    assert!(1.0 - cosine(batch.to_slice().unwrap(), &projected) < 1e-6);
                    assert_eq!(best(&batch_weights.row(row).to_vec()), best(&weights));
                    let (_, two) = top_k.project(query).unwrap();
                    assert_eq!(two.iter().filter(|weight| **weight > 0.0).count(), 2.min(count));
                    assert_eq!(best(&two), best(&weights));
                }
                let other = match precision {
                    Precision::Bf16 => Precision::Int8,
                    _ => Precision::F32,
                };
                let error = compact.with_precision(other).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                assert!(compact.with_precision(precision).is_ok());
            }
        }
    }

    #[test]
    fn threads_share_a_batch() {
        let model = random_model(100, 20);
        let mut queries =
            Array2::from_shape_fn((37, 20), |(row, at)| ((row * 7 + at) as f32).cos());
        let (exact, exact_weights) = model.project_batch(queries.view()).unwrap();
        for threads in [0, 1, 2, 5, 99] {
            let mut projected = Array2::zeros((37, 20));
            let mut weights = Array2::zeros((37, 100));
            let model: &dyn Projection = &model;
            let (out, seen) = (projected.view_mut(), Some(weights.view_mut()));
            model.project_batch_on(threads, queries.view(), out, seen).unwrap();
            let near = |a: &Array2<f32>, b: &Array2<f32>| (a - b).iter().all(|d| d.abs() < 1e-6);
            assert!(near(&projected, &exact) && near(&weights, &exact_weights));
        }
        queries[[30, 3]] = f32::NAN;
        let mut projected = Array2::from_elem((37, 20), 7.0);
        let error =
            model.project_batch_on(3, queries.view(), projected.view_mut(), None).unwrap_err();
        assert!(error.to_string().contains("row 30"), "{error}");
        assert!(projected.iter().all(|value| *value == 7.0));
    }

    #[test]
    fn the_nearest_heads_are_those_of_double_precision() {
        let model = random_model(1500, 24);
        for k in [1, 7, 100] {
            let nearest = model.with_top_k(Some(k)).unwrap();
            for row in 0..20 {
                let query: Vec<f32> = (0..24).map(|at| ((row * 31 + at) as f32).sin()).collect();
                let norm = kernel::norm(&query);
                let all = model.heads.cosines_in_double(&query, norm, 0..1500);
                let all: Vec<f64> = all.collect();
                let mut order: Vec<usize> = (0..1500).collect();
                order.sort_by(|a, b| all[*b].total_cmp(&all[*a]));
                let (_, weights) = nearest.project(&query).unwrap();
                for (rank, head) in order.into_iter().enumerate() {
                    assert_eq!(weights[head] > 0.0, rank < k, "rank {rank} of {k}");
                }
            }
        }
    }
}
