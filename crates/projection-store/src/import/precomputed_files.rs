//! Reading the files of precomputed embeddings: arrays of answers and questions, labels, texts.

use std::path::Path;

use ndarray::Array2;
use projection_core::kernel::files;
use projection_core::kernel::parallel::Poll;
use projection_core::npy::{Dtype, NpyArray, integers_from};
use projection_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::json::{self, Text};
use super::{PrecomputedEmbeddings, sha256, source};

/// What the files hold, each as far as it could be read.
pub(super) struct Read {
    /// SHA-256 over the model's name and all files.
    pub hash: String,
    answers: Result<Array2<f32>>,
    questions: Result<Array2<f32>>,
    labels: Result<Vec<i64>>,
    texts: Result<Option<Texts>>,
}

/// The texts of answers and questions, one for each row.
#[derive(Deserialize)]
#[serde(expecting = "an object with the lists \"answers\" and \"questions\"")]
struct Texts {
    answers: Vec<Text>,
    questions: Vec<Text>,
}

/// Embeddings that fit together.
pub(super) struct Content {
    pub answers: Array2<f32>,
    pub questions: Array2<f32>,
    /// For each question the row of its answer.
    pub labels: Vec<Option<usize>>,
    pub answer_texts: Vec<String>,
    pub question_texts: Vec<String>,
}

/// Reads all files, each as a whole and once, so that the hash is that of what was read.
///
/// # Errors
/// If a file can't be read. What is wrong in a file is kept for [`Read::check`].
pub(super) fn read(files: &PrecomputedEmbeddings, poll: &mut Poll<'_>) -> Result<Read> {
    // Part of what existing stores have hashed: to change it would import every file again.
    let mut hashes = format!("own vectors by {}\n", files.model_name);
    let mut bytes_of = |path: &Path| {
        poll()?;
        let bytes = files::read(path)?;
        hashes += &sha256(&bytes);
        hashes.push('\n');
        Ok((bytes, path.display().to_string()))
    };
    let array = |(bytes, name): (Vec<u8>, String), what| rows(&bytes, &name, what);
    let answers = array(bytes_of(&files.answers)?, "answers");
    let questions = array(bytes_of(&files.questions)?, "questions");
    let (bytes, name) = bytes_of(&files.labels)?;
    let labels = integers_from(&bytes, &name);
    let texts = match &files.texts {
        Some(path) => {
            let (bytes, name) = bytes_of(path)?;
            let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{name}: {what}"));
            source::text(&bytes).and_then(|text| json::value(&text)).map(Some).map_err(invalid)
        }
        None => Ok(None),
    };
    let hash = sha256(hashes.as_bytes());
    Ok(Read { hash, answers, questions, labels, texts })
}

/// The vectors of a file (n × d): finite, none of them zero.
fn rows(bytes: &[u8], name: &str, what: &str) -> Result<Array2<f32>> {
    let array = NpyArray::from_bytes(bytes, name)?;
    let [rows, columns] = *array.shape() else {
        let message = format!(
            "{name}: shape {:?}, expected two dimensions, ({what}, components)",
            array.shape()
        );
        return Err(Error::new(ErrorKind::DimensionMismatch, message));
    };
    // Doubles beyond float32 are finite in the file: they must be found by row.
    if array.dtype() == Dtype::Float64
        && let Some(at) = array.to_f64().iter().position(|value| !(*value as f32).is_finite())
    {
        return Err(not_finite(name, at / columns, at % columns, array.to_f64()[at]));
    }
    let vectors = Array2::from_shape_vec((rows, columns), array.to_f32()?)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("{name}: {error}")))?;
    for (row, vector) in vectors.rows().into_iter().enumerate() {
        if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
            return Err(not_finite(name, row, at, vector[at].into()));
        }
        if vector.iter().all(|value| *value == 0.0) {
            let message = format!(
                "{name}: row {row}: all components are zero, expected a vector with a direction"
            );
            return Err(Error::new(ErrorKind::ZeroVector, message));
        }
    }
    Ok(vectors)
}

fn not_finite(name: &str, row: usize, column: usize, value: f64) -> Error {
    let message =
        format!("{name}: row {row}: component {column} is {value:e}, expected finite float32");
    Error::new(ErrorKind::NotFinite, message)
}

impl Read {
    /// What was read from `files`, if all of it fits together.
    pub fn check(self, files: &PrecomputedEmbeddings) -> Result<Content> {
        let (answers, questions, labels) = (self.answers?, self.questions?, self.labels?);
        let error = |kind, path: &Path, what: String| {
            Err(Error::new(kind, format!("{}: {what}", path.display())))
        };
        if questions.ncols() != answers.ncols() {
            let what = format!(
                "vectors of dimension {}, expected {} as those of {}",
                questions.ncols(),
                answers.ncols(),
                files.answers.display()
            );
            return error(ErrorKind::DimensionMismatch, &files.questions, what);
        }
        if labels.len() != questions.nrows() {
            let what = format!(
                "{} labels, expected {} as {} has rows",
                labels.len(),
                questions.nrows(),
                files.questions.display()
            );
            return error(ErrorKind::DimensionMismatch, &files.labels, what);
        }
        let count = answers.nrows();
        let last = count as i64 - 1;
        if let Some(row) = labels.iter().position(|label| !(-1..=last).contains(label)) {
            let what = format!(
                "row {row}: label {}, expected a row of {} (0 to {last}) or -1 for none",
                labels[row],
                files.answers.display(),
            );
            return error(ErrorKind::InvalidInput, &files.labels, what);
        }
        let texts = |texts: Vec<Text>| texts.into_iter().map(|text| text.0).collect::<Vec<_>>();
        let (answer_texts, question_texts) = match (self.texts?, &files.texts) {
            (Some(Texts { answers: of_answers, questions: of_questions }), Some(path)) => {
                for (key, found, vectors, expected) in [
                    ("answers", of_answers.len(), &files.answers, count),
                    ("questions", of_questions.len(), &files.questions, questions.nrows()),
                ] {
                    if found != expected {
                        let what = format!(
                            "{found} texts in \"{key}\", expected {expected} as {} has rows",
                            vectors.display()
                        );
                        return error(ErrorKind::InvalidInput, path, what);
                    }
                }
                (texts(of_answers), texts(of_questions))
            }
            _ => (placeholders("answer", count), placeholders("question", questions.nrows())),
        };
        let labels = labels.into_iter().map(|label| usize::try_from(label).ok()).collect();
        Ok(Content { answers, questions, labels, answer_texts, question_texts })
    }
}

fn placeholders(what: &str, number: usize) -> Vec<String> {
    (0..number).map(|row| format!("{what} {row}")).collect()
}
