//! What was measured, as a report that serialises to JSON.

use std::path::Path;

use serde::Serialize;

use super::{
    Candidate, Evaluation, Measured, Method, MethodResult, NOT_FOUND, Parameter, Part, Protocol,
    ProtocolResult,
};
use crate::evaluation::{Interval, Metrics};
use crate::projection::Precision;

/// An evaluation.
#[derive(Debug, Serialize)]
pub struct EvaluationReport {
    /// The store's database.
    pub store: String,
    /// The text model.
    pub model: String,
    /// Answers that are searched.
    pub answers: usize,
    /// Seed of folds and intervals.
    pub seed: u64,
    /// Where a projection is below cosine.
    pub warnings: Vec<String>,
    /// What a reader should know about how it was measured.
    pub notes: Vec<String>,
    /// What was asked.
    pub protocols: Vec<ProtocolReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Where a page of it was written.
    pub html: Option<String>,
}

/// All methods on the same questions.
#[derive(Debug, Serialize)]
pub struct ProtocolReport {
    /// `test`, `closed` or `open`.
    pub protocol: &'static str,
    /// Questions that were asked.
    pub questions: usize,
    /// Those whose answer has training questions.
    pub seen_questions: usize,
    /// Answers that have training questions.
    pub seen_answers: usize,
    /// Questions that were trained on.
    pub training_questions: usize,
    /// Cosine first.
    pub methods: Vec<MethodReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
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
    /// How the vectors of the projection are kept.
    pub precision: Option<Precision>,
    /// Of a rounded projection, how it differs from the exact one.
    pub against_exact: Option<AgainstExact>,
    /// All questions.
    pub all: PartReport,
    /// Questions whose answer has training questions; null where there are none.
    pub seen: Option<PartReport>,
    /// Questions whose answer has none.
    pub unseen: Option<PartReport>,
}

/// A projection whose vectors are rounded, on the same questions as the exact one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AgainstExact {
    /// Mean cosine of what the two project.
    pub mean_cosine: f64,
    /// The lowest.
    pub least_cosine: f64,
    /// How much more of the right answers come first; below 0 for fewer.
    pub recall_at_1: f64,
}

/// Some of the questions.
#[derive(Debug, Serialize)]
pub struct PartReport {
    /// How many.
    pub questions: usize,
    /// Share whose right answer comes first.
    pub recall_at_1: MetricReport,
    /// Share whose right answer is among the first five.
    pub recall_at_5: MetricReport,
    /// Mean of 1/rank of the right answer, 0 beyond rank 10.
    pub mrr_at_10: MetricReport,
    /// Mean of 1/log₂(rank + 1) of the right answer, 0 beyond rank 10.
    pub ndcg_at_10: MetricReport,
    /// Questions that only this method, and that only cosine, answers at rank 1.
    pub gained: usize,
    /// See `gained`.
    pub lost: usize,
    /// McNemar's exact p of these two.
    pub p_against_cosine: f64,
}

/// A mean with its 95% interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MetricReport {
    /// The mean.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

#[derive(Debug, Serialize)]
struct Details {
    questions: Vec<QuestionReport>,
    confusions: Vec<ConfusionReport>,
    sweeps: Vec<SweepReport>,
}

#[derive(Debug, Serialize)]
struct QuestionReport {
    text: Option<String>,
    answer_id: i64,
    seen: bool,
    /// By method, in their order; null where the right answer is not found.
    ranks: Vec<Option<usize>>,
}

#[derive(Debug, Serialize)]
struct ConfusionReport {
    projection_id: Option<i64>,
    /// The method's name.
    method: String,
    right_answer_id: i64,
    found_answer_id: i64,
    count: usize,
}

#[derive(Debug, Serialize)]
struct SweepReport {
    projection_id: Option<i64>,
    /// The method's name.
    method: String,
    /// `temperature`, `neighbours` or `gain`.
    parameter: &'static str,
    own: f64,
    points: Vec<PointReport>,
}

#[derive(Debug, Serialize)]
struct PointReport {
    value: f64,
    recall_at_1: f64,
    mrr_at_10: f64,
}

impl EvaluationReport {
    /// The numbers of an evaluation of the store `database`; with `details` also every question.
    pub fn new(
        evaluation: &Evaluation,
        database: &Path,
        model: &str,
        seed: u64,
        details: bool,
    ) -> Self {
        Self {
            store: database.display().to_string(),
            model: model.to_string(),
            answers: evaluation.corpus.len(),
            seed,
            warnings: evaluation.warnings(),
            notes: evaluation.notes.clone(),
            protocols: evaluation
                .protocols
                .iter()
                .map(|protocol| ProtocolReport::new(evaluation, protocol, details))
                .collect(),
            html: None,
        }
    }
}

/// The projection that a method uses.
fn place_of(method: Method) -> Option<usize> {
    match method {
        Method::Candidate(place) | Method::CandidateWithBm25(place) => Some(place),
        _ => None,
    }
}

fn chosen_of<'a>(evaluation: &'a Evaluation, result: &MethodResult) -> Option<&'a Candidate> {
    place_of(result.found.method).map(|place| &evaluation.chosen[place])
}

