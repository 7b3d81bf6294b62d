//! Models of other programs: files that `torch.save` wrote, and ONNX graphs.

#![allow(missing_docs)]

mod load;
pub mod onnx;
mod torch;

pub use load::{
    from_bytes, inspect, is_torch, load_file, load_transformer, transformer_from_bytes,
};
pub use projection_core::{Error, ErrorKind, Result};
pub(crate) use projection_core::{atomic, error, kernel, projection};
