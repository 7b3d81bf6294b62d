//! The vectors of a multi-head projection, and what a head must be to become a part of one.

use std::sync::{Arc, OnceLock};

use ndarray::Array2;

use super::{MultiHeadProjection, check_temperature};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IvfIndex;
use crate::kernel::Scratch;
use crate::kernel::{self, QuantizedRows, Rows, RowsRef, Tails};
use crate::projection::deferred::Deferred;

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
pub enum HeadPart {
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

/// All heads in ascending order of cluster id, as rows of row-major matrices.
#[derive(Debug)]
pub struct Heads {
    pub ids: Vec<i64>,
    pub dim: usize,
    pub output_dim: usize,
    pub vectors: HeadVectors,
    /// Head number and matrix (o × d), row-major.
    pub matrices: Vec<(usize, Rows)>,
    /// Of a model from a mapped file, the check of all these vectors.
    pub unread: Deferred,
    /// What finds the nearest of many heads, where few take part.
    pub lists: OnceLock<Arc<IvfIndex>>,
}

/// Centroids of length 1 (h × d) and answers (h × o), which are zero where the head has a
/// matrix.
#[derive(Debug, Clone)]
pub enum HeadVectors {
    Single {
        centroids: Rows,
        /// What single precision cuts off the centroids.
        centroid_tails: Tails,
        answers: Rows,
    },
    /// Both in the same format.
    Compact { centroids: QuantizedRows, answers: QuantizedRows },
}

impl HeadVectors {
    /// The dimensions of centroids and answers.
    pub fn dims(&self) -> (usize, usize) {
        match self {
            Self::Single { centroids, answers, .. } => (centroids.width(), answers.width()),
            Self::Compact { centroids, answers } => (centroids.dim(), answers.dim()),
        }
    }
}

/// Norms of centroids whose squares are far from the ends of double precision.
const USUAL_NORMS: std::ops::Range<f64> = 1e-100..1e100;

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
    pub fn from_named_heads(
        heads: Vec<Head>,
        temperature: f64,
        name_of: impl Fn(usize, HeadPart) -> String,
    ) -> Result<Self> {
        let ids = heads.iter().map(|head| head.cluster_id).collect();
        let all_have_matrices = heads.iter().all(|head| head.matrix.is_some());
        let mut heads = heads.into_iter();
        let next = |_, head: &mut Head| {
            heads.next().into_iter().for_each(|next| *head = next);
            Ok(())
        };
        Self::from_one_by_one(ids, all_have_matrices, next, temperature, name_of)
    }

    /// [`from_named_heads`](Self::from_named_heads) of heads that come one after another, so
    /// that all of them are never in memory twice. `ids` are their clusters, ascending; `next`
    /// turns the head with the number before into that with the given one, in its memory.
    pub fn from_one_by_one(
        ids: Vec<i64>,
        all_have_matrices: bool,
        mut next: impl FnMut(usize, &mut Head) -> Result<()>,
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
        if ids.is_empty() {
            return Err(Error::new(ErrorKind::InvalidModel, "a projection without heads"));
        }
        let mut head =
            Head { cluster_id: ids[0], centroid: Vec::new(), answer: Vec::new(), matrix: None };
        next(0, &mut head)?;
        let (dim, output_dim) = (head.centroid.len(), head.answer.len());
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
            vectors: HeadVectors::Single {
                centroids: Rows::with_capacity(dim, ids.len()),
                centroid_tails: Tails::with_capacity(dim, ids.len()),
                answers: Rows::with_capacity(output_dim, ids.len()),
            },
            ids,
            matrices: Vec::new(),
            unread: Deferred::nothing(),
            lists: OnceLock::new(),
        };
        for number in 0..model.ids.len() {
            if number > 0 {
                next(number, &mut head)?;
            }
            model.push(number, &mut head).map_err(|(part, error)| {
                let cluster = model.ids[number];
                error.context(name_of(number, part)).context(format!("head of cluster {cluster}"))
            })?;
        }
        Ok(Self {
            heads: Arc::new(model),
            temperature,
            top_k: None,
            hybrid_weight: None,
            unseen_offset: None,
        })
    }
}

impl Heads {
    /// Centroids and answers, however they are kept.
    pub fn vectors(&self) -> (RowsRef<'_>, RowsRef<'_>) {
        match &self.vectors {
            HeadVectors::Single { centroids, answers, .. } => {
                (RowsRef::F32(centroids), RowsRef::F32(answers))
            }
            HeadVectors::Compact { centroids, answers } => {
                (RowsRef::Quantized(centroids), RowsRef::Quantized(answers))
            }
        }
    }

    /// Adds a head whose number is the number of heads so far, and leaves its memory to be used
    /// again. An error comes with the part of the head that it is about.
    fn push(&mut self, number: usize, head: &mut Head) -> Result<(), (HeadPart, Error)> {
        let centroid = |error| (HeadPart::Centroid, error);
        check_len(head.centroid.len(), self.dim).map_err(centroid)?;
        let norm = match kernel::norm_of_f64(&head.centroid) {
            norm if USUAL_NORMS.contains(&norm) => norm,
            _ => {
                check_finite(&head.centroid).map_err(centroid)?;
                let largest = head.centroid.iter().fold(0.0f64, |top, v| top.max(v.abs()));
                if largest == 0.0 {
                    return Err(centroid(Error::new(ErrorKind::ZeroVector, "all values are zero")));
                }
                // Scaled first, so that the squares stay finite and above zero.
                head.centroid.iter_mut().for_each(|v| *v /= largest);
                kernel::norm_of_f64(&head.centroid)
            }
        };
        let HeadVectors::Single { centroids, centroid_tails, answers } = &mut self.vectors else {
            let error = Error::new(ErrorKind::Internal, "a head for rounded ones");
            return Err(centroid(error));
        };
        let mut rounded = Scratch::filled(self.dim, 0.0);
        kernel::scale_and_round(&mut head.centroid, 1.0 / norm, &mut rounded);
        centroids.push(&rounded);
        centroid_tails.push(&head.centroid, &rounded);
        let answer = |error| (HeadPart::Answer, error);
        check_len(head.answer.len(), self.output_dim).map_err(answer)?;
        if !kernel::norm(&head.answer).is_finite() {
            check_finite(&head.answer).map_err(answer)?;
        }
        let Some(matrix) = head.matrix.take() else {
            answers.push(&head.answer);
            return Ok(());
        };
        let values: Vec<f32> = matrix.iter().copied().collect();
        check_matrix_shape(matrix.dim(), (self.output_dim, self.dim))
            .and_then(|()| check_finite(&values))
            .map_err(|error| (HeadPart::Matrix, error))?;
        answers.push(&vec![0.0; self.output_dim]);
        self.matrices.push((number, Rows::from_values(self.dim, &values)));
        Ok(())
    }
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

fn check_finite<T: Copy + Into<f64> + std::fmt::Display>(values: &[T]) -> Result<()> {
    match values.iter().position(|value| !(*value).into().is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::new(
            ErrorKind::NotFinite,
            format!("the value {} at index {at}, expected finite numbers", values[at]),
        )),
    }
}
