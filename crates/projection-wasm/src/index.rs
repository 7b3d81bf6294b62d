//! Answers and the search for the nearest.

use std::slice;

use ndarray::ArrayView2;
use projection_core::search::{Hit, Index};
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
    let ids = unsafe { slice::from_raw_parts(ids, count) };
    let make = || -> Result<Index> {
        let dim = length.checked_div(count).unwrap_or(0);
        if count * dim != length {
            let what = format!("vectors of {length} values, expected as many for each of {count}");
            return Err(Error::new(ErrorKind::DimensionMismatch, what));
        }
        // There are as many values.
        Index::from_vectors(ids, unsafe { ArrayView2::from_shape_ptr((count, dim), vectors) })
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
        let mut words: Vec<u64> = hits.iter().map(|hit| hit.answer_id as u64).collect();
        for pair in hits.chunks(2) {
            let score = |hit: &Hit| u64::from(hit.score.to_bits());
            words.push(score(&pair[0]) | pair.get(1).map_or(0, score) << 32);
        }
        outbox::put(words, 12 * hits.len());
        Ok(())
    };
    outbox::status(search())
}
