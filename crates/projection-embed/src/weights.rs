//! `model.safetensors`: the named arrays of the network.

use std::cell::RefCell;
use std::hash::Hasher;
use std::path::Path;

use half::{bf16, f16};
use projection_kernel::Result;
use safetensors::tensor::TensorView;
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

    /// Reads the array `name`, which must hold f32, f16 or bf16 in exactly the shape that
    /// `config.json` implies.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(tensor) = self.find(name) else {
            return Err(invalid(self.path, format_args!("expected a tensor {name}, found none")));
        };
        if tensor.shape() != shape {
            let found = tensor.shape();
            return Err(invalid(
                self.path,
                format_args!("{name}: expected shape {shape:?} by config.json, found {found:?}"),
            ));
        }
        let values = match tensor.dtype() {
            Dtype::F32 => floats(tensor.data(), f32::from_le_bytes),
            Dtype::F16 => floats(tensor.data(), |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => floats(tensor.data(), |bytes| bf16::from_le_bytes(bytes).to_f32()),
            found => {
                let what = format_args!("{name}: expected F32, F16 or BF16, found {found}");
                return Err(invalid(self.path, what));
            }
        };
        self.hash.borrow_mut().write(tensor.data());
        Ok(values)
    }

    /// The array of this name, or of one that other programs give it: a model that was saved with
    /// a task's head has a prefix, and files converted from TensorFlow call the scale and the shift
    /// of a normalisation gamma and beta.
    fn find(&self, name: &str) -> Option<TensorView<'a>> {
        let old = name
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        let names = [name, &old].map(|name| [name.to_owned(), format!("bert.{name}")]);
        names.as_flattened().iter().find_map(|name| self.tensors.tensor(name).ok())
    }

    /// A hash, in hexadecimal, of the arrays that were read and of what they are computed with.
    pub fn hash(&self, config: &BertConfig) -> String {
        let mut hash = self.hash.borrow().clone();
        hash.write(&(config.num_attention_heads as u64).to_le_bytes());
        hash.write(&config.layer_norm_eps.to_le_bytes());
        format!("{:016x}", hash.finish())
    }
}

/// The numbers in the bytes of an array, whose size is known to fit.
fn floats<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<SIZE>();
    values.iter().copied().map(read).collect()
}
