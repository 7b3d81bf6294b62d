//! Calls of indexes: answers and the search for the nearest.

use ndarray::ArrayView2;
use projection_core::search::Index;
use projection_core::{Error, ErrorKind};

use crate::objects::{Object, make, run_on, shape, wrong_handle};

/// Makes an index of the bytes of a file of answers, the input.
#[unsafe(no_mangle)]
pub extern "C" fn index_from_bytes() -> usize {
    make(|input| Index::from_bytes(&input.bytes).map(Object::Index))
}

/// Makes an index of ids and of as many rows of numbers, the input.
#[unsafe(no_mangle)]
pub extern "C" fn index_from_vectors() -> usize {
    make(|input| {
        let (count, length) = (input.ids.len(), input.floats.len());
        let dim = length.checked_div(count).unwrap_or(0);
        if count * dim != length {
            let what = format!("vectors of {length} values, expected as many for each of {count}");
            return Err(Error::new(ErrorKind::DimensionMismatch, what));
        }
        let vectors = ArrayView2::from_shape((count, dim), &input.floats).map_err(shape)?;
        Index::from_vectors(&input.ids, vectors).map(Object::Index)
    })
}

/// Finds up to `k` answers nearest to the query in the input. The output is their ids and
/// scores, best first.
#[unsafe(no_mangle)]
pub extern "C" fn index_search(handle: usize, k: usize) -> bool {
    run_on(handle, |object, input, output| {
        let Object::Index(index) = object else { return Err(wrong_handle()) };
        let hits = index.search(&input.floats, None, k)?;
        output.ids = hits.iter().map(|hit| hit.answer_id).collect();
        output.floats = hits.iter().map(|hit| hit.score).collect();
        Ok(())
    })
}
