//! IvfIndex that find the nearest of many vectors, as tensors.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Result;
use crate::ivf::{IvfIndex, StoredIndex};
use crate::kernel::{MAX_INT8_DIM, QuantizedParts, QuantizedRows};
use crate::tensors::{NewTensor, TensorFile};

const CODES: &str = "list_codes";
const CODE_SCALES: &str = "list_code_scales";
const ROWS: &str = "list_rows";
const OFFSETS: &str = "list_offsets";
const CENTRES: &str = "list_centres";
const CENTRE_SCALES: &str = "list_centre_scales";
const SPREADS: &str = "list_spreads";
const FACTS: &str = "list_facts";

/// The tensors of lists, large ones first.
pub fn tensors(lists: Option<&Arc<IvfIndex>>) -> Vec<NewTensor<'_>> {
    let Some(parts) = lists.and_then(|lists| lists.stored()) else { return Vec::new() };
    let mut tensors = Vec::new();
    let mut small = Vec::new();
    for (name, scales_name, rows) in
        [(CODES, CODE_SCALES, parts.codes), (CENTRES, CENTRE_SCALES, parts.centroids)]
    {
        // IvfIndex that are stored lend what they hold.
        let Cow::Borrowed(rows) = rows else { continue };
        if let QuantizedParts::Int8(bytes, scales) = rows.parts() {
            tensors.push(NewTensor::of_parts(name, &[rows.count(), rows.dim()], bytes));
            small.push(NewTensor::new(scales_name, &[rows.count()], scales));
        }
    }
    if let Cow::Borrowed(radii) = parts.radii {
        small.push(NewTensor::new(SPREADS, &[radii.len()], radii));
    }
    small.push(NewTensor::vector(ROWS, parts.rows));
    small.push(NewTensor::vector(OFFSETS, parts.offsets));
    small.push(NewTensor::vector(FACTS, parts.stats));
    tensors.extend(small);
    tensors
}

/// The lists of `n` vectors of dimension `dim`, where the file has any.
pub fn read(file: &TensorFile<'_>, n: usize, dim: usize) -> Result<Option<Arc<IvfIndex>>> {
    if !file.has(CODES) {
        return Ok(None);
    }
    if dim > MAX_INT8_DIM {
        return Err(file.invalid(format_args!(
            "tensor '{CODES}': rows of {dim} bytes, expected at most {MAX_INT8_DIM}"
        )));
    }
    let lists = file.shape::<i8>(CENTRES, 2)?[0];
    let bytes = |name: &str, scales: &str, count: usize| {
        let scales = file.rows(scales, &[count])?;
        Ok(Cow::Owned(QuantizedRows::from_int8(file.rows::<i8>(name, &[count, dim])?, scales)))
    };
    let parts = StoredIndex {
        codes: bytes(CODES, CODE_SCALES, n)?,
        rows: file.vector(ROWS, Some(n))?,
        offsets: file.vector(OFFSETS, Some(lists + 1))?,
        centroids: bytes(CENTRES, CENTRE_SCALES, lists)?,
        radii: Cow::Owned(file.vector(SPREADS, Some(lists))?),
        stats: file.vector(FACTS, Some(StoredIndex::STATS))?,
    };
    let lists = IvfIndex::from_stored(parts).map_err(|what| file.invalid(what))?;
    Ok(Some(Arc::new(lists)))
}
