//! Training a model on a store and storing it.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use projection_core::kernel::parallel::Poll;
use projection_core::projection::{Model, ModelParameters, Projection};
use projection_core::{Error, ErrorKind, Result};
use projection_store::{EmbeddingModel, NewHead, NewLinear, NewModel, Store, StoredModel};
use projection_train::{
    Comparison, Incumbent, LinearMethod, Method, OnProgress, Progress, Recipe, TrainedModel,
    TrainingData, TrainingOptions, Validation, compare, train_linear, train_model,
    weighted_centroid,
};
use serde_json::Value;

use crate::data::training_data;
use crate::heads::heads_of;
use crate::stored::recipe_of;

/// What to train.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainRequest {
    /// How.
    pub options: TrainingOptions,
    /// Whether to store a model even if its validation is below plain cosine.
    pub force: bool,
    /// A name for people.
    pub name: Option<String>,
    /// The embedding model whose embeddings are used; `None` for the only one that has any.
    pub model_name: Option<String>,
}

/// The new model.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// Its id in the store.
    pub id: i64,
    /// The name of the requested [`Method`].
    pub method: &'static str,
    /// The kind of the model, such as `multi_head`.
    pub kind: &'static str,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The embedding model.
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
    /// The id of the active projection of the embedding model, which is this one if it is not
    /// worse than the one before.
    pub active: i64,
    /// What the model is made of, for kinds that have terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<serde_json::Value>,
    /// The weight of BM25 in hybrid search, if training chose one.
    pub hybrid_weight: Option<f64>,
    /// The offset of unseen answers, if training chose one.
    pub unseen_offset: Option<f64>,
    /// What cross-validation measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<serde_json::Value>,
    /// Questions that feedback added before the training; `None` unless requested.
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

/// Trains a model and stores it. It becomes the active one of the embedding model unless
/// cross-validation finds it worse than the active one.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] if the validation is below plain cosine, unless forced;
/// [`ErrorKind::Io`] at once if the store can't be written to; errors of reading,
/// [training](train_model) and [storing](store_model).
pub fn train(
    store: &mut Store,
    request: &TrainRequest,
    progress: &mut OnProgress<'_>,
) -> Result<TrainReport> {
    let model = store.embedding_model(request.model_name.as_deref())?;
    store.check_writable(&model)?;
    let mut notes = store.warnings()?;
    let poll = &mut || Progress::new("reading", 0, 1).send(progress);
    let data = training_data(store, &model, poll)?;
    let trained = train_model(&data, &request.options, progress)?;
    check(request, &trained, &mut notes)?;
    let before = store.active_model(Some(&model.name))?;
    let compared = match before {
        Some(active) => {
            let what = compare_with(store, &active, &data, &trained, &request.options, progress)?;
            Some((active.id, what))
        }
        None => None,
    };
    let active = !matches!(compared, Some((_, Activation::Keep(_))));
    let poll = &mut || Progress::new("storing", 0, 1).send(progress);
    let id = store_model(store, &model, request.name.as_deref(), &trained, active, poll)?;
    let active = match compared {
        Some((before, Activation::Keep(why))) => {
            notes.push(format!(
                "projection {before} stays active: {why}; `projection activate` with the id {id} \
                 makes the new one answer all the same"
            ));
            before
        }
        compared => {
            if let Some((before, Activation::Activate(why))) = compared {
                notes.push(format!(
                    "active instead of projection {before}: {why}; `projection rollback` returns \
                     to it"
                ));
            }
            id
        }
    };
    if let Some(validation) = &trained.validation
        && let Some(other) = &validation.as_multi_head
    {
        let percent = |of| 100.0 * validation.recall_at_1(of);
        notes.push(format!(
            "programs that know only multi-head projections use this one as such and answer \
             differently: recall@1 {:.1} % there, {:.1} % here",
            percent(other),
            percent(&validation.chosen)
        ));
    } else if trained.parts().is_some() {
        notes.push(
            "programs that know only multi-head projections use this one as such and answer \
             differently; --tune measures how well"
                .into(),
        );
    }
    if let Some(residual) = trained.model().as_residual().filter(|own| own.moves_answers()) {
        let degrees = residual.parts().questions.answer_angle().to_degrees().round();
        notes.push(format!(
            "answers with training questions are moved towards these by up to {degrees} degrees; \
             searches of the store compare with the moved answers. An index elsewhere has to hold \
             them too, see docs/training.md, or train with --query-only"
        ));
    }
    Ok(TrainReport {
        id,
        active,
        method: request.options.method.name(),
        kind: trained.recipe.kind().name(),
        name: request.name.clone(),
        model: model.name,
        temperature: Some(trained.model().temperature()).filter(|t| !t.is_nan()),
        heads: data.seen().iter().filter(|seen| **seen).count(),
        questions: trained.questions,
        clusters_left_out: trained.without_questions,
        terms: match &trained.recipe {
            Recipe::Residual(training) => Some(training.to_json()),
            _ => None,
        },
        hybrid_weight: trained.model().hybrid_weight(),
        unseen_offset: trained.model().unseen_offset(),
        validation: trained.validation.as_ref().map(Validation::to_json),
        feedback_questions: None,
        measured: trained.validation,
        recipe: trained.recipe.to_string(),
        notes,
    })
}

