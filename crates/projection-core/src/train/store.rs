//! From the vectors of a store to a model in it.

use serde_json::{Value, json};

use super::centroid::weighted_centroid;
use super::linear::{LinearMethod, train_linear};
use super::residual::{ResidualTraining, train_residual};
use super::tune::{Tuned, Tuning, tune_residual};
use super::{Progress, TrainingData};
use crate::error::{Error, ErrorKind, Result};
use crate::projection::ResidualParts;
use crate::store::{EmbeddingModel, ModelParameters, NewHead, NewLinear, NewModel, Store};

/// How a residual projection is to be trained.
#[derive(Debug, Clone, PartialEq)]
pub enum ResidualMethod {
    /// Terms and parameters by cross-validation.
    Tuned(Tuning),
    /// With these.
    Fixed(ResidualTraining),
}

/// A residual projection that is trained and not stored yet, so that a caller can refuse
/// one that is no better than plain cosine.
#[derive(Debug, Clone)]
pub struct TrainedResidual {
    /// The model; [`ResidualProjection::new`](crate::projection::ResidualProjection::new)
    /// makes it usable.
    pub parts: ResidualParts,
    /// Its terms and parameters.
    pub training: ResidualTraining,
    /// What tuning tried and measured; `None` where parameters were given, or where there
    /// are too few questions to leave some out.
    pub tuned: Option<Tuned>,
    /// Number of questions that it was trained on.
    pub questions: usize,
    /// Answers, and clusters, without training questions.
    pub without_questions: usize,
}

/// Trains a residual projection.
///
/// # Errors
/// As [`tune_residual`] and [`train_residual`]. Where there are too few questions to tune,
/// the fixed parameters are taken.
pub fn train_residual_model(
    data: &TrainingData,
    method: &ResidualMethod,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainedResidual> {
    let (training, tuned) = match method {
        ResidualMethod::Fixed(training) => (training.clone(), None),
        ResidualMethod::Tuned(tuning) => match tune_residual(data, tuning, progress) {
            Ok(tuned) => (tuned.training.clone(), Some(tuned)),
            Err(error) if error.kind() == ErrorKind::InvalidModel => {
                let mut training = ResidualTraining::fixed(data);
                training.adapter_training.seed = tuning.seed;
                training.adapter_training.threads = tuning.threads;
                (training, None)
            }
            Err(error) => return Err(error),
        },
    };
    Ok(TrainedResidual {
        parts: train_residual(data, &training, progress)?,
        training,
        tuned,
        questions: data.labels().len(),
        without_questions: data.headed().iter().filter(|headed| !**headed).count(),
    })
}

/// Stores a trained residual projection and gives its new id.
///
/// # Errors
/// As [`Store::add_model`].
pub fn store_residual(
    store: &mut Store,
    model: &EmbeddingModel,
    name: Option<&str>,
    trained: &TrainedResidual,
) -> Result<i64> {
    let parts = &trained.parts;
    let heads = parts
        .heads
        .iter()
        .map(|head| {
            Ok(NewHead {
                cluster_id: head.cluster_id,
                centroid: weighted_centroid(head.questions.view())
                    .map_err(|error| error.context(format!("cluster {}", head.cluster_id)))?,
                answer: head.answer.clone(),
                matrix: None,
                num_questions: head.questions.nrows(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let questions: Vec<_> = parts.heads.iter().map(|head| head.questions.clone()).collect();
    let metrics = trained.tuned.as_ref().map_or(Value::Null, Tuned::to_json);
    let lift = parts.lift.as_ref();
    store.add_model(
        model,
        &NewModel {
            name,
            heads: &heads,
            questions: &questions,
            adapter: parts.adapter.as_ref().map(|adapter| adapter.view()),
            lift: lift.map(|(direction, _)| &direction[..]),
            training: &trained.training.to_json(),
            metrics: &metrics,
            ..NewModel::new(ModelParameters::Residual {
                gain: parts.gain,
                temperature: parts.temperature,
                neighbours: parts.neighbours,
                rotation: parts.rotation,
                adapter: parts.adapter.is_some(),
                lift: lift.map(|(_, factor)| *factor),
            })
        },
    )
}

/// Trains a linear projection on the clusters of a store and stores it under a new id,
/// which it gives. `output` is the text model of the answers' vectors, where it is another
/// one than that of the questions.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] where no cluster has vectors of both sides, otherwise as
/// [`train_linear`] and [`Store::add_linear_projection`].
pub fn train_linear_model(
    store: &mut Store,
    input: &EmbeddingModel,
    output: &EmbeddingModel,
    name: Option<&str>,
    method: LinearMethod,
) -> Result<i64> {
    let data = TrainingData::from_store(store, input)?;
    // The same clusters by the other model: those that have answers by it.
    let mut targets = data.answers().to_owned();
    let mut rows: Vec<Option<usize>> = (0..targets.nrows()).map(Some).collect();
    if output.model_id != input.model_id {
        let other = TrainingData::from_store(store, output)?;
        targets = other.answers().to_owned();
        for (row, cluster) in rows.iter_mut().zip(data.clusters()) {
            *row = cluster.and_then(|id| other.clusters().iter().position(|c| *c == Some(id)));
        }
    }
    let (numbers, labels): (Vec<usize>, Vec<usize>) = data
        .labels()
        .iter()
        .enumerate()
        .filter_map(|(number, label)| Some((number, rows[*label]?)))
        .unzip();
    if numbers.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidModel,
            format!(
                "no cluster has questions by '{}' and answers by '{}'",
                input.name, output.name
            ),
        ));
    }
    let kept = data.with_questions(&numbers);
    let matrix = train_linear(kept.questions(), targets.view(), &labels, method)?;
    let headed = kept.headed();
    let with_questions = kept.clusters().iter().zip(headed).filter(|(_, headed)| *headed);
    let clusters: Vec<i64> = with_questions.filter_map(|(cluster, _)| *cluster).collect();
    let linear = NewLinear {
        name,
        matrix: matrix.view(),
        regularisation: method.regularisation(),
        clusters: &clusters,
        questions: numbers.len(),
        training: &json!({"method": method.name()}),
        metrics: &Value::Null,
    };
    store.add_linear_projection(input, output, &linear)
}

impl ResidualTraining {
    /// As it is stored with a model.
    pub fn to_json(&self) -> Value {
        let adapter = &self.adapter_training;
        json!({
            "rotation": self.rotation,
            "adapter": self.adapter,
            "lift": self.lift,
            "steps": adapter.steps,
            "batch": adapter.batch,
            "rate": adapter.rate,
            "loss_temperature": adapter.temperature,
            "candidates": adapter.candidates,
            "seed": adapter.seed,
        })
    }
}
