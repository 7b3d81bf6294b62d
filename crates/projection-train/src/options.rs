//! Options of training.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::parallel;

/// How to leave questions out, and what to expect of those that will be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The share of questions to be expected whose answer has no training questions, from 0
    /// to 1. By default ½ where there are such answers, else 0.
    pub unseen: Option<f64>,
    /// Folds; each is left out in turn.
    pub folds: usize,
    /// Questions that are asked a fold, at most, of either sort.
    pub limit: usize,
    /// Seed of folds and trainings.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { unseen: None, folds: 4, limit: 1500, seed: 0, threads: parallel::threads() }
    }
}

/// The kind of model to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// The kind that validation finds best; a residual projection unless another is clearly
    /// better.
    Auto,
    /// A residual projection.
    Residual,
    /// A multi-head projection.
    MultiHead,
    /// A linear projection by linear discriminant analysis.
    Lda,
    /// A linear projection by ridge regression, drawn to the identity unless tuning finds
    /// plain ridge regression better.
    Ridge,
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingOptions {
    /// The kind of model.
    pub method: Method,
    /// Whether to choose parameters by cross-validation, which [`Method::Auto`] always does.
    pub tune: bool,
    /// Whether answers stay where they are, because they are searched in an index that can't hold
    /// moved ones. Without it a residual projection may move the answers that it is trained on.
    pub query_only: bool,
    /// Softmax temperature of routing, or of the rotation where its parameters are fixed.
    pub temperature: f64,
    /// How the cross-validation is done, and the seed.
    pub tuning: Tuning,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            method: Method::Auto,
            tune: false,
            query_only: false,
            temperature: 0.1,
            tuning: Tuning::default(),
        }
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Auto, Self::Residual, Self::MultiHead, Self::Lda, Self::Ridge];

    /// Its name, such as `multi-head`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Residual => "residual",
            Self::MultiHead => "multi-head",
            Self::Lda => "linear",
            Self::Ridge => "ridge",
        }
    }

    /// The method of a name, in which `_` counts as `-`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that is none.
    pub fn from_name(name: &str) -> Result<Self> {
        let wanted = name.replace('_', "-");
        Self::ALL.into_iter().find(|method| method.name() == wanted).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let message = format!("method is '{name}', expected one of {names}");
            Error::new(ErrorKind::InvalidArgument, message)
        })
    }
}
