//! The residual projection: keeps the query and adds what training learned.
//!
//! For a query q of unit length, in up to three terms, each of which may be absent:
//!
//! ```text
//! z         = q + s·(Δ + q W)      Δ the rotation (see `rotation`), W the adapter
//! projected = z/|z| + b·u          u the lift
//! ```
//!
//! The rotation moves a query as its nearest training questions lie from their answers, the
//! adapter is what all training questions have in common, and the lift raises the answers
//! that no training question has.

mod project;
mod stored;

use std::sync::Arc;

use ndarray::Array2;

use super::Projection;
use super::deferred::Deferred;
use super::multi_head::check_temperature;
use super::rotation::Questions;
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::IndexStats;
use crate::ivf::{IvfIndex, UnitVectors};
use crate::kernel::Rows;

pub use project::unit;
pub use stored::StoredTerms;

/// Least |z|; see the module's formula.
pub const LEAST_NORM: f64 = 1e-12;

/// The questions of one cluster and the answer that they share.
#[derive(Debug, Clone)]
pub struct QuestionHead {
    /// The cluster; no two heads of a model have the same.
    pub cluster_id: i64,
    /// Its answer (d), of any length above zero.
    pub answer: Vec<f32>,
    /// Its training questions (m × d), of any length above zero.
    pub questions: Array2<f32>,
}

/// What a residual projection is made of.
#[derive(Debug, Clone)]
pub struct ResidualParts {
    /// Dimension d of all vectors.
    pub dim: usize,
    /// Factor s of rotation and adapter.
    pub gain: f64,
    /// Temperature τ of the rotation's weights.
    pub temperature: f64,
    /// How many of the nearest training questions take part in the rotation.
    pub neighbours: usize,
    /// Whether the rotation is added. Without it, the heads only give routing weights.
    pub rotation: bool,
    /// The training questions; needed by the rotation.
    pub heads: Vec<QuestionHead>,
    /// The adapter W (d × d), applied as q W.
    pub adapter: Option<Array2<f32>>,
    /// The lift's direction u (d) and its factor b.
    pub lift: Option<(Vec<f32>, f64)>,
}

impl ResidualParts {
    /// No terms yet, and the usual parameters.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            gain: 0.5,
            temperature: 0.1,
            neighbours: 32,
            rotation: true,
            heads: Vec::new(),
            adapter: None,
            lift: None,
        }
    }
}

/// What an error in the parts is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResidualPart {
    /// The answer or questions of the head with this number.
    Answer(usize),
    Questions(usize),
    Adapter,
    Lift,
}

/// A residual projection. Cheap to clone: clones share their vectors.
#[derive(Debug, Clone)]
pub struct ResidualProjection {
    pub terms: Arc<Terms>,
    temperature: f64,
    /// See [`Projection::hybrid_weight`].
    pub hybrid_weight: Option<f64>,
    /// See [`Projection::unseen_offset`].
    pub unseen_offset: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct Terms {
    pub dim: usize,
    gain: f64,
    pub neighbours: usize,
    rotation: bool,
    /// Clusters in ascending order; empty where there are no questions.
    pub ids: Vec<i64>,
    pub questions: Questions,
    /// Row-major (d × d).
    adapter: Option<Rows>,
    lift: Option<Lift>,
    /// Of a model from a mapped file, the check of all these vectors.
    unread: Deferred,
}

/// The direction u and its factor b.
#[derive(Debug, Clone)]
struct Lift {
    direction: Vec<f32>,
    factor: f64,
}

impl ResidualProjection {
    /// Makes a projection of its parts; heads may be in any order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a parameter outside its range,
    /// [`ErrorKind::InvalidModel`] for two heads of one cluster, or a rotation without
    /// questions, [`ErrorKind::DimensionMismatch`], [`ErrorKind::NotFinite`] or
    /// [`ErrorKind::ZeroVector`] for unusable vectors.
    pub fn new(mut parts: ResidualParts) -> Result<Self> {
        parts.heads.sort_by_key(|head| head.cluster_id);
        let ids: Vec<i64> = parts.heads.iter().map(|head| head.cluster_id).collect();
        Self::from_named_parts(parts, |part| match part {
            ResidualPart::Answer(head) => format!("answer of cluster {}", ids[head]),
            ResidualPart::Questions(head) => format!("questions of cluster {}", ids[head]),
            ResidualPart::Adapter => "adapter W".to_string(),
            ResidualPart::Lift => "lift u".to_string(),
        })
    }

