//! Writing named tensors.
//!
//! The `safetensors` crate's own writer sorts tensors by their dtypes and aligns the first to 8
//! bytes. This one keeps their order, so that what a query reads lies together and aligned for
//! the widest registers, and writes equal bytes for equal tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Result, Write};

use safetensors::Dtype;
use serde_json::{Map, json};

use super::Element;

/// The data begin at a multiple of this, and so does every tensor whose predecessors have
/// sizes that are multiples of it.
const ALIGNMENT: usize = 64;

/// A tensor to be written.
pub struct NewTensor<'a> {
    name: Cow<'static, str>,
    dtype: Dtype,
    shape: Vec<usize>,
    /// The values' bytes, row-major, one part after another.
    parts: Vec<Cow<'a, [u8]>>,
}

impl<'a> NewTensor<'a> {
    /// A tensor of row-major values.
    pub fn new<T: Element>(
        name: impl Into<Cow<'static, str>>,
        shape: &[usize],
        values: &'a [T],
    ) -> Self {
        Self::of_parts(name, shape, [values])
    }

    /// A tensor whose row-major values lie in several parts.
    pub fn of_parts<T: Element>(
        name: impl Into<Cow<'static, str>>,
        shape: &[usize],
        parts: impl IntoIterator<Item = &'a [T]>,
    ) -> Self {
        let parts = parts.into_iter().map(|part| bytemuck::cast_slice(part).into()).collect();
        let tensor = Self { name: name.into(), dtype: T::DTYPE, shape: shape.to_vec(), parts };
        let values = shape.iter().product::<usize>();
        assert_eq!(tensor.size(), values * size_of::<T>(), "{}", tensor.name);
        tensor
    }

    /// A tensor of one axis.
    pub fn vector<T: Element>(name: &'static str, values: impl Into<Cow<'a, [T]>>) -> Self {
        let values = values.into();
        let shape = vec![values.len()];
        let bytes = match values {
            Cow::Borrowed(values) => bytemuck::cast_slice(values).into(),
            Cow::Owned(values) => bytemuck::cast_slice(&values).to_vec().into(),
        };
        Self { name: name.into(), dtype: T::DTYPE, shape, parts: vec![bytes] }
    }

    fn size(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// Writes `tensors` in their order, and the texts `metadata`.
pub fn write(
    writer: &mut impl Write,
    tensors: &[NewTensor<'_>],
    metadata: &BTreeMap<&str, String>,
) -> Result<()> {
    let mut header = Map::from_iter([("__metadata__".to_string(), json!(metadata))]);
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.size();
        let NewTensor { name, dtype, shape, .. } = tensor;
        let info = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
        header.insert(name.to_string(), info);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize((8 + header.len()).next_multiple_of(ALIGNMENT) - 8, b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    tensors.iter().flat_map(|tensor| &tensor.parts).try_for_each(|part| writer.write_all(part))
}
