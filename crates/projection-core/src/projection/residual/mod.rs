//! The residual projection: keeps the query and adds what training learned.
//!
//! For a query q of unit length, with up to two terms, each of which may be absent:
//!
//! ```text
//! z         = q + s·(Δ + q W)      Δ the rotation (see `rotation`), W the adapter
//! projected = z/|z|
//! ```
//!
//! The rotation moves a query as its nearest training questions lie from their answers, the
//! adapter is what all training questions have in common.
//!
//! A projection may also have an answer side: it moves the answers that it was trained on towards
//! their questions (see [`Questions::with_answer_angle`]), and projected queries are compared with
//! the moved answers.

mod project;
mod questions;
mod rotation;

use std::sync::Arc;

use super::Compute;
use super::multi_head::check_temperature;
use super::stored_index::VectorIndex;
use super::validation::{Validation, check_rows_finite};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::{IvfIndex, UnitVectors};
use crate::kernel::Rows;
use crate::parameters::{ModelParameters, SearchDefaults};

pub use project::MIN_NORM;
pub use questions::{QuestionFacts, Questions, turned};
pub use rotation::{MIN_ALIGNMENT, MIN_TOTAL_WEIGHT, Near};

/// The greatest factor of a term, so that squares stay finite in double precision.
const MAX_FACTOR: f64 = 1e12;

/// What a residual projection is made of.
#[derive(Debug, Clone)]
pub struct ResidualParts {
    /// Factor s of rotation and adapter.
    pub gain: f64,
    /// Temperature τ of the rotation's weights.
    pub temperature: f64,
    /// How many of the nearest training questions take part in the rotation.
    pub neighbours: usize,
    /// Whether the rotation is added. Without it, the questions only determine routing weights.
    pub rotation: bool,
    /// The training questions; needed by the rotation.
    pub questions: Questions,
    /// The adapter W (d × d), applied as q W.
    pub adapter: Option<Rows>,
}

impl ResidualParts {
    /// No terms yet, and the usual parameters, for vectors of dimension `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            gain: 0.5,
            temperature: 0.1,
            neighbours: 32,
            rotation: true,
            questions: Questions::new(dim),
            adapter: None,
        }
    }

    /// Dimension d of all vectors.
    pub fn dim(&self) -> usize {
        self.questions.dim()
    }

    /// The parameters, as stores and files keep them.
    pub fn parameters(&self) -> ModelParameters {
        ModelParameters::Residual {
            gain: self.gain,
            temperature: self.temperature,
            neighbours: self.neighbours,
            rotation: self.rotation,
            adapter: self.adapter.is_some(),
            answer_angle: self.questions.answer_angle(),
        }
    }

    /// Refuses parameters outside their ranges.
    fn check_parameters(&self) -> Result<()> {
        check_temperature(self.temperature)?;
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        if !(-MAX_FACTOR..=MAX_FACTOR).contains(&self.gain) {
            let gain = self.gain;
            return refuse(format!("gain {gain}, expected at most {MAX_FACTOR:e} in size"));
        }
        match (self.dim(), self.neighbours) {
            (0, _) => refuse("dimension 0, expected at least 1".into()),
            (_, 0) => refuse("0 neighbours, expected at least 1".into()),
            _ => Ok(()),
        }
    }
}

/// A residual projection. Cheap to clone: clones share their vectors.
#[derive(Debug, Clone)]
pub struct ResidualProjection {
    terms: Arc<Terms>,
    pub(super) search: SearchDefaults,
}

/// What clones share.
#[derive(Debug, Clone)]
struct Terms {
    parts: ResidualParts,
    validation: Validation,
    /// Finds the nearest of many questions.
    index: VectorIndex,
}

impl ResidualProjection {
    /// Makes a projection of its parts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a parameter outside its range,
    /// [`ErrorKind::InvalidModel`] for a rotation without questions,
    /// [`ErrorKind::DimensionMismatch`] or [`ErrorKind::NotFinite`] for an unusable adapter.
    pub fn new(parts: ResidualParts) -> Result<Self> {
        let model = Self::from_parts(parts, None, "")?;
        model.validate()?;
        // Built now, so that the first query does not wait for it.
        model.with_units(|units| model.terms.index.get(units).is_some());
        Ok(model)
    }

