//! Question–answer files: JSON in either of two shapes.
//!
//! ```json
//! {"clusters": [{"answer_id": "linking", "answer": "…", "questions": ["…", "…"]}]}
//! {"clusters": [{"id": "linking", "answer_source": "guide.md",
//!                "answers": {"default": "…", "all-MiniLM-L6-v2": "…"},
//!                "queries": {"short": ["…"], "medium": ["…"], "long": ["…"]}}]}
//! ```
//! Both may be mixed in one file. Other keys are ignored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::replacement::{NewAnswer, Replacement};

/// One cluster of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QaCluster {
    /// Its name: `answer_id` or `id`. Unique in the file.
    pub name: String,
    /// The document that the answer comes from, if the file says so.
    pub answer_source: Option<String>,
    /// Variant and text of every answer, the variant `default` first.
    pub answers: Vec<(String, String)>,
    /// Length type, if the file says so, and text of every question.
    pub questions: Vec<(Option<&'static str>, String)>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a list \"clusters\"")]
struct File {
    clusters: Vec<Cluster>,
}

/// A cluster of either shape.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Cluster {
    answer_id: Option<Text>,
    answer: Option<Text>,
    questions: Option<Vec<Text>>,
    id: Option<Text>,
    answer_source: Option<Text>,
    answers: Option<BTreeMap<String, Text>>,
    queries: Option<Queries>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Queries {
    short: Option<Vec<Text>>,
    medium: Option<Vec<Text>>,
    long: Option<Vec<Text>>,
}

/// A text with something in it. Numbers serve as ids, so they are taken too.
#[derive(Debug)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if !text.trim().is_empty() => Ok(Self(text)),
            Value::String(_) => Err(D::Error::custom("empty text")),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(D::Error::custom(format!("expected a text, found {other:.40}"))),
        }
    }
}

/// Reads JSON. Errors say where in it something else was expected.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let what = if error.inner().is_data() { "" } else { "not JSON: " };
        format!("{what}{error}")
    })?;
    json.end().map_err(|error| format!("not JSON: {error}"))?;
    Ok(value)
}

/// Reads the clusters of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<QaCluster>, String> {
    let file: File = from_json(bytes)?;
    let mut names = HashSet::new();
    let clusters = file.clusters.into_iter().enumerate().map(|(number, cluster)| {
        let cluster = cluster.check().map_err(|what| format!("clusters[{number}]: {what}"))?;
        if !names.insert(cluster.name.clone()) {
            return Err(format!("clusters[{number}]: the id '{}' comes twice", cluster.name));
        }
        Ok(cluster)
    });
    clusters.collect()
}

impl Cluster {
    fn check(self) -> Result<QaCluster, String> {
        let untyped = |text: Text| (None, text.0);
        let (name, answers, questions): (_, Vec<_>, Vec<_>) = match (self.answer, self.answers) {
            (Some(answer), None) => (
                self.answer_id.ok_or("no \"answer_id\"")?,
                vec![("default".to_string(), answer.0)],
                self.questions.unwrap_or_default().into_iter().map(untyped).collect(),
            ),
            (None, Some(mut answers)) => {
                let default = answers.remove_entry("default").ok_or("no \"answers.default\"")?;
                let variants = std::iter::once(default).chain(answers);
                let queries = self.queries.unwrap_or_default();
                let by_length =
                    [("short", queries.short), ("medium", queries.medium), ("long", queries.long)];
                let questions = by_length.into_iter().flat_map(|(length_type, texts)| {
                    let texts = texts.unwrap_or_default().into_iter();
                    texts.map(move |text| (Some(length_type), text.0))
                });
                (
                    self.id.ok_or("no \"id\"")?,
                    variants.map(|(variant, text)| (variant, text.0)).collect(),
                    questions.collect(),
                )
            }
            (Some(_), Some(_)) => {
                return Err("both \"answer\" and \"answers\", expected one".into());
            }
            (None, None) => return Err("expected \"answer\" or \"answers\"".into()),
        };
        let mut seen = HashSet::new();
        if let Some((_, question)) = questions.iter().find(|(_, question)| !seen.insert(question)) {
            return Err(format!("the question '{question}' comes twice"));
        }
        let answer_source = self.answer_source.map(|source| source.0);
        Ok(QaCluster { name: name.0, answer_source, answers, questions })
    }
}

