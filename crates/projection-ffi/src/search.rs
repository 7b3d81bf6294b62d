//! Search with options.

use std::ffi::c_char;

use ndarray::ArrayView2;
use projection_core::projection::Model;
use projection_store::search::{Hybrid, ScoreMode, SearchOptions, SearchQuery, Searcher};

use crate::argument::{Buffer, Out, expect_dim, handle, product};
use crate::error::{ErrorHandle, Failure, Status};
use crate::guard;
use crate::index::{Hit, IndexHandle, copy_hits, query_dim_of};
use crate::model::{ModelHandle, shape};
use crate::options::{Options, optional_text, read_options};

/// What vectors say about an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreKind {
    /// The cosine of the query, or of the projected query, and the answer.
    Cosine = 0,
    /// That, or 0.8 times the cosine of the query and the nearest training question of the
    /// answer's cluster, whichever is more. For residual models and indexes of a store.
    MaxNearestQuestion = 1,
    /// The cosine, and for answers that no head of the model is for the options'
    /// `unseen_offset`, or where that is 0 the one that training chose. For models with
    /// heads and indexes of a store.
    SeenUnseen = 2,
}

/// A `hybrid_weight`: what training chose for the model, else 0.2.
pub const PROJECTION_HYBRID_WEIGHT_OF_MODEL: f64 = -1.0;

/// How answers are scored. All but `size` may be 0, which is a search by cosine:
/// `projection_search_options options = {sizeof options};`.
///
/// With s what vectors say, from -1 to S for the best answer, and b the answer's BM25, at
/// most B, hybrid search ranks by (1 - w) (s + 1) / (S + 1) + w b / B.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SearchOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// What vectors say, a projection_score_mode.
    pub score_mode: i32,
    /// Weight w of BM25 over the answers' texts, from 0, vectors only, to 1, words only; or
    /// PROJECTION_HYBRID_WEIGHT_OF_MODEL.
    pub hybrid_weight: f64,
    /// Is added to what vectors say about answers that no head of the model is for; 0 is none,
    /// and with PROJECTION_SCORE_MODE_SEEN_UNSEEN the one that training chose. Needs a
    /// model with heads and an index of a store.
    pub unseen_offset: f64,
    /// The ids of the answers that may be found, `allowed_len` of them in any order; NULL for
    /// all, and any other pointer with `allowed_len` 0 for none. Scores do not depend on it, and
    /// ids of no answer are passed over.
    pub allowed: *const i64,
    /// See there.
    pub allowed_len: usize,
    /// Threads that the queries of a batch, or the answers to be compared with one query, are
    /// shared out among; they end before the call returns. 0 and 1 are the caller's thread.
    /// The results do not depend on it.
    pub threads: usize,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for SearchOptionsC {
    const NAME: &'static str = "projection_search_options";
}

impl SearchOptionsC {
    /// As the engine knows them.
    ///
    /// # Safety
    /// `allowed` is NULL or has `allowed_len` values, which live for `'a`.
    pub unsafe fn to_core<'a>(
        self,
        k: usize,
        model: Option<&'a Model>,
    ) -> Result<SearchOptions<'a>, Failure> {
        let score_mode = match self.score_mode {
            mode if mode == ScoreKind::Cosine as i32 => ScoreMode::Cosine,
            mode if mode == ScoreKind::MaxNearestQuestion as i32 => ScoreMode::MaxNearestQuestion,
            mode if mode == ScoreKind::SeenUnseen as i32 => ScoreMode::SeenUnseen,
            mode => {
                let message =
                    format!("argument options has the score_mode {mode}, expected 0, 1 or 2");
                return Err(ErrorHandle::new(Status::InvalidArgument, &message));
            }
        };
        Ok(SearchOptions {
            k,
            projection: model.map(|model| model as _),
            hybrid: match self.hybrid_weight {
                PROJECTION_HYBRID_WEIGHT_OF_MODEL => Hybrid::OfModel,
                weight => Hybrid::Weight(weight),
            },
            score_mode,
            unseen_offset: self.unseen_offset,
            allowed: match self.allowed.is_null() {
                true if self.allowed_len > 0 => {
                    let message = format!(
                        "argument options has allowed_len {} and allowed NULL",
                        self.allowed_len
                    );
                    return Err(ErrorHandle::new(Status::InvalidArgument, &message));
                }
                true => None,
                // SAFETY: the caller's promise.
                false => Some(unsafe {
                    Buffer::new("options.allowed", self.allowed, self.allowed_len)?.read()?
                }),
            },
            threads: self.threads,
        })
    }
}

