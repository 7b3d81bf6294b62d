//! Rows as JSON: a list of objects, an object a line, and SQuAD.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::clusters::QaFile;
use super::json::Fields;
use super::rows::{Rows, Value, is_usual_answer};
use super::{FileOptions, json};

/// Whether a text that may be one JSON value has an object in its first line, and something after
/// it or an answer in it.
pub(super) fn is_lines(text: &str) -> bool {
    let text = text.trim();
    let is_object = |line: &str| serde_json::from_str::<Fields<'_>>(line).is_ok();
    match text.split_once('\n') {
        Some((first, _)) => is_object(first),
        None => serde_json::from_str(text)
            .is_ok_and(|Fields(fields)| fields.iter().any(|(key, _)| is_usual_answer(key))),
    }
}

/// Adds an object a line.
pub(super) fn lines(text: &str, rows: &mut Rows) {
    for (number, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            object(&format!("line {}", number + 1), line, rows);
        }
    }
}

/// Adds the objects of a list.
pub(super) fn list(text: &str, rows: &mut Rows) -> Result<(), String> {
    let entries: Vec<&RawValue> = serde_json::from_str(text).map_err(json::not_json)?;
    let mut lines = json::Lines::new(text);
    for (number, entry) in entries.into_iter().enumerate() {
        let place = format!("line {}, [{number}]", lines.of(entry.get()));
        object(&place, entry.get(), rows);
    }
    Ok(())
}

/// The fields of an object as a row's. A field that comes twice is a fault, null is none.
pub(super) fn object(place: &str, text: &str, rows: &mut Rows) {
    match fields(text) {
        Ok(fields) => rows
            .add(place, fields.iter().map(|(key, value)| (&key[..], Value::Json(value))).collect()),
        Err(what) => rows.fault(place, &what),
    }
}

/// The fields of an object that are not null.
pub(super) fn fields(text: &str) -> Result<Vec<(String, &RawValue)>, String> {
    let Fields(fields) = serde_json::from_str(text).map_err(|error| {
        // Where in the file is said by whoever calls.
        let (what, column) = (error.to_string(), error.column());
        match error.is_data() {
            true => format!("expected an object, found {text:.40}"),
            false => format!(
                "not JSON: {}, column {column}",
                what.split(" at line").next().unwrap_or("")
            ),
        }
    })?;
    let mut keys = HashSet::new();
    if let Some((key, _)) = fields.iter().find(|(key, _)| !keys.insert(&key[..])) {
        return Err(format!("the field \"{key}\" comes twice"));
    }
    Ok(fields.into_iter().filter(|(_, value)| value.get() != "null").collect())
}

#[derive(Deserialize)]
struct Article<'a> {
    title: Option<String>,
    #[serde(borrow)]
    paragraphs: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    #[serde(default)]
    is_impossible: bool,
}

/// Reads `{"data": […]}`; `None` if the text is another object. An answer is a whole paragraph,
/// since that is what is searched for; the title of its article is its title. Questions without an
/// answer are left out.
pub(super) fn squad(text: &str) -> Result<Option<QaFile>, String> {
    let Fields(fields) = serde_json::from_str(text).map_err(json::not_json)?;
    let has = |name: &str| fields.iter().find(|(key, _)| key == name);
    let (None, Some((_, data))) = (has("clusters"), has("data")) else { return Ok(None) };
    let mut rows = Rows::new(&FileOptions::default());
    let (mut lines, mut unanswerable) = (json::Lines::new(text), 0);
    let articles: Vec<&RawValue> = serde_json::from_str(data.get())
        .map_err(|error| format!("expected a list \"data\" of articles, as SQuAD has: {error}"))?;
    for (number, raw) in articles.into_iter().enumerate() {
        let place = format!("line {}, data[{number}]", lines.of(raw.get()));
        let article: Article<'_> = match json::value(raw.get()) {
            Ok(article) => article,
            Err(what) => {
                rows.fault(&place, &what);
                continue;
            }
        };
        for (number, raw) in article.paragraphs.into_iter().enumerate() {
            let line = lines.of(raw.get());
            let place = format!(
                "line {line}, {}.paragraphs[{number}]",
                place.split_once(", ").expect("it was made so").1
            );
            let paragraph: Paragraph = match json::value(raw.get()) {
                Ok(paragraph) => paragraph,
                Err(what) => {
                    rows.fault(&place, &what);
                    continue;
                }
            };
            let title = article
                .title
                .iter()
                .map(|title| ("title".into(), serde_json::Value::from(&title[..]).to_string()));
            let Some(answer) = rows.answer(&place, None, paragraph.context, title.collect()) else {
                continue;
            };
            for question in paragraph.qas {
                match question.is_impossible {
                    true => unanswerable += 1,
                    false => rows.question(question.question, answer),
                }
            }
        }
    }
    if unanswerable > 0 {
        rows.warn(format!("{unanswerable} questions without an answer are left out"));
    }
    rows.finish().map(Some)
}
