//! What `projection train` prints.

use projection_engine::TrainReport;
use projection_train::Validated;
use serde::Serialize;

use crate::commands::resources::Used;
use crate::output::{Report, Screen, count, note};

/// Candidates that are listed for people.
const LISTED: usize = 5;

/// The new model, and what it took.
#[derive(Debug, Serialize)]
pub struct Trained {
    #[serde(flatten)]
    pub report: TrainReport,
    pub resources: Used,
}

impl Trained {
    /// Cross-validation for people: cosine, the chosen model, and the best candidates.
    fn validation_table(&self, screen: &Screen) -> Option<String> {
        let validation = self.report.measured.as_ref()?;
        let mut rows = vec![row("plain cosine".into(), &validation.cosine)];
        rows.push(row(format!("chosen: {}", self.report.recipe), &validation.chosen));
        rows.extend(validation.query_only.map(|still| row("with answers in place".into(), &still)));
        let best = validation.best_of_kinds();
        for tried in best.iter().filter(|_| best.len() > 1) {
            rows.push(row(format!("best of its kind: {}", tried.recipe), &tried.validated));
        }
        let others = validation.trials.iter().filter(|tried| !best.contains(tried));
        for tried in others.take(LISTED) {
            rows.push(row(format!("tried: {}", tried.recipe), &tried.validated));
        }
        let mut text = format!(
            "\ncross-validation, on questions that were left out of training: {} whose answer has \
             other training questions (seen) and {} whose answer has none (unseen); {} tried\n{}",
            validation.chosen.seen.questions,
            validation.chosen.unseen.questions,
            count(validation.trials.len(), "candidate"),
            screen.table(&HEADER, rows)
        );
        if let Some((cosine, model)) = &validation.open {
            let rows = vec![
                row("plain cosine".into(), cosine),
                row(format!("chosen: {}", self.report.recipe), model),
            ];
            text += &format!(
                "\nhad some answers no training questions (open), as new answers will have none; {} \
                 of such. Above, all had some (closed)\n{}",
                count(model.unseen.questions, "question"),
                screen.table(&HEADER, rows)
            );
        }
        Some(text)
    }

    /// What was chosen for search.
    fn search_defaults(&self) -> Option<String> {
        let validation = self.report.measured.as_ref()?;
        let mut text = String::new();
        if let Some(found) = validation.hybrid_weight {
            text += &format!(
                "weight of BM25 {}, MRR@10 {:.3} against {:.3} without words\n",
                found.value, found.score, found.without
            );
        }
        if let Some(found) = validation.unseen_offset {
            text += &format!(
                "offset {} for answers without training questions, MRR@10 {:.3} against {:.3} \
                 without. Searches of the store add it; more (query --unseen-offset) finds such \
                 answers more often, less finds the others more often\n",
                found.value, found.score, found.without
            );
        }
        (!text.is_empty()).then(|| format!("\n{text}"))
    }
}

const HEADER: [&str; 6] =
    ["", "MRR@10", "seen MRR@10", "unseen MRR@10", "seen recall@1", "unseen recall@1"];

/// MRR@10 at the expected share, and both measures of questions whose answer is seen and unseen.
fn row(name: String, v: &Validated) -> Vec<String> {
    let part = |questions: usize, text: String| match questions {
        0 => "-".to_string(),
        _ => text,
    };
    let mrr = |m: &projection_train::evaluation::Metrics| {
        part(m.questions, format!("{:.3}", m.mrr_at_10))
    };
    let recall = |m: &projection_train::evaluation::Metrics| {
        part(m.questions, format!("{:.1} %", 100.0 * m.recall_at_1))
    };
    let (with, without) = (&v.seen, &v.unseen);
    let score = format!("{:.3}", v.score);
    vec![name, score, mrr(with), mrr(without), recall(with), recall(without)]
}

impl Report for Trained {
    fn render(&self, screen: &Screen) -> String {
        let temperature =
            self.report.temperature.map(|t| format!(", temperature {t}")).unwrap_or_default();
        let mut text = format!(
            "projection {}\n{}, {} from {} by {}{temperature}\n",
            self.report.id,
            self.report.kind.replace('_', "-"),
            count(self.report.heads, "head"),
            count(self.report.questions, "question"),
            self.report.model,
        );
        text += match self.report.active == self.report.id {
            true => "active\n",
            false => "not active\n",
        };
        if let Some(questions) = self.report.feedback_questions {
            text += &format!("{} added from feedback\n", count(questions, "question"));
        }
        if self.report.clusters_left_out > 0 {
            text += &format!(
                "{} without vectors of both questions and answers\n",
                count(self.report.clusters_left_out, "cluster")
            );
        }
        text += &self.validation_table(screen).unwrap_or_default();
        text += &self.search_defaults().unwrap_or_default();
        text += &format!("\n{}\n", self.resources);
        for message in &self.report.notes {
            text += &note(message);
        }
        text
    }
}
