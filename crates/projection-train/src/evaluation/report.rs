//! An evaluation as a report that serialises to JSON.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Candidate, Evaluation, Method, MethodResult, NOT_FOUND, Parameter, Part, Protocol,
    ProtocolResult,
};
use crate::projection::Precision;

/// An evaluation.
#[derive(Debug, Serialize)]
pub struct EvaluationReport {
    /// The store's database.
    pub store: String,
    /// The embedding model.
    pub model: String,
    /// Answers that are searched.
    pub answers: usize,
    /// Seed of folds and intervals.
    pub seed: u64,
    /// Names the projections that are below cosine.
    pub warnings: Vec<String>,
    /// What a reader should know about how it was measured.
    pub notes: Vec<String>,
    /// One entry a protocol.
    pub protocols: Vec<ProtocolReport>,
    /// The file of the HTML report, if one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// All methods on the same queries.
#[derive(Debug, Serialize)]
pub struct ProtocolReport {
    /// The protocol.
    pub protocol: Protocol,
    /// Number of queries.
    pub questions: usize,
    /// Queries whose answer has training questions.
    pub seen_questions: usize,
    /// Answers that have training questions.
    pub seen_answers: usize,
    /// Questions that were trained on.
    pub training_questions: usize,
    /// Cosine first.
    pub methods: Vec<MethodReport>,
    /// Every query with its ranks, confusions and sweeps, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// What was measured of a method.
#[derive(Debug, Serialize)]
pub struct MethodReport {
    /// Its name.
    pub method: String,
    /// The projection that it uses; null for a model in a file of its own.
    pub projection_id: Option<i64>,
    /// That file.
    pub model_file: Option<String>,
    /// The precision of the projection's vectors.
    pub precision: Option<Precision>,
    /// How a rounded projection differs from the exact one.
    pub against_exact: Option<AgainstExact>,
    /// All questions.
    pub all: Part,
    /// Questions whose answer has training questions; null if there are none.
    pub seen: Option<Part>,
    /// Questions whose answer has none; null if there are none.
    pub unseen: Option<Part>,
}

/// A projection whose vectors are rounded, on the same questions as the exact one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AgainstExact {
    /// Mean cosine of what the two project.
    pub mean_cosine: f64,
    /// The lowest.
    pub least_cosine: f64,
    /// The rounded projection's recall@1 less that of the exact one.
    pub recall_at_1: f64,
}

impl EvaluationReport {
    /// The report on an evaluation of the store `database`, with every query if `details`.
    pub fn new(
        evaluation: &Evaluation,
        database: &Path,
        model: &str,
        seed: u64,
        details: bool,
    ) -> Self {
        let report = |result| ProtocolReport::new(evaluation, result, details);
        Self {
            store: database.display().to_string(),
            model: model.to_string(),
            answers: evaluation.corpus.len(),
            seed,
            warnings: evaluation.warnings(),
            notes: evaluation.notes.clone(),
            protocols: evaluation.protocols.iter().map(report).collect(),
            html: None,
        }
    }
}

impl ProtocolReport {
    fn new(evaluation: &Evaluation, result: &ProtocolResult, details: bool) -> Self {
        let method = |own: &MethodResult| {
            let candidate = match own.found.method {
                Method::Candidate(place) | Method::CandidateWithBm25(place) => {
                    Some(&evaluation.candidates[place])
                }
                _ => None,
            };
            let file = candidate.and_then(|candidate| candidate.file.as_ref());
            MethodReport {
                method: evaluation.name(own.found.method),
                projection_id: candidate.and_then(|candidate| candidate.id),
                model_file: file.map(|file| file.display().to_string()),
                precision: candidate.map(Candidate::precision),
                against_exact: candidate
                    .and_then(|candidate| against_exact(result, own, candidate.exact?)),
                all: own.all,
                seen: own.seen,
                unseen: own.unseen,
            }
        };
        Self {
            protocol: result.protocol,
            questions: result.queries.len(),
            seen_questions: result.seen.iter().filter(|seen| **seen).count(),
            seen_answers: result.seen_answers,
            training_questions: result.training_questions,
            methods: result.results.iter().map(method).collect(),
            details: details.then(|| self::details(evaluation, result)),
        }
    }
}

/// How `own` differs from the exact candidate, if it is a rounded one.
fn against_exact(
    result: &ProtocolResult,
    own: &MethodResult,
    exact: usize,
) -> Option<AgainstExact> {
    let cosines = &own.found.cosines_with_exact;
    let exact = result.result(Method::Candidate(exact))?;
    (!cosines.is_empty()).then(|| AgainstExact {
        mean_cosine: cosines.iter().sum::<f64>() / cosines.len() as f64,
        least_cosine: cosines.iter().copied().fold(1.0, f64::min),
        recall_at_1: own.all.recall_at_1.value - exact.all.recall_at_1.value,
    })
}

/// Every query with its rank by method (null if the right answer is not found), the
/// candidates' confusions, and their sweeps.
fn details(evaluation: &Evaluation, result: &ProtocolResult) -> Value {
    let (corpus, queries) = (&evaluation.corpus, &result.queries);
    let rank = |rank: usize| (rank != NOT_FOUND).then_some(rank);
    let query = |number: usize| {
        json!({
            "text": queries.text(number),
            "answer_id": corpus.id(queries.answer(number)),
            "seen": result.seen[number],
            "ranks": result.results.iter().map(|own| rank(own.found.ranks[number]))
                .collect::<Vec<_>>(),
        })
    };
    let mut confusions = Vec::new();
    for own in &result.results {
        let Method::Candidate(place) = own.found.method else { continue };
        let candidate = &evaluation.candidates[place];
        for pair in result.confusions(own) {
            confusions.push(json!({
                "projection_id": candidate.id,
                "method": candidate.name(),
                "right_answer_id": corpus.id(pair.right),
                "found_answer_id": corpus.id(pair.found),
                "count": pair.count,
            }));
        }
    }
    let sweeps = result.sweeps.iter().map(|sweep| {
        let points = sweep.points.iter().map(|(value, metrics)| {
            json!({
                "value": value,
                "recall_at_1": metrics.recall_at_1,
                "mrr_at_10": metrics.mrr_at_10,
            })
        });
        json!({
            "projection_id": evaluation.candidates[sweep.candidate].id,
            "method": evaluation.candidates[sweep.candidate].name(),
            "parameter": match sweep.parameter {
                Parameter::Temperature => "temperature",
                Parameter::Neighbours => "neighbours",
                Parameter::Gain => "gain",
            },
            "own": sweep.own,
            "points": points.collect::<Vec<_>>(),
        })
    });
    json!({
        "questions": (0..queries.len()).map(query).collect::<Vec<_>>(),
        "confusions": confusions,
        "sweeps": sweeps.collect::<Vec<_>>(),
    })
}
