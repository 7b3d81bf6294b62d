//! Why a search found what it found.

use std::ffi::{CString, c_char};

use projection_core::projection::Projection;
use projection_store::search::{Explanation, SearchQuery};

use crate::argument::{Buffer, Out, expect_dim, handle};
use crate::error::{ErrorHandle, Status};
use crate::guard;
use crate::index::{IndexHandle, query_dim_of, without_nul};
use crate::model::ModelHandle;
use crate::options::{optional_text, read_options};
use crate::search::SearchOptionsC;

/// What moved a query, how far, and what became of the answers' ranks. Free it with
/// projection_explanation_free. May be used by many threads at once.
pub struct ExplanationHandle {
    angle: f64,
    hybrid_weight: f64,
    questions_move: bool,
    heads: Vec<ExplainedHead>,
    questions: Vec<ExplainedQuestion>,
    hits: Vec<ExplainedHit>,
    /// What the questions' texts point to.
    _texts: Vec<CString>,
}

// SAFETY: the pointers lead to texts that the handle owns and never changes.
unsafe impl Send for ExplanationHandle {}
// SAFETY: as above.
unsafe impl Sync for ExplanationHandle {}

/// A head's routing weight.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExplainedHead {
    /// The head's cluster.
    pub cluster_id: i64,
    /// Its weight.
    pub weight: f32,
}

/// A training question near the query.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExplainedQuestion {
    /// The question's cluster.
    pub cluster_id: i64,
    /// Its row among the model's questions of the cluster.
    pub row: usize,
    /// Its cosine with the query.
    pub similarity: f64,
    /// Its weight; all weights sum to 1.
    pub weight: f64,
    /// Its text, which lives as long as the explanation; NULL where the index is not of a
    /// store that still has the question.
    pub text: *const c_char,
}

/// An answer that was found, with the parts of its score.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExplainedHit {
    /// The answer's id.
    pub answer_id: i64,
    /// Rank from 1.
    pub rank: usize,
    /// Rank by plain cosine; 0 where query and answers have different dimensions.
    pub rank_before: usize,
    /// What it was ranked by.
    pub score: f32,
    /// Score by plain cosine; NaN where there is none.
    pub score_before: f32,
    /// Cosine with the query, or with the projected query.
    pub cosine: f32,
    /// Cosine of the query with the nearest training question of the answer's cluster; NaN
    /// where it did not count, or there is none.
    pub nearest_question: f32,
    /// BM25; NaN where words did not count.
    pub bm25: f64,
    /// Whether a head of the model is for the answer: 1, 0, or -1 where the model has no
    /// heads or the index is not of a store.
    pub seen: i32,
}

impl ExplanationHandle {
    fn new(found: Explanation) -> Self {
        let head = |(cluster_id, weight)| ExplainedHead { cluster_id, weight };
        let mut texts = Vec::new();
        let mut questions = Vec::with_capacity(found.questions.len());
        for question in found.questions {
            let text = question.question.map(|(_, text)| without_nul(&text));
            questions.push(ExplainedQuestion {
                cluster_id: question.cluster_id,
                row: question.row,
                similarity: question.similarity,
                weight: question.weight,
                // Where a text lies does not change when it moves into the list.
                text: text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()),
            });
            texts.extend(text);
        }
        let hit = |hit: projection_store::search::ExplainedHit| ExplainedHit {
            answer_id: hit.answer_id,
            rank: hit.rank,
            rank_before: hit.before.map_or(0, |(rank, _)| rank),
            score: hit.score,
            score_before: hit.before.map_or(f32::NAN, |(_, score)| score),
            cosine: hit.cosine,
            nearest_question: hit.nearest_question.unwrap_or(f32::NAN),
            bm25: hit.bm25.unwrap_or(f64::NAN),
            seen: hit.seen.map_or(-1, i32::from),
        };
        Self {
            angle: found.angle.unwrap_or(f64::NAN),
            hybrid_weight: found.hybrid_weight,
            questions_move: found.questions_move,
            heads: found.heads.into_iter().map(head).collect(),
            questions,
            hits: found.hits.into_iter().map(hit).collect(),
            _texts: texts,
        }
    }
}

/// Searches for `k` answers as projection_index_search_with_options does, and says why they
/// were found.
///
/// # Safety
/// As for projection_index_search_with_options; `explanation` is NULL or a place for a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_index_explain(
    index: *const IndexHandle,
    model: *const ModelHandle,
    query: *const f32,
    query_len: usize,
    text: *const c_char,
    options: *const SearchOptionsC,
    k: usize,
    explanation: *mut *mut ExplanationHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (searcher, model, options, text, out) = unsafe {
            (
                handle("index", index)?.read(),
                model.as_ref().map(|model| &model.model),
                read_options(options)?,
                optional_text("text", text)?,
                Out::new("explanation", explanation)?,
            )
        };
        // SAFETY: the caller's promise about the options.
        let options = unsafe { options.to_core(k, model)? };
        let query = Buffer::new("query", query, query_len)?;
        expect_dim("query", query_len, query_dim_of(searcher.index(), options.projection))?;
        // SAFETY: the caller's promise.
        let query = unsafe { query.read()? };
        let found = searcher.explain(&SearchQuery { vector: query, text }, &options)?;
        out.give(ExplanationHandle::new(found));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_index_explain", error, body) }
}

