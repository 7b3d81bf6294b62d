//! From training data to a model, and from there into the store.

use serde_json::{Value, json};

use crate::choose::choose;
use crate::error::{ErrorKind, Result};
use crate::linear::LinearMethod;
use crate::projection::{Model, ResidualParts, ResidualProjection};
use crate::recipe::multi_head;
use crate::residual::{ResidualTraining, train_residual};
use crate::{Method, OnProgress, Recipe, TrainingData, TrainingOptions, Validation};

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

    /// What a residual projection is made of.
    pub fn parts(&self) -> Option<&ResidualParts> {
        self.parts.as_ref()
    }

    /// The clusters that have training questions.
    pub fn clusters(&self) -> &[i64] {
        &self.clusters
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
/// of the kind. If there are too few questions to leave some out, the fixed parameters
/// are used.
pub fn train_model(
    data: &TrainingData,
    options: &TrainingOptions,
    progress: &mut OnProgress<'_>,
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
    let value = |of: fn(&Validation) -> Option<crate::Calibrated>| {
        validation.as_ref().and_then(of).map(|calibrated| calibrated.value)
    };
    let model = model
        .with_hybrid_weight(value(|validation| validation.hybrid_weight))?
        .with_unseen_offset(value(|validation| validation.unseen_offset))?;
    let seen = data.seen();
    let with_questions = data.clusters().iter().zip(&seen).filter(|(_, seen)| **seen);
    Ok(TrainedModel {
        recipe,
        validation,
        questions: data.labels().len(),
        without_questions: seen.iter().filter(|seen| !**seen).count(),
        model,
        parts,
        clusters: with_questions.filter_map(|(cluster, _)| *cluster).collect(),
    })
}

/// What is trained where nothing is chosen.
fn fixed(data: &TrainingData, options: &TrainingOptions) -> Recipe {
    match options.method {
        Method::Auto | Method::Residual => {
            Recipe::Residual(ResidualTraining::with_options(data, options).into())
        }
        Method::MultiHead => Recipe::MultiHead { temperature: options.temperature, top_k: None },
        Method::Lda => Recipe::Linear(LinearMethod::lda()),
        Method::Ridge => Recipe::Linear(LinearMethod::RidgeToIdentity { ridge: 1.0 }),
    }
}

impl ResidualTraining {
    /// As it is stored with a model.
    pub fn to_json(&self) -> Value {
        let adapter = &self.adapter_training;
        json!({
            "rotation": self.rotation,
            "adapter": self.adapter,
            "answer_angle": self.answer_angle,
            "steps": adapter.steps,
            "batch": adapter.batch,
            "rate": adapter.rate,
            "loss_temperature": adapter.temperature,
            "candidates": adapter.candidates,
            "seed": adapter.seed,
        })
    }
}
