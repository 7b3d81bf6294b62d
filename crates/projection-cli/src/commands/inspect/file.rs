//! Inspecting a transformer in a file of its own.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use projection_core::Error;
use projection_core::projection::{ModelKind, Projection, TransformerProjection};

use super::{Inspected, Network, Problems, ProjectionFacts, kind_name};

/// Whether a file begins as those do that torch writes, zip archives or older ones, or as
/// safetensors: eight bytes of length and a JSON object.
pub(super) fn is_transformer(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = path.is_file()
        && File::open(path).is_ok_and(|file| file.take(9).read_to_end(&mut start).is_ok());
    read && (start.starts_with(b"PK") || start.starts_with(&[0x80]) || start.get(8) == Some(&b'{'))
}

pub(super) fn inspect(path: &Path) -> Result<Inspected, Error> {
    let mut problems = Problems::default();
    let mut projections = Vec::new();
    match TransformerProjection::load(path) {
        Ok(model) => {
            let shape = model.shape();
            projections.push(ProjectionFacts {
                kind: kind_name(ModelKind::Transformer),
                heads: shape.num_heads,
                network: Some(Network {
                    layers: shape.num_layers,
                    ff_dim: shape.ff_dim,
                    weights: model.weights().len(),
                }),
                input_dim: Some(model.input_dim()),
                output_dim: Some(model.output_dim()),
                ..ProjectionFacts::default()
            });
        }
        Err(error) => problems.error(&error),
    }
    Ok(Inspected {
        path: path.display().to_string(),
        projections,
        problems: problems.0,
        ..Inspected::default()
    })
}
