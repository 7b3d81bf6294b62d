//! Question–answer files: JSON in either of two shapes.
//!
//! ```json
//! {"clusters": [{"answer_id": "linking", "answer": "…", "questions": ["…", "…"]}]}
//! {"clusters": [{"id": "linking", "answer_source": "guide.md",
//!                "answers": {"default": "…", "all-MiniLM-L6-v2": "…"},
//!                "queries": {"short": ["…"], "medium": ["…"], "long": ["…"]}}]}
//! ```
//! Both may be mixed in one file. Other fields of an entry are kept as metadata of its answers.
//!
//! An entry is read field by field, from its JSON as it is written: so numbers keep their digits,
//! and all faults of a file are found at once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use projection_core::kernel::files;
use projection_core::{Error, ErrorKind, Result};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::replacement::{NewAnswer, Replacement};

/// Faults that a message lists.
const LISTED: usize = 50;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct QaFile {
    /// The entries without a fault.
    pub clusters: Vec<QaCluster>,
    /// What is wrong, with line and entry.
    faults: Vec<String>,
    /// Number of entries that have a fault.
    faulty: usize,
    /// What may not be meant so.
    pub warnings: Vec<String>,
}

/// One cluster of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QaCluster {
    /// Its name: `answer_id` or `id`. Unique in the file.
    pub name: String,
    /// The document that the answer comes from, if the file says so.
    pub answer_source: Option<String>,
    /// Variant and text of every answer, the variant `default` first.
    pub answers: Vec<(String, String)>,
    /// Length type, if the file says so, and text of every question.
    pub questions: Vec<(Option<&'static str>, String)>,
    /// All other fields as a JSON object, if there are any.
    pub metadata: Option<String>,
}

/// A text with something in it. Numbers serve as ids, so they are taken too, as they are written.
#[derive(Debug)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        text(raw).map(Self).map_err(D::Error::custom)
    }
}

fn text(raw: &RawValue) -> Result<String, String> {
    match raw.get().as_bytes()[0] {
        b'"' => match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if text.trim().is_empty() => Err("empty text".into()),
            Ok(text) => Ok(text),
            Err(error) => Err(error.to_string()),
        },
        b'-' | b'0'..=b'9' => Ok(raw.get().to_string()),
        _ => Err(format!("expected a text, found {:.40}", raw.get())),
    }
}

/// The fields of an object, in the order of the file.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// JSON without a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Reads JSON. Errors say where in it something else was expected.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(without_mark(bytes));
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let what = if error.inner().is_data() { "" } else { "not JSON: " };
        format!("{what}{error}")
    })?;
    json.end().map_err(|error| format!("not JSON: {error}"))?;
    Ok(value)
}

/// Reads a file. What is wrong with single entries is in the result.
pub(super) fn parse(bytes: &[u8]) -> Result<QaFile, String> {
    let text =
        std::str::from_utf8(without_mark(bytes)).map_err(|error| format!("not JSON: {error}"))?;
    let not_json = |error: serde_json::Error| match error.is_data() {
        true => format!("expected an object with a list \"clusters\": {error}"),
        false => format!("not JSON: {error}"),
    };
    let Fields(fields) = serde_json::from_str(text).map_err(not_json)?;
    let mut file = QaFile::default();
    let mut entries: Option<Vec<&RawValue>> = None;
    for (key, value) in fields {
        match &key[..] {
            "clusters" if entries.is_none() => {
                entries = Some(serde_json::from_str(value.get()).map_err(not_json)?);
            }
            "clusters" => return Err("the field \"clusters\" comes twice".into()),
            _ => file.warnings.push(format!("the field \"{key}\" beside \"clusters\" is not kept")),
        }
    }
    let entries = entries.ok_or("missing field `clusters`, expected a list")?;
    let mut names = HashSet::new();
    let (mut line, mut at) = (1, text);
    for (number, entry) in entries.iter().enumerate() {
        // Entries come in the order of the file.
        let before = entry.get().as_ptr() as usize - at.as_ptr() as usize;
        line += at[..before].matches('\n').count();
        at = &at[before..];
        let place = format!("clusters[{number}]");
        let mut reader = Reader {
            entry: entry.get(),
            line,
            place,
            last: (0, line),
            asked: HashSet::new(),
            found: Vec::new(),
        };
        let cluster = reader.cluster(&mut file.warnings);
        if !cluster.name.is_empty() && !names.insert(cluster.name.clone()) {
            reader.fault(entry.get(), "", &format!("the id '{}' comes twice", cluster.name));
        }
        match reader.found.is_empty() {
            true => file.clusters.push(cluster),
            false => file.faulty += 1,
        }
        file.faults.append(&mut reader.found);
    }
    Ok(file)
}

