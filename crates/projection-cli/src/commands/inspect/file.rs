//! Inspecting a model in a file of its own.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use projection_core::Error;
use projection_core::model_file;
use projection_core::projection::{Model, Projection};

use super::{Inspected, Network, Problems, ProjectionFacts, Tensor, kind_name};

/// Whether the file is a .safetensors one, whose header begins at its ninth byte, or one of
/// torch, which is a zip archive; by its name, where it can't be read.
pub(super) fn is_model(path: &Path) -> bool {
    let mut start = [0; 9];
    let named = path.extension().is_some_and(|end| end == "safetensors" || end == "pt");
    let read =
        path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    named || (read && (start[8] == b'{' || start.starts_with(b"PK")))
}

pub(super) fn inspect(path: &Path) -> Result<Inspected, Error> {
    let info = model_file::inspect(path)?;
    let mut problems = Problems::default();
    let model = Model::load_file(path).and_then(|model| model.check_values().map(|()| model));
    let model = model.map_err(|error| problems.error(&error)).ok();
    let named = |name: &str| info.tensors.iter().find(|(tensor, ..)| tensor == name);
    let facts = ProjectionFacts {
        kind: kind_name(info.kind),
        name: info.description.name.clone(),
        temperature: info.parameters["temperature"].as_f64(),
        heads: model.as_ref().map_or(0, heads),
        network: model.as_ref().and_then(network),
        matrices: named("matrices").and_then(|(.., shape)| shape.first().copied()).unwrap_or(0),
        input_dim: model.as_ref().map(Projection::input_dim),
        output_dim: model.as_ref().map(Projection::output_dim),
        tensors: (info.tensors.iter().cloned())
            .map(|(name, dtype, shape)| Tensor { name, dtype, shape })
            .collect(),
        ..ProjectionFacts::default()
    };
    Ok(Inspected {
        path: path.display().to_string(),
        projections: vec![facts],
        problems: problems.0,
        ..Inspected::default()
    })
}

/// The heads that route queries, or those of a transformer's attention.
fn heads(model: &Model) -> usize {
    match model {
        Model::Transformer(model) => model.shape().num_heads,
        model => model.head_ids().len(),
    }
}

fn network(model: &Model) -> Option<Network> {
    let Model::Transformer(model) = model else { return None };
    let shape = model.shape();
    Some(Network { layers: shape.num_layers, ff_dim: shape.ff_dim, weights: model.weights().len() })
}