/// Puts the clusters of a file into the store. Clusters keep their rows by name, answers by
/// cluster and variant, questions by cluster and text.
pub(super) fn add_clusters(
    replacement: &mut Replacement<'_>,
    clusters: &[QaCluster],
) -> Result<()> {
    let (change, source) = (replacement.change, replacement.source);
    let known_clusters: Vec<(String, i64)> = change.rows(
        "SELECT name, cluster_id FROM qa_clusters JOIN engine_imports ON \
         entity_type = 'cluster' AND entity_id = cluster_id WHERE source_file = ?1",
        [source],
    )?;
    let known_answers: Vec<(String, String, i64)> = change.rows(
        "SELECT record_id, text_variant, answer_id FROM answers JOIN engine_imports i ON \
         entity_type = 'answer' AND entity_id = answer_id WHERE i.source_file = ?1",
        [source],
    )?;
    let known_questions: Vec<(i64, String, i64)> = change.rows(
        "SELECT cluster_id, text, question_id FROM questions JOIN cluster_questions \
         USING (question_id) JOIN engine_imports ON entity_type = 'question' AND \
         entity_id = question_id WHERE source_file = ?1",
        [source],
    )?;
    let known_clusters: HashMap<&str, i64> =
        known_clusters.iter().map(|(name, id)| (&name[..], *id)).collect();
    let known_answers: HashMap<(&str, &str), i64> =
        known_answers.iter().map(|(name, variant, id)| ((&name[..], &variant[..]), *id)).collect();
    let known_questions: HashMap<(i64, &str), i64> =
        known_questions.iter().map(|(cluster, text, id)| ((*cluster, &text[..]), *id)).collect();

    for cluster in clusters {
        let name = &cluster.name[..];
        let cluster_id = replacement.add_cluster(known_clusters.get(name).copied(), name)?;
        let document = cluster.answer_source.as_deref().unwrap_or(source);
        let mut default = None;
        for (variant, text) in &cluster.answers {
            let known = known_answers.get(&(name, &variant[..])).copied();
            let answer = NewAnswer { document, name, variant, text };
            let answer_id = replacement.add_answer(known, cluster_id, &answer)?;
            match default {
                None => default = Some(answer_id),
                Some(default) => {
                    change.execute(
                        "INSERT OR IGNORE INTO answer_relations \
                         (from_answer_id, to_answer_id, relation_type) \
                         VALUES (?1, ?2, 'variant_of')",
                        [answer_id, default],
                    )?;
                }
            }
        }
        for (length_type, text) in &cluster.questions {
            let known = known_questions.get(&(cluster_id, &text[..])).copied();
            replacement.add_question(known, Some(cluster_id), text, *length_type)?;
        }
    }
    Ok(())
}

/// An answer of a question–answer file that is read, not imported, with its questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCluster {
    /// The answer's name in the file.
    pub name: String,
    /// All wordings of the answer, the default one first.
    pub answers: Vec<String>,
    /// The questions.
    pub questions: Vec<String>,
}

/// Reads questions that were kept aside from the question–answer file at `file`.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if the file can't be read,
/// [`ErrorKind::InvalidInput`] if it has neither shape or no questions.
pub fn read_test_questions(file: impl AsRef<Path>) -> Result<Vec<TestCluster>> {
    let file = file.as_ref();
    let bytes = fs::read(file).map_err(|error| Error::io("reading", file, error))?;
    let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display()));
    let clusters = parse(&bytes).map_err(invalid)?;
    if clusters.iter().all(|cluster| cluster.questions.is_empty()) {
        return Err(invalid("no questions".into()));
    }
    let clusters = clusters.into_iter().map(|cluster| TestCluster {
        name: cluster.name,
        answers: cluster.answers.into_iter().map(|(_, text)| text).collect(),
        questions: cluster.questions.into_iter().map(|(_, text)| text).collect(),
    });
    Ok(clusters.collect())
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
            ("{\"clusters\": [", "not JSON"),
            ("{}", "missing field `clusters`"),
            (r#"{"clusters": [7]}"#, "clusters[0]: invalid type: integer `7`, expected an object"),
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
                "clusters[0].queries.big: unknown field `big`, expected one of `short`",
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
