//! Calls of indexes: answers and the search for the nearest.

use ndarray::ArrayView2;
use projection_core::kernel::progress::ignore_progress;
use projection_core::search::Index;
use projection_core::{Error, ErrorKind, Result};

use crate::exchange::{Input, Output};
use crate::objects::{Object, make, query_rows, run_on, shape, wrong_handle};

/// Makes an index of the bytes of a file of answers, the input.
#[unsafe(no_mangle)]
pub extern "C" fn index_from_bytes() -> usize {
    make(|input| Index::from_bytes(&input.bytes).map(Object::Index))
}

/// The numbers in the input as rows of `dim`, one for each of its ids.
fn rows(input: &Input, dim: usize) -> Result<ArrayView2<'_, f32>> {
    let (count, length) = (input.ids.len(), input.floats.len());
    if count * dim != length {
        let what = format!("vectors of {length} values, expected {dim} for each of {count} ids");
        return Err(Error::new(ErrorKind::DimensionMismatch, what));
    }
    ArrayView2::from_shape((count, dim), &input.floats).map_err(shape)
}

/// Makes an index of ids and of as many rows of numbers, the input.
#[unsafe(no_mangle)]
pub extern "C" fn index_from_vectors() -> usize {
    make(|input| {
        let dim = input.floats.len().checked_div(input.ids.len()).unwrap_or(0);
        Index::from_vectors(&input.ids, rows(&input, dim)?).map(Object::Index)
    })
}

fn run(
    handle: usize,
    work: impl FnOnce(&mut Index, &mut Input, &mut Output) -> Result<()>,
) -> bool {
    run_on(handle, |object, input, output| match object {
        Object::Index(index) => work(index, input, output),
        _ => Err(wrong_handle()),
    })
}

/// Changes an index by the ids in the input: 0 adds them with as many rows of numbers, 1 replaces
/// those that it has already, anything else removes them.
#[unsafe(no_mangle)]
pub extern "C" fn index_change(handle: usize, how: usize) -> bool {
    run(handle, |index, input, _| match how {
        0 => index.add(&input.ids, rows(input, index.dim())?),
        1 => index.replace(&input.ids, rows(input, index.dim())?),
        _ => {
            index.remove(&input.ids);
            Ok(())
        }
    })
}

/// Finds up to `k` answers nearest to the query in the input, or to each row of queries, if
/// `among`, among those with the ids in the input. The output is the ids and scores of the hits,
/// best first, equally many for each row.
#[unsafe(no_mangle)]
pub extern "C" fn index_search(handle: usize, k: usize, batch: bool, among: bool) -> bool {
    run(handle, |index, input, output| {
        let allowed = among.then_some(&input.ids[..]);
        let hits = if batch {
            let queries = query_rows(&input.floats, index.dim())?;
            index.search_batch_among(allowed, 1, queries, None, k, &mut ignore_progress)?.concat()
        } else {
            index.search_among(allowed, 1, &input.floats, None, k)?
        };
        output.ids = hits.iter().map(|hit| hit.answer_id).collect();
        output.floats = hits.iter().map(|hit| hit.score).collect();
        Ok(())
    })
}