fn against_exact(
    evaluation: &Evaluation,
    protocol: &ProtocolResult,
    result: &MethodResult,
) -> Option<AgainstExact> {
    let cosines = &result.found.cosines_with_exact;
    let exact = chosen_of(evaluation, result)?.exact?;
    let exact = protocol.result(Method::Candidate(exact))?;
    let recall = |result: &MethodResult| result.all.measured.metrics.recall_at_1;
    (!cosines.is_empty()).then(|| AgainstExact {
        mean_cosine: cosines.iter().sum::<f64>() / cosines.len() as f64,
        least_cosine: cosines.iter().copied().fold(1.0, f64::min),
        recall_at_1: recall(result) - recall(exact),
    })
}

impl ProtocolReport {
    fn new(evaluation: &Evaluation, protocol: &ProtocolResult, details: bool) -> Self {
        let method = |result: &MethodResult| MethodReport {
            method: evaluation.name(result.found.method),
            projection_id: chosen_of(evaluation, result).and_then(|chosen| chosen.id),
            model_file: chosen_of(evaluation, result)
                .and_then(|chosen| Some(chosen.file.as_ref()?.display().to_string())),
            precision: chosen_of(evaluation, result).map(Candidate::precision),
            against_exact: against_exact(evaluation, protocol, result),
            all: PartReport::new(&result.all),
            seen: result.seen.as_ref().map(PartReport::new),
            unseen: result.unseen.as_ref().map(PartReport::new),
        };
        Self {
            protocol: match protocol.choice {
                Protocol::Test => "test",
                Protocol::Closed => "closed",
                Protocol::Open => "open",
            },
            questions: protocol.asked.len(),
            seen_questions: protocol.seen.iter().filter(|seen| **seen).count(),
            seen_answers: protocol.seen_answers,
            training_questions: protocol.training_questions,
            methods: protocol.results.iter().map(method).collect(),
            details: details.then(|| Details::new(evaluation, protocol)),
        }
    }
}

impl PartReport {
    fn new(part: &Part) -> Self {
        let Measured { metrics, recall_at_1, recall_at_5, mrr_at_10, ndcg_at_10 } = part.measured;
        let metric = |value: f64, interval: Interval| MetricReport {
            value,
            low: interval.low,
            high: interval.high,
        };
        Self {
            questions: metrics.questions,
            recall_at_1: metric(metrics.recall_at_1, recall_at_1),
            recall_at_5: metric(metrics.recall_at_5, recall_at_5),
            mrr_at_10: metric(metrics.mrr_at_10, mrr_at_10),
            ndcg_at_10: metric(metrics.ndcg_at_10, ndcg_at_10),
            gained: part.against_cosine.gained,
            lost: part.against_cosine.lost,
            p_against_cosine: part.against_cosine.p,
        }
    }
}

impl MetricReport {
    /// In percent, with the interval.
    pub fn percent(&self) -> String {
        let [value, low, high] = [self.value, self.low, self.high].map(|v| 100.0 * v);
        format!("{value:.1} [{low:.1}, {high:.1}]")
    }

    /// As a number, with the interval.
    pub fn number(&self) -> String {
        format!("{:.3} [{:.3}, {:.3}]", self.value, self.low, self.high)
    }
}

impl Details {
    fn new(evaluation: &Evaluation, protocol: &ProtocolResult) -> Self {
        let (corpus, asked) = (&evaluation.corpus, &protocol.asked);
        let rank = |rank: usize| (rank != NOT_FOUND).then_some(rank);
        let question = |number: usize| QuestionReport {
            text: asked.text(number).map(str::to_string),
            answer_id: corpus.id(asked.answer(number)),
            seen: protocol.seen[number],
            ranks: protocol.results.iter().map(|o| rank(o.found.ranks[number])).collect(),
        };
        let mut confusions = Vec::new();
        for result in &protocol.results {
            let Method::Candidate(place) = result.found.method else { continue };
            let pairs = protocol.confusions(result).into_iter();
            confusions.extend(pairs.map(|pair| ConfusionReport {
                projection_id: evaluation.chosen[place].id,
                method: evaluation.chosen[place].name(),
                right_answer_id: corpus.id(pair.right),
                found_answer_id: corpus.id(pair.found),
                count: pair.count,
            }));
        }
        let point = |(value, metrics): &(f64, Metrics)| PointReport {
            value: *value,
            recall_at_1: metrics.recall_at_1,
            mrr_at_10: metrics.mrr_at_10,
        };
        let sweeps = protocol.sweeps.iter().map(|sweep| SweepReport {
            projection_id: evaluation.chosen[sweep.model].id,
            method: evaluation.chosen[sweep.model].name(),
            parameter: match sweep.parameter {
                Parameter::Temperature => "temperature",
                Parameter::Neighbours => "neighbours",
                Parameter::Gain => "gain",
            },
            own: sweep.own,
            points: sweep.points.iter().map(point).collect(),
        });
        Self {
            questions: (0..asked.len()).map(question).collect(),
            confusions,
            sweeps: sweeps.collect(),
        }
    }
}