    /// [`new`](Self::new) of heads in ascending order of cluster id. `name_of` gives the
    /// name of a part, for messages.
    pub fn from_named_parts(
        parts: ResidualParts,
        name_of: impl Fn(ResidualPart) -> String,
    ) -> Result<Self> {
        let dim = parts.dim;
        check_temperature(parts.temperature)?;
        check_parameters(dim, parts.gain, parts.neighbours)?;
        check_lift(&parts)?;
        let ids: Vec<i64> = parts.heads.iter().map(|head| head.cluster_id).collect();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!("two heads of cluster {}, expected one", pair[0]),
            ));
        }
        let mut questions = Questions::new(dim);
        for (number, head) in parts.heads.iter().enumerate() {
            questions.push(&head.answer, head.questions.view()).map_err(|(part, error)| {
                error.context(name_of(match part {
                    "answer" => ResidualPart::Answer(number),
                    _ => ResidualPart::Questions(number),
                }))
            })?;
        }
        questions.finish();
        if parts.rotation && questions.len() == 0 {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                "a rotation without training questions",
            ));
        }
        let adapter = parts.adapter.map(|adapter| {
            let named = |error: Error| error.context(name_of(ResidualPart::Adapter));
            if adapter.dim() != (dim, dim) {
                return Err(named(Error::new(
                    ErrorKind::DimensionMismatch,
                    format!("shape {:?}, expected {:?}", adapter.dim(), (dim, dim)),
                )));
            }
            let values: Vec<f32> = adapter.iter().copied().collect();
            check_finite(&values).map_err(named)?;
            Ok(Rows::from_values(dim, &values))
        });
        let lift = parts.lift.map(|(direction, factor)| {
            let named = |error: Error| error.context(name_of(ResidualPart::Lift));
            if direction.len() != dim {
                return Err(named(Error::new(
                    ErrorKind::DimensionMismatch,
                    format!("dimension {}, expected {dim}", direction.len()),
                )));
            }
            check_finite(&direction).map_err(named)?;
            Ok(Lift { direction, factor })
        });
        let terms = Terms {
            dim,
            gain: parts.gain,
            neighbours: parts.neighbours,
            rotation: parts.rotation,
            ids: if questions.len() == 0 { Vec::new() } else { ids },
            questions,
            adapter: adapter.transpose()?,
            lift: lift.transpose()?,
            unread: Deferred::nothing(),
        };
        Ok(Self {
            terms: Arc::new(terms),
            temperature: parts.temperature,
            hybrid_weight: None,
            unseen_offset: None,
        })
    }

    /// The clusters that have training questions, ascending: the order of routing weights.
    pub fn cluster_ids(&self) -> &[i64] {
        &self.terms.ids
    }

    /// The temperature τ of the rotation's weights.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The factor s of rotation and adapter.
    pub fn gain(&self) -> f64 {
        self.terms.gain
    }

    /// How many of the nearest training questions take part in the rotation.
    pub fn neighbours(&self) -> usize {
        self.terms.neighbours
    }

    /// Whether there are a rotation, an adapter and a lift.
    pub fn terms(&self) -> (bool, bool, bool) {
        (self.terms.rotation, self.terms.adapter.is_some(), self.terms.lift.is_some())
    }

    /// The same model as it would answer without some of its training questions; what was
    /// trained on them stays.
    pub fn without_questions(&self, left_out: &dyn Fn(&[f32]) -> bool) -> Result<Self> {
        let questions = self.terms.questions.without(left_out)?;
        let terms = Arc::new(Terms { questions, ..(*self.terms).clone() });
        Ok(Self { terms, ..self.clone() })
    }

    /// The same model with its training questions in lists, so that the nearest of many are
    /// found without comparing a query with each. Only from 16,384 questions on, and where the
    /// lists find at least 99% of the true nearest questions of queries that are held out;
    /// otherwise the model stays as it is. Takes three seconds for 40,000 questions and minutes
    /// for 1,000,000, on one thread; the result does not depend on the number of threads. Files
    /// that the model is saved to hold the lists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidModel`] for a model from a mapped file
    /// whose values are not sound.
    pub fn with_approximate_index(&self, threads: usize) -> Result<Self> {
        self.check_values()?;
        let questions = self.terms.questions.in_lists(threads);
        if questions.stats().is_none() {
            return Ok(self.clone());
        }
        let terms = Arc::new(Terms { questions, ..(*self.terms).clone() });
        Ok(Self { terms, ..self.clone() })
    }

    /// The same model with these lists instead of its own.
    pub fn with_stored_index(mut self, lists: Option<Arc<IvfIndex>>) -> Self {
        Arc::make_mut(&mut self.terms).questions.set_lists(lists);
        self
    }

    /// The lists that may miss a question, where there are any.
    pub fn stored_index(&self) -> Option<Arc<IvfIndex>> {
        self.terms.questions.approximate().cloned()
    }

    /// The training questions at length 1, which lists are made of.
    pub fn with_listed_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        self.terms.questions.with_units(work)
    }

    /// What was found out when the lists were made, where there are any.
    pub fn index_stats(&self) -> Option<IndexStats> {
        self.terms.questions.stats()
    }

    /// The same model at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number above zero.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        check_temperature(temperature)?;
        Ok(Self { temperature, ..self.clone() })
    }

    /// The same model with another factor s of rotation and adapter; the vectors are copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number.
    pub fn with_gain(&self, gain: f64) -> Result<Self> {
        check_parameters(self.terms.dim, gain, self.terms.neighbours)?;
        let terms = Terms { gain, ..(*self.terms).clone() };
        Ok(Self { terms: Arc::new(terms), ..self.clone() })
    }

    /// The same model with another number k of nearest training questions; the vectors are
    /// copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0.
    pub fn with_neighbours(&self, neighbours: usize) -> Result<Self> {
        check_parameters(self.terms.dim, self.terms.gain, neighbours)?;
        let terms = Terms { neighbours, ..(*self.terms).clone() };
        Ok(Self { terms: Arc::new(terms), ..self.clone() })
    }

    /// Projects one query (d). Gives the projected query (d) and the routing weights in the
    /// order of [`cluster_ids`](Self::cluster_ids): the rotation's weights, summed over the
    /// questions of a cluster. Where the nearest questions are all equally near, so that
    /// the rotation is zero, they share the routing equally.
    ///
    /// # Errors
    /// As [`Projection::project_into`].
    pub fn project(&self, query: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut projected = vec![0.0; self.terms.dim];
        let mut weights = vec![0.0; self.terms.ids.len()];
        self.project_into(query, &mut projected, Some(&mut weights))?;
        Ok((projected, weights))
    }
}

fn check_parameters(dim: usize, gain: f64, neighbours: usize) -> Result<()> {
    let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
    if dim == 0 {
        return refuse("dimension 0, expected at least 1".into());
    }
    if !gain.is_finite() {
        return refuse(format!("gain {gain}, expected a finite number"));
    }
    if neighbours == 0 {
        return refuse("0 neighbours, expected at least 1".into());
    }
    Ok(())
}

fn check_lift(parts: &ResidualParts) -> Result<()> {
    match &parts.lift {
        Some((_, factor)) if !factor.is_finite() => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("lift {factor}, expected a finite number"),
        )),
        _ => Ok(()),
    }
}

fn check_finite(values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::new(
            ErrorKind::NotFinite,
            format!("the value {} at index {at}, expected finite numbers", values[at]),
        )),
    }
}
