//! Why a search found what it found.

use std::ffi::c_char;

use projection_core::projection::Projection;
use projection_store::search::{Explanation, SearchQuery, Searcher};
use serde_json::{Value, json};

use crate::argument::expect_dim;
use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::model::ModelHandle;
use crate::search::{SearchOptionsC, search_options};
use crate::searcher::{SearcherHandle, query_dim};

/// Searches for `k` answers as projection_searcher_search does, and explains why they were found.
///
/// The result is JSON; what does not apply is null:
///
///     {"angle": degrees between the query and the projected query,
///      "hybrid_weight": weight of BM25 in the scores, 0 without words,
///      "unseen_offset": added to the scores of answers without training questions,
///      "heads": [{"cluster_id", "weight"}], the routing weights by ascending cluster,
///      "questions_move": whether the training questions move the query; if false, they only
///          determine the routing weights,
///      "questions": [{"cluster_id", "row", "similarity", "weight", "question_id", "text"}], the
///          training questions behind the routing weights of a residual model, the largest weight
///          first; id and text are null if the store no longer has the question,
///      "hits": [{"answer_id", "text", "rank" from 1, "score", "cosine" with the (projected) query,
///          "rank_before" and "score_before" by plain cosine, "nearest_question": cosine of the
///          query with the nearest training question of the answer's cluster, "bm25", "seen":
///          whether the answer has training questions}], best first}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_searcher_explain(
    searcher: Option<&SearcherHandle>,
    model: Option<&ModelHandle>,
    query: *const f32,
    query_len: usize,
    text: *const c_char,
    options: *const SearchOptionsC,
    k: usize,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (searcher, text, out) =
            (handle!(searcher).snapshot(), optional_text!(text), out!(result));
        let (options, _) = search_options!(options, k, model);
        expect_dim("query", query_len, query_dim(&searcher, model))?;
        let vector = slice!(query, query_len);
        let explanation = searcher.explain(&SearchQuery { vector, text }, &options)?;
        give_json(out, &report(&explanation, Some(&searcher)))?;
    })
}

/// Explains how `model` moves a query, without a search. The result is that of
/// projection_searcher_explain, without hits and without ids and texts of training questions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_explain(
    model: Option<&ModelHandle>,
    query: *const f32,
    query_len: usize,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (model, out) = (&handle!(model).model, out!(result));
        expect_dim("query", query_len, model.input_dim())?;
        let explanation = Explanation::of_projection(slice!(query, query_len), model)?;
        give_json(out, &report(&explanation, None))?;
    })
}

fn report(explanation: &Explanation, searcher: Option<&Searcher>) -> Value {
    let heads = explanation.heads.iter();
    let head =
        |(cluster_id, weight): &(i64, f32)| json!({"cluster_id": cluster_id, "weight": weight});
    let questions = explanation.questions.iter().map(|question| {
        let (id, text) = question.question.as_ref().map(|(id, text)| (id, text)).unzip();
        json!({
            "cluster_id": question.cluster_id, "row": question.row,
            "similarity": question.similarity, "weight": question.weight,
            "question_id": id, "text": text,
        })
    });
    let hits = explanation.hits.iter().map(|hit| {
        let (rank_before, score_before) = hit.before.unzip();
        // As in the hits of a search, without NUL.
        let text = searcher.and_then(|searcher| searcher.text(hit.answer_id));
        json!({
            "answer_id": hit.answer_id, "text": text.map(|text| text.replace('\0', " ")),
            "rank": hit.rank, "score": hit.score, "cosine": hit.cosine,
            "rank_before": rank_before, "score_before": score_before,
            "nearest_question": hit.nearest_question, "bm25": hit.bm25, "seen": hit.seen,
        })
    });
    json!({
        "angle": explanation.angle,
        "hybrid_weight": explanation.hybrid_weight,
        "unseen_offset": explanation.unseen_offset,
        "heads": heads.map(head).collect::<Vec<_>>(),
        "questions_move": explanation.questions_move,
        "questions": questions.collect::<Vec<_>>(),
        "hits": hits.collect::<Vec<_>>(),
    })
}