/// projection_index_search with options. `text` is the query in words; NULL stands for none,
/// which hybrid search refuses.
///
/// # Safety
/// As for projection_index_search; `text` is NULL or a text; `options` is NULL or as large as
/// its size says, and has as many allowed ids as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_search_with_options(
    index: *const IndexHandle,
    model: *const ModelHandle,
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
    let body = || {
        // SAFETY: the caller's promises.
        let (searcher, model, options, text, found) = unsafe {
            (
                handle("index", index)?.read(),
                model.as_ref().map(|model| &model.model),
                read_options(options)?,
                optional_text("text", text)?,
                Out::new("found", found)?,
            )
        };
        // SAFETY: the caller's promise about the options.
        let options = unsafe { options.to_core(k, model)? };
        let query = Buffer::new("query", query, query_len)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("query", query_len, query_dim_of(searcher.index(), options.projection))?;
        hits.expect_room(k)?;
        query.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[query.addresses(), found.addresses()])?;
        // SAFETY: the caller's promises, and the output overlaps nothing.
        let (query, hits) = unsafe { (query.read()?, hits.write()?) };
        let best = searcher.search(&SearchQuery { vector: query, text }, &options)?.hits;
        copy_hits(&best, hits);
        found.set(best.len());
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_search_with_options", error, body) }
}

/// projection_index_search_batch with options. `texts` are the `n` queries in words, and
/// NULL stands for none.
///
/// # Safety
/// As for projection_index_search_with_options; `texts` is NULL or has `n` texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_search_batch_with_options(
    index: *const IndexHandle,
    model: *const ModelHandle,
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
    let body = || {
        // SAFETY: the caller's promises.
        let (searcher, model, options, found) = unsafe {
            (
                handle("index", index)?.read(),
                model.as_ref().map(|model| &model.model),
                read_options(options)?,
                Out::new("found", found)?,
            )
        };
        // SAFETY: the caller's promise about the options.
        let options = unsafe { options.to_core(k, model)? };
        let queries = Buffer::new("queries", queries, product("queries", n, query_dim)?)?;
        let hits = Buffer::new("hits", hits, hits_len)?;
        expect_dim("queries", query_dim, query_dim_of(searcher.index(), options.projection))?;
        hits.expect_len(product("hits", n, k)?)?;
        queries.expect_apart(&[found.addresses()])?;
        hits.expect_apart(&[queries.addresses(), found.addresses()])?;
        let texts = match texts.is_null() {
            true => vec![None; n],
            false => {
                // SAFETY: the caller's promise.
                let texts = unsafe { Buffer::new("texts", texts, n)?.read()? };
                // SAFETY: the caller's promise.
                let read = |text: &*const c_char| unsafe { optional_text("texts", *text) };
                texts.iter().map(read).collect::<Result<_, _>>()?
            }
        };
        // SAFETY: the caller's promises, and the output overlaps nothing.
        let (queries, hits) = unsafe { (queries.read()?, hits.write()?) };
        let queries = ArrayView2::from_shape((n, query_dim), queries).map_err(shape)?;
        let best = search_rows(&searcher, queries, &texts, &options)?;
        if k > 0 {
            for (best, hits) in best.iter().zip(hits.chunks_exact_mut(k)) {
                copy_hits(best, hits);
            }
        }
        // As many for each: all that there are, where these are fewer than k.
        found.set(best.iter().map(Vec::len).min().unwrap_or(0));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_search_batch_with_options", error, body) }
}

fn search_rows(
    searcher: &Searcher,
    queries: ArrayView2<'_, f32>,
    texts: &[Option<&str>],
    options: &SearchOptions<'_>,
) -> Result<Vec<Vec<projection_store::search::Hit>>, Failure> {
    let queries = queries.as_slice().expect("it was made of a slice");
    let dim = queries.len().checked_div(texts.len()).unwrap_or(0).max(1);
    let rows = queries.chunks_exact(dim).zip(texts);
    let queries: Vec<_> = rows.map(|(vector, text)| SearchQuery { vector, text: *text }).collect();
    let results = searcher.search_many(&queries, options)?;
    Ok(results.into_iter().map(|result| result.hits).collect())
}
