//! From a store to a model in it, in one call: what `train` does for the command line and
//! for the C interface.

use serde::Serialize;

use super::{
    LinearMethod, MultiHeadTraining, Progress, ResidualMethod, ResidualTraining, TrainingData,
    Tuned, Tuning, store_residual, train_linear_model, train_multi_head, train_residual_model,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{EmbeddingModel, Store};

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Residual, tuned by cross-validation.
    #[default]
    Auto,
    /// The query, moved by what training learned; fixed parameters unless tuned.
    Residual,
    /// One head per cluster of questions.
    MultiHead,
    /// One matrix, by linear discriminant analysis.
    Linear,
    /// One matrix, by ridge regression drawn to leaving queries as they are.
    Ridge,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Auto, Self::Residual, Self::MultiHead, Self::Linear, Self::Ridge];

    /// Its name, such as `multi-head`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Residual => "residual",
            Self::MultiHead => "multi-head",
            Self::Linear => "linear",
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
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// How.
    pub method: Method,
    /// Whether terms and parameters are chosen by cross-validation, which they are in any
    /// case by [`Method::Auto`].
    pub tune: bool,
    /// See [`Tuning::unheaded`].
    pub unheaded: Option<f64>,
    /// The same seed gives the same model.
    pub seed: u64,
    /// Whether a model is stored whose validation is below plain cosine.
    pub force: bool,
    /// Softmax temperature of routing or rotation.
    pub temperature: f64,
    /// A name for people.
    pub name: Option<String>,
    /// The text model whose vectors are used; `None` for the only one that has vectors.
    pub model_name: Option<String>,
}

impl Default for TrainRequest {
    fn default() -> Self {
        Self {
            method: Method::Auto,
            tune: false,
            unheaded: None,
            seed: 0,
            force: false,
            temperature: 0.1,
            name: None,
            model_name: None,
        }
    }
}

/// The new model.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// Its id in the store.
    pub id: i64,
    /// As it was asked for.
    pub method: Method,
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
    /// What cross-validation measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<serde_json::Value>,
    /// Questions that feedback added before the training; `None` unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback_questions: Option<usize>,
    /// What tuning tried, for those who want more than `validation`.
    #[serde(skip)]
    pub tuned: Option<Tuned>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Trains a model and stores it. `progress` is told how far it is; nothing is stored before
/// it was told for the last time.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] where the validation is below plain cosine, unless forced;
/// whatever reading, training and storing give.
pub fn train(
    store: &mut Store,
    request: &TrainRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainReport> {
    match request.method {
        Method::MultiHead => multi_head(request, store),
        Method::Linear => linear(request, store, LinearMethod::lda()),
        Method::Ridge => linear(request, store, LinearMethod::RidgeToIdentity { ridge: 1.0 }),
        Method::Auto | Method::Residual => residual(request, store, progress),
    }
}

fn multi_head(request: &TrainRequest, store: &mut Store) -> Result<TrainReport> {
    let training = MultiHeadTraining {
        model_name: request.model_name.clone(),
        temperature: request.temperature,
        name: request.name.clone(),
    };
    let trained = train_multi_head(store, &training)?;
    Ok(TrainReport {
        id: trained.id,
        model: trained.model_name,
        temperature: Some(request.temperature),
        heads: trained.heads,
        questions: trained.questions,
        clusters_left_out: trained.clusters_left_out,
        ..TrainReport::new(request)
    })
}

fn linear(request: &TrainRequest, store: &mut Store, method: LinearMethod) -> Result<TrainReport> {
    let model = store.embedding_model(request.model_name.as_deref())?;
    let data = TrainingData::from_store(store, &model)?;
    let id = train_linear_model(store, &model, &model, request.name.as_deref(), method)?;
    Ok(TrainReport { id, ..TrainReport::of(request, &model, &data) })
}

fn residual(
    request: &TrainRequest,
    store: &mut Store,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainReport> {
    let model = store.embedding_model(request.model_name.as_deref())?;
    let data = TrainingData::from_store(store, &model)?;
    let method = if request.tune || request.method == Method::Auto {
        ResidualMethod::Tuned(Tuning {
            unheaded: request.unheaded,
            seed: request.seed,
            ..Tuning::default()
        })
    } else {
        let mut training = ResidualTraining::fixed(&data);
        training.temperature = request.temperature;
        training.adapter_training.seed = request.seed;
        ResidualMethod::Fixed(training)
    };
    let trained = train_residual_model(&data, &method, progress)?;
    let mut notes = Vec::new();
    match &trained.tuned {
        Some(tuned) if tuned.is_below_cosine() => {
            let (ours, cosine) = (tuned.validated.score, tuned.cosine.score);
            let message = format!(
                "on its validation the model is below plain cosine, MRR@10 {ours:.3} against \
                 {cosine:.3}"
            );
            if !request.force {
                let message = format!("{message}: not stored; force stores it all the same");
                return Err(Error::new(ErrorKind::InvalidModel, message));
            }
            notes.push(message);
        }
        Some(tuned) if tuned.kept_fixed(&data) => {
            notes.push("the validation gave no reason to leave the fixed parameters".into());
        }
        Some(_) => {}
        None if request.method == Method::Auto => {
            notes.push("too few questions to tune, so the parameters are the fixed ones".into());
        }
        None => {}
    }
    let id = store_residual(store, &model, request.name.as_deref(), &trained)?;
    Ok(TrainReport {
        id,
        temperature: Some(trained.training.temperature),
        terms: Some(trained.training.to_json()),
        validation: trained.tuned.as_ref().map(Tuned::to_json),
        tuned: trained.tuned,
        notes,
        ..TrainReport::of(request, &model, &data)
    })
}

impl TrainReport {
    fn new(request: &TrainRequest) -> Self {
        Self {
            id: 0,
            method: request.method,
            name: request.name.clone(),
            model: String::new(),
            temperature: None,
            heads: 0,
            questions: 0,
            clusters_left_out: 0,
            terms: None,
            validation: None,
            feedback_questions: None,
            tuned: None,
            notes: Vec::new(),
        }
    }

    fn of(request: &TrainRequest, model: &EmbeddingModel, data: &TrainingData) -> Self {
        let headed = data.headed().iter().filter(|headed| **headed).count();
        Self {
            model: model.name.clone(),
            heads: headed,
            questions: data.labels().len(),
            clusters_left_out: data.headed().len() - headed,
            ..Self::new(request)
        }
    }
}