/// What becomes of a new model, and why.
enum Activation {
    Activate(String),
    Keep(String),
}

/// Compares a new model with the active one: both are trained again without questions that are
/// left out in turn.
fn compare_with(
    store: &Store,
    active: &StoredModel,
    data: &TrainingData,
    trained: &TrainedModel,
    options: &TrainingOptions,
    progress: &mut OnProgress<'_>,
) -> Result<Activation> {
    let mut recipe = recipe_of(store, active, data).unwrap_or_default();
    if let Some(Recipe::Residual(training)) = &mut recipe {
        training.adapter_training.threads = options.tuning.threads;
    }
    let offset = active.search_defaults()?.unseen_offset;
    let new = (&trained.recipe, trained.model().unseen_offset());
    if recipe.as_ref().map(|recipe| (recipe, offset)) == Some(new) {
        return Ok(Activation::Activate("it was trained in the same way".into()));
    }
    let opened;
    let incumbent = match &recipe {
        Some(recipe) => Ok(Incumbent::Recipe(recipe, offset)),
        None => {
            opened = store.open_model(active);
            opened.as_ref().map(Incumbent::Model)
        }
    };
    let compared = match incumbent {
        Ok(incumbent) => compare(data, new, incumbent, &options.tuning, progress),
        // A model that does not open answers nothing.
        Err(error) => {
            return Ok(Activation::Activate(format!("that does not open: {error}")));
        }
    };
    let scores = |compared: &Comparison| {
        format!(
            "MRR@10 {:.3} against {:.3} on questions left out",
            compared.new.score, compared.incumbent.score
        )
    };
    Ok(match compared {
        Ok(compared) if compared.is_worse() => {
            Activation::Keep(format!("the new one is worse, {}", scores(&compared)))
        }
        Ok(compared) => Activation::Activate(format!("it is not worse, {}", scores(&compared))),
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
        Err(error) if active.kind == trained.recipe.kind() => Activation::Activate(format!(
            "it is of the same kind, and they can't be compared, {error}"
        )),
        Err(error) => Activation::Keep(format!("the new one can't be compared with it, {error}")),
    })
}

/// Refuses a model whose validation is below cosine, unless forced.
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
    Ok(())
}

