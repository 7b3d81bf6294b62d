//! How a model is trained: all but the vectors, so that it can be trained again on others.

use std::fmt;

use ndarray::Axis;
use serde_json::{Value, json};

use crate::error::Result;
use crate::projection::ModelKind;
use crate::projection::{Head, LinearProjection, Model, MultiHeadProjection, ResidualProjection};
use crate::{LinearMethod, OnProgress, ResidualTraining, TrainingData};
use crate::{train_linear, train_residual, weighted_centroid};

/// What is needed to train a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipe {
    /// One head an answer.
    MultiHead {
        /// Softmax temperature τ.
        temperature: f64,
        /// Only so many of the nearest heads take part.
        top_k: Option<usize>,
    },
    /// The query and up to two terms.
    Residual(Box<ResidualTraining>),
    /// One matrix.
    Linear(LinearMethod),
}

impl Recipe {
    /// The kind of model that it makes.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::MultiHead { .. } => ModelKind::MultiHead,
            Self::Residual(_) => ModelKind::Residual,
            Self::Linear(_) => ModelKind::Linear,
        }
    }

    /// Trains a model on `data`.
    ///
    /// # Errors
    /// As [`train_residual`], [`train_linear`] and [`weighted_centroid`].
    pub fn train(&self, data: &TrainingData, progress: &mut OnProgress<'_>) -> Result<Model> {
        match self {
            Self::MultiHead { temperature, top_k } => {
                multi_head(data, *temperature)?.with_top_k(*top_k).map(Model::MultiHead)
            }
            Self::Residual(training) => {
                let parts = train_residual(data, training, progress)?;
                ResidualProjection::new(parts).map(Model::Residual)
            }
            Self::Linear(method) => {
                let matrix =
                    train_linear(data.questions(), data.answers(), data.labels(), *method)?;
                LinearProjection::new(matrix).map(Model::Linear)
            }
        }
    }

    /// As it is stored with a model.
    pub fn to_json(&self) -> Value {
        match self {
            Self::MultiHead { temperature, top_k } => {
                json!({"temperature": temperature, "top_k": top_k})
            }
            Self::Residual(training) => training.to_json(),
            Self::Linear(method) => {
                let (spread, ridge) = method.regularisation();
                json!({"method": method.name(), "lambda": spread, "mu": ridge})
            }
        }
    }
}

/// For people.
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MultiHead { temperature, .. } => write!(f, "multi-head, τ = {temperature}"),
            Self::Residual(t) => {
                write!(f, "query + {} rotation + {} adapter", t.rotation, t.adapter)?;
                match t.answer_angle.to_degrees().round() {
                    0.0 => Ok(()),
                    degrees => write!(f, ", answers moved by up to {degrees}°"),
                }
            }
            Self::Linear(LinearMethod::Lda { spread, ridge }) => {
                write!(f, "LDA, λ = {spread}, μ = {ridge}")
            }
            Self::Linear(LinearMethod::Ridge { ridge }) => write!(f, "ridge, μ = {ridge}"),
            Self::Linear(LinearMethod::RidgeToIdentity { ridge }) => {
                write!(f, "ridge to the identity, μ = {ridge}")
            }
        }
    }
}

/// A multi-head projection of the answers that have questions.
pub(crate) fn multi_head(data: &TrainingData, temperature: f64) -> Result<MultiHeadProjection> {
    let mut order: Vec<usize> = (0..data.labels().len()).collect();
    order.sort_by_key(|number| data.labels()[*number]);
    let heads = order.chunk_by(|a, b| data.labels()[*a] == data.labels()[*b]).map(|numbers| {
        let row = data.labels()[numbers[0]];
        let centroid = weighted_centroid(data.questions().select(Axis(0), numbers).view())
            .map_err(|error| error.context(format!("questions of answer row {row}")))?;
        Ok(Head {
            cluster_id: data.clusters()[row].unwrap_or(row as i64),
            centroid: centroid.into_iter().map(f64::from).collect(),
            answer: data.answers().row(row).to_vec(),
            matrix: None,
        })
    });
    MultiHeadProjection::from_heads(heads.collect::<Result<_>>()?, temperature)
}