impl QaFile {
    /// The file if nothing is wrong with it. With `skip_invalid`, entries with a fault are left
    /// out, which becomes a warning. Otherwise the error lists all faults.
    pub fn check(mut self, skip_invalid: bool) -> Result<Self, String> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        if skip_invalid {
            self.warnings.extend(self.faults.drain(..).map(|fault| format!("left out: {fault}")));
            return Ok(self);
        }
        let more = self.faults.len().saturating_sub(LISTED);
        let mut message = self.faults[..self.faults.len() - more].join("\n  ");
        if more > 0 {
            message += &format!("\n  and {more} more");
        }
        Err(match self.faults.len() {
            1 => message,
            count => format!("{count} faults\n  {message}"),
        })
    }

    /// Number of entries that were left out.
    pub fn skipped(&self) -> usize {
        self.faulty
    }
}

/// Reads one entry and collects what is wrong with it.
struct Reader<'a> {
    entry: &'a str,
    /// The entry's line in the file, from 1.
    line: usize,
    place: String,
    /// Where the last fault was, and in which line.
    last: (usize, usize),
    /// The questions.
    asked: HashSet<String>,
    found: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Notes what is wrong `at` a part of the entry.
    fn fault(&mut self, at: &str, below: &str, what: &str) {
        let before = at.as_ptr() as usize - self.entry.as_ptr() as usize;
        if before < self.last.0 {
            self.last = (0, self.line);
        }
        let line = self.last.1 + self.entry[self.last.0..before].matches('\n').count();
        self.last = (before, line);
        self.found.push(format!("line {line}, {}{below}: {what}", self.place));
    }

    fn text(&mut self, raw: &'a RawValue, below: &str) -> Option<String> {
        text(raw).map_err(|what| self.fault(raw.get(), below, &what)).ok()
    }

    fn fields(&mut self, raw: &'a str, below: &str) -> Vec<(String, &'a RawValue)> {
        let Ok(Fields(fields)) = serde_json::from_str(raw) else {
            self.fault(raw, below, &format!("expected an object, found {raw:.40}"));
            return Vec::new();
        };
        let mut keys = HashSet::new();
        for (key, value) in &fields {
            if !keys.insert(key) {
                self.fault(value.get(), below, &format!("the field \"{key}\" comes twice"));
            }
        }
        // As if they were not there.
        fields.into_iter().filter(|(_, value)| value.get() != "null").collect()
    }

    /// Adds a list of questions.
    fn questions(
        &mut self,
        raw: &'a RawValue,
        below: &str,
        length_type: Option<&'static str>,
        cluster: &mut QaCluster,
    ) {
        let Ok(texts) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            let what = format!("expected a list of texts, found {:.40}", raw.get());
            return self.fault(raw.get(), below, &what);
        };
        for (number, raw) in texts.into_iter().enumerate() {
            let below = format!("{below}[{number}]");
            let Some(text) = self.text(raw, &below) else { continue };
            match self.asked.insert(text.clone()) {
                true => cluster.questions.push((length_type, text)),
                false => {
                    self.fault(raw.get(), &below, &format!("the question '{text}' comes twice"));
                }
            }
        }
    }

    fn cluster(&mut self, warnings: &mut Vec<String>) -> QaCluster {
        let mut cluster = QaCluster::default();
        let (mut names, mut id, mut answer, mut answers) = ([None, None], None, None, None);
        let mut metadata: Vec<(String, &RawValue)> = Vec::new();
        for (key, value) in self.fields(self.entry, "") {
            let below = format!(".{key}");
            match &key[..] {
                "answer_id" => names[0] = self.text(value, &below),
                "id" => {
                    names[1] = self.text(value, &below);
                    id = Some(value);
                }
                "answer" => answer = Some(self.text(value, &below)),
                "answers" => answers = Some(value),
                "answer_source" => cluster.answer_source = self.text(value, &below),
                "questions" => self.questions(value, &below, None, &mut cluster),
                "queries" => {
                    for (length, value) in self.fields(value.get(), &below) {
                        let below = format!("{below}.{length}");
                        let known = ["short", "medium", "long"];
                        match known.into_iter().find(|known| *known == length) {
                            None => self.fault(
                                value.get(),
                                &below,
                                "unknown field, expected short, medium or long",
                            ),
                            known => self.questions(value, &below, known, &mut cluster),
                        }
                    }
                }
                _ => metadata.push((key, value)),
            }
        }
        let whole = self.found.is_empty();
        match (answer, answers) {
            (Some(answer), None) => {
                cluster.answers.extend(answer.map(|answer| ("default".into(), answer)));
            }
            (None, Some(raw)) => {
                for (variant, value) in self.fields(raw.get(), ".answers") {
                    if let Some(text) = self.text(value, &format!(".answers.{variant}")) {
                        cluster.answers.push((variant, text));
                    }
                }
                cluster.answers.sort_by_key(|(variant, _)| (variant != "default", variant.clone()));
                if self.found.is_empty()
                    && cluster.answers.first().is_none_or(|(first, _)| first != "default")
                {
                    self.fault(raw.get(), "", "no \"answers.default\"");
                }
            }
            (Some(_), Some(raw)) => {
                self.fault(raw.get(), "", "both \"answer\" and \"answers\", expected one");
            }
            (None, None) if whole => {
                let keys: Vec<&str> = metadata.iter().map(|(key, _)| &key[..]).collect();
                let others = if keys.is_empty() {
                    String::new()
                } else {
                    format!(", found {}", keys.join(", "))
                };
                self.fault(self.entry, "", &format!("expected \"answer\" or \"answers\"{others}"));
            }
            (None, None) => {}
        }
        match names {
            [Some(name), other] => {
                cluster.name = name;
                metadata.extend(other.and(id).map(|id| ("id".to_string(), id)));
            }
            [None, Some(name)] => cluster.name = name,
            [None, None] if self.found.is_empty() => {
                self.fault(self.entry, "", "no \"answer_id\" and no \"id\"");
            }
            [None, None] => {}
        }
        let looks_like_questions = |key: &str| {
            let key = key.to_lowercase();
            key.starts_with('q') || key.contains("quest") || key.contains("query")
        };
        if cluster.questions.is_empty()
            && let Some((key, _)) = metadata.iter().find(|(key, _)| looks_like_questions(key))
        {
            warnings.push(format!(
                "line {}, {}: '{}' has no questions, and a field \"{key}\" that is kept as \
                 metadata; expected \"questions\" or \"queries\"",
                self.line, self.place, cluster.name
            ));
        }
        if !metadata.is_empty() {
            let fields = metadata.iter().map(|(key, value)| {
                format!("{}:{}", serde_json::Value::from(&key[..]), value.get())
            });
            cluster.metadata = Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
        }
        cluster
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
            change.set_metadata(answer_id, cluster.metadata.as_deref())?;
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
    let bytes = files::read(file)?;
    let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display()));
    let QaFile { clusters, .. } =
        parse(&bytes).and_then(|file| file.check(false)).map_err(invalid)?;
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

    fn read(file: &str, skip_invalid: bool) -> Result<QaFile, String> {
        parse(file.as_bytes()).and_then(|file| file.check(skip_invalid))
    }

    #[test]
    fn reads_both_shapes_and_keeps_other_fields_and_the_digits_of_numbers() {
        let file = r#"{"version": 2, "clusters": [
            {"answer_id": 3.10, "answer": "A.", "questions": ["1?", 12345678901234567890123]},
            {"id": "b", "answer_source": "b.md", "answers": {"mini": "b", "default": "B."},
             "queries": {"long": ["4?"], "short": ["3?"]}, "tags": ["x",  1.50], "url": "u"},
            {"id": "c", "answers": {"default": "C."}, "question": "5?", "queries": null}]}"#;
        let file = read(&format!("\u{feff}{file}"), false).unwrap();
        let text = |text: &str| text.to_string();
        let clusters = &file.clusters;
        assert_eq!(clusters[0].name, "3.10");
        assert_eq!(clusters[0].answers, [(text("default"), text("A."))]);
        let number = "12345678901234567890123";
        assert_eq!(clusters[0].questions, [(None, text("1?")), (None, text(number))]);
        assert_eq!(clusters[0].metadata, None);
        assert_eq!(
            clusters[1],
            QaCluster {
                name: text("b"),
                answer_source: Some(text("b.md")),
                answers: vec![(text("default"), text("B.")), (text("mini"), text("b"))],
                questions: vec![(Some("long"), text("4?")), (Some("short"), text("3?"))],
                metadata: Some(text(r#"{"tags":["x",  1.50],"url":"u"}"#)),
            }
        );
        assert!(clusters[2].questions.is_empty());
        assert_eq!(file.warnings.len(), 2);
        assert!(file.warnings[0].contains("\"version\""), "{:?}", file.warnings);
        let mistyped = "line 5, clusters[2]: 'c' has no questions, and a field \"question\"";
        assert!(file.warnings[1].starts_with(mistyped), "{:?}", file.warnings);
    }

    #[test]
    fn says_where_something_else_was_expected() {
        for (file, words) in [
            ("{\"clusters\": [", "not JSON"),
            ("\u{feff}[]", "expected an object"),
            ("{}", "missing field `clusters`"),
            (r#"{"clusters": {}}"#, "expected an object with a list \"clusters\""),
            (r#"{"clusters": [7]}"#, "clusters[0]: expected an object, found 7"),
            (r#"{"clusters": [{"answer": "x"}]}"#, "clusters[0]: no \"answer_id\""),
            (r#"{"clusters": [{"answer_id": "x"}]}"#, "\"answer\" or \"answers\""),
            (
                r#"{"clusters": [{"answer_id": "x", "anwser": "y"}]}"#,
                "\"answer\" or \"answers\", found anwser",
            ),
            (r#"{"clusters": [{"answer_id": "x", "answer": " "}]}"#, "clusters[0].answer: empty"),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "answer": "z"}]}"#,
                "clusters[0]: the field \"answer\" comes twice",
            ),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": ["a?", null]}]}"#,
                "clusters[0].questions[1]: expected a text, found null",
            ),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": "a?"}]}"#,
                "clusters[0].questions: expected a list of texts, found \"a?\"",
            ),
            (
                r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": ["a?", "a?"]}]}"#,
                "'a?' comes twice",
            ),
            (r#"{"clusters": [{"id": "x", "answers": {"m": "y"}}]}"#, "no \"answers.default\""),
            (
                r#"{"clusters": [{"id": "x", "answers": {"default": "y"}, "queries": {"big": []}}]}"#,
                "clusters[0].queries.big: unknown field, expected short",
            ),
            (
                r#"{"clusters": [{"answer_id": 1, "answer": "y"}, {"answer_id": "1", "answer": "z"}]}"#,
                "clusters[1]: the id '1' comes twice",
            ),
        ] {
            let error = read(file, false).unwrap_err();
            assert!(error.contains(words), "{file}: {error}");
        }
    }

    #[test]
    fn all_faults_are_listed_and_the_other_entries_can_be_taken() {
        let file = r#"{"clusters": [
            {"answer_id": "a", "answer": "A.", "questions": ["1?", "1?",
              "", "2?"]},
            {"answer_id": "b", "answer": "B."},
            {"answer_id": "a", "answers": {"default": true}}]}"#;
        let error = read(file, false).unwrap_err();
        let faults = [
            "4 faults",
            "  line 2, clusters[0].questions[1]: the question '1?' comes twice",
            "  line 3, clusters[0].questions[2]: empty text",
            "  line 5, clusters[2].answers.default: expected a text, found true",
            "  line 5, clusters[2]: the id 'a' comes twice",
        ];
        assert_eq!(error.lines().collect::<Vec<_>>(), faults);
        let rest = read(file, true).unwrap();
        assert_eq!((rest.clusters.len(), rest.skipped(), rest.warnings.len()), (1, 2, 4));
        assert_eq!(rest.clusters[0].name, "b");
        let many = format!("{{\"clusters\": [{}]}}", vec!["7"; 60].join(","));
        assert!(read(&many, false).unwrap_err().ends_with("  and 10 more"));
    }
}
