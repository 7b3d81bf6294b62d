//! Formats of question–answer files, and telling them apart.

use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::clusters::QaFile;
use super::rows::{Rows, is_usual_answer};
use super::source::{self, Source};
use super::{beir, json_rows, qa_file, table};

/// A format that a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// JSON: `{"clusters": […]}`, a list of objects, or SQuAD.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// Values separated by commas, semicolons or tabs, with a header.
    Csv,
    /// Values separated by tabs, with a header.
    Tsv,
}

impl FileFormat {
    /// The format of this name, such as `csv`.
    ///
    /// # Errors
    /// A text that names all formats.
    pub fn named(name: &str) -> Result<Self, String> {
        serde_json::from_value(name.into())
            .map_err(|_| format!("'{name}', expected json, jsonl, csv or tsv"))
    }
}

/// How files are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileOptions {
    /// The format; `None` for what name and content say.
    pub format: Option<FileFormat>,
    /// The column or field with questions; `None` for the usual names.
    pub question_column: Option<String>,
    /// The column or field with answers; `None` for the usual names.
    pub answer_column: Option<String>,
    /// The column or field with the answers' ids; `None` for the usual names.
    pub id_column: Option<String>,
    /// The split of a BEIR folder; `None` for `train`, or `test` for test questions.
    pub split: Option<String>,
}

/// What the name of a file says about its format.
pub(super) fn format_of_name(path: &Path) -> Option<FileFormat> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?.1 {
        "json" => Some(FileFormat::Json),
        "jsonl" | "ndjson" => Some(FileFormat::Jsonl),
        "csv" => Some(FileFormat::Csv),
        "tsv" => Some(FileFormat::Tsv),
        _ => None,
    }
}

/// Reads a source in any format. What is wrong with single entries is in the result.
pub(super) fn parse(path: &Path, source: &Source, options: &FileOptions) -> Result<QaFile> {
    let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", path.display()));
    let mut texts = Vec::new();
    for (name, bytes) in &source.parts {
        let named = |what| if source.is_beir { format!("{name}: {what}") } else { what };
        texts.push((&name[..], source::text(bytes).map_err(named).map_err(invalid)?));
    }
    if source.is_beir {
        let parts: Vec<(&str, &str)> =
            texts.iter().map(|(name, text)| (*name, &text[..])).collect();
        return beir::read(&parts).map_err(invalid);
    }
    let text = &texts[0].1[..];
    let format = match options.format.or_else(|| format_of_name(path)) {
        Some(format) => format,
        None => format_of_text(text, options).map_err(invalid)?,
    };
    parse_text(text, format, options).map_err(invalid)
}

pub(super) fn parse_text(
    text: &str,
    format: FileFormat,
    options: &FileOptions,
) -> Result<QaFile, String> {
    let mut rows = Rows::new(options);
    match format {
        FileFormat::Json if json_rows::is_lines(text) => json_rows::lines(text, &mut rows),
        FileFormat::Json if text.trim_start().starts_with('[') => json_rows::list(text, &mut rows)?,
        FileFormat::Json => match json_rows::squad(text)? {
            Some(file) => return Ok(file),
            None => return qa_file::parse(text),
        },
        FileFormat::Jsonl => json_rows::lines(text, &mut rows),
        FileFormat::Csv => table::read(text, table::delimiter(text), &mut rows)?,
        FileFormat::Tsv => table::read(text, b'\t', &mut rows)?,
    }
    rows.finish()
}

