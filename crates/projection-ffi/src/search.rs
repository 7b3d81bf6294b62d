//! Search.

use std::ffi::c_char;
use std::mem::offset_of;

use projection_core::Result;
use projection_store::search::{Hybrid, ScoreMode, SearchOptions, SearchQuery};

use crate::argument::{Buffer, expect_dim, invalid, product};
use crate::error::{ErrorHandle, Status};
use crate::model::ModelHandle;
use crate::searcher::{SearcherHandle, projection};

/// An answer found by a search.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// The answer's id.
    pub answer_id: i64,
    /// Cosine of the (projected) query and the answer, unless the options ask for another score.
    pub score: f32,
}

/// How vectors score an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreKind {
    /// The cosine of the (projected) query and the answer.
    Cosine = 0,
    /// The cosine, or 0.8 times the cosine of the query and the nearest training question of the
    /// answer's cluster if that is larger. For residual models and searchers of a store.
    MaxNearestQuestion = 1,
    /// The cosine, plus `unseen_offset` for answers without training questions; if that is 0, plus
    /// the offset that training chose. For models with heads and searchers of a store.
    SeenUnseen = 2,
}

/// A `hybrid_weight`: the one that training chose for the model, else 0.2.
pub const PROJECTION_HYBRID_WEIGHT_OF_MODEL: f64 = -1.0;

/// How answers are scored. All fields but `size` may be 0, which is a search by cosine:
/// `projection_search_options options = {sizeof options};`.
///
/// With s the score by vectors, from -1 to S for the best answer, and b the answer's BM25 score, at
/// most B, hybrid search ranks by (1 - w) (s + 1) / (S + 1) + w b / B.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SearchOptionsC {
    /// Size of this structure as the caller knows it. Later versions may add fields at the end.
    pub size: usize,
    /// How vectors score an answer, a projection_score_mode.
    pub score_mode: i32,
    /// Weight w of BM25 over the answers' texts, from 0 (vectors only) to 1 (words only), or
    /// PROJECTION_HYBRID_WEIGHT_OF_MODEL.
    pub hybrid_weight: f64,
    /// Added to the scores by vectors of answers without training questions. 0 is none, and with
    /// PROJECTION_SCORE_MODE_SEEN_UNSEEN the offset that training chose. Needs a model with heads
    /// and a searcher of a store.
    pub unseen_offset: f64,
    /// Ids of the answers that may be found, `allowed_len` of them in any order. NULL allows all;
    /// any other pointer with `allowed_len` 0 allows none. Scores do not depend on it, and unknown
    /// ids are ignored.
    pub allowed: *const i64,
    /// Number of allowed ids.
    pub allowed_len: usize,
    /// Number of threads that share the queries of a batch, or the answers for one query. They end
    /// before the call returns. 0 and 1 are the calling thread. Results do not depend on it.
    pub threads: usize,
}

impl SearchOptionsC {
    /// The size of the structure in version 1.
    const MINIMUM: usize = offset_of!(Self, allowed);
    /// The largest structure that a later version may have.
    const MAXIMUM: usize = 4096;

    /// The options of a caller, whose structure may be older or newer than this version's; NULL
    /// stands for the defaults.
    ///
    /// # Safety
    /// `options` is NULL or points to as many bytes as its first field says.
    unsafe fn read(options: *const Self) -> Result<Self> {
        let known = size_of::<Self>();
        // SAFETY: zeros are numbers and a NULL pointer.
        let mut found: Self = unsafe { std::mem::zeroed() };
        // SAFETY: the caller promises that the structure begins with its size.
        let Some(&size) = (unsafe { options.cast::<usize>().as_ref() }) else { return Ok(found) };
        if !(Self::MINIMUM..=Self::MAXIMUM).contains(&size) {
            let expected = "expected that of projection_search_options";
            let what = format!("has the size {size}, {expected}: set options.size to its sizeof");
            return Err(invalid("options", what));
        }
        // SAFETY: the caller promises `size` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
        let (bytes, unknown) = bytes.split_at(size.min(known));
        if unknown.iter().any(|byte| *byte != 0) {
            return Err(invalid("options", "has fields that this version does not know"));
        }
        let place = (&raw mut found).cast::<u8>();
        // SAFETY: `found` is at least as large, and any bytes are values of its fields.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Ok(found)
    }
}

