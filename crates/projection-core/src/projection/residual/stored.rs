//! The parts of a residual projection as it keeps them, for files that hold a model as it is.

use std::sync::Arc;

use super::{Lift, ResidualProjection, Terms, check_parameters};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Rows;
use crate::projection::deferred::{Deferred, check_rows_finite};
use crate::projection::multi_head::check_temperature;
use crate::projection::rotation::Questions;
use crate::projection::rotation::StoredQuestions;

/// Everything that a residual projection holds.
pub struct StoredTerms {
    pub dim: usize,
    pub gain: f64,
    pub temperature: f64,
    pub neighbours: usize,
    pub rotation: bool,
    /// Clusters in ascending order (h), with their questions; none where there are no
    /// questions.
    pub ids: Vec<i64>,
    pub questions: Option<StoredQuestions>,
    /// d × d.
    pub adapter: Option<Rows>,
    /// The direction u (d) and its factor b.
    pub lift: Option<(Vec<f32>, f64)>,
}

impl ResidualProjection {
    /// The parts; the large vectors are shared.
    pub fn stored(&self) -> StoredTerms {
        let terms = &*self.terms;
        StoredTerms {
            dim: terms.dim,
            gain: terms.gain,
            temperature: self.temperature,
            neighbours: terms.neighbours,
            rotation: terms.rotation,
            ids: terms.ids.clone(),
            questions: (!terms.ids.is_empty()).then(|| terms.questions.stored()),
            adapter: terms.adapter.clone(),
            lift: terms.lift.as_ref().map(|lift| (lift.direction.clone(), lift.factor)),
        }
    }

    /// Makes a projection of parts whose shapes fit together. Their values are checked when
    /// they are first used, see [`check_values`](Self::check_values); `name` is the file's.
    pub fn from_stored(parts: StoredTerms, name: &str) -> Result<Self> {
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidModel, what));
        check_temperature(parts.temperature)?;
        check_parameters(parts.dim, parts.gain, parts.neighbours)?;
        if let Some(pair) = parts.ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            return invalid(format!(
                "head {} after {}, expected ascending ids, each once",
                pair[1], pair[0]
            ));
        }
        if parts.rotation && parts.questions.is_none() {
            return invalid("a rotation without training questions".into());
        }
        if let Some((direction, factor)) = &parts.lift
            && !(factor.is_finite() && direction.iter().all(|value| value.is_finite()))
        {
            let what = "tensor 'lift': NaN or infinity, expected finite numbers";
            return Err(Error::new(ErrorKind::NotFinite, what));
        }
        let terms = Terms {
            dim: parts.dim,
            gain: parts.gain,
            neighbours: parts.neighbours,
            rotation: parts.rotation,
            ids: parts.ids,
            questions: match parts.questions {
                Some(questions) => Questions::from_stored(questions),
                None => Questions::new(parts.dim),
            },
            adapter: parts.adapter,
            lift: parts.lift.map(|(direction, factor)| Lift { direction, factor }),
            unread: Deferred::until_used(name),
        };
        Ok(Self {
            terms: Arc::new(terms),
            temperature: parts.temperature,
            hybrid_weight: None,
            unseen_offset: None,
        })
    }

    /// Checks the values of a model from a mapped file now, instead of when they are first
    /// used.
    pub fn check_values(&self) -> Result<()> {
        self.terms.check_values()
    }
}

impl Terms {
    /// Refuses values that no model may have; once for all, where they are those of a file.
    #[inline]
    pub fn check_values(&self) -> Result<()> {
        self.unread.settle(|| {
            if let Some(adapter) = &self.adapter {
                check_rows_finite("adapter", adapter)?;
            }
            self.questions.read_values()
        })
    }
}
