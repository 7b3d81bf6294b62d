//! From training data to a model, and from there into the store.

use serde_json::{Value, json};

use super::centroid::weighted_centroid;
use super::choose::choose;
use super::linear::{LinearMethod, train_linear};
use super::multi_head::heads_of;
use super::recipe::multi_head;
use super::residual::{ResidualTraining, train_residual};
use super::{Method, Progress, Recipe, TrainingData, TrainingOptions, Validation};
use crate::error::{Error, ErrorKind, Result};
use crate::projection::{Model, Projection, QuestionHead, ResidualParts, ResidualProjection};
use crate::store::{EmbeddingModel, ModelParameters, NewHead, NewLinear, NewModel, Store};

/// A model that is trained and not stored yet, so that a caller can refuse one that is no
/// better than plain cosine.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// How it was trained.
    pub recipe: Recipe,
    /// What cross-validation measured; `None` for a residual projection with fixed
    /// parameters, and where there are too few questions to leave some out.
    pub validation: Option<Validation>,
    /// Number of questions that it was trained on.
    pub questions: usize,
    /// Answers, and clusters, without training questions.
    pub without_questions: usize,
    model: Model,
    /// What a residual projection is stored as.
    parts: Option<ResidualParts>,
    clusters: Vec<i64>,
}