/// The options of a caller as the engine takes them.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its size says; its `allowed` is NULL or has
/// `allowed_len` values; both live for `'a`.
pub unsafe fn options_of<'a>(
    options: *const SearchOptionsC,
    k: usize,
    model: Option<&'a ModelHandle>,
) -> Result<SearchOptions<'a>> {
    // SAFETY: the caller promises as many bytes as the size says.
    let given = unsafe { SearchOptionsC::read(options)? };
    let invalid = |what: String| Err(invalid("options", what));
    let score_mode = match given.score_mode {
        mode if mode == ScoreKind::Cosine as i32 => ScoreMode::Cosine,
        mode if mode == ScoreKind::MaxNearestQuestion as i32 => ScoreMode::MaxNearestQuestion,
        mode if mode == ScoreKind::SeenUnseen as i32 => ScoreMode::SeenUnseen,
        mode => return invalid(format!("has the score_mode {mode}, expected 0, 1 or 2")),
    };
    let (ids, len) = (given.allowed, given.allowed_len);
    let allowed = match Buffer::optional("options.allowed", ids, len)? {
        // SAFETY: the caller promises `allowed_len` values.
        Some(ids) => Some(unsafe { ids.read()? }),
        None => None,
    };
    Ok(SearchOptions {
        k,
        projection: projection(model),
        hybrid: match given.hybrid_weight {
            PROJECTION_HYBRID_WEIGHT_OF_MODEL => Hybrid::OfModel,
            weight => Hybrid::Weight(weight),
        },
        score_mode,
        unseen_offset: given.unseen_offset,
        allowed,
        threads: given.threads,
    })
}

/// The options of a search.
macro_rules! search_options {
    ($options:ident, $k:expr, $model:expr) => {
        // SAFETY: the header requires NULL or a structure as large as its size says, whose
        // arrays have the given lengths.
        unsafe { $crate::search::options_of($options, $k, $model)? }
    };
}
pub(crate) use search_options;

/// Finds the best answers to a query, best first, equal scores by ascending id. `model` projects
/// the query; NULL searches for the query itself. `text` is the query in words, which only hybrid
/// search needs, or NULL. `options` may be NULL. `hits` has room for `hits_len` >= k answers;
/// `found` receives their number, which is below k only if there are no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_search(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    query: *const f32,
    query_len: usize,
    text: *const c_char,
    options: *const SearchOptionsC,
    k: usize,
    hits: *mut Hit,
    hits_len: usize,
    found: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, text, found) = (handle!(searcher).read(), optional_text!(text), out!(found));
        let options = search_options!(options, k, model);
        let query = Buffer::new("query", query, query_len)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("query", query_len, crate::searcher::query_dim(&searcher, model))?;
        hits.expect_room(k)?;
        query.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[query.addresses(), found.addresses()])?;
        // SAFETY: the header requires arrays of these lengths, and the outputs overlap nothing.
        let (vector, hits) = unsafe { (query.read()?, hits.write()?) };
        let best = searcher.search(&SearchQuery { vector, text }, &options)?.hits;
        copy_hits(&best, hits);
        found.set(best.len());
    })
}

/// Searches for `n` queries of `query_dim` values each. `texts` are the queries in words; it may be
/// NULL, and so may each of them. The hits of query i begin at `hits[i * k]`, `hits_len` = n * k.
/// `found` receives the number of hits of each query, which is the same for all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_search_batch(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    queries: *const f32,
    n: usize,
    query_dim: usize,
    texts: *const *const c_char,
    options: *const SearchOptionsC,
    k: usize,
    hits: *mut Hit,
    hits_len: usize,
    found: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, found) = (handle!(searcher).read(), out!(found));
        let options = search_options!(options, k, model);
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("queries", query_dim, crate::searcher::query_dim(&searcher, model))?;
        hits.expect_len(product("hits", n, k)?)?;
        queries.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[queries.addresses(), found.addresses()])?;
        // SAFETY: the header requires arrays of these lengths, and the outputs overlap nothing.
        let (queries, hits) = unsafe { (queries.read()?, hits.write()?) };
        let rows = queries.chunks_exact(query_dim.max(1)).zip(optional_texts!(texts, n));
        let queries: Vec<_> = rows.map(|(vector, text)| SearchQuery { vector, text }).collect();
        let results = searcher.search_many(&queries, &options)?;
        for (result, hits) in results.iter().zip(hits.chunks_exact_mut(k.max(1))) {
            copy_hits(&result.hits, hits);
        }
        let found_by_each = results.iter().map(|result| result.hits.len()).min();
        found.set(found_by_each.unwrap_or(k.min(searcher.index().len())));
    })
}

fn copy_hits(best: &[projection_store::search::Hit], hits: &mut [Hit]) {
    for (best, hit) in best.iter().zip(hits) {
        *hit = Hit { answer_id: best.answer_id, score: best.score };
    }
}
