//! How a stored model was made, so that it can be made again on fewer questions.

use projection_core::Result;
use projection_core::projection::{ModelKind, ModelParameters};
use projection_store::{Store, StoredModel};
use projection_train::{LinearMethod, Recipe, ResidualTraining, TrainingData};
use serde_json::Value;

/// The recipe of a stored model; `None` for models of other programs that do not record how
/// they were trained: linear ones and heads with matrices.
pub(crate) fn recipe_of(
    store: &Store,
    model: &StoredModel,
    data: &TrainingData,
) -> Result<Option<Recipe>> {
    let parameters = model.parameters()?;
    Ok(match model.kind {
        ModelKind::MultiHead => {
            if store.head_files(model)?.iter().any(|head| head.matrix.is_some()) {
                return Ok(None);
            }
            let temperature = model.temperature.unwrap_or(1.0);
            let top_k = match parameters {
                Some(ModelParameters::MultiHead { top_k, .. }) => top_k,
                _ => None,
            };
            Some(Recipe::MultiHead { temperature, top_k })
        }
        ModelKind::Residual => parameters
            .and_then(|parameters| residual(&parameters, &model.training(), data))
            .map(|training| Recipe::Residual(Box::new(training))),
        ModelKind::Linear => linear(model).map(Recipe::Linear),
        // Stores hold none.
        ModelKind::Transformer => None,
    })
}

/// The parameters that serving needs, and from the record of the training, as far as it
/// says, those that it doesn't: the factor of the adapter, which is part of its matrix, and
/// how it was trained.
fn residual(
    parameters: &ModelParameters,
    training: &Value,
    data: &TrainingData,
) -> Option<ResidualTraining> {
    let &ModelParameters::Residual {
        gain,
        temperature,
        neighbours,
        rotation,
        adapter,
        answer_angle,
    } = parameters
    else {
        return None;
    };
    let number = |key: &str| training.get(key)?.as_f64();
    let mut recipe = ResidualTraining {
        rotation: if rotation { gain } else { 0.0 },
        adapter: if adapter { number("adapter").unwrap_or(gain) } else { 0.0 },
        temperature,
        neighbours,
        answer_angle,
        ..ResidualTraining::fixed(data)
    };
    let count = |key: &str| training.get(key)?.as_u64();
    let own = &mut recipe.adapter_training;
    own.steps = count("steps").map_or(own.steps, |steps| steps as usize);
    own.batch = count("batch").map_or(own.batch, |batch| batch as usize);
    own.candidates = count("candidates").map_or(own.candidates, |number| number as usize);
    own.rate = number("rate").unwrap_or(own.rate);
    own.temperature = number("loss_temperature").unwrap_or(own.temperature);
    own.seed = count("seed").unwrap_or(own.seed);
    Some(recipe)
}

/// The method of a linear projection, if it is recorded.
fn linear(model: &StoredModel) -> Option<LinearMethod> {
    let training = model.training();
    let name = training.get("method")?.as_str()?;
    let (spread, ridge) = model.regularisation;
    let usual = LinearMethod::lda();
    let methods = [
        LinearMethod::Lda {
            spread: spread.unwrap_or(usual.regularisation().0),
            ridge: ridge.unwrap_or(usual.regularisation().1),
        },
        LinearMethod::Ridge { ridge: ridge.unwrap_or(1.0) },
        LinearMethod::RidgeToIdentity { ridge: ridge.unwrap_or(1.0) },
    ];
    methods.into_iter().find(|method| name == method.name())
}