impl TrainedModel {
    /// The model, with the weight of BM25 and the offset that were chosen. Heads are named
    /// by the clusters of the training data. Answers have length 1; a stored multi-head
    /// projection has those of its store as they are.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Trains a model as `options` say.
///
/// Parameters are chosen by cross-validation where they are to be tuned. All kinds but a
/// residual projection with fixed parameters are compared with plain cosine, see
/// [`Validation::is_below_cosine`], and get a weight of BM25 and an offset for search.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options outside their range, otherwise as the training
/// of the kind. Where there are too few questions to leave some out, the fixed parameters
/// are taken.
pub fn train_model(
    data: &TrainingData,
    options: &TrainingOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainedModel> {
    let chosen = match options.method {
        Method::Residual if !options.tune => None,
        _ => match choose(data, options, progress) {
            Err(error) if error.kind() == ErrorKind::InvalidModel => None,
            chosen => Some(chosen?),
        },
    };
    let (recipe, validation) = match chosen {
        Some((recipe, validation)) => (recipe, Some(validation)),
        None => (fixed(data, options), None),
    };
    let parts = match &recipe {
        Recipe::Residual(training) => Some(train_residual(data, training, progress)?),
        _ => None,
    };
    let model = match (&recipe, &parts) {
        (_, Some(parts)) => Model::Residual(ResidualProjection::new(parts.clone())?),
        (Recipe::MultiHead { temperature, top_k }, _) => {
            Model::MultiHead(multi_head(data, *temperature)?.with_top_k(*top_k)?)
        }
        (recipe, _) => recipe.train(data, progress)?,
    };
    let value = |of: fn(&Validation) -> Option<super::Calibrated>| {
        validation.as_ref().and_then(of).map(|calibrated| calibrated.value)
    };
    let model = model
        .with_hybrid_weight(value(|validation| validation.hybrid_weight))?
        .with_unheaded_offset(value(|validation| validation.unheaded_offset))?;
    let headed = data.headed();
    let with_questions = data.clusters().iter().zip(&headed).filter(|(_, headed)| **headed);
    Ok(TrainedModel {
        recipe,
        validation,
        questions: data.labels().len(),
        without_questions: headed.iter().filter(|headed| !**headed).count(),
        model,
        parts,
        clusters: with_questions.filter_map(|(cluster, _)| *cluster).collect(),
    })
}

/// What is trained where nothing is chosen.
fn fixed(data: &TrainingData, options: &TrainingOptions) -> Recipe {
    match options.method {
        Method::Auto | Method::Residual => {
            let mut training = ResidualTraining::fixed(data);
            training.temperature = options.temperature;
            training.adapter_training.seed = options.tuning.seed;
            training.adapter_training.threads = options.tuning.threads;
            Recipe::Residual(training.into())
        }
        Method::MultiHead => Recipe::MultiHead { temperature: options.temperature, top_k: None },
        Method::Lda => Recipe::Linear(LinearMethod::lda()),
        Method::Ridge => Recipe::Linear(LinearMethod::RidgeToIdentity { ridge: 1.0 }),
    }
}

/// Stores a model that was trained on the vectors of `model` and gives its new id. It
/// becomes visible as a whole.
///
/// # Errors
/// As [`Store::add_model`] and [`Store::add_linear_projection`].
pub fn store_model(
    store: &mut Store,
    model: &EmbeddingModel,
    name: Option<&str>,
    trained: &TrainedModel,
) -> Result<i64> {
    let metrics = trained.validation.as_ref().map_or(Value::Null, Validation::to_json);
    let training = trained.recipe.to_json();
    let hybrid_weight = trained.model.hybrid_weight();
    if let Model::Linear(linear) = &trained.model {
        let method = match &trained.recipe {
            Recipe::Linear(method) => *method,
            _ => LinearMethod::lda(),
        };
        let linear = NewLinear {
            name,
            matrix: linear.matrix(),
            regularisation: method.regularisation(),
            clusters: &trained.clusters,
            questions: trained.questions,
            hybrid_weight,
            training: &training,
            metrics: &metrics,
        };
        return store.add_linear_projection(model, model, &linear);
    }
    let (heads, questions, parameters);
    match &trained.parts {
        Some(parts) => {
            heads = parts.heads.iter().map(head_of).collect::<Result<Vec<_>>>()?;
            questions = parts.heads.iter().map(|head| head.questions.clone()).collect();
            parameters = ModelParameters::Residual {
                gain: parts.gain,
                temperature: parts.temperature,
                neighbours: parts.neighbours,
                rotation: parts.rotation,
                adapter: parts.adapter.is_some(),
                lift: parts.lift.as_ref().map(|(_, factor)| *factor),
            };
        }
        None => {
            // As they are in the store: a single answer keeps its length.
            (heads, _) = heads_of(store, model)?;
            questions = Vec::new();
            let top_k = match &trained.recipe {
                Recipe::MultiHead { top_k, .. } => *top_k,
                _ => None,
            };
            let temperature = trained.model.temperature();
            parameters = ModelParameters::MultiHead { temperature, top_k };
        }
    }
    let parts = trained.parts.as_ref();
    let lift = parts.and_then(|parts| parts.lift.as_ref());
    let adapter = parts.and_then(|parts| parts.adapter.as_ref());
    store.add_model(
        model,
        &NewModel {
            name,
            heads: &heads,
            questions: &questions,
            adapter: adapter.map(|adapter| adapter.view()),
            lift: lift.map(|(direction, _)| &direction[..]),
            hybrid_weight,
            unheaded_offset: trained.model.unheaded_offset(),
            training: &training,
            metrics: &metrics,
            ..NewModel::new(parameters)
        },
    )
}

/// A head as programs that know only multi-head projections read it.
fn head_of(head: &QuestionHead) -> Result<NewHead> {
    Ok(NewHead {
        cluster_id: head.cluster_id,
        centroid: weighted_centroid(head.questions.view())
            .map_err(|error| error.context(format!("cluster {}", head.cluster_id)))?,
        answer: head.answer.clone(),
        matrix: None,
        num_questions: head.questions.nrows(),
    })
}

/// Trains a linear projection on the clusters of a store and stores it under a new id,
/// which it gives. `output` is the text model of the answers' vectors, which may be another
/// one than that of the questions: then there is no cosine to compare it with, and it is
/// not validated.
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
        hybrid_weight: None,
        training: &Recipe::Linear(method).to_json(),
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
            "decay": adapter.decay,
            "trained_on_rotation": adapter.rotation,
            "seed": adapter.seed,
        })
    }
}
