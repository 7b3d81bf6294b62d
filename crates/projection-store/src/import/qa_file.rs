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

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::clusters::{QaAnswer, QaCluster, QaFile};
use super::json::{Fields, Lines, not_json, text};

/// What JSON may be.
const SHAPES: &str = "an object with a list \"clusters\", one with a list \"data\" as SQuAD has, a \
                      list of objects, or an object a line";

/// Reads a file. What is wrong with single entries is in the result.
pub(super) fn parse(text: &str) -> Result<QaFile, String> {
    let wrong = |error: serde_json::Error| match error.is_data() {
        true => format!("expected {SHAPES}: {error}"),
        false => not_json(error),
    };
    let Fields(fields) = serde_json::from_str(text).map_err(wrong)?;
    let mut file = QaFile::default();
    let mut entries: Option<Vec<&RawValue>> = None;
    for (key, value) in fields {
        match &key[..] {
            "clusters" if entries.is_none() => {
                entries = Some(serde_json::from_str(value.get()).map_err(wrong)?);
            }
            "clusters" => return Err("the field \"clusters\" comes twice".into()),
            _ => file.warnings.push(format!("the field \"{key}\" beside \"clusters\" is not kept")),
        }
    }
    let entries = entries.ok_or_else(|| format!("expected {SHAPES}"))?;
    let mut names = HashSet::new();
    let mut lines = Lines::new(text);
    for (number, entry) in entries.iter().enumerate() {
        let line = lines.of(entry.get());
        let place = format!("clusters[{number}]");
        let mut reader = Reader {
            entry: entry.get(),
            line,
            place,
            last: (0, line),
            asked: HashSet::new(),
            found: Vec::new(),
        };
        let (mut cluster, answers) = reader.cluster(&mut file.warnings);
        if !cluster.name.is_empty() && !names.insert(cluster.name.clone()) {
            reader.fault(entry.get(), "", &format!("the id '{}' comes twice", cluster.name));
        }
        match reader.found.is_empty() {
            true => {
                let first = file.answers.len();
                file.answers.extend(answers);
                cluster.answers = (first..file.answers.len()).collect();
                file.clusters.push(cluster);
            }
            false => file.faulty += 1,
        }
        file.faults.append(&mut reader.found);
    }
    Ok(file)
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

    fn cluster(&mut self, warnings: &mut Vec<String>) -> (QaCluster, Vec<QaAnswer>) {
        let mut cluster = QaCluster::default();
        let (mut wordings, mut document) = (Vec::new(), None);
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
                "answer_source" => document = self.text(value, &below),
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
                wordings.extend(answer.map(|answer| ("default".to_string(), answer)));
            }
            (None, Some(raw)) => {
                for (variant, value) in self.fields(raw.get(), ".answers") {
                    if let Some(text) = self.text(value, &format!(".answers.{variant}")) {
                        wordings.push((variant, text));
                    }
                }
                wordings.sort_by_key(|(variant, _)| (variant != "default", variant.clone()));
                if self.found.is_empty()
                    && wordings.first().is_none_or(|(first, _)| first != "default")
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
        let fields = metadata
            .iter()
            .map(|(key, value)| format!("{}:{}", serde_json::Value::from(&key[..]), value.get()));
        let fields = fields.collect::<Vec<_>>().join(",");
        let metadata = (!fields.is_empty()).then(|| format!("{{{fields}}}"));
        let answers = wordings.into_iter().map(|(variant, text)| QaAnswer {
            name: Some(cluster.name.clone()),
            document: document.clone(),
            variant,
            metadata: metadata.clone(),
            ..QaAnswer::new(text)
        });
        let answers = answers.collect();
        (cluster, answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, skip_invalid: bool) -> Result<QaFile, String> {
        parse(file).and_then(|file| file.check(skip_invalid))
    }

    #[test]
    fn reads_both_shapes_and_keeps_other_fields_and_the_digits_of_numbers() {
        let file = r#"{"version": 2, "clusters": [
            {"answer_id": 3.10, "answer": "A.", "questions": ["1?", 12345678901234567890123]},
            {"id": "b", "answer_source": "b.md", "answers": {"mini": "b", "default": "B."},
             "queries": {"long": ["4?"], "short": ["3?"]}, "tags": ["x",  1.50], "url": "u"},
            {"id": "c", "answers": {"default": "C."}, "question": "5?", "queries": null}]}"#;
        let file = read(file, false).unwrap();
        let text = |text: &str| text.to_string();
        let clusters = &file.clusters;
        assert_eq!(clusters[0].name, "3.10");
        assert_eq!(
            file.answers[0],
            QaAnswer { name: Some(text("3.10")), ..QaAnswer::new(text("A.")) }
        );
        let number = "12345678901234567890123";
        assert_eq!(clusters[0].questions, [(None, text("1?")), (None, text(number))]);
        assert_eq!(
            clusters[1],
            QaCluster {
                name: text("b"),
                answers: vec![1, 2],
                questions: vec![(Some("long"), text("4?")), (Some("short"), text("3?"))],
            }
        );
        let wording = |variant, wording| QaAnswer {
            name: Some(text("b")),
            document: Some(text("b.md")),
            variant: text(variant),
            metadata: Some(text(r#"{"tags":["x",  1.50],"url":"u"}"#)),
            ..QaAnswer::new(text(wording))
        };
        assert_eq!(file.answers[1..3], [wording("default", "B."), wording("mini", "b")]);
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
            ("7", "expected an object"),
            ("{}", "a list of objects, or an object a line"),
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
        assert_eq!((rest.clusters.len(), rest.faulty, rest.warnings.len()), (1, 2, 4));
        assert_eq!(rest.clusters[0].name, "b");
        let many = format!("{{\"clusters\": [{}]}}", vec!["7"; 60].join(","));
        assert!(read(&many, false).unwrap_err().ends_with("  and 10 more"));
    }
}
