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

    /// The value of an element in `bytes`, as many as its size.
    fn decode(self, bytes: &[u8], big_endian: bool) -> f64 {
        let mut little = [0; 8];
        little[..bytes.len()].copy_from_slice(bytes);
        if big_endian {
            little[..bytes.len()].reverse();
        }
        let [a, b, c, d, ..] = little;
        match self {
            Self::Float16 => f16::from_le_bytes([a, b]).to_f64(),
            Self::BFloat16 => bf16::from_le_bytes([a, b]).to_f64(),
            Self::Float32 => f32::from_le_bytes([a, b, c, d]).into(),
            Self::Float64 => f64::from_le_bytes(little),
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

/// Reads shape and row-major values of a tensor. `budget` is the number of bytes that may
/// still be allocated.
pub(super) fn read(
    view: &View,
    archive: &Archive<'_>,
    budget: &mut usize,
) -> Result<(Vec<usize>, Vec<f32>), (ErrorKind, String)> {
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
    let Some(Layout { shape, strides, start, count }) = Layout::of(view, data.len() / size) else {
        return Err(invalid(format!(
            "shape {:?} with strides {:?} from element {}, expected it inside a storage of \
             {length} elements",
            view.shape, view.strides, view.offset
        )));
    };
    *budget = budget.checked_sub(count * size_of::<f32>()).ok_or_else(|| {
        invalid("more numbers than fit into the file: too many tensors share a storage".into())
    })?;
    let mut values = Vec::with_capacity(count);
    for number in 0..count {
        let (mut rest, mut place) = (number, start);
        for (length, stride) in shape.iter().zip(&strides).rev() {
            place += rest % length * stride;
            rest /= length;
        }
        let exact = element.decode(&data[place * size..][..size], archive.big_endian);
        let value = exact as f32;
        if exact.is_finite() && !value.is_finite() {
            let message = format!("the value {exact:e} is too large for float32");
            return Err((ErrorKind::NotFinite, message));
        }
        values.push(value);
    }
    Ok((shape, values))
}

/// Where the elements of a tensor lie in its storage.
struct Layout {
    shape: Vec<usize>,
    strides: Vec<usize>,
    start: usize,
    count: usize,
}

impl Layout {
    /// The layout of a view that lies inside a storage of `length` elements and has no more
    /// elements than that; `None` for any other.
    fn of(view: &View, length: usize) -> Option<Self> {
        let sizes = |values: &[i64]| -> Option<Vec<usize>> {
            values.iter().map(|value| usize::try_from(*value).ok()).collect()
        };
        let (shape, strides) = (sizes(&view.shape)?, sizes(&view.strides)?);
        let start = usize::try_from(view.offset).ok()?;
        if shape.len() != strides.len() || shape.contains(&0) {
            return None;
        }
        let (mut count, mut last) = (1usize, start);
        for (length, stride) in shape.iter().zip(&strides) {
            count = count.checked_mul(*length)?;
            last = last.checked_add((length - 1).checked_mul(*stride)?)?;
        }
        (last < length && count <= length).then_some(Self { shape, strides, start, count })
    }
}
