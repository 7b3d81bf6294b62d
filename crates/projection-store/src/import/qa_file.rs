//! Question–answer files: JSON in either of two shapes.
//!
//! ```json
//! {"clusters": [{"answer_id": "linking", "answer": "…", "questions": ["…", "…"]}]}
//! {"clusters": [{"id": "linking", "answer_source": "guide.md",
//!                "answers": {"default": "…", "all-MiniLM-L6-v2": "…"},
//!                "queries": {"short": ["…"], "medium": ["…"], "long": ["…"]}}]}
//! ```
//! Both may be mixed in one file. Other keys are ignored.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// One cluster of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QaCluster {
    /// Its name: `answer_id` or `id`. Unique in the file.
    pub name: String,
    /// The document that the answer comes from, where the file says so.
    pub answer_source: Option<String>,
    /// Variant and text of every answer, the variant `default` first.
    pub answers: Vec<(String, String)>,
    /// Length type, where the file says so, and text of every question.
    pub questions: Vec<(Option<&'static str>, String)>,
}

const LENGTH_TYPES: [&str; 3] = ["short", "medium", "long"];

/// Reads the clusters of a file. Errors say where in the file something else was expected.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<QaCluster>, String> {
    let file: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
    let clusters = file
        .get("clusters")
        .and_then(Value::as_array)
        .ok_or("expected an object with a list \"clusters\"")?;
    let mut names = HashSet::new();
    clusters
        .iter()
        .enumerate()
        .map(|(number, cluster)| {
            let place = format!("clusters[{number}]");
            let cluster = cluster
                .as_object()
                .ok_or_else(|| format!("{place}: expected an object, found {}", kind(cluster)))?;
            let cluster = parse_cluster(cluster).map_err(|error| format!("{place}{error}"))?;
            if !names.insert(cluster.name.clone()) {
                return Err(format!("{place}: the id '{}' comes twice", cluster.name));
            }
            Ok(cluster)
        })
        .collect()
}

fn parse_cluster(cluster: &Map<String, Value>) -> Result<QaCluster, String> {
    let (id_key, has_variants) = match (cluster.get("answer"), cluster.get("answers")) {
        (Some(_), None) => ("answer_id", false),
        (None, Some(_)) => ("id", true),
        (Some(_), Some(_)) => return Err(": both \"answer\" and \"answers\", expected one".into()),
        (None, None) => return Err(": expected \"answer\" or \"answers\"".into()),
    };
    let name = text(id_key, cluster.get(id_key))?;
    let answer_source = match cluster.get("answer_source") {
        None | Some(Value::Null) => None,
        source => Some(text("answer_source", source)?),
    };
    let (answers, questions) = if has_variants {
        (variants(&cluster["answers"])?, queries(cluster.get("queries"))?)
    } else {
        let answer = text("answer", cluster.get("answer"))?;
        let questions = texts("questions", cluster.get("questions"))?;
        let untyped = questions.into_iter().map(|question| (None, question)).collect();
        (vec![("default".to_string(), answer)], untyped)
    };
    let mut seen = HashSet::new();
    if let Some((_, question)) = questions.iter().find(|(_, question)| !seen.insert(question)) {
        return Err(format!(": the question '{question}' comes twice"));
    }
    Ok(QaCluster { name, answer_source, answers, questions })
}

/// The wordings of an answer; the default one, which the others are variants of, first.
fn variants(answers: &Value) -> Result<Vec<(String, String)>, String> {
    let answers = answers
        .as_object()
        .ok_or_else(|| format!(".answers: expected an object, found {}", kind(answers)))?;
    let default = text("answers.default", answers.get("default"))?;
    let mut variants = vec![("default".to_string(), default)];
    for (variant, answer) in answers.iter().filter(|(variant, _)| *variant != "default") {
        variants.push((variant.clone(), text(&format!("answers[\"{variant}\"]"), Some(answer))?));
    }
    Ok(variants)
}

fn queries(queries: Option<&Value>) -> Result<Vec<(Option<&'static str>, String)>, String> {
    let queries = match queries {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(queries)) => queries,
        Some(other) => return Err(format!(".queries: expected an object, found {}", kind(other))),
    };
    if let Some(key) = queries.keys().find(|key| !LENGTH_TYPES.contains(&key.as_str())) {
        return Err(format!(".queries: '{key}', expected short, medium or long"));
    }
    let mut questions = Vec::new();
    for length_type in LENGTH_TYPES {
        let of_type = texts(&format!("queries.{length_type}"), queries.get(length_type))?;
        questions.extend(of_type.into_iter().map(|question| (Some(length_type), question)));
    }
    Ok(questions)
}

/// A list of texts; an absent one is empty.
fn texts(key: &str, value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .iter()
            .enumerate()
            .map(|(number, value)| text(&format!("{key}[{number}]"), Some(value)))
            .collect(),
        Some(other) => Err(format!(".{key}: expected a list of texts, found {}", kind(other))),
    }
}

/// A text with something in it. Numbers serve as ids, so they are taken too.
fn text(key: &str, value: Option<&Value>) -> Result<String, String> {
    match value {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!(".{key}: empty text")),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => Err(format!(".{key}: expected a text, found {}", kind(other))),
        None => Err(format!(": no \"{key}\"")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_shapes() {
        let clusters = parse(
            r#"{"clusters": [
                {"answer_id": "a", "answer": "A.", "questions": ["1?", "2?"]},
                {"id": "b", "answer_source": "b.md", "answers": {"mini": "b", "default": "B."},
                 "queries": {"long": ["4?"], "short": ["3?"]}},
                {"id": "c", "answers": {"default": "C."}}]}"#
                .as_bytes(),
        )
        .unwrap();
        let text = |text: &str| text.to_string();
        assert_eq!(clusters[0].answers, [(text("default"), text("A."))]);
        assert_eq!(clusters[0].questions, [(None, text("1?")), (None, text("2?"))]);
        assert_eq!(
            clusters[1],
            QaCluster {
                name: text("b"),
                answer_source: Some(text("b.md")),
                answers: vec![(text("default"), text("B.")), (text("mini"), text("b"))],
                questions: vec![(Some("short"), text("3?")), (Some("long"), text("4?"))],
            }
        );
        assert!(clusters[2].questions.is_empty());
    }

    #[test]
    fn says_where_something_else_was_expected() {
        for (file, words) in [
            ("[1", "not JSON"),
            ("{}", "\"clusters\""),
            (r#"{"clusters": [7]}"#, "clusters[0]: expected an object, found a number"),
            (r#"{"clusters": [{"answer": "x"}]}"#, "clusters[0]: no \"answer_id\""),
            (r#"{"clusters": [{"answer_id": "x"}]}"#, "\"answer\" or \"answers\""),
            (r#"{"clusters": [{"answer_id": "x", "answer": " "}]}"#, "clusters[0].answer: empty"),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": ["a?", null]}]}"#,
                "clusters[0].questions[1]: expected a text, found null",
            ),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": ["a?", "a?"]}]}"#,
                "'a?' comes twice",
            ),
            (r#"{"clusters": [{"id": "x", "answers": {"m": "y"}}]}"#, "no \"answers.default\""),
            (
                r#"{"clusters": [{"id": "x", "answers": {"default": "y"}, "queries": {"big": []}}]}"#,
                "'big', expected short",
            ),
            (
                r#"{"clusters": [{"answer_id": 1, "answer": "y"}, {"answer_id": "1", "answer": "z"}]}"#,
                "clusters[1]: the id '1' comes twice",
            ),
        ] {
            let error = parse(file.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{file}: {error}");
        }
    }
}
