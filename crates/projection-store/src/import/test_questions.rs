//! Questions that were kept aside: a question–answer file that is read, not imported.

use std::fs;
use std::path::Path;

use super::qa_file;
use crate::error::{Error, ErrorKind, Result};

/// An answer of a question–answer file, with its questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCluster {
    /// The answer's name in the file.
    pub name: String,
    /// All wordings of the answer, the default one first.
    pub answers: Vec<String>,
    /// The questions.
    pub questions: Vec<String>,
}

/// Reads the question–answer file at `file`, of either shape.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where the file can't be read,
/// [`ErrorKind::InvalidInput`] where it is of neither shape or has no questions.
pub fn read_test_questions(file: impl AsRef<Path>) -> Result<Vec<TestCluster>> {
    let file = file.as_ref();
    let bytes = fs::read(file).map_err(|error| Error::io("reading", file, error))?;
    let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display()));
    let clusters = qa_file::parse(&bytes).map_err(invalid)?;
    if clusters.iter().all(|cluster| cluster.questions.is_empty()) {
        return Err(invalid("no questions".into()));
    }
    fn texts<T>(texts: Vec<(T, String)>) -> Vec<String> {
        texts.into_iter().map(|(_, text)| text).collect()
    }
    Ok(clusters
        .into_iter()
        .map(|cluster| TestCluster {
            name: cluster.name,
            answers: texts(cluster.answers),
            questions: texts(cluster.questions),
        })
        .collect())
}
