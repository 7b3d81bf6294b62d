//! BEIR folders: `corpus.jsonl` and `queries.jsonl` with `_id` and `text`, and `qrels/*.tsv`, which
//! say which documents are right for which queries.

use std::collections::HashMap;

use super::FileOptions;
use super::clusters::QaFile;
use super::json_rows::fields;
use super::rows::{Row, Rows, Value};

/// Reads corpus, queries and qrels, each given by name and text. A document is right for a query if
/// its score is above 0. Documents are answers, also those that no query asks for; queries of other
/// splits are left out.
pub(super) fn read(parts: &[(&str, &str)]) -> Result<QaFile, String> {
    let &[corpus, queries, (qrels, scores)] = parts else {
        return Err("expected corpus, queries and qrels".into());
    };
    let options = FileOptions {
        answer_column: Some("text".into()),
        id_column: Some("_id".into()),
        ..FileOptions::default()
    };
    let mut rows = Rows::of_documents(&options);
    entries(corpus, &mut rows, |rows, place, id, row| {
        // Some corpora have documents that are only a title.
        let title = || row.metadata.iter().find(|(key, _)| key == "title");
        let text = row.answers.into_iter().next();
        match text.or_else(|| serde_json::from_str(&title()?.1).ok()) {
            Some(text) => drop(rows.answer(place, Some(id), text, row.metadata)),
            None => rows.fault(place, "neither \"text\" nor \"title\""),
        }
    });
    let mut texts: HashMap<String, String> = HashMap::new();
    entries(queries, &mut rows, |rows, place, id, row| match row.answers.into_iter().next() {
        None => rows.fault(place, "no \"text\""),
        Some(_) if texts.contains_key(&id) => {
            rows.fault(place, &format!("the id '{id:.40}' comes twice"));
        }
        Some(text) => drop(texts.insert(id, text)),
    });
    for (number, line) in scores.lines().enumerate() {
        let place = format!("{qrels}, line {}", number + 1);
        let values: Vec<&str> = line.split('\t').map(str::trim).collect();
        let score = values.get(2).and_then(|score| score.parse::<f64>().ok());
        match (&values[..], score) {
            ([""], _) => {}
            ([query, document, _], Some(score)) => {
                match (texts.get(*query), rows.known(document)) {
                    (None, _) => rows.fault(&place, &format!("no query '{query:.40}'")),
                    (_, None) => rows.fault(&place, &format!("no document '{document:.40}'")),
                    (Some(text), Some(answer)) if score > 0.0 => {
                        rows.question(text.clone(), answer)
                    }
                    _ => {}
                }
            }
            // The header.
            _ if number == 0 => {}
            _ => rows.fault(
                &place,
                "expected the ids of a query and a document and a score, separated by tabs",
            ),
        }
    }
    rows.finish()
}

/// Calls `each` with place, id and fields of every line.
fn entries(
    (name, text): (&str, &str),
    rows: &mut Rows,
    mut each: impl FnMut(&mut Rows, &str, String, Row),
) {
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{name}, line {}", number + 1);
        let row = match fields(line) {
            Ok(fields) => {
                let values = fields.iter().map(|(key, value)| (&key[..], Value::Json(value)));
                rows.row(&place, values.collect())
            }
            Err(what) => {
                rows.fault(&place, &what);
                None
            }
        };
        let Some(mut row) = row else { continue };
        match row.id.take() {
            Some(id) => each(rows, &place, id, row),
            None => rows.fault(&place, "no \"_id\""),
        }
    }
}
