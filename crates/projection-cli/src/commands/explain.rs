//! What `projection query --explain` adds: the training questions that pulled the query, how
//! far it moved, and the answers' ranks before and after.

use std::collections::HashMap;

use projection_store::search::Explanation;
use serde::Serialize;

use crate::output::{Screen, heading, shares};

/// Training questions that are shown to people.
const SHOWN_QUESTIONS: usize = 8;

/// Why the answers were found.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Between the query and its projection; none without a projection.
    angle_degrees: Option<f64>,
    /// Whether the questions move the query, or only give the routing weights.
    questions_move: bool,
    questions: Vec<Question>,
    hits: Vec<Parts>,
}

#[derive(Debug, Serialize)]
struct Question {
    cluster_id: i64,
    cluster: Option<String>,
    /// The row in the model's file of the cluster's questions.
    row: usize,
    similarity: f64,
    weight: f64,
    /// None where the store does not have the question any more.
    question_id: Option<i64>,
    text: Option<String>,
}

/// An answer's ranks and the parts of its score.
#[derive(Debug, Serialize)]
struct Parts {
    answer_id: i64,
    rank_before: Option<usize>,
    rank: usize,
    score: f32,
    projected_cosine: f32,
    nearest_question: Option<f32>,
    bm25: Option<f64>,
    seen: Option<bool>,
    #[serde(skip)]
    name: String,
}

impl Explained {
    /// `names` are those of clusters, `name_of` gives that of an answer.
    pub fn new(
        explanation: Explanation,
        names: &HashMap<i64, Option<String>>,
        name_of: impl Fn(i64) -> String,
    ) -> Self {
        let question = |question: projection_store::search::ExplainedQuestion| {
            let (question_id, text) = question.question.unzip();
            Question {
                cluster_id: question.cluster_id,
                cluster: names.get(&question.cluster_id).cloned().flatten(),
                row: question.row,
                similarity: question.similarity,
                weight: question.weight,
                question_id,
                text,
            }
        };
        let parts = |hit: projection_store::search::ExplainedHit| Parts {
            answer_id: hit.answer_id,
            rank_before: hit.before.map(|(rank, _)| rank),
            rank: hit.rank,
            score: hit.score,
            projected_cosine: hit.cosine,
            nearest_question: hit.nearest_question,
            bm25: hit.bm25,
            seen: hit.seen,
            name: name_of(hit.answer_id),
        };
        Self {
            angle_degrees: explanation.angle,
            questions_move: explanation.questions_move,
            questions: explanation.questions.into_iter().map(question).collect(),
            hits: explanation.hits.into_iter().map(parts).collect(),
        }
    }

    pub fn render(&self, screen: &Screen) -> String {
        let mut text = String::new();
        if let Some(angle) = self.angle_degrees {
            text += &heading("how far");
            text += &format!("the projection turned the query by {angle:.1}°\n\n");
        }
        if !self.questions.is_empty() {
            text += &self.render_questions(screen);
        }
        text += &heading("ranks by plain cosine and now");
        let rows = self.hits.iter().map(|hit| {
            let before = hit.rank_before.map_or("–".to_string(), |rank| rank.to_string());
            let number =
                |value: Option<f64>| value.map_or("–".to_string(), |v| format!("{v:.4}"));
            let seen = hit.seen.map_or("–", |seen| if seen { "yes" } else { "no" });
            vec![
                format!("{before} → {}", hit.rank),
                format!("{:.4}", hit.projected_cosine),
                number(hit.nearest_question.map(f64::from)),
                number(hit.bm25),
                seen.to_string(),
                hit.name.clone(),
            ]
        });
        let header = ["ranks", "projected cosine", "nearest question", "BM25", "seen", "answer"];
        text += &screen.table(&header, rows);
        text + "\n"
    }

    /// The questions with the largest weights, as bars relative to the first.
    fn render_questions(&self, screen: &Screen) -> String {
        let row = |question: &Question| {
            let words = match (&question.text, &question.cluster) {
                (Some(words), Some(cluster)) => format!("{words} ({cluster})"),
                (Some(words), None) => words.clone(),
                (None, Some(cluster)) => format!("question {} of {cluster}", question.row),
                (None, None) => {
                    format!("question {} of cluster {}", question.row, question.cluster_id)
                }
            };
            let words = format!("cosine {:.3}  {}", question.similarity, screen.clean(&words));
            (question.weight, words)
        };
        let rows: Vec<(f64, String)> = self.questions.iter().map(row).collect();
        heading(match self.questions_move {
            true => "training questions that pulled the query",
            false => "training questions nearest to the query (they do not move it)",
        }) + &shares(&rows, SHOWN_QUESTIONS)
    }
}
