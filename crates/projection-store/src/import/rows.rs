//! Rows of questions and answers, as all formats but our own have them, made into clusters.
//!
//! Rows with the same answer, or with the same id of it, are one answer with several questions.
//! A question of several answers is in a cluster with all of them; an answer may be in several
//! such clusters, so that each cluster has exactly the answers that are right for its questions.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use super::clusters::{LONGEST_NAME, QaAnswer, QaCluster, QaFile, shortened};
use super::{FileOptions, json};

/// Names of columns that are looked for if none are given, the preferred ones first. Upper and
/// lower case are the same.
const QUESTION: &[&str] = &["question", "questions", "query", "queries", "prompt"];
const ANSWER: &[&str] = &["answer", "answers", "response", "text", "passage", "context", "content"];
const ID: &[&str] = &["answer_id", "id", "_id"];

/// Whether a column of this name is taken for the answers.
pub(super) fn is_usual_answer(name: &str) -> bool {
    ANSWER.iter().any(|usual| usual.eq_ignore_ascii_case(name))
}

/// A value of a row.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

impl Value<'_> {
    /// The texts of a value: one, or those of a list. Blank ones are none.
    fn texts(self) -> Result<Vec<String>, String> {
        let raw = match self {
            Self::Text(text) if text.trim().is_empty() => return Ok(Vec::new()),
            Self::Text(text) => return Ok(vec![text.trim().to_string()]),
            Self::Json(raw) => raw,
        };
        let found = match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            Ok(list) => list.into_iter().map(json::text).collect(),
            Err(_) if is_blank(raw.get()) => Ok(Vec::new()),
            Err(_) => json::text(raw).map(|text| vec![text]),
        };
        found.map_err(|what| what.replace("expected a text", "expected a text or a list of texts"))
    }

    /// The value as JSON, if there is anything in it.
    fn json(self) -> Option<String> {
        let json = match self {
            Self::Text(text) => serde_json::Value::from(text.trim()).to_string(),
            Self::Json(raw) => raw.get().to_string(),
        };
        let is_empty = is_blank(&json) || ["{}", "[]"].contains(&&json[..]);
        (!is_empty).then_some(json)
    }
}

/// Whether JSON is a text without letters.
fn is_blank(json: &str) -> bool {
    json.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .is_some_and(|text| text.trim().is_empty())
}

/// A column that is looked for.
struct Column {
    asked: Option<String>,
    option: &'static str,
    usual: &'static [&'static str],
    found: bool,
}

impl Column {
    fn new(asked: &Option<String>, option: &'static str, usual: &'static [&'static str]) -> Self {
        Self { asked: asked.clone(), option, usual, found: false }
    }

    /// Takes the column out of the fields of a row.
    fn take<'a>(&mut self, fields: &mut Vec<(&'a str, Value<'a>)>) -> Option<(&'a str, Value<'a>)> {
        let at = match &self.asked {
            Some(asked) => fields.iter().position(|(name, _)| name == asked),
            None => self.usual.iter().find_map(|usual| {
                fields.iter().position(|(name, _)| name.eq_ignore_ascii_case(usual))
            }),
        };
        self.found |= at.is_some();
        at.map(|at| fields.remove(at))
    }
}

/// What a row says.
#[derive(Default)]
pub(super) struct Row {
    pub questions: Vec<String>,
    pub answers: Vec<String>,
    pub id: Option<String>,
    /// All other fields with their values as JSON.
    pub metadata: Vec<(String, String)>,
}

/// Rows that were read so far.
pub(super) struct Rows {
    file: QaFile,
    /// Question, answer, id.
    columns: [Column; 3],
    /// Names of all columns.
    names: Vec<String>,
    /// Whether answers of the same text are one.
    join_texts: bool,
    metadata: Vec<BTreeMap<String, String>>,
    by_id: HashMap<String, usize>,
    by_text: HashMap<String, usize>,
    /// Questions in the order of the file, each with its answers.
    questions: Vec<(String, Vec<usize>)>,
    by_question: HashMap<String, usize>,
    /// Rows whose answer is in another row: place, id and questions.
    referring: Vec<(String, String, Vec<String>)>,
    joined: usize,
    repeated: usize,
    differing: BTreeMap<String, usize>,
    last_fault: String,
}

impl Rows {
    pub fn new(options: &FileOptions) -> Self {
        let columns = [
            Column::new(&options.question_column, "--question-column", QUESTION),
            Column::new(&options.answer_column, "--answer-column", ANSWER),
            Column::new(&options.id_column, "--id-column", ID),
        ];
        Self {
            file: QaFile { exact: true, ..QaFile::default() },
            columns,
            names: Vec::new(),
            join_texts: true,
            metadata: Vec::new(),
            by_id: HashMap::new(),
            by_text: HashMap::new(),
            questions: Vec::new(),
            by_question: HashMap::new(),
            referring: Vec::new(),
            joined: 0,
            repeated: 0,
            differing: BTreeMap::new(),
            last_fault: String::new(),
        }
    }

