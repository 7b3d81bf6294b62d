//! Tensors: views of storages, brought into row-major order as float32.

use half::{bf16, f16};

use super::archive::Archive;
use crate::error::ErrorKind;

/// Element types of storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Float16,
    BFloat16,
    Float32,
    Float64,
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::Float16 | Self::BFloat16 => 2,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

/// Raw numbers in an entry of the archive.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub element: Element,
    /// The entry is called `data/{key}`.
    pub key: String,
    /// Number of elements.
    pub length: i64,
}

/// A tensor as the file describes it, unchecked.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub storage: Storage,
    /// Number of the first element.
    pub offset: i64,
    pub shape: Vec<i64>,
    /// Elements from one to the next along each axis.
    pub strides: Vec<i64>,
}

/// A tensor's values, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Reads a tensor; `budget` is the number of bytes that may still be taken.
pub(super) fn read(
    view: &View,
    archive: &Archive<'_>,
    budget: &mut usize,
) -> Result<Tensor, (ErrorKind, String)> {
    let invalid = |what: String| (ErrorKind::InvalidModel, what);
    let Storage { element, key, length } = &view.storage;
    let data = archive.entry(&format!("data/{key}")).map_err(invalid)?;
    let size = element.size();
    let expected = usize::try_from(*length).ok().and_then(|length| length.checked_mul(size));
    if expected != Some(data.len()) {
        return Err(invalid(format!(
            "a storage of {} bytes, expected {length} elements of {size} bytes",
            data.len()
        )));
    }
    let (shape, strides, start, count) = checked(view, data.len() / size).ok_or_else(|| {
        invalid(format!(
            "shape {:?} with strides {:?} from element {}, expected it inside a storage of \
                 {length} elements",
            view.shape, view.strides, view.offset
        ))
    })?;
    let bytes = count * size_of::<f32>();
    *budget = budget.checked_sub(bytes).ok_or_else(|| {
        invalid("more numbers than fit into the file: too many tensors share a storage".into())
    })?;

    let mut places = Vec::new();
    let contiguous = is_contiguous(&shape, &strides);
    if !contiguous {
        places = vec![start];
        for (length, stride) in shape.iter().zip(&strides) {
            places = (places.iter())
                .flat_map(|place| (0..*length).map(move |i| place + i * stride))
                .collect();
        }
    }
    let place = |i: usize| if contiguous { start + i } else { places[i] };
    let big = archive.big_endian;
    let values: Vec<f32> = match element {
        Element::Float16 => decode(data, count, place, |bytes| {
            f16::from_bits(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
                .to_f32()
        }),
        Element::BFloat16 => decode(data, count, place, |bytes| {
            bf16::from_bits(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
                .to_f32()
        }),
        Element::Float32 => decode(data, count, place, |bytes| {
            if big { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) }
        }),
        Element::Float64 => {
            let mut too_large = None;
            let values = decode(data, count, place, |bytes| {
                let value = if big { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
                let single = value as f32;
                if value.is_finite() && !single.is_finite() {
                    too_large = Some(value);
                }
                single
            });
            if let Some(value) = too_large {
                let message = format!("the value {value:e} is too large for float32");
                return Err((ErrorKind::NotFinite, message));
            }
            values
        }
    };
    Ok(Tensor { shape, values })
}

/// Shape, strides, first element and number of elements of a view that lies inside a
/// storage of `length` elements and has no more than that.
fn checked(view: &View, length: usize) -> Option<(Vec<usize>, Vec<usize>, usize, usize)> {
    let sizes = |values: &[i64]| -> Option<Vec<usize>> {
        values.iter().map(|value| usize::try_from(*value).ok()).collect()
    };
    let (shape, strides) = (sizes(&view.shape)?, sizes(&view.strides)?);
    let start = usize::try_from(view.offset).ok()?;
    if shape.len() != strides.len() || shape.len() > 8 || shape.contains(&0) {
        return None;
    }
    let mut count = 1usize;
    let mut last = start;
    for (length, stride) in shape.iter().zip(&strides) {
        count = count.checked_mul(*length)?;
        last = last.checked_add((length - 1).checked_mul(*stride)?)?;
    }
    (last < length && count <= length).then_some((shape, strides, start, count))
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.iter().zip(strides).rev().all(|(length, stride)| {
        let fits = *length == 1 || *stride == step;
        step *= length;
        fits
    })
}

fn decode<const N: usize>(
    data: &[u8],
    count: usize,
    place: impl Fn(usize) -> usize,
    mut decode: impl FnMut([u8; N]) -> f32,
) -> Vec<f32> {
    let (elements, _) = data.as_chunks::<N>();
    (0..count).map(|i| decode(elements[place(i)])).collect()
}
