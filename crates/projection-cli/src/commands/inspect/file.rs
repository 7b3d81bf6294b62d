//! Inspecting a model in a file of its own.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use projection_core::Error;
use projection_core::model_file::ModelFileInfo;
use projection_core::projection::{Model, Projection};

use super::{Inspected, Network, Problems, ProjectionFacts, Tensor, kind_name};

/// Whether a file begins as those do that torch writes, zip archives or older ones, or as
/// safetensors: eight bytes of length and a JSON object.
pub(super) fn is_model(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = path.is_file()
        && File::open(path).is_ok_and(|file| file.take(9).read_to_end(&mut start).is_ok());
    read && (start.starts_with(b"PK") || start.starts_with(&[0x80]) || start.get(8) == Some(&b'{'))
}

pub(super) fn inspect(path: &Path) -> Result<Inspected, Error> {
    let mut problems = Problems::default();
    let model =
        projection_interop::load_file(path).and_then(|model| model.check_values().map(|()| model));
    let model = model.map_err(|error| problems.error(&error)).ok();
    // The header may be sound where the values are not.
    let facts = projection_interop::inspect(path).ok().map(|info| facts(info, model.as_ref()));
    Ok(Inspected {
        path: path.display().to_string(),
        projections: facts.into_iter().collect(),
        problems: problems.0,
        ..Inspected::default()
    })
}

fn facts(info: ModelFileInfo, model: Option<&Model>) -> ProjectionFacts {
    let matrices = info.tensors.iter().find(|(name, ..)| name == "matrices");
    let mut facts = ProjectionFacts {
        kind: kind_name(info.kind),
        name: info.description.name,
        temperature: info.parameters["temperature"].as_f64(),
        heads: model.map_or(0, |model| model.head_ids().len()),
        matrices: matrices.and_then(|(.., shape)| shape.first().copied()).unwrap_or(0),
        input_dim: model.map(Projection::input_dim),
        output_dim: model.map(Projection::output_dim),
        ..ProjectionFacts::default()
    };
    if let Some(Model::Transformer(model)) = model {
        let shape = model.shape();
        facts.heads = shape.num_heads;
        facts.network = Some(Network {
            layers: shape.num_layers,
            ff_dim: shape.ff_dim,
            weights: model.weights().len(),
        });
    }
    // A transformer's are those of torch, and many.
    if facts.network.is_none() {
        let tensors = info.tensors.into_iter();
        facts.tensors = tensors.map(|(name, dtype, shape)| Tensor { name, dtype, shape }).collect();
    }
    facts
}
