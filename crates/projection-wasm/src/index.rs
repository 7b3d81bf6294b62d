//! Answers and the search for the nearest.

use std::slice;

use ndarray::ArrayView2;
use projection_core::search::Index;
use projection_core::{Error, ErrorKind, Result};

use crate::outbox;

/// An index of the answers in the bytes of their file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_from_bytes(bytes: *const u8, length: usize) -> *mut Index {
    outbox::handle(Index::from_bytes(unsafe { slice::from_raw_parts(bytes, length) }))
}

/// An index of `count` vectors of as many values each, `length` values in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_from_vectors(
    ids: *const i64,
    count: usize,
    vectors: *const f32,
    length: usize,
) -> *mut Index {
    let (ids, vectors) =
        unsafe { (slice::from_raw_parts(ids, count), slice::from_raw_parts(vectors, length)) };
    let make = || -> Result<Index> {
        let dim = length.checked_div(count).unwrap_or(0);
        if count * dim != length {
            let what = format!("vectors of {length} values, expected as many for each of {count}");
            return Err(Error::new(ErrorKind::DimensionMismatch, what));
        }
        let shape = |_| Error::new(ErrorKind::Internal, "shape of vectors");
        Index::from_vectors(ids, ArrayView2::from_shape((count, dim), vectors).map_err(shape)?)
    };
    outbox::handle(make())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_free(index: *mut Index) {
    drop(unsafe { Box::from_raw(index) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_length(index: &Index) -> usize {
    index.len()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_dim(index: &Index) -> usize {
    index.dim()
}

/// Puts the ids of up to `k` answers, best first, and then their scores into the outbox.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn index_search(
    index: &Index,
    query: *const f32,
    length: usize,
    k: usize,
) -> bool {
    let query = unsafe { slice::from_raw_parts(query, length) };
    let search = || -> Result<()> {
        let hits = index.search(query, None, k)?;
        let ids: Vec<u8> = hits.iter().flat_map(|hit| hit.answer_id.to_le_bytes()).collect();
        let scores: Vec<u8> = hits.iter().flat_map(|hit| hit.score.to_le_bytes()).collect();
        outbox::put([&ids[..], &scores]);
        Ok(())
    };
    outbox::status(search())
}
