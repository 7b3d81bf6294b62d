//! How a stored model was made, so that it can be made again on fewer questions.

use serde_json::Value;

use projection_core::Result;
use projection_core::projection::{ModelKind, ModelParameters};
use projection_store::Store;
use projection_train::train::{LinearMethod, Recipe, ResidualTraining, TrainingData};

/// The recipe of a stored model; `None` for models of other programs whose way of training
/// is not recorded: linear ones and heads with matrices.
pub(crate) fn recipe_of(
    store: &Store,
    kind: ModelKind,
    id: i64,
    data: &TrainingData,
) -> Result<Option<Recipe>> {
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
            Some(Recipe::MultiHead { temperature, top_k })
        }
        ModelKind::Residual => {
            let parameters = store.model_parameters(id)?;
            let record = store.model_record(id)?.map(|record| record.parameters);
            let training = record.as_ref().and_then(|record| record.get("training"));
            parameters
                .and_then(|parameters| residual(&parameters, training, data))
                .map(|training| Recipe::Residual(Box::new(training)))
        }
        ModelKind::Linear => linear(store, id)?.map(Recipe::Linear),
        // Stores hold none.
        ModelKind::Transformer => None,
    })
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
    let count = |key: &str| training?.get(key)?.as_u64();
    let own = &mut recipe.adapter_training;
    own.steps = count("steps").map_or(own.steps, |steps| steps as usize);
    own.batch = count("batch").map_or(own.batch, |batch| batch as usize);
    own.candidates = count("candidates").map_or(own.candidates, |number| number as usize);
    own.rate = number(training, "rate").unwrap_or(own.rate);
    own.temperature = number(training, "loss_temperature").unwrap_or(own.temperature);
    own.decay = number(training, "decay").unwrap_or(own.decay);
    own.rotation = number(training, "trained_on_rotation").unwrap_or(own.rotation);
    own.seed = count("seed").unwrap_or(own.seed);
    Some(recipe)
}

/// The method of a linear projection, where it is recorded.
fn linear(store: &Store, id: i64) -> Result<Option<LinearMethod>> {
    let record = store.model_record(id)?.map(|record| record.parameters);
    let name = record.as_ref().and_then(|record| record.get("training")?.get("method")?.as_str());
    let (spread, ridge) = store.linear_regularisation(id)?;
    let usual = LinearMethod::lda();
    let methods = [
        LinearMethod::Lda {
            spread: spread.unwrap_or(usual.regularisation().0),
            ridge: ridge.unwrap_or(usual.regularisation().1),
        },
        LinearMethod::Ridge { ridge: ridge.unwrap_or(1.0) },
        LinearMethod::RidgeToIdentity { ridge: ridge.unwrap_or(1.0) },
    ];
    Ok(methods.into_iter().find(|method| name == Some(method.name())))
}