    /// Rows of documents, of which each has an id of its own.
    pub fn of_documents(options: &FileOptions) -> Self {
        Self { join_texts: false, ..Self::new(options) }
    }

    /// Notes what is wrong with the row at `place`.
    pub fn fault(&mut self, place: &str, what: &str) {
        self.file.faults.push(format!("{place}: {what}"));
        if self.last_fault != place {
            self.last_fault = place.to_string();
            self.file.faulty += 1;
        }
    }

    /// Notes what may not be meant so.
    pub fn warn(&mut self, what: String) {
        self.file.warnings.push(what);
    }

    /// What the fields of a row say; `None` with a fault.
    pub fn row<'a>(&mut self, place: &str, mut fields: Vec<(&'a str, Value<'a>)>) -> Option<Row> {
        for (name, _) in &fields {
            // As many as a message may need.
            if self.names.len() < 100 && !self.names.iter().any(|known| known == name) {
                self.names.push(name.to_string());
            }
        }
        // Those that are asked for first: a usual name may be meant for another one.
        let mut found = [None; 3];
        for asked in [true, false] {
            for (column, found) in self.columns.iter_mut().zip(&mut found) {
                if column.asked.is_some() == asked {
                    *found = column.take(&mut fields);
                }
            }
        }
        let mut row = Row::default();
        let mut faults = Vec::new();
        let [questions, answers, (id, ids)] = found.map(|value| {
            let Some((name, value)) = value else { return ("", Vec::new()) };
            let texts = value.texts().unwrap_or_else(|what| {
                faults.push(format!("{name}: {what}"));
                Vec::new()
            });
            (name, texts)
        });
        if ids.len() > 1 {
            faults.push(format!("{id}: expected one id, found a list"));
        }
        for what in &faults {
            self.file.faults.push(format!("{place}, {what}"));
        }
        self.file.faulty += usize::from(!faults.is_empty());
        (row.questions, row.answers, row.id) = (questions.1, answers.1, ids.into_iter().next());
        row.metadata = fields
            .into_iter()
            .filter_map(|(name, value)| {
                let name = if name.eq_ignore_ascii_case("title") { "title" } else { name };
                Some((name.to_string(), value.json()?))
            })
            .collect();
        faults.is_empty().then_some(row)
    }

    /// Adds a row by its fields.
    pub fn add<'a>(&mut self, place: &str, fields: Vec<(&'a str, Value<'a>)>) {
        let Some(row) = self.row(place, fields) else { return };
        match (row.answers.len(), row.id) {
            (0, None) => self.fault(place, "no answer, and no id of an answer"),
            (0, Some(id)) => self.referring.push((place.into(), id, row.questions)),
            (1, id) => {
                let text = row.answers.into_iter().next().expect("there is one");
                if let Some(answer) = self.answer(place, id, text, row.metadata) {
                    row.questions.into_iter().for_each(|text| self.question(text, answer));
                }
            }
            // An id can't be that of all of them.
            (_, id) => {
                let id = id.map(|id| ("id".to_string(), serde_json::Value::from(id).to_string()));
                let metadata: Vec<_> = row.metadata.into_iter().chain(id).collect();
                for text in row.answers {
                    let answer = self.answer(place, None, text, metadata.clone());
                    let answer = answer.expect("without an id nothing can be wrong");
                    row.questions.iter().for_each(|text| self.question(text.clone(), answer));
                }
            }
        }
    }

    /// The answer of this id, if it has come yet.
    pub fn known(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Adds an answer, unless it is known, and returns its number; `None` with a fault.
    pub fn answer(
        &mut self,
        place: &str,
        id: Option<String>,
        text: String,
        metadata: Vec<(String, String)>,
    ) -> Option<usize> {
        if text.trim().is_empty() {
            self.fault(place, "an empty answer");
            return None;
        }
        let of_id = id.as_ref().and_then(|id| self.known(id));
        let of_text = self.by_text.get(&text).filter(|_| self.join_texts).copied();
        let number = match (of_id, of_text) {
            (Some(number), _) if !self.join_texts || self.file.answers[number].text != text => {
                let id = id.unwrap_or_default();
                let what = match self.join_texts {
                    true => format!("the id '{id:.40}' has another answer in an earlier row"),
                    false => format!("the id '{id:.40}' comes twice"),
                };
                self.fault(place, &what);
                return None;
            }
            (Some(number), _) => number,
            (None, Some(number)) => {
                if let Some(id) = id {
                    let name = self.file.answers[number].name.get_or_insert_with(|| id.clone());
                    self.joined += usize::from(*name != id);
                    self.by_id.insert(id, number);
                }
                number
            }
            (None, None) => {
                let number = self.file.answers.len();
                self.by_id.extend(id.clone().map(|id| (id, number)));
                if self.join_texts {
                    self.by_text.insert(text.clone(), number);
                }
                self.file.answers.push(QaAnswer { name: id, ..QaAnswer::new(text) });
                self.metadata.push(BTreeMap::new());
                number
            }
        };
        for (name, value) in metadata {
            let known = self.metadata[number].entry(name.clone()).or_insert_with(|| value.clone());
            if *known != value {
                *self.differing.entry(name).or_default() += 1;
            }
        }
        Some(number)
    }

    /// Adds a question that an answer is right for.
    pub fn question(&mut self, text: String, answer: usize) {
        if text.trim().is_empty() {
            return;
        }
        let next = self.questions.len();
        let number = *self.by_question.entry(text.clone()).or_insert(next);
        if number == next {
            self.questions.push((text, Vec::new()));
        }
        let answers = &mut self.questions[number].1;
        match answers.contains(&answer) {
            true => self.repeated += 1,
            false => answers.push(answer),
        }
    }

    /// The clusters of all rows.
    pub fn finish(mut self) -> Result<QaFile, String> {
        if !self.names.is_empty() && self.join_texts {
            self.check_columns()?;
        }
        for (place, id, questions) in std::mem::take(&mut self.referring) {
            match self.known(&id) {
                Some(answer) => questions.into_iter().for_each(|text| self.question(text, answer)),
                None => self.fault(
                    &place,
                    &format!("no answer, and no row with that of the id '{id:.40}'"),
                ),
            }
        }
        if self.file.answers.is_empty() && self.file.faults.is_empty() {
            return Err("no rows".into());
        }
        let several = self.questions.iter().filter(|(_, answers)| answers.len() > 1).count();
        let mut notes = vec![
            (several, "questions have several answers, which all count as right".to_string()),
            (self.repeated, "rows repeat a question of the same answer; it is taken once".into()),
            (
                self.joined,
                "rows have the answer of an earlier row under another id; they were joined".into(),
            ),
        ];
        notes.extend(std::mem::take(&mut self.differing).into_iter().map(|(name, count)| {
            (count, format!("rows have another \"{name}\" than an earlier row of the same answer, whose is kept"))
        }));
        let notes = notes.into_iter().filter(|(count, _)| *count > 0);
        self.file.warnings.extend(notes.map(|(count, what)| format!("{count} {what}")));

        for (answer, metadata) in self.file.answers.iter_mut().zip(self.metadata) {
            let fields = metadata
                .iter()
                .map(|(name, value)| format!("{}:{value}", serde_json::Value::from(&name[..])));
            let fields = fields.collect::<Vec<_>>().join(",");
            answer.metadata = (!fields.is_empty()).then(|| format!("{{{fields}}}"));
        }
        let mut clusters: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
        let mut asked = vec![false; self.file.answers.len()];
        for (text, mut answers) in self.questions {
            answers.sort_unstable();
            answers.iter().for_each(|answer| asked[*answer] = true);
            clusters.entry(answers).or_default().push(text);
        }
        let alone = (0..asked.len()).filter(|answer| !asked[*answer]);
        clusters.extend(alone.map(|answer| (vec![answer], Vec::new())));
        let mut names: HashMap<String, usize> = HashMap::new();
        for (answers, questions) in clusters {
            let labels = answers.iter().take(LONGEST_NAME).map(|at| self.file.answers[*at].label());
            let mut name = match &answers[..] {
                [_] => labels.collect(),
                _ => shortened(&labels.collect::<Vec<_>>().join(" + ")),
            };
            // Names that were cut may be the same.
            while let Some(number) = names.get_mut(&name) {
                *number += 1;
                name += &format!(" ({number})");
            }
            names.insert(name.clone(), 1);
            let questions = questions.into_iter().map(|text| (None, text)).collect();
            self.file.clusters.push(QaCluster { name, answers, questions });
        }
        Ok(self.file)
    }

    /// Refuses rows none of which has a column that was asked for, or answers.
    fn check_columns(&mut self) -> Result<(), String> {
        let found = format!("found {:.300}", self.names.join(", "));
        let [question, answer, _] = &self.columns;
        for column in &self.columns {
            if let (Some(asked), false) = (&column.asked, column.found) {
                return Err(format!("no column '{asked}' ({}), {found}", column.option));
            }
        }
        if !answer.found {
            return Err(format!(
                "no column with answers: expected {}, or the name by {}, {found}",
                answer.usual.join(", "),
                answer.option
            ));
        }
        if !question.found {
            let warning = format!(
                "no column with questions ({}, or the name by {}), {found}; answers without a \
                 question are searchable but not trained on",
                question.usual.join(", "),
                question.option
            );
            self.file.warnings.push(warning);
        }
        Ok(())
    }
}
