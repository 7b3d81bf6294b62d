//! Models of other programs: transformers that `torch.save` wrote, and ONNX graphs.
//!
//! [`load_file`] opens a model of any format that the engine reads; the content of the file
//! decides which. Nothing in a file is ever run, see [`load_file`]. [`onnx::save`] writes a
//! model for ONNX Runtime and other programs that run ONNX graphs.
//!
//! ```no_run
//! use projection_core::projection::Projection;
//! # fn main() -> projection_interop::Result<()> {
//! let model = projection_interop::load_file("transformer.pt")?;
//! let (projected, _) = model.project(&vec![0.1; model.input_dim()])?;
//! projection_interop::onnx::save(&model, "transformer.onnx")?;
//! # Ok(())
//! # }
//! ```

mod load;
pub mod onnx;
mod torch;

pub use load::{from_bytes, inspect, load_file};
pub use projection_core::{Error, ErrorKind, Result};
use projection_core::{atomic, error, kernel, projection};