    /// Makes a projection of the parts in `file`, whose values its first use checks.
    pub(crate) fn from_parts(
        parts: ResidualParts,
        index: Option<Arc<IvfIndex>>,
        file: &str,
    ) -> Result<Self> {
        parts.check_parameters()?;
        if parts.rotation && parts.questions.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                "a rotation without training questions",
            ));
        }
        if let Some(adapter) = &parts.adapter {
            check_adapter((adapter.count(), adapter.width()), parts.dim())
                .map_err(|error| error.context("adapter W"))?;
        }
        let (validation, index) = (Validation::pending(file), VectorIndex::of(index));
        let terms = Arc::new(Terms { parts, validation, index });
        Ok(Self { terms, search: SearchDefaults::default() })
    }

    /// Parameters and vectors.
    pub fn parts(&self) -> &ResidualParts {
        &self.terms.parts
    }

    /// The clusters that have training questions, ascending: the order of routing weights.
    pub fn cluster_ids(&self) -> &[i64] {
        self.terms.parts.questions.cluster_ids()
    }

    /// Whether the projection moves the answers that it was trained on, so that a search has to
    /// compare projected queries with moved answers.
    pub fn moves_answers(&self) -> bool {
        self.terms.parts.questions.answer_angle() > 0.0
    }

    /// Where the projection moves an answer (d) to the questions of the cluster with this number
    /// among [`cluster_ids`](Self::cluster_ids), at length 1; see
    /// [`Questions::with_answer_angle`].
    ///
    /// # Errors
    /// If the projection's vectors are not valid.
    pub fn moved_answer(&self, cluster: usize, answer: &[f32]) -> Result<Vec<f32>> {
        self.validate()?;
        Ok(self.terms.parts.questions.moved_answer(cluster, answer))
    }

    /// Whether another projection was trained on these very questions and moves answers alike.
    pub fn moves_answers_as(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|model| &model.terms.parts.questions);
        own.answer_angle() == others.answer_angle()
            && std::ptr::eq(&raw const own.vectors()[..], &raw const others.vectors()[..])
    }

    /// The temperature τ of the rotation's weights.
    pub fn temperature(&self) -> f64 {
        self.terms.parts.temperature
    }

    /// The same model with changed parameters; the vectors are shared.
    fn with(&self, change: impl FnOnce(&mut ResidualParts)) -> Result<Self> {
        let mut terms = (*self.terms).clone();
        change(&mut terms.parts);
        terms.parts.check_parameters()?;
        Ok(Self { terms: Arc::new(terms), search: self.search })
    }

    /// The same model at another temperature; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number above zero.
    pub fn with_temperature(&self, temperature: f64) -> Result<Self> {
        self.with(|parts| parts.temperature = temperature)
    }

    /// The same model with another factor s of rotation and adapter; the vectors are shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] unless it is a finite number.
    pub fn with_gain(&self, gain: f64) -> Result<Self> {
        self.with(|parts| parts.gain = gain)
    }

    /// The same model with another number k of nearest training questions; the vectors are
    /// shared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0.
    pub fn with_neighbours(&self, neighbours: usize) -> Result<Self> {
        self.with(|parts| parts.neighbours = neighbours)
    }

    /// The same model as it would answer without some of its training questions, those whose
    /// numbers are `left_out`; what was trained on them stays.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] if a rotation is left without questions.
    pub fn without_questions(&self, left_out: &[bool]) -> Result<Self> {
        let questions = self.terms.parts.questions.without(left_out)?;
        let parts = ResidualParts { questions, ..self.terms.parts.clone() };
        Ok(Self { search: self.search, ..Self::new(parts)? })
    }

    /// Finds the nearest training questions.
    pub(crate) fn index(&self) -> &VectorIndex {
        &self.terms.index
    }

    /// The same model with this index instead of its own.
    pub(super) fn with_index(mut self, index: Arc<IvfIndex>) -> Self {
        Arc::make_mut(&mut self.terms).index = VectorIndex::of(Some(index));
        self
    }

    /// Calls `work` with the training questions at length 1.
    pub(super) fn with_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        let questions = &self.terms.parts.questions;
        let copy_row = |number: usize, unit: &mut [f32]| questions.copy_unit(number, unit);
        work(UnitVectors { count: questions.len(), dim: questions.dim(), copy_row: &copy_row })
    }
}

impl Terms {
    fn check_values(&self) -> Result<()> {
        if let Some(adapter) = &self.parts.adapter {
            check_rows_finite("adapter", adapter)?;
        }
        self.parts.questions.validate()
    }
}

/// Checks the shape of an adapter.
pub(super) fn check_adapter(found: (usize, usize), dim: usize) -> Result<()> {
    if dim > 0 && found == (dim, dim) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DimensionMismatch,
        format!("shape {found:?}, expected {:?}", (dim, dim)),
    ))
}
