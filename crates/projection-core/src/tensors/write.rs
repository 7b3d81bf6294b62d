//! Writing named tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Result, Write};

use serde_json::{Map, Value, json};

use super::header::Dtype;

/// The data begin at a multiple of this, and so does every tensor whose predecessors have
/// sizes that are multiples of it.
const ALIGNMENT: usize = 64;

/// A tensor to be written.
pub struct NewTensor<'a> {
    pub name: Cow<'static, str>,
    pub shape: Vec<usize>,
    pub values: Values<'a>,
}

/// The values of a tensor, row-major; several pieces follow one another.
pub enum Values<'a> {
    Singles(Vec<&'a [f32]>),
    /// bfloat16, by its bits.
    Halves(Vec<&'a [u16]>),
    Bytes(Vec<&'a [i8]>),
    Doubles(Cow<'a, [f64]>),
    Integers(Cow<'a, [i64]>),
}

impl<'a> NewTensor<'a> {
    /// A tensor of single precision.
    pub fn singles(name: impl Into<Cow<'static, str>>, shape: &[usize], values: &'a [f32]) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Values::Singles(vec![values]) }
    }

    /// One row of whole numbers.
    pub fn integers(name: &'static str, values: impl Into<Cow<'a, [i64]>>) -> Self {
        let values = values.into();
        Self { name: name.into(), shape: vec![values.len()], values: Values::Integers(values) }
    }

    /// One row of double precision.
    pub fn doubles(name: &'static str, values: impl Into<Cow<'a, [f64]>>) -> Self {
        let values = values.into();
        Self { name: name.into(), shape: vec![values.len()], values: Values::Doubles(values) }
    }

    fn dtype(&self) -> Dtype {
        match self.values {
            Values::Singles(_) => Dtype::F32,
            Values::Halves(_) => Dtype::BF16,
            Values::Bytes(_) => Dtype::I8,
            Values::Doubles(_) => Dtype::F64,
            Values::Integers(_) => Dtype::I64,
        }
    }

    fn size(&self) -> usize {
        let elements = match &self.values {
            Values::Singles(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Values::Halves(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Values::Bytes(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Values::Doubles(values) => values.len(),
            Values::Integers(values) => values.len(),
        };
        assert_eq!(elements, self.shape.iter().product::<usize>(), "{}", self.name);
        elements * self.dtype().size()
    }

    fn write(&self, writer: &mut impl Write) -> Result<()> {
        match &self.values {
            Values::Singles(pieces) => {
                pieces.iter().try_for_each(|values| encode(writer, values, |v| v.to_le_bytes()))
            }
            Values::Halves(pieces) => {
                pieces.iter().try_for_each(|values| encode(writer, values, |v| v.to_le_bytes()))
            }
            Values::Bytes(pieces) => {
                pieces.iter().try_for_each(|values| encode(writer, values, |v| v.to_le_bytes()))
            }
            Values::Doubles(values) => encode(writer, values, |v| v.to_le_bytes()),
            Values::Integers(values) => encode(writer, values, |v| v.to_le_bytes()),
        }
    }
}

/// Writes `tensors` in their order, and the texts `metadata`.
pub fn write(
    writer: &mut impl Write,
    tensors: &[NewTensor<'_>],
    metadata: &BTreeMap<&str, String>,
) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!(metadata));
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.size();
        let entry = json!({
            "dtype": tensor.dtype().name(),
            "shape": tensor.shape,
            "data_offsets": [begin, end],
        });
        header.insert(tensor.name.clone().into_owned(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize((8 + header.len()).next_multiple_of(ALIGNMENT) - 8, b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    tensors.iter().try_for_each(|tensor| tensor.write(writer))
}

fn encode<const N: usize, T: Copy>(
    writer: &mut impl Write,
    values: &[T],
    encode: impl Fn(T) -> [u8; N],
) -> Result<()> {
    let mut bytes = Vec::with_capacity(N * values.len().min(1 << 13));
    for values in values.chunks(1 << 13) {
        bytes.clear();
        bytes.extend(values.iter().flat_map(|value| encode(*value)));
        writer.write_all(&bytes)?;
    }
    Ok(())
}
