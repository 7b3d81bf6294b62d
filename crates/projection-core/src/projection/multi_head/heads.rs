//! Making a multi-head projection of its heads, one after another.

use ndarray::Array2;

use super::route::LOW_TEMPERATURE;
use super::{HeadRows, MultiHeadParts, MultiHeadProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Rows, Scratch};
use crate::projection::validation::{check_answer, check_dim, check_finite};

/// One head, as training makes it.
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

/// A part of a head.
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

/// Norms of centroids whose squares are far from the limits of double precision.
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
        let heads = heads.into_iter().map(Ok);
        Self::from_ordered_heads(heads, temperature, |_, part| part.name().to_string())
    }

    /// [`from_heads`](Self::from_heads) for heads in ascending order of cluster id, which are read
    /// one at a time. `name_of` returns the name of a part of a head by its number, for messages.
    pub(in crate::projection) fn from_ordered_heads(
        heads: impl ExactSizeIterator<Item = Result<Head>>,
        temperature: f64,
        name_of: impl Fn(usize, HeadPart) -> String,
    ) -> Result<Self> {
        let count = heads.len();
        let mut parts = None;
        for (number, head) in heads.enumerate() {
            let head = head?;
            let cluster = head.cluster_id;
            let parts = parts.get_or_insert_with(|| MultiHeadParts::new(&head, count, temperature));
            parts.push(head).map_err(|(part, error)| {
                error.context(name_of(number, part)).context(format!("head of cluster {cluster}"))
            })?;
        }
        let Some(parts) = parts else {
            return Err(Error::new(ErrorKind::InvalidModel, "a projection without heads"));
        };
        Self::from_parts(parts, None, temperature, None).map_err(|error| match error.kind() {
            ErrorKind::DimensionMismatch => error.context(name_of(0, HeadPart::Answer)),
            _ => error,
        })
    }
}

impl MultiHeadParts {
    /// No heads yet. All `count` of them are to have the dimensions of the first one.
    fn new(first: &Head, count: usize, temperature: f64) -> Self {
        let (dim, output_dim) = (first.centroid.len(), first.answer.len());
        let is_small = count * dim * size_of::<f64>() <= Self::EXACT_BYTES;
        let keeps_exact = is_small || temperature < LOW_TEMPERATURE;
        Self {
            cluster_ids: Vec::with_capacity(count),
            centroids: HeadRows::F32(Rows::with_capacity(dim, count)),
            exact_centroids: keeps_exact.then(|| Rows::with_capacity(dim, count)),
            answers: HeadRows::F32(Rows::with_capacity(output_dim, count)),
            matrices: Vec::new(),
        }
    }

    /// Adds a head. An error comes with the part that it is about.
    fn push(&mut self, head: Head) -> Result<(), (HeadPart, Error)> {
        let (dim, output_dim) = (self.centroids.dim(), self.answers.dim());
        let mut centroid = head.centroid;
        check_dim(centroid.len(), dim)
            .and_then(|()| normalize(&mut centroid))
            .map_err(|error| (HeadPart::Centroid, error))?;
        // A vector without values is refused as well.
        check_dim(head.answer.len(), output_dim.max(1))
            .and_then(|()| check_answer(&head.answer))
            .map_err(|error| (HeadPart::Answer, error))?;
        let mut answer = head.answer;
        if let Some(matrix) = head.matrix {
            let values = checked_matrix(&matrix, (output_dim, dim))
                .map_err(|error| (HeadPart::Matrix, error))?;
            self.matrices.push((self.cluster_ids.len(), Rows::from_values(dim, &values)));
            answer.fill(0.0);
        }
        self.answers.push(&answer);
        let rounded: Scratch<f32> = centroid.iter().map(|value| *value as f32).collect();
        self.centroids.push(&rounded);
        if let Some(exact) = &mut self.exact_centroids {
            exact.push(&centroid);
        }
        self.cluster_ids.push(head.cluster_id);
        Ok(())
    }
}

/// Brings a centroid to length 1.
fn normalize(centroid: &mut [f64]) -> Result<()> {
    let mut norm = kernel::norm_of_f64(centroid);
    if !USUAL_NORMS.contains(&norm) {
        check_finite(centroid)?;
        let largest = centroid.iter().fold(0.0f64, |top, value| top.max(value.abs()));
        if largest == 0.0 {
            return Err(Error::new(ErrorKind::ZeroVector, "all values are zero"));
        }
        // Scaled first, so that the squares stay finite and above zero.
        centroid.iter_mut().for_each(|value| *value /= largest);
        norm = kernel::norm_of_f64(centroid);
    }
    let factor = 1.0 / norm;
    centroid.iter_mut().for_each(|value| *value *= factor);
    Ok(())
}

fn checked_matrix(matrix: &Array2<f32>, expected: (usize, usize)) -> Result<Vec<f32>> {
    if matrix.dim() != expected {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!(
                "shape {:?}, expected {expected:?}, the dimensions of answer and centroid",
                matrix.dim()
            ),
        ));
    }
    let values: Vec<f32> = matrix.iter().copied().collect();
    check_finite(&values)?;
    Ok(values)
}
