//! The text for people.

use super::{Dtypes, Inspected, ProjectionFacts};
use crate::output::{Report, Screen, count, heading, optional};

impl Report for Inspected {
    fn render(&self, screen: &Screen) -> String {
        let mut text = heading(&screen.clean(&self.path));
        if let Some(texts) = &self.texts {
            text += &format!(
                "{}, {}, {}\n",
                count(texts.clusters, "cluster"),
                count(texts.answers, "answer"),
                count(texts.questions, "question")
            );
        }
        let mut section = |title: &str, header: &[&str], rows: Vec<Vec<String>>| {
            if !rows.is_empty() {
                text += &format!("\n{}{}", heading(title), screen.table(header, rows));
            }
        };
        section(
            "embedding models",
            &["id", "name", "dimension", "answers", "questions", "dtypes"],
            (self.models.iter())
                .map(|model| {
                    let [dim, answers, questions] =
                        [model.dimension, model.answers, model.questions].map(|n| n.to_string());
                    let (id, name) = (model.id.to_string(), model.name.clone());
                    vec![id, name, dim, answers, questions, model.dtypes.list()]
                })
                .collect(),
        );
        section(
            "imported files",
            &["batch", "status", "file", "error"],
            (self.batches.iter())
                .map(|batch| {
                    let (id, status) = (batch.batch_id.to_string(), batch.status.clone());
                    let error = optional(batch.error_message.as_ref());
                    vec![id, status, batch.source_file.clone(), error]
                })
                .collect(),
        );
        section(
            "projections",
            &["id", "projection", "temperature", "search", "heads", "dtypes"],
            self.projections.iter().map(projection_row).collect(),
        );
        let tensors = self.projections.iter().flat_map(|facts| &facts.tensors);
        section(
            "tensors",
            &["name", "dtype", "shape"],
            tensors
                .map(|tensor| {
                    let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
                    vec![tensor.name.clone(), tensor.dtype.clone(), shape.join(" × ")]
                })
                .collect(),
        );
        text += "\n";
        if self.problems.is_empty() {
            return text + "no problems found\n";
        }
        text += &heading(&format!("{} found", count(self.problems.len(), "problem")));
        for problem in &self.problems {
            let label = console::style(format!("{}:", problem.kind)).red();
            text += &format!("{label} {}\n", screen.clean(&problem.message));
        }
        text
    }

    fn succeeded(&self) -> bool {
        self.problems.is_empty()
    }
}

fn projection_row(facts: &ProjectionFacts) -> Vec<String> {
    let dimension = |dim: Option<usize>| dim.map_or("?".to_string(), |dim| dim.to_string());
    let dtypes = [
        ("centroids", &facts.centroid_dtypes),
        ("answers", &facts.answer_dtypes),
        ("matrices", &facts.matrix_dtypes),
    ];
    let dtypes = dtypes.iter().filter(|(_, dtypes)| !dtypes.0.is_empty());
    let dtypes: Vec<_> = dtypes.map(|(what, dtypes)| format!("{what} {}", dtypes.list())).collect();
    // Several lines a cell, so that a row fits a narrow terminal.
    let name = facts.name.as_ref().map(|name| format!("\n{name}")).unwrap_or_default();
    let from = facts.model.as_ref().or(facts.folder.as_ref());
    let from = from.map(|from| format!("\nfrom {from}")).unwrap_or_default();
    let heads = match facts.matrices {
        0 => format!("{}\n", facts.heads),
        n if facts.heads > 0 => format!("{}, {n} with W\n", facts.heads),
        _ => String::new(),
    };
    let weight = facts.hybrid_weight.map(|weight| format!("BM25 {weight}"));
    let offset = facts.unseen_offset.map(|offset| format!("offset {offset}"));
    let search: Vec<String> = weight.into_iter().chain(offset).collect();
    let heads = match &facts.network {
        Some(network) => format!(
            "{} of {}\ninner width {}\n{} weights\n",
            count(network.layers, "layer"),
            count(facts.heads, "head"),
            network.ff_dim,
            network.weights
        ),
        None => heads,
    };
    let (input, output) = (dimension(facts.input_dim), dimension(facts.output_dim));
    vec![
        optional(facts.id),
        format!("{}{name}{from}", facts.kind),
        optional(facts.temperature),
        search.join("\n"),
        format!("{heads}dimension {input} → {output}"),
        dtypes.join("\n"),
    ]
}

impl Dtypes {
    fn list(&self) -> String {
        match self.0.is_empty() {
            true => "-".to_string(),
            false => self.0.iter().copied().collect::<Vec<_>>().join(", "),
        }
    }
}
