//! From a store to a model in it, in one call: what `train` does for the command line and
//! for the C interface.

use serde::Serialize;

use super::{
    Method, Progress, Recipe, TrainedModel, TrainingData, TrainingOptions, Validation, store_model,
    train_model,
};
use crate::error::{Error, ErrorKind, Result};
use crate::projection::Projection;
use crate::store::Store;

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

/// What is to be trained.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainRequest {
    /// How.
    pub options: TrainingOptions,
    /// Whether a model is stored whose validation is below plain cosine.
    pub force: bool,
    /// A name for people.
    pub name: Option<String>,
    /// The text model whose vectors are used; `None` for the only one that has vectors.
    pub model_name: Option<String>,
}

/// The new model.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// Its id in the store.
    pub id: i64,
    /// The name of the [`Method`] that was asked for.
    pub method: &'static str,
    /// The kind of the model, such as `multi_head`.
    pub kind: &'static str,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The text model of the vectors.
    pub model: String,
    /// Temperature, for kinds that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Number of heads.
    pub heads: usize,
    /// Questions that it was trained on.
    pub questions: usize,
    /// Clusters without vectors of both questions and answers.
    pub clusters_left_out: usize,
    /// What the model is made of, for kinds that have terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<serde_json::Value>,
    /// The weight of BM25 in hybrid search, where it was chosen.
    pub hybrid_weight: Option<f64>,
    /// The offset of answers that no head is for, where it was chosen.
    pub unheaded_offset: Option<f64>,
    /// What cross-validation measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<serde_json::Value>,
    /// Questions that feedback added before the training; `None` unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback_questions: Option<usize>,
    /// What cross-validation measured, with all that was tried.
    #[serde(skip)]
    pub measured: Option<Validation>,
    /// How it was trained, for people.
    #[serde(skip)]
    pub recipe: String,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Trains a model and stores it.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] where the validation is below plain cosine, unless forced;
/// whatever reading, [training](train_model) and [storing](store_model) give.
pub fn train(
    store: &mut Store,
    request: &TrainRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainReport> {
    let model = store.embedding_model(request.model_name.as_deref())?;
    let data = TrainingData::from_store(store, &model)?;
    let trained = train_model(&data, &request.options, progress)?;
    let mut notes = Vec::new();
    check(request, &trained, &mut notes)?;
    let id = store_model(store, &model, request.name.as_deref(), &trained)?;
    Ok(TrainReport {
        id,
        method: request.options.method.name(),
        kind: trained.recipe.kind().name(),
        name: request.name.clone(),
        model: model.name,
        temperature: Some(trained.model().temperature()).filter(|t| !t.is_nan()),
        heads: data.headed().iter().filter(|headed| **headed).count(),
        questions: trained.questions,
        clusters_left_out: trained.without_questions,
        terms: match &trained.recipe {
            Recipe::Residual(training) => Some(training.to_json()),
            _ => None,
        },
        hybrid_weight: trained.model().hybrid_weight(),
        unheaded_offset: trained.model().unheaded_offset(),
        validation: trained.validation.as_ref().map(Validation::to_json),
        feedback_questions: None,
        measured: trained.validation,
        recipe: trained.recipe.to_string(),
        notes,
    })
}

/// Refuses a model that is below cosine, unless it is wanted all the same.
fn check(request: &TrainRequest, trained: &TrainedModel, notes: &mut Vec<String>) -> Result<()> {
    let Some(validation) = &trained.validation else {
        notes.push(match request.options.method {
            Method::Residual if !request.options.tune => {
                "the parameters are the fixed ones, and nothing was measured: tuning does".into()
            }
            _ => "too few questions to leave some out, so nothing was chosen or measured".into(),
        });
        return Ok(());
    };
    if validation.is_below_cosine() {
        let message = format!(
            "on its validation the model is below plain cosine, MRR@10 {:.3} against {:.3}",
            validation.chosen.score, validation.cosine.score
        );
        if !request.force {
            let message = format!(
                "{message}: not stored; --force, or `force` in a program, stores it all the same"
            );
            return Err(Error::new(ErrorKind::InvalidModel, message));
        }
        notes.push(message);
    }
    if validation.fixed == Some(validation.chosen) {
        notes.push("the validation gave no reason to leave the fixed parameters".into());
    }
    Ok(())
}
