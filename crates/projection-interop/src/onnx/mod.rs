//! Models as ONNX files, for ONNX Runtime and other programs that run them.
//!
//! The file has opset 17 and IR version 8. Its input `query` is float32 of shape (n, d) for
//! any n; the outputs are `projected` (n, o) and, for kinds that route, `weights` (n, N), in
//! ascending order of head id. The graph treats the query as the engine does, but does not
//! refuse a query of zeros: kinds that route return NaN for it. The file's metadata holds
//! `kind`, `head_ids` (JSON), `temperature`, `input_dim` and `output_dim`.

mod graph;
mod multi_head;
mod proto;
mod residual;
mod transformer;

use std::io::Write;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::projection::{Model, Projection};
use graph::Graph;

/// The largest protobuf message, and an ONNX file is one.
const LARGEST: usize = i32::MAX as usize;

/// Writes the model to the ONNX file at `path`. An existing file is replaced only by the
/// complete new one.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for a model of 2 GiB or more, which ONNX files can't
/// hold, and for one of less than single precision; otherwise as [`Model::save_file`].
pub fn save(model: &Model, path: impl AsRef<Path>) -> Result<()> {
    let bytes = to_bytes(model)?;
    crate::atomic::write(path.as_ref(), |writer| writer.write_all(&bytes))
}

/// The bytes of the file that [`save`] writes.
///
/// # Errors
/// As [`save`].
pub fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    model.check_values()?;
    let graph = Graph::default();
    match model {
        Model::MultiHead(heads) => multi_head::build(&graph, heads)?,
        Model::Residual(residual) => residual::build(&graph, residual),
        Model::Transformer(network) => transformer::build(&graph, network),
        Model::Linear(linear) => {
            let shape = [model.output_dim(), model.input_dim()];
            let matrix = graph.floats("matrix", &shape, linear.rows());
            let projected = graph.query().times_transposed(matrix, None);
            projected.output("projected", model.output_dim());
        }
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("a {} projection has no ONNX graph", model.kind().name()),
            ));
        }
    }
    let bytes = graph.into_file(model.input_dim(), &metadata(model));
    if bytes.len() > LARGEST {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a model of {} bytes, but ONNX files hold {LARGEST}", bytes.len()),
        ));
    }
    Ok(bytes)
}

fn metadata(model: &Model) -> Vec<(&'static str, String)> {
    let mut metadata = vec![
        ("format", "projection".to_string()),
        ("kind", model.kind().name().to_string()),
        ("input_dim", model.input_dim().to_string()),
        ("output_dim", model.output_dim().to_string()),
    ];
    if !model.head_ids().is_empty() {
        metadata.push(("head_ids", serde_json::json!(model.head_ids()).to_string()));
    }
    if !model.temperature().is_nan() {
        metadata.push(("temperature", model.temperature().to_string()));
    }
    metadata
}
