//! What was measured, as a table for people and as JSON for programs.

use projection_core::compare::{
    Choice, Evaluation, Measured, Method, NOT_FOUND, Outcome, Parameter, Part, Regime,
};
use projection_core::evaluate::{Interval, Metrics};
use serde::Serialize;

use super::Args;
use crate::output::{Report, Screen, count, heading, note};

/// An evaluation.
#[derive(Debug, Serialize)]
pub struct Evaluated {
    pub store: String,
    /// The text model.
    pub model: String,
    pub answers: usize,
    pub seed: u64,
    /// Where a projection is below cosine.
    pub warnings: Vec<String>,
    pub notes: Vec<String>,
    pub regimes: Vec<RegimeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct RegimeReport {
    /// `test`, `closed` or `open`.
    pub regime: &'static str,
    pub questions: usize,
    pub headed_questions: usize,
    pub headed_answers: usize,
    pub training_questions: usize,
    pub methods: Vec<MethodReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Debug, Serialize)]
pub struct MethodReport {
    pub method: String,
    projection_id: Option<i64>,
    pub all: PartReport,
    /// Questions whose answer has training questions; null where there are none.
    pub headed: Option<PartReport>,
    /// Questions whose answer has none.
    pub unheaded: Option<PartReport>,
}

#[derive(Debug, Serialize)]
pub struct PartReport {
    pub questions: usize,
    pub recall_at_1: MetricReport,
    pub recall_at_5: MetricReport,
    pub mrr_at_10: MetricReport,
    pub ndcg_at_10: MetricReport,
    /// Questions that only this method, and that only cosine, answers at rank 1.
    pub gained: usize,
    pub lost: usize,
    /// McNemar's exact p of these two.
    pub p_against_cosine: f64,
}

/// A mean with its 95% interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MetricReport {
    pub value: f64,
    pub low: f64,
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
    headed: bool,
    /// By method, in their order; null where the right answer is not found.
    ranks: Vec<Option<usize>>,
}

#[derive(Debug, Serialize)]
struct ConfusionReport {
    projection_id: i64,
    right_answer_id: i64,
    found_answer_id: i64,
    count: usize,
}

#[derive(Debug, Serialize)]
struct SweepReport {
    projection_id: i64,
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

impl Evaluated {
    pub fn new(evaluation: &Evaluation, args: &Args, model: &str) -> Self {
        Self {
            store: args.store.display().to_string(),
            model: model.to_string(),
            answers: evaluation.corpus.len(),
            seed: args.seed,
            warnings: evaluation.warnings(),
            notes: evaluation.notes.clone(),
            regimes: evaluation
                .regimes
                .iter()
                .map(|regime| RegimeReport::new(evaluation, regime, args.details))
                .collect(),
            html: args.html.as_ref().map(|path| path.display().to_string()),
        }
    }
}

/// The projection that a method uses.
pub fn place_of(method: Method) -> Option<usize> {
    match method {
        Method::Chosen(place) | Method::ChosenWithBm25(place) => Some(place),
        _ => None,
    }
}

impl RegimeReport {
    fn new(evaluation: &Evaluation, regime: &Regime, details: bool) -> Self {
        let method = |outcome: &Outcome| MethodReport {
            method: evaluation.name(outcome.found.method),
            projection_id: place_of(outcome.found.method).map(|at| evaluation.chosen[at].id),
            all: PartReport::new(&outcome.all),
            headed: outcome.headed.as_ref().map(PartReport::new),
            unheaded: outcome.unheaded.as_ref().map(PartReport::new),
        };
        Self {
            regime: match regime.choice {
                Choice::Test => "test",
                Choice::Closed => "closed",
                Choice::Open => "open",
            },
            questions: regime.asked.len(),
            headed_questions: regime.headed.iter().filter(|headed| **headed).count(),
            headed_answers: regime.headed_answers,
            training_questions: regime.training_questions,
            methods: regime.outcomes.iter().map(method).collect(),
            details: details.then(|| Details::new(evaluation, regime)),
        }
    }

    /// What was asked, in a sentence.
    pub fn title(&self) -> &'static str {
        match self.regime {
            "test" => "test questions",
            "closed" => "closed: questions left out in turn",
            _ => "open: answers left out in turn, with all their questions",
        }
    }

    /// The numbers behind it.
    pub fn size(&self, answers: usize) -> String {
        let mean = if self.regime == "test" { "" } else { " (mean of the folds)" };
        format!(
            "{} asked, {} of them of answers with training questions; {answers} answers, {} of \
             them with questions, {} training questions{mean}",
            count(self.questions, "question"),
            self.headed_questions,
            self.headed_answers,
            self.training_questions,
        )
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
    fn new(evaluation: &Evaluation, regime: &Regime) -> Self {
        let (corpus, asked) = (&evaluation.corpus, &regime.asked);
        let rank = |rank: usize| (rank != NOT_FOUND).then_some(rank);
        let question = |number: usize| QuestionReport {
            text: asked.text(number).map(str::to_string),
            answer_id: corpus.id(asked.answer(number)),
            headed: regime.headed[number],
            ranks: regime.outcomes.iter().map(|o| rank(o.found.ranks[number])).collect(),
        };
        let mut confusions = Vec::new();
        for outcome in &regime.outcomes {
            let Method::Chosen(place) = outcome.found.method else { continue };
            let pairs = regime.confusions(outcome).into_iter();
            confusions.extend(pairs.map(|pair| ConfusionReport {
                projection_id: evaluation.chosen[place].id,
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
        let sweeps = regime.sweeps.iter().map(|sweep| SweepReport {
            projection_id: evaluation.chosen[sweep.model].id,
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

/// McNemar's p for people.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

impl Report for Evaluated {
    fn render(&self, screen: &Screen) -> String {
        let mut text = String::new();
        for regime in &self.regimes {
            text += &heading(regime.title());
            text += &format!("{}\n\n", regime.size(self.answers));
            text += &screen.table(
                &[
                    "method",
                    "recall@1 %",
                    "recall@5 %",
                    "MRR@10",
                    "nDCG@10",
                    "headed",
                    "unheaded",
                    "gained",
                    "lost",
                    "p",
                ],
                regime.methods.iter().enumerate().map(|(number, method)| row(number, method)),
            );
            text += "\n";
        }
        text += "In brackets: 95 % intervals. headed, unheaded: recall@1 where the right answer has \
                 training questions\nand where it has none. gained, lost: questions that only the method, \
                 or only cosine, answers first;\np: McNemar's, of these two.\n";
        for message in &self.notes {
            text += &note(&screen.clean(message));
        }
        for message in &self.warnings {
            let label = console::style("warning:").red().bold();
            text += &format!("{label} {}\n", screen.clean(message));
        }
        if let Some(path) = &self.html {
            text += &format!("report written to {path}\n");
        }
        text
    }
}

fn row(number: usize, method: &MethodReport) -> Vec<String> {
    let all = &method.all;
    let part = |part: &Option<PartReport>| {
        part.as_ref().map_or("-".into(), |part| format!("{:.1}", 100.0 * part.recall_at_1.value))
    };
    let mut row = vec![
        method.method.clone(),
        all.recall_at_1.percent(),
        all.recall_at_5.percent(),
        all.mrr_at_10.number(),
        all.ndcg_at_10.number(),
        part(&method.headed),
        part(&method.unheaded),
    ];
    // Cosine is not compared with itself.
    row.extend(match number {
        0 => ["-".into(), "-".into(), "-".into()],
        _ => [all.gained.to_string(), all.lost.to_string(), p_value(all.p_against_cosine)],
    });
    row
}
