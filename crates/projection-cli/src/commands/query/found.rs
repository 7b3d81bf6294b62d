//! What a question found, for people and programs.

use projection_core::projection::Precision;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Mode;
use crate::commands::explain::Explained;
use crate::output::{Report, Screen, heading, note, shares};

/// Routing weights that are shown to people.
const SHOWN_WEIGHTS: usize = 5;

/// The answers.
#[derive(Debug, Serialize)]
pub struct Found {
    pub query: String,
    pub model: String,
    /// What the user should know about the way it was found.
    pub notes: Vec<String>,
    /// None for plain cosine, and for a model in a file of its own.
    pub projection_id: Option<i64>,
    /// Where the model is, if it is in a file of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_file: Option<String>,
    pub kind: Option<&'static str>,
    /// None for a projection that does not route.
    pub temperature: Option<f64>,
    /// None for plain cosine.
    pub precision: Option<Precision>,
    pub score_mode: Mode,
    /// None where words did not count.
    pub hybrid_weight: Option<f64>,
    /// Of answers that no head is for; 0 where there was none.
    pub unseen_offset: f64,
    /// In ascending order of cluster id.
    pub weights: Vec<Weight>,
    pub hits: Vec<FoundHit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explained>,
    /// Whether it should have been logged and was not.
    #[serde(skip)]
    pub not_logged: bool,
    /// Where it was logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<i64>,
}

#[derive(Debug, Serialize)]
pub struct Weight {
    pub cluster_id: i64,
    /// None where the cluster was removed or never had a name.
    pub name: Option<String>,
    pub weight: f32,
}

#[derive(Debug, Serialize)]
pub struct FoundHit {
    pub rank: usize,
    pub answer_id: i64,
    pub score: f32,
    /// Rank and score without a projection, among all answers; None where these have
    /// another dimension than the question.
    pub cosine_rank: Option<usize>,
    pub cosine_score: Option<f32>,
    pub name: Option<String>,
    /// None for an answer without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub text: String,
    /// What its file says of it beside its texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

impl Report for Found {
    fn render(&self, screen: &Screen) -> String {
        let mut how = match (self.projection_id, self.kind) {
            (Some(id), None | Some("multi_head")) => format!("projection {id}"),
            (Some(id), Some(kind)) => format!("{kind} projection {id}"),
            (None, Some(kind)) => {
                let file = self.model_file.as_deref().unwrap_or_default();
                format!("{kind} projection {}", screen.clean(file))
            }
            (None, None) => "plain cosine, no projection".to_string(),
        };
        if let Some(temperature) = self.temperature {
            how += &format!(", temperature {temperature}");
        }
        if self.score_mode == Mode::MaxNearest {
            how += ", or the nearest training question";
        }
        if self.unseen_offset != 0.0 {
            let offset = self.unseen_offset;
            how += &format!(", offset {offset} for answers without training questions");
        }
        if let Some(weight) = self.hybrid_weight {
            how += &format!(", BM25 with weight {weight}");
        }
        let mut text = heading(&screen.clean(&self.query));
        text += &format!("{how}, embedding model {}\n", screen.clean(&self.model));
        for message in &self.notes {
            text += &note(&screen.clean(message));
        }
        text += "\n";
        if !self.weights.is_empty() {
            text += &self.render_weights(screen);
        }
        if let Some(explanation) = &self.explanation {
            text += &explanation.render(screen);
        }
        let rows = self.hits.iter().map(|hit| {
            let mut name = hit.name.clone().unwrap_or_else(|| format!("answer {}", hit.answer_id));
            name += &hit.title.as_ref().map_or(String::new(), |title| format!(": {title}"));
            let mut row = vec![
                hit.rank.to_string(),
                format!("{:.4}", hit.score),
                match (hit.cosine_rank, hit.cosine_score) {
                    (Some(rank), Some(score)) => format!("{rank} ({score:.4})"),
                    _ => "–".to_string(),
                },
            ];
            if screen.is_terminal() {
                row.push(format!("{name}\n{}\n ", hit.text.trim_end()));
            } else {
                row.extend([name, hit.text.clone()]);
            }
            row
        });
        let header: &[_] = match screen.is_terminal() {
            true => &["rank", "score", "cosine rank", "answer"],
            false => &["rank", "score", "cosine rank", "answer", "text"],
        };
        text += &screen.table(header, rows);
        if let Some(log_id) = self.log_id {
            text += &format!("logged as {log_id}\n");
        }
        text
    }

    fn succeeded(&self) -> bool {
        !self.not_logged
    }
}

impl Found {
    /// The largest weights as bars, relative to the first.
    fn render_weights(&self, screen: &Screen) -> String {
        let mut weights: Vec<&Weight> = self.weights.iter().collect();
        weights.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.cluster_id.cmp(&b.cluster_id)));
        let row = |weight: &&Weight| {
            let name = weight.name.clone();
            let name = name.unwrap_or_else(|| format!("cluster {}", weight.cluster_id));
            (f64::from(weight.weight), screen.clean(&name))
        };
        let rows: Vec<(f64, String)> = weights.iter().map(row).collect();
        heading("routing weights") + &shares(&rows, SHOWN_WEIGHTS)
    }
}
