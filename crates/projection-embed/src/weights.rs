//! `model.safetensors`: the named arrays of the network.

use std::cell::RefCell;
use std::hash::Hasher;
use std::path::Path;

use projection_kernel::Result;
use safetensors::{Dtype, SafeTensors};
use twox_hash::XxHash3_64;

use crate::config::BertConfig;
use crate::files::invalid;

/// The arrays in the bytes of a weights file, whose header fits these bytes.
///
/// The bytes are in memory of our own rather than a mapped file, so that another program that
/// truncates or replaces the file later cannot bring this process down.
pub(crate) struct Weights<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    /// Of all that was read, in the order of reading. Header and unused arrays do not count:
    /// programs that save a model anew change them.
    hash: RefCell<XxHash3_64>,
}

impl<'a> Weights<'a> {
    /// Reads the header of a file that messages call `path`.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
            let found = format_args!("expected safetensors, found {} bytes: {e}", bytes.len());
            invalid(path, found).with_source(e)
        })?;
        Ok(Self { path, tensors, hash: RefCell::new(XxHash3_64::new()) })
    }

    /// Reads the array `name`, which must hold f32 in exactly the shape that `config.json`
    /// implies.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Err(invalid(self.path, format_args!("expected a tensor {name}, found none")));
        };
        if tensor.shape() != shape {
            let found = tensor.shape();
            return Err(invalid(
                self.path,
                format_args!("{name}: expected shape {shape:?} by config.json, found {found:?}"),
            ));
        }
        if tensor.dtype() != Dtype::F32 {
            let found = tensor.dtype();
            return Err(invalid(self.path, format_args!("{name}: expected F32, found {found}")));
        }
        self.hash.borrow_mut().write(tensor.data());
        let (values, _) = tensor.data().as_chunks::<4>();
        Ok(values.iter().copied().map(f32::from_le_bytes).collect())
    }

    /// A hash, in hexadecimal, of the arrays that were read and of what they are computed with.
    pub fn hash(&self, config: &BertConfig) -> String {
        let mut hash = self.hash.borrow().clone();
        hash.write(&(config.num_attention_heads as u64).to_le_bytes());
        hash.write(&config.layer_norm_eps.to_le_bytes());
        format!("{:016x}", hash.finish())
    }
}