/// The format of a text whose name says nothing: JSON by how it begins, a table by a column that
/// has answers.
fn format_of_text(text: &str, options: &FileOptions) -> Result<FileFormat, String> {
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(FileFormat::Json);
    }
    let header = text.lines().next().unwrap_or("");
    let is_answer = |name: &str| match &options.answer_column {
        Some(asked) => asked == name,
        None => is_usual_answer(name),
    };
    let delimiter = char::from(table::delimiter(text));
    match header.split(delimiter).any(|name| is_answer(name.trim().trim_matches('"'))) {
        true => Ok(FileFormat::Csv),
        false => Err(format!(
            "of no format that is known: expected JSON, which begins with {{ or [, or a first line \
             with names of columns, found '{header:.40}'; --format says what it is: json, jsonl, \
             csv or tsv"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clusters as `name: answers <- questions`, with the metadata of the answers.
    fn read(
        name: &str,
        text: &str,
        options: &FileOptions,
    ) -> Result<(Vec<String>, QaFile), String> {
        let source =
            Source { parts: vec![(name.into(), text.as_bytes().to_vec())], is_beir: false };
        let file = parse(Path::new(name), &source, options).map_err(|error| error.to_string())?;
        Ok((clusters(&file), file))
    }

    fn clusters(file: &QaFile) -> Vec<String> {
        let answer = |at: &usize| {
            let answer = &file.answers[*at];
            format!("{}{}", answer.text, answer.metadata.as_deref().unwrap_or(""))
        };
        let cluster = |cluster: &super::super::clusters::QaCluster| {
            let answers: Vec<String> = cluster.answers.iter().map(answer).collect();
            let questions: Vec<&str> = cluster.questions.iter().map(|(_, q)| &q[..]).collect();
            format!("{}: {} <- {}", cluster.name, answers.join(" & "), questions.join(" | "))
        };
        file.clusters.iter().map(cluster).collect()
    }

    fn beir(corpus: &str, queries: &str, qrels: &str) -> QaFile {
        beir::read(&[
            ("corpus.jsonl", corpus),
            ("queries.jsonl", queries),
            ("qrels/train.tsv", qrels),
        ])
        .unwrap()
    }

    #[test]
    fn the_same_rows_in_every_format() {
        let same =
            ["a1: A, one.{\"title\":\"T\"} <- Q1? | Q2?", "a2: B\n\"two\". <- Q3?", "a3: C. <- "];
        let csv = "\u{feff}Question,answer,ID,title\r\nQ1?,\"A, one.\",a1,T\r\nQ2?,,a1,\r\n\r\n,,,\r\n\
                   Q3?,\"B\n\"\"two\"\".\",a2,\r\n,C.,a3,\r\n";
        let tsv = "query\ttext\tanswer_id\ttitle\nQ1?\tA, one.\ta1\tT\nQ2?\t\ta1\t\n\
                   Q3?\t\"B\n\"\"two\"\".\"\ta2\t\n\tC.\ta3\t";
        let jsonl = r#"{"question": "Q1?", "answer": "A, one.", "id": "a1", "title": "T"}
            {"questions": ["Q2?"], "id": "a1", "answer": null}

            {"prompt": "Q3?", "response": "B\n\"two\".", "_id": "a2", "tags": [], "title": ""}
            {"passage": "C.", "id": "a3"}"#;
        let list = format!("[{}]", jsonl.replace("\n\n", "\n").replace("}\n", "},\n"));
        for (name, text) in [
            ("x.csv", csv.to_string()),
            ("X.CSV", csv.replace(',', ";").replace("A; one", "A, one")),
            ("x.csv", tsv.to_string()),
            ("x.tsv", tsv.to_string()),
            ("x", tsv.to_string()),
            ("x.txt", csv.to_string()),
            ("x.jsonl", jsonl.to_string()),
            ("x.ndjson", jsonl.replace('\n', "\r\n")),
            ("x.json", jsonl.to_string()),
            ("-", jsonl.to_string()),
            ("x.json", list.clone()),
            ("x", list),
        ] {
            let (found, file) = read(name, &text, &FileOptions::default()).unwrap();
            assert_eq!(found, same, "{name}: {text}");
            assert!(file.faults.is_empty() && file.warnings.is_empty(), "{:?}", file.warnings);
        }
        let one = r#"{"question": "Q?", "answer": "A."}"#;
        assert_eq!(read("-", one, &FileOptions::default()).unwrap().0, ["A.: A. <- Q?"]);
        let named = |name: &str| Some(name.to_string());
        let options = FileOptions {
            format: Some(FileFormat::Csv),
            question_column: named("text"),
            answer_column: named("reply"),
            id_column: named("no"),
            split: None,
        };
        let mapped = read("x.json", "text,reply,no,id\nQ?,A.,7,x", &options).unwrap();
        assert_eq!(mapped.0, ["7: A.{\"id\":\"x\"} <- Q?"]);
    }

    #[test]
    fn squad_and_beir() {
        let squad = r#"{"version": "v2.0", "data": [{"title": "T", "paragraphs": [
            {"context": "A paragraph.", "qas": [
                {"id": "1", "question": "Q1?", "answers": [{"text": "A", "answer_start": 0}]},
                {"id": "2", "question": "Q2?", "answers": [], "is_impossible": true}]},
            {"context": "Another.", "qas": []}, {"qas": []}, 7]}, {"title": "U"}]}"#;
        let (found, file) = read("x.json", squad, &FileOptions::default()).unwrap();
        let title = "{\"title\":\"T\"}";
        let expected = [
            format!("A paragraph.: A paragraph.{title} <- Q1?"),
            format!("Another.: Another.{title} <- "),
        ];
        assert_eq!(found, expected);
        assert_eq!(file.warnings, ["1 questions without an answer are left out"]);
        let places = [
            "line 5, data[0].paragraphs[2]: ",
            "line 5, data[0].paragraphs[3]: ",
            "line 5, data[1]: ",
        ];
        assert_eq!(file.faulty, 3);
        for (fault, place) in file.faults.iter().zip(places) {
            assert!(fault.starts_with(place), "{fault}");
        }

        let corpus = r#"{"_id": "d1", "title": "T", "text": "One.", "metadata": {}}
            {"_id": "d2", "title": "", "text": "Two."}
            {"_id": "d3", "title": "Only a title", "text": ""}
            {"_id": "d4", "text": "Two.", "metadata": {"url": "u"}}"#;
        let queries = "{\"_id\": 1, \"text\": \"Q1?\"}\n{\"_id\": \"2\", \"text\": \"Q2?\"}\n\
                       {\"_id\": \"3\", \"text\": \"Q3?\"}";
        let qrels = "query-id\tcorpus-id\tscore\n1\td1\t1\n2\td1\t2\n2\td4\t1\n2\td2\t0\r\n";
        let file = beir(corpus, queries, qrels);
        assert_eq!(
            clusters(&file),
            [
                "d1: One.{\"title\":\"T\"} <- Q1?",
                "d1 + d4: One.{\"title\":\"T\"} & Two.{\"metadata\":{\"url\": \"u\"}} <- Q2?",
                "d2: Two. <- ",
                "d3: Only a title{\"title\":\"Only a title\"} <- ",
            ]
        );
        assert!(file.faults.is_empty());
        assert_eq!(file.warnings, ["1 questions have several answers, which all count as right"]);

        let corpus =
            format!("{corpus}\n{{\"_id\": \"d1\", \"text\": \"x\"}}\n{{\"text\": \"x\"}}\n7");
        let queries = format!("{queries}\n{{\"_id\": \"3\", \"text\": \"x\"}}\n{{\"_id\": \"4\"}}");
        let qrels = format!("{qrels}1\td9\t1\n9\td1\t1\n1 d1 1\n1\td1\thigh");
        let faults = [
            "corpus.jsonl, line 5: the id 'd1' comes twice",
            "corpus.jsonl, line 6: no \"_id\"",
            "corpus.jsonl, line 7: expected an object, found 7",
            "queries.jsonl, line 4: the id '3' comes twice",
            "queries.jsonl, line 5: no \"text\"",
            "qrels/train.tsv, line 6: no document 'd9'",
            "qrels/train.tsv, line 7: no query '9'",
            "qrels/train.tsv, line 8: expected the ids of a query and a document and a score, \
             separated by tabs",
            "qrels/train.tsv, line 9: expected the ids of a query and a document and a score, \
             separated by tabs",
        ];
        assert_eq!(beir(&corpus, &queries, &qrels).faults, faults);
    }

    #[test]
    fn rows_become_clusters_and_what_is_decided_is_said() {
        let csv = "question,answer,id,tag\nQ1?,A.,1,x\nQ2?,A.,2,x\nQ1?,B.,3,\nQ1?,A.,1,y\n";
        let (found, file) = read("x.csv", csv, &FileOptions::default()).unwrap();
        let a = "A.{\"tag\":\"x\"}";
        assert_eq!(found, [format!("1: {a} <- Q2?"), format!("1 + 3: {a} & B. <- Q1?")]);
        assert_eq!(
            file.warnings,
            [
                "1 questions have several answers, which all count as right",
                "1 rows repeat a question of the same answer; it is taken once",
                "1 rows have the answer of an earlier row under another id; they were joined",
                "1 rows have another \"tag\" than an earlier row of the same answer, whose is kept",
            ]
        );
        // Names that are made of texts are cut, and stay different.
        let long = "x".repeat(100_000);
        let csv = format!("answer,question\n{long}1,Q1?\n{long}2,Q2?\n{long}3,\n");
        let (_, file) = read("x.csv", &csv, &FileOptions::default()).unwrap();
        let names: Vec<&str> = file.clusters.iter().map(|cluster| &cluster.name[..]).collect();
        let start = "x".repeat(60);
        assert_eq!(names, [start.clone(), format!("{start} (2)"), format!("{start} (3)")]);
        assert!(file.answers.iter().all(|answer| answer.name.is_none()));
        let list = r#"[{"question": "Q?", "answers": ["A.", "B."], "id": 5}]"#;
        let (found, _) = read("x.json", list, &FileOptions::default()).unwrap();
        assert_eq!(found, ["A. + B.: A.{\"id\":\"5\"} & B.{\"id\":\"5\"} <- Q?"]);
    }

    #[test]
    fn faults_are_listed_with_line_and_column() {
        let csv = "question,answer,id\nQ1?,A.,1\nQ2?,B.,1\nQ3?\nQ4?,C.,2,x\nQ5?,,\nQ6?,,9\n\n\
                   Q7?,\"D.,3\nQ8?,E.,4\n";
        let (_, file) = read("x.csv", csv, &FileOptions::default()).unwrap();
        assert_eq!(
            file.faults,
            [
                "line 3: the id '1' has another answer in an earlier row",
                "line 4: 1 values, expected 3 as in the header",
                "line 5: 4 values, expected 3 as in the header",
                "line 6: no answer, and no id of an answer",
                "line 9: a quote is not closed before the end of the file",
                "line 7: no answer, and no row with that of the id '9'",
            ]
        );
        assert_eq!((file.faulty, file.clusters.len()), (6, 1));

        let jsonl = "{\"answer\": \"A.\", \"question\": [\"Q?\", 7, true]}\n{\"answer\": {}}\n{\"answer\": \n\
                     {\"a\": 1, \"a\": 2}\n[]\n{\"answer\": \"B.\", \"id\": [1, 2]}\n{\"answer\": \"C.\"}";
        let (found, file) = read("x.jsonl", jsonl, &FileOptions::default()).unwrap();
        assert_eq!(found, ["C.: C. <- "]);
        assert_eq!(
            file.faults,
            [
                "line 1, question: expected a text or a list of texts, found true",
                "line 2, answer: expected a text or a list of texts, found {}",
                "line 3: not JSON: EOF while parsing a value, column 11",
                "line 4: the field \"a\" comes twice",
                "line 5: expected an object, found []",
                "line 6, id: expected one id, found a list",
            ]
        );
        let (_, file) =
            read("x.json", "[\n{\"answer\": \"A.\"},\n{}, 7]", &FileOptions::default()).unwrap();
        let faults = [
            "line 3, [1]: no answer, and no id of an answer",
            "line 3, [2]: expected an object, found 7",
        ];
        assert_eq!(file.faults, faults);
    }

    #[test]
    fn files_of_no_use_are_refused_as_a_whole() {
        for (name, text, words) in [
            ("x.csv", "", "an empty file"),
            ("x.csv", "question,answer\n", "no rows"),
            ("x.csv", "answer,Answer,answer\n", "line 1: the column 'answer' comes twice"),
            (
                "x.csv",
                "frage,antwort\na,b\n",
                "no column with answers: expected answer, answers, response",
            ),
            ("x.csv", "frage,antwort\na,b\n", "--answer-column, found frage, antwort"),
            ("x.jsonl", "{\"a\": 1}", "no column with answers"),
            ("x.json", "[]", "no rows"),
            ("x.json", "[1", "not JSON"),
            ("x.json", "{\"data\": 7}", "a list \"data\" of articles"),
            (
                "x.txt",
                "Some text.\nMore.",
                "expected JSON, which begins with { or [, or a first line",
            ),
            ("x", "", "--format says what it is"),
        ] {
            let error = read(name, text, &FileOptions::default()).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")) && error.contains(words), "{error}");
        }
        let options = FileOptions { id_column: Some("no".into()), ..FileOptions::default() };
        let error = read("x.csv", "id,answer\n1,A.", &options).unwrap_err();
        assert!(error.ends_with("no column 'no' (--id-column), found id, answer"), "{error}");
        let (_, file) = read("x.csv", "qestion,answer\nQ?,A.\n", &FileOptions::default()).unwrap();
        assert!(file.warnings[0].starts_with("no column with questions (question, questions"));
        assert!(FileFormat::named("xml").unwrap_err().contains("'xml', expected json, jsonl"));
    }
}