/// Stores a model that was trained on embeddings by `model`, and returns its new id. It becomes
/// visible as a whole, and `active` or not: then the active one stays so.
///
/// # Errors
/// As [`Store::add_model`] and [`Store::add_linear_projection`].
pub fn store_model(
    store: &mut Store,
    model: &EmbeddingModel,
    name: Option<&str>,
    trained: &TrainedModel,
    active: bool,
    poll: &mut Poll<'_>,
) -> Result<i64> {
    let metrics = trained.validation.as_ref().map_or(Value::Null, Validation::to_json);
    let training = trained.recipe.to_json();
    let hybrid_weight = trained.model().hybrid_weight();
    if let Model::Linear(linear) = trained.model() {
        let method = match &trained.recipe {
            Recipe::Linear(method) => *method,
            _ => LinearMethod::lda(),
        };
        let linear = NewLinear {
            name,
            matrix: linear.matrix(),
            regularisation: method.regularisation(),
            clusters: trained.clusters(),
            questions: trained.questions,
            hybrid_weight,
            training: &training,
            metrics: &metrics,
            active: Some(active),
        };
        return store.add_linear_projection(model, model, &linear);
    }
    let (heads, questions, parameters);
    match trained.parts() {
        Some(parts) => {
            let clusters = || parts.questions.by_cluster();
            heads = clusters().map(head_of).collect::<Result<Vec<_>>>()?;
            questions = clusters().map(|(_, _, questions)| questions.to_owned()).collect();
            parameters = parts.parameters();
        }
        None => {
            // As they are in the store: a single answer keeps its length.
            (heads, _) = heads_of(store, model)?;
            questions = Vec::new();
            let top_k = match &trained.recipe {
                Recipe::MultiHead { top_k, .. } => *top_k,
                _ => None,
            };
            let temperature = trained.model().temperature();
            parameters = ModelParameters::MultiHead { temperature, top_k };
        }
    }
    let parts = trained.parts();
    let adapter = parts.and_then(|parts| {
        let shape = (parts.dim(), parts.dim());
        Some(Array2::from_shape_vec(shape, parts.adapter.as_ref()?.to_vec()).expect("d × d values"))
    });
    store.add_model(
        model,
        &NewModel {
            name,
            heads: &heads,
            questions: &questions,
            adapter: adapter.as_ref().map(|adapter| adapter.view()),
            hybrid_weight,
            unseen_offset: trained.model().unseen_offset(),
            training: &training,
            metrics: &metrics,
            active: Some(active),
            ..NewModel::new(parameters)
        },
        poll,
    )
}

/// A head as programs that know only multi-head projections read it.
fn head_of((cluster_id, answer, questions): (i64, &[f32], ArrayView2<'_, f32>)) -> Result<NewHead> {
    Ok(NewHead {
        cluster_id,
        centroid: weighted_centroid(questions)
            .map_err(|error| error.context(format!("cluster {cluster_id}")))?,
        answer: answer.to_vec(),
        matrix: None,
        num_questions: questions.nrows(),
    })
}

/// Trains a linear projection on the clusters of a store, stores it, and returns its new id.
/// `output` is the embedding model of the answers, which may differ from that of the questions.
/// Then plain cosine can't be compared with it, and it is not validated.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] if no cluster has embeddings of both sides, otherwise as
/// [`train_linear`] and [`Store::add_linear_projection`].
pub fn train_linear_model(
    store: &mut Store,
    input: &EmbeddingModel,
    output: &EmbeddingModel,
    name: Option<&str>,
    method: LinearMethod,
) -> Result<i64> {
    let poll = &mut || Ok(());
    let data = training_data(store, input, poll)?;
    // The same clusters by the other model: those that have answers by it.
    let mut targets = data.answers().to_owned();
    let mut rows: Vec<Option<usize>> = (0..targets.nrows()).map(Some).collect();
    if output.model_id != input.model_id {
        let other = training_data(store, output, poll)?;
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
    let seen = kept.seen();
    let with_questions = kept.clusters().iter().zip(seen).filter(|(_, seen)| *seen);
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
        active: None,
    };
    store.add_linear_projection(input, output, &linear)
}
