//! What question–answer files of all formats hold, and putting it into the store.

use std::collections::HashMap;
use std::path::Path;

use projection_core::kernel::parallel::Poll;
use projection_core::{Error, ErrorKind, Result};

use super::replacement::{NewAnswer, Replacement};
use super::source::Source;
use super::{FileOptions, formats};

/// Faults that a message lists.
const LISTED: usize = 50;

/// The longest name that is made of texts, in letters.
pub(super) const LONGEST_NAME: usize = 60;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct QaFile {
    /// The answers of the entries without a fault.
    pub answers: Vec<QaAnswer>,
    /// Their clusters.
    pub clusters: Vec<QaCluster>,
    /// Whether all answers that are right for a question are in its cluster.
    pub exact: bool,
    /// What is wrong, with line and entry.
    pub faults: Vec<String>,
    /// Number of entries that have a fault.
    pub faulty: usize,
    /// What may not be meant so.
    pub warnings: Vec<String>,
}

/// An answer of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QaAnswer {
    /// Its id in the file, which its wordings share.
    pub name: Option<String>,
    /// The document that it comes from, if the file says so.
    pub document: Option<String>,
    /// `default`, or the embedding model that the wording is for.
    pub variant: String,
    pub text: String,
    /// All other fields as a JSON object, if there are any.
    pub metadata: Option<String>,
}

impl QaAnswer {
    pub fn new(text: String) -> Self {
        Self { name: None, document: None, variant: "default".into(), text, metadata: None }
    }

    /// Its name, or the beginning of its text.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| shortened(&self.text))
    }
}

/// The beginning of a text, in one line.
pub(super) fn shortened(text: &str) -> String {
    let beginning: String = text.trim_start().chars().take(LONGEST_NAME).collect();
    beginning.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One cluster of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QaCluster {
    /// Its name. Unique in the file.
    pub name: String,
    /// Places of its answers in [`QaFile::answers`].
    pub answers: Vec<usize>,
    /// Length type, if the file says so, and text of every question.
    pub questions: Vec<(Option<&'static str>, String)>,
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
}

/// Puts what a file holds into the store. Clusters keep their rows by name, answers by name and
/// variant, or by text if they have no name, and questions by cluster and text.
pub(super) fn add_clusters(
    replacement: &mut Replacement<'_>,
    file: &QaFile,
    poll: &mut Poll<'_>,
) -> Result<()> {
    let (change, source) = (replacement.change, replacement.source);
    let known_clusters: Vec<(String, i64)> = change.rows(
        "SELECT name, cluster_id FROM qa_clusters JOIN engine_imports ON \
         entity_type = 'cluster' AND entity_id = cluster_id WHERE source_file = ?1",
        [source],
    )?;
    let known_answers: Vec<(Option<String>, String, String, i64)> = change.rows(
        "SELECT record_id, text_variant, text, answer_id FROM answers JOIN engine_imports i ON \
         entity_type = 'answer' AND entity_id = answer_id WHERE i.source_file = ?1",
        [source],
    )?;
    let known_questions: Vec<(i64, String, i64)> = change.rows(
        "SELECT cluster_id, text, question_id FROM questions JOIN cluster_questions \
         USING (question_id) JOIN engine_imports ON entity_type = 'question' AND \
         entity_id = question_id WHERE source_file = ?1",
        [source],
    )?;
    // An answer without a name is known by its text.
    fn key<'a>(name: Option<&'a str>, variant: &'a str, text: &'a str) -> [Option<&'a str>; 3] {
        [name, Some(variant), name.is_none().then_some(text)]
    }
    let known_clusters: HashMap<&str, i64> =
        known_clusters.iter().map(|(name, id)| (&name[..], *id)).collect();
    let known_answers: HashMap<_, i64> = known_answers
        .iter()
        .map(|(name, variant, text, id)| (key(name.as_deref(), variant, text), *id))
        .collect();
    let known_questions: HashMap<(i64, &str), i64> =
        known_questions.iter().map(|(cluster, text, id)| ((*cluster, &text[..]), *id)).collect();

    let mut answer_ids = Vec::with_capacity(file.answers.len());
    for QaAnswer { name, document, variant, text, metadata } in &file.answers {
        poll()?;
        let name = name.as_deref();
        let known = known_answers.get(&key(name, variant, text)).copied();
        let document = document.as_deref().unwrap_or(source);
        let answer = NewAnswer { document, name, variant, text };
        let answer_id = replacement.add_answer(known, &answer)?;
        change.set_metadata(answer_id, metadata.as_deref())?;
        answer_ids.push(answer_id);
    }
    // Answers that are kept may be in other clusters now.
    change.execute(
        "DELETE FROM cluster_answers WHERE cluster_id IN (SELECT entity_id FROM engine_imports \
         WHERE source_file = ?1 AND entity_type = 'cluster') AND answer_id IN (SELECT entity_id \
         FROM engine_imports WHERE source_file = ?1 AND entity_type = 'answer')",
        [source],
    )?;
    for cluster in &file.clusters {
        poll()?;
        let name = &cluster.name[..];
        let cluster_id = replacement.add_cluster(known_clusters.get(name).copied(), name)?;
        for at in &cluster.answers {
            change.put_into_cluster(cluster_id, answer_ids[*at])?;
            // The default wording comes first.
            if file.answers[*at].variant != "default" {
                change.execute(
                    "INSERT OR IGNORE INTO answer_relations \
                     (from_answer_id, to_answer_id, relation_type) VALUES (?1, ?2, 'variant_of')",
                    [answer_ids[*at], answer_ids[cluster.answers[0]]],
                )?;
            }
        }
        for (length_type, text) in &cluster.questions {
            let known = known_questions.get(&(cluster_id, &text[..])).copied();
            replacement.add_question(known, Some(cluster_id), text, *length_type)?;
        }
    }
    Ok(())
}

/// Questions of a file that is read, not imported, with the answers that are right for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCluster {
    /// The cluster's name in the file.
    pub name: String,
    /// The answers, each with its name in the file, if it has one, and its text. If the file has
    /// several wordings of an answer, the default one is first.
    pub answers: Vec<(Option<String>, String)>,
    /// Whether no other answers than these are right.
    pub exact: bool,
    /// The questions.
    pub questions: Vec<String>,
}

/// Reads questions that were kept aside from the question–answer file, or the BEIR folder, at
/// `file`.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] if the file can't be read,
/// [`ErrorKind::InvalidInput`] if anything is wrong with it or it has no questions.
pub fn read_test_questions(
    file: impl AsRef<Path>,
    options: &FileOptions,
) -> Result<Vec<TestCluster>> {
    let file = file.as_ref();
    let split = options.split.clone().or_else(|| Some("test".into()));
    let options = FileOptions { split, ..options.clone() };
    let invalid = |what| Error::new(ErrorKind::InvalidInput, format!("{}: {what}", file.display()));
    let found = formats::parse(file, &Source::read(file, &options)?, &options)?;
    let found = found.check(false).map_err(invalid)?;
    let asked = found.clusters.iter().filter(|cluster| !cluster.questions.is_empty());
    let answer = |at: &usize| (found.answers[*at].name.clone(), found.answers[*at].text.clone());
    let clusters: Vec<TestCluster> = asked
        .map(|cluster| TestCluster {
            name: cluster.name.clone(),
            answers: cluster.answers.iter().map(answer).collect(),
            exact: found.exact,
            questions: cluster.questions.iter().map(|(_, text)| text.clone()).collect(),
        })
        .collect();
    if clusters.is_empty() {
        return Err(invalid("no questions".into()));
    }
    Ok(clusters)
}