/// Says how `model` moves a query, without a search: the explanation has no hits, and its
/// training questions have no texts.
///
/// # Safety
/// `model` is NULL or live; `query` is NULL or of the length given; `explanation` and `error`
/// are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_explain(
    model: *const ModelHandle,
    query: *const f32,
    query_len: usize,
    explanation: *mut *mut ExplanationHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, out) =
            unsafe { (&handle("model", model)?.model, Out::new("explanation", explanation)?) };
        let query = Buffer::new("query", query, query_len)?;
        expect_dim("query", query_len, model.input_dim())?;
        // SAFETY: the caller's promise.
        let query = unsafe { query.read()? };
        out.give(ExplanationHandle::new(Explanation::of_projection(query, model)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_explain", error, body) }
}

/// Angle between the query and the projected query in degrees; NaN for NULL, without a
/// model, or where the two have different dimensions.
///
/// # Safety
/// `explanation` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_angle(
    explanation: *const ExplanationHandle,
) -> f64 {
    guard::value("projection_explanation_angle", f64::NAN, || {
        // SAFETY: the caller's promise.
        unsafe { handle("explanation", explanation) }.map_or(f64::NAN, |found| found.angle)
    })
}

/// Weight of BM25 in the scores, 0 where words did not count; NaN for NULL.
///
/// # Safety
/// `explanation` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_hybrid_weight(
    explanation: *const ExplanationHandle,
) -> f64 {
    guard::value("projection_explanation_hybrid_weight", f64::NAN, || {
        // SAFETY: the caller's promise.
        unsafe { handle("explanation", explanation) }.map_or(f64::NAN, |found| found.hybrid_weight)
    })
}

/// 1 where the training questions move the query, 0 where they only give the routing
/// weights, or for NULL.
///
/// # Safety
/// `explanation` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_questions_move(
    explanation: *const ExplanationHandle,
) -> i32 {
    guard::value("projection_explanation_questions_move", 0, || {
        // SAFETY: the caller's promise.
        let found = unsafe { handle("explanation", explanation) };
        found.map_or(0, |found| i32::from(found.questions_move))
    })
}

/// The routing weights of the model's heads by ascending cluster, `count` of them; NULL for
/// none. They live as long as the explanation.
///
/// # Safety
/// `explanation` is NULL or live; `count` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_heads(
    explanation: *const ExplanationHandle,
    count: *mut usize,
) -> *const ExplainedHead {
    guard::value("projection_explanation_heads", std::ptr::null(), || {
        // SAFETY: the caller's promises.
        unsafe { list(explanation, count, |found| &found.heads) }
    })
}

/// The training questions behind the routing weights, the largest weight first, `count` of
/// them; NULL for none, as for models that are not residual. They live as long as the
/// explanation.
///
/// # Safety
/// `explanation` is NULL or live; `count` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_questions(
    explanation: *const ExplanationHandle,
    count: *mut usize,
) -> *const ExplainedQuestion {
    guard::value("projection_explanation_questions", std::ptr::null(), || {
        // SAFETY: the caller's promises.
        unsafe { list(explanation, count, |found| &found.questions) }
    })
}

/// The answers that were found, best first, `count` of them; NULL for none. They live as
/// long as the explanation.
///
/// # Safety
/// `explanation` is NULL or live; `count` is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_hits(
    explanation: *const ExplanationHandle,
    count: *mut usize,
) -> *const ExplainedHit {
    guard::value("projection_explanation_hits", std::ptr::null(), || {
        // SAFETY: the caller's promises.
        unsafe { list(explanation, count, |found| &found.hits) }
    })
}

/// Frees an explanation. NULL is allowed.
///
/// # Safety
/// `explanation` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_explanation_free(explanation: *mut ExplanationHandle) {
    // SAFETY: the caller gives the explanation back.
    guard::value("projection_explanation_free", (), || unsafe { guard::free(explanation) })
}

/// A list of an explanation with its length.
///
/// # Safety
/// `explanation` is NULL or live; `count` is NULL or a place for a number.
unsafe fn list<T>(
    explanation: *const ExplanationHandle,
    count: *mut usize,
    of: impl Fn(&ExplanationHandle) -> &Vec<T>,
) -> *const T {
    // SAFETY: the caller's promises.
    let (found, count) =
        unsafe { (handle("explanation", explanation).map(of), Out::new("count", count)) };
    let list: &[T] = found.map_or(&[], |found| found.as_slice());
    if let Ok(count) = count {
        count.set(list.len());
    }
    if list.is_empty() { std::ptr::null() } else { list.as_ptr() }
}
