//! Search.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;

use projection_core::Result;
use projection_store::search::{
    Hybrid, ScoreMode, SearchOptions, SearchQuery, SearchResult, Searcher,
};

use crate::argument::{Buffer, expect_dim, invalid, product};
use crate::error::{ErrorHandle, Status, without_nul};
use crate::model::ModelHandle;
use crate::progress::{ProgressC, Reporter};
use crate::searcher::{SearcherHandle, projection};

/// An answer found by a search. Later versions do not change this structure.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// The answer's id.
    pub answer_id: i64,
    /// Cosine of the (projected) query and the answer, unless the options ask for another score.
    pub score: f32,
    /// The answer's text, in which NUL characters are spaces; NULL if it has none.
    pub text: *const c_char,
}

/// Answers found by a search, with their texts. Free it with projection_hits_free. Any number of
/// threads may read it at once.
pub struct HitsHandle {
    hits: Vec<Hit>,
    /// What the hits point to.
    _texts: Vec<CString>,
}

impl HitsHandle {
    /// The hits of one query after another, with the texts that the searcher has.
    fn new(results: &[SearchResult], searcher: &Searcher) -> Self {
        let mut texts = Vec::new();
        let hits = results.iter().flat_map(|result| &result.hits).map(|hit| {
            let text = searcher.text(hit.answer_id).map(|text| {
                texts.push(without_nul(text));
                texts[texts.len() - 1].as_ptr()
            });
            let text = text.unwrap_or(std::ptr::null());
            Hit { answer_id: hit.answer_id, score: hit.score, text }
        });
        Self { hits: hits.collect(), _texts: texts }
    }
}

/// How vectors score an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreKind {
    /// The cosine of the (projected) query and the answer, plus an offset for answers without
    /// training questions: `unseen_offset`, or if that is 0 the one that training chose for the
    /// model. Without a model, with one that has no offset, and in a searcher that is not one of a
    /// store, it is the cosine alone. The default.
    SeenUnseen = 0,
    /// The cosine, or 0.8 times the cosine of the query and the nearest training question of the
    /// answer's cluster if that is larger. For residual models and searchers of a store.
    MaxNearestQuestion = 1,
    /// The cosine alone, without the offset that training chose.
    Cosine = 2,
}

/// A `hybrid_weight`: the one that training chose for the model, else 0.2.
pub const PROJECTION_HYBRID_WEIGHT_OF_MODEL: f64 = -1.0;

/// How answers are scored. All fields but `size` may be 0, which is the default:
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
    /// Added to the scores by vectors of answers without training questions. 0 is the offset that
    /// training chose with PROJECTION_SCORE_MODE_SEEN_UNSEEN, else none. Another number needs a
    /// model with heads and a searcher of a store.
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
    /// Called during the search of a batch, whose steps are queries; it may be NULL.
    pub progress: ProgressC,
    /// Passed to `progress`.
    pub context: *mut c_void,
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
        // SAFETY: zeros are numbers and NULL pointers.
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
/// `allowed_len` values; both live for `'a`, while its `progress` may be called.
pub unsafe fn options_of<'a>(
    options: *const SearchOptionsC,
    k: usize,
    model: Option<&'a ModelHandle>,
) -> Result<(SearchOptions<'a>, Reporter)> {
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
    let (progress, context) = (given.progress, given.context);
    let options = SearchOptions {
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
    };
    Ok((options, reporter!(progress, context)))
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

/// Finds the `k` best answers to a query, best first, equal scores by ascending id. `model` projects
/// the query; NULL searches for the query itself. `text` is the query in words, which only hybrid
/// search needs, or NULL. `options` may be NULL. There are fewer than `k` hits only if there are no
/// more answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_search(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    query: *const f32,
    query_len: usize,
    text: *const c_char,
    options: *const SearchOptionsC,
    k: usize,
    hits: *mut *mut HitsHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, text, out) = (handle!(searcher).read(), optional_text!(text), out!(hits));
        let (options, _) = search_options!(options, k, model);
        let query = Buffer::new("query", query, query_len)?;
        expect_dim("query", query_len, crate::searcher::query_dim(&searcher, model))?;
        // SAFETY: the header requires an array of this length.
        let vector = unsafe { query.read()? };
        let result = searcher.search(&SearchQuery { vector, text }, &options)?;
        out.give(HitsHandle::new(&[result], &searcher));
    })
}

/// Searches for `n` queries of `query_dim` values each. `texts` are the queries in words; it may be
/// NULL, and so may each of them. The hits of each query follow those of the one before; all queries
/// have the same number of hits.
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
    hits: *mut *mut HitsHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, out) = (handle!(searcher).snapshot(), out!(hits));
        let (options, reporter) = search_options!(options, k, model);
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        expect_dim("queries", query_dim, crate::searcher::query_dim(&searcher, model))?;
        // SAFETY: the header requires an array of this length.
        let queries = unsafe { queries.read()? };
        let rows = queries.chunks_exact(query_dim.max(1)).zip(optional_texts!(texts, n));
        let queries: Vec<_> = rows.map(|(vector, text)| SearchQuery { vector, text }).collect();
        let results = searcher.search_many(&queries, &options, &mut reporter.progress())?;
        out.give(HitsHandle::new(&results, &searcher));
    })
}

/// Number of hits, of all queries together; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_hits_len(hits: Option<&HitsHandle>) -> usize {
    panic_boundary!(0, hits.map_or(0, |hits| hits.hits.len()))
}

/// The hits, valid until they are freed; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_hits_data(hits: Option<&HitsHandle>) -> *const Hit {
    panic_boundary!(std::ptr::null(), hits.map_or(std::ptr::null(), |hits| hits.hits.as_ptr()))
}

/// Frees hits and their texts. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_hits_free(hits: Option<Box<HitsHandle>>) {
    panic_boundary!((), drop(hits))
}
