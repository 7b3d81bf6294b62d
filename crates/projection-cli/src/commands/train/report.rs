//! What `projection train` prints.

use projection_core::train::{Validated, Validation};
use serde::Serialize;

use super::Method;
use crate::commands::resources::Used;
use crate::output::{Report, Screen, count, note};

/// Candidates that are listed for people.
const LISTED: usize = 5;

/// The new model.
#[derive(Debug, Serialize)]
pub struct Trained {
    pub id: i64,
    pub method: Method,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    pub heads: usize,
    pub questions: usize,
    pub clusters_left_out: usize,
    /// What the model is made of, for kinds that have terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<serde_json::Value>,
    /// The weight of BM25 in hybrid search, where it was chosen.
    pub hybrid_weight: Option<f64>,
    /// The offset of answers that no head is for, where it was chosen.
    pub unheaded_offset: Option<f64>,
    /// What cross-validation measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<serde_json::Value>,
    /// Questions that feedback added; None unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback_questions: Option<usize>,
    pub resources: Used,
    #[serde(skip)]
    pub measured: Option<Validation>,
    /// How it was trained, for people.
    #[serde(skip)]
    pub recipe: String,
    pub notes: Vec<String>,
}

impl Trained {
    /// Cross-validation for people: cosine, the fixed parameters, and the best candidates.
    fn validation_table(&self, screen: &Screen) -> Option<String> {
        let validation = self.measured.as_ref()?;
        let mut rows = vec![row("plain cosine".into(), &validation.cosine)];
        rows.extend(validation.fixed.map(|fixed| row("fixed parameters".into(), &fixed)));
        rows.push(row(format!("chosen: {}", self.recipe), &validation.chosen));
        let best = validation.best_of_kinds();
        for tried in best.iter().filter(|_| best.len() > 1) {
            rows.push(row(format!("best of its kind: {}", tried.recipe), &tried.validated));
        }
        let others = validation.tried.iter().filter(|tried| !best.contains(tried));
        for tried in others.take(LISTED) {
            rows.push(row(format!("tried: {}", tried.recipe), &tried.validated));
        }
        let mut text = format!(
            "\ncross-validation on {} of answers with and {} of answers without training \
             questions, {} tried\n{}",
            count(validation.chosen.headed.questions, "question"),
            count(validation.chosen.unheaded.questions, "question"),
            count(validation.tried.len(), "candidate"),
            screen.table(&HEADER, rows)
        );
        if let Some((cosine, model)) = &validation.open {
            let rows = vec![
                row("plain cosine".into(), cosine),
                row(format!("chosen: {}", self.recipe), model),
            ];
            text += &format!(
                "\nwhere answers lose all their questions too, {} of such\n{}",
                count(model.unheaded.questions, "question"),
                screen.table(&HEADER, rows)
            );
        }
        Some(text)
    }

    /// What was chosen for search.
    fn search_values(&self) -> Option<String> {
        let validation = self.measured.as_ref()?;
        let mut text = String::new();
        if let Some(found) = validation.hybrid_weight {
            text += &format!(
                "weight of BM25 {}, MRR@10 {:.3} against {:.3} without words\n",
                found.value, found.score, found.without
            );
        }
        if let Some(found) = validation.unheaded_offset {
            text += &format!(
                "offset {} for answers without training questions, MRR@10 {:.3} against {:.3} \
                 without\n",
                found.value, found.score, found.without
            );
        }
        (!text.is_empty()).then(|| format!("\n{text}"))
    }
}

const HEADER: [&str; 6] = ["", "MRR@10", "with", "without", "recall@1 with", "recall@1 without"];

/// MRR@10 at the expected share, and both measures of questions whose answer has and has not
/// training questions.
fn row(name: String, v: &Validated) -> Vec<String> {
    let part = |questions: usize, text: String| match questions {
        0 => "-".to_string(),
        _ => text,
    };
    let mrr =
        |m: &projection_core::evaluate::Metrics| part(m.questions, format!("{:.3}", m.mrr_at_10));
    let recall = |m: &projection_core::evaluate::Metrics| {
        part(m.questions, format!("{:.1} %", 100.0 * m.recall_at_1))
    };
    let (with, without) = (&v.headed, &v.unheaded);
    let score = format!("{:.3}", v.score);
    vec![name, score, mrr(with), mrr(without), recall(with), recall(without)]
}

impl Report for Trained {
    fn render(&self, screen: &Screen) -> String {
        let temperature =
            self.temperature.map(|t| format!(", temperature {t}")).unwrap_or_default();
        let mut text = format!(
            "projection {}\n{}, {} from {} by {}{temperature}\n",
            self.id,
            self.kind.replace('_', "-"),
            count(self.heads, "head"),
            count(self.questions, "question"),
            self.model,
        );
        if let Some(questions) = self.feedback_questions {
            text += &format!("{} added from feedback\n", count(questions, "question"));
        }
        if self.clusters_left_out > 0 {
            text += &format!(
                "{} without vectors of both questions and answers\n",
                count(self.clusters_left_out, "cluster")
            );
        }
        text += &self.validation_table(screen).unwrap_or_default();
        text += &self.search_values().unwrap_or_default();
        text += &format!("\n{}\n", self.resources);
        for message in &self.notes {
            text += &note(message);
        }
        text
    }
}
