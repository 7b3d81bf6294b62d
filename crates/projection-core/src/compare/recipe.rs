//! How a stored model was made, so that it can be made again on fewer questions.

use ndarray::Axis;
use serde_json::Value;

use crate::error::Result;
use crate::projection::{Head, Model, ModelParameters, MultiHeadProjection, ResidualProjection};
use crate::store::{ModelKind, Store};
use crate::train::{ResidualTraining, TrainingData, train_residual, weighted_centroid};

/// What is needed to train a model again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recipe {
    MultiHead { temperature: f64, top_k: Option<usize> },
    Residual(Box<ResidualTraining>),
}

impl Recipe {
    /// The recipe of a stored model; `None` for a linear one, whose way of training is not
    /// recorded, and for heads with matrices, which other programs make.
    pub fn of(
        store: &Store,
        kind: ModelKind,
        id: i64,
        data: &TrainingData,
    ) -> Result<Option<Self>> {
        Ok(match kind {
            ModelKind::MultiHead => {
                if store.cluster_heads(id)?.iter().any(|head| head.matrix.is_some()) {
                    return Ok(None);
                }
                let temperature = store.multi_head_projection(id)?.temperature;
                let top_k = match store.model_parameters(id)? {
                    Some(ModelParameters::MultiHead { top_k, .. }) => top_k,
                    _ => None,
                };
                Some(Self::MultiHead { temperature, top_k })
            }
            ModelKind::Residual => {
                let parameters = store.model_parameters(id)?;
                let record = store.model_record(id)?.map(|record| record.parameters);
                let training = record.as_ref().and_then(|record| record.get("training"));
                parameters
                    .and_then(|parameters| residual(&parameters, training, data))
                    .map(|training| Self::Residual(Box::new(training)))
            }
            ModelKind::Linear => None,
        })
    }

    /// Trains a model on `data`.
    pub fn train(&self, data: &TrainingData) -> Result<Model> {
        match self {
            Self::MultiHead { temperature, top_k } => {
                multi_head(data, *temperature)?.with_top_k(*top_k).map(Model::MultiHead)
            }
            Self::Residual(training) => {
                let parts = train_residual(data, training, &mut |_| {})?;
                ResidualProjection::new(parts).map(Model::Residual)
            }
        }
    }
}

/// The parameters that serving needs, and from the record of the training, as far as it
/// says, those that it doesn't: the factor of the adapter, which is part of its matrix, and
/// how it was trained.
fn residual(
    parameters: &ModelParameters,
    training: Option<&Value>,
    data: &TrainingData,
) -> Option<ResidualTraining> {
    let &ModelParameters::Residual { gain, temperature, neighbours, rotation, adapter, lift } =
        parameters
    else {
        return None;
    };
    let number = |value: Option<&Value>, key: &str| value?.get(key)?.as_f64();
    let mut recipe = ResidualTraining {
        rotation: if rotation { gain } else { 0.0 },
        adapter: if adapter { number(training, "adapter").unwrap_or(gain) } else { 0.0 },
        lift: lift.unwrap_or(0.0),
        temperature,
        neighbours,
        ..ResidualTraining::fixed(data)
    };
    let recorded = training.and_then(|training| training.get("adapter_training"));
    let count = |key: &str| recorded?.get(key)?.as_u64().map(|count| count as usize);
    let own = &mut recipe.adapter_training;
    own.steps = count("steps").unwrap_or(own.steps);
    own.batch = count("batch").unwrap_or(own.batch);
    own.candidates = count("candidates").unwrap_or(own.candidates);
    own.rate = number(recorded, "rate").unwrap_or(own.rate);
    own.temperature = number(recorded, "temperature").unwrap_or(own.temperature);
    Some(recipe)
}

/// A multi-head projection of the answers that have questions.
pub(super) fn multi_head(data: &TrainingData, temperature: f64) -> Result<MultiHeadProjection> {
    let mut order: Vec<usize> = (0..data.labels().len()).collect();
    order.sort_by_key(|number| data.labels()[*number]);
    let heads = order.chunk_by(|a, b| data.labels()[*a] == data.labels()[*b]).map(|numbers| {
        let row = data.labels()[numbers[0]];
        let centroid = weighted_centroid(data.questions().select(Axis(0), numbers).view())
            .map_err(|error| error.context(format!("questions of answer row {row}")))?;
        Ok(Head {
            cluster_id: row as i64,
            centroid: centroid.into_iter().map(f64::from).collect(),
            answer: data.answers().row(row).to_vec(),
            matrix: None,
        })
    });
    MultiHeadProjection::from_heads(heads.collect::<Result<_>>()?, temperature)
}
