//! A folder with all that a search needs where there is no store: to be served as static
//! files, to a browser or a worker, which open it with the JavaScript package.
//!
//! ```text
//! manifest.json        what is there, with the size and the SHA-256 of each other file
//! model.safetensors    the projection, see model_file
//! answers.safetensors  the answers' vectors, see answer_file
//! texts.json           {"answers": [{"id", "title", "text"}…], "questions": [text…]}
//! ```
//!
//! Answers stand in the order of their vectors. The questions are the training questions of
//! a residual projection in the model's order, null where the store has lost one; none for
//! other kinds. A title or text that is not known is left out.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use projection_core::answer_file::AnswerPrecision;
use projection_core::atomic;
use projection_core::projection::{Model, ModelKind, Precision, Projection};
use projection_core::{Error, ErrorKind, Result};
use projection_store::import::sha256;
use projection_store::{Searcher, Store};

use crate::export::{ExportFormat, ExportReport, export_store};

const FORMAT: &str = "projection_edge";
const VERSION: u64 = 1;

const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.safetensors";
const ANSWERS: &str = "answers.safetensors";
const TEXTS: &str = "texts.json";

/// The longest manifest that is read; ours has a thousand bytes.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// How a folder is written.
#[derive(Debug, Clone, Default)]
pub struct EdgeOptions {
    /// Softmax temperature in place of the recorded one.
    pub temperature: Option<f64>,
    /// How the vectors of a multi-head projection are written, where not as they are.
    pub precision: Option<Precision>,
    /// How the answers' vectors are written.
    pub answers: AnswerPrecision,
    /// Whether to write into a folder that holds something else, which stays as it is.
    pub force: bool,
}

/// A file of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct EdgePart {
    /// The file's name.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeReport {
    /// The folder.
    pub output: String,
    /// The projection's id.
    pub projection_id: i64,
    /// The model's kind, such as `residual`.
    pub kind: &'static str,
    /// Dimension of queries.
    pub input_dim: usize,
    /// Dimension of answers.
    pub output_dim: usize,
    /// The text model of queries.
    pub embedding_model: String,
    /// Number of answers.
    pub answers: usize,
    /// How their vectors are written.
    pub answers_precision: &'static str,
    /// Number of training questions.
    pub questions: usize,
    /// The files.
    pub parts: Vec<EdgePart>,
}

/// Writes the projection `id` of a store, the newest where it is `None`, with its answers to
/// the folder `output`. All files are written beside it first: a folder of an earlier export
/// is replaced by the whole new one.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] where `output` is no folder, or holds what is not from an
/// export and is not forced; [`ErrorKind::NotFound`] for no such projection, or a parent that
/// does not exist; [`ErrorKind::DimensionMismatch`] where the answers do not have the
/// dimension of the projection; [`ErrorKind::Io`] where writing fails; and whatever opening
/// the model and the answers gives.
pub fn export_edge(
    store: &Store,
    id: Option<i64>,
    options: &EdgeOptions,
    output: &Path,
) -> Result<EdgeReport> {
    let id = id.map_or_else(|| store.newest_projection(), Ok)?;
    // Links are followed, and `.` gets a name.
    let folder = match output.exists() {
        true => output.canonicalize().map_err(|error| Error::io("opening", output, error))?,
        false => output.to_path_buf(),
    };
    let found = look_at(&folder)?;
    if found == Found::Foreign && !options.force {
        let what = "is not empty and holds what is not from an export to this folder";
        return refuse(output, &format!("{what}; expected another folder, or force"));
    }
    let (query_model, answer_model) = text_models(store, id)?;
    let searcher = Searcher::from_store(store, Some(&answer_model))?;
    let index = searcher.index();

    let temporary = Temporary::beside(&folder)?;
    let file = temporary.0.join(MODEL);
    let format = ExportFormat::Safetensors;
    let (temperature, precision) = (options.temperature, options.precision);
    let report = export_store(store, Some(id), temperature, precision, format, &file)?;
    if report.output_dim != index.dim() {
        let what = format!("{} as projection {id} gives", report.output_dim);
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!("answers by '{answer_model}' of dimension {}, expected {what}", index.dim()),
        ));
    }
    let model_bytes = fs::read(&file).map_err(|error| Error::io("reading", &file, error))?;
    let questions = match Model::from_bytes(&model_bytes)?.as_residual() {
        Some(residual) => searcher.training_questions(residual),
        None => Vec::new(),
    };
    let answers = index.to_bytes(Some(&answer_model), options.answers)?;
    write(&temporary.0, ANSWERS, &answers)?;
    let texts = json!({"answers": answer_texts(store, index.ids())?, "questions": questions});
    let texts = texts.to_string().into_bytes();
    write(&temporary.0, TEXTS, &texts)?;
    let contents = [(MODEL, &model_bytes), (ANSWERS, &answers), (TEXTS, &texts)];
    let parts = contents
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes.len(), "sha256": sha256(bytes)}));
    let manifest = manifest(&report, (&query_model, &answer_model), index.len(), options, &parts);
    write(&temporary.0, MANIFEST, &manifest)?;
    match found {
        Found::Foreign => temporary.move_files(&folder)?,
        Found::Nothing | Found::Ours => temporary.replace(&folder)?,
    }
    let mut parts: Vec<EdgePart> =
        contents.map(|(name, bytes)| EdgePart { name, bytes: bytes.len() as u64 }).into();
    parts.push(EdgePart { name: MANIFEST, bytes: manifest.len() as u64 });
    Ok(EdgeReport {
        output: output.display().to_string(),
        projection_id: id,
        kind: report.kind,
        input_dim: report.input_dim,
        output_dim: report.output_dim,
        embedding_model: query_model,
        answers: index.len(),
        answers_precision: options.answers.name(),
        questions: questions.len(),
        parts,
    })
}

fn refuse<T>(folder: &Path, what: &str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidArgument, format!("{}: {what}", folder.display())))
}

/// The text models of a projection's queries and of its answers.
fn text_models(store: &Store, id: i64) -> Result<(String, String)> {
    if store.model_kind(id)? == ModelKind::Linear {
        let mut rows = store.linear_projections()?.into_iter();
        if let Some(row) = rows.find(|row| row.id == id) {
            return Ok((row.model_name, row.output_model_name));
        }
    }
    let name = store.multi_head_projection(id)?.model_name;
    Ok((name.clone(), name))
}

fn answer_texts(store: &Store, ids: &[i64]) -> Result<Vec<Value>> {
    let known = store.answer_texts()?.into_iter();
    let known: HashMap<i64, _> = known.map(|answer| (answer.answer_id, answer)).collect();
    let entry = |id: &i64| {
        let mut entry = json!({"id": id});
        if let Some(answer) = known.get(id) {
            let fields = [("title", &answer.record_id), ("text", &answer.text)];
            for (key, value) in fields {
                if let Some(value) = value {
                    entry[key] = json!(value);
                }
            }
        }
        entry
    };
    Ok(ids.iter().map(entry).collect())
}

fn manifest(
    report: &ExportReport,
    (query_model, answer_model): (&str, &str),
    answers: usize,
    options: &EdgeOptions,
    parts: &[Value],
) -> Vec<u8> {
    let manifest = json!({
        "format": FORMAT,
        "format_version": VERSION,
        "projection": {
            "id": report.projection_id,
            "kind": report.kind,
            "heads": report.heads,
            "temperature": report.temperature,
            "input_dim": report.input_dim,
            "output_dim": report.output_dim,
        },
        "embedding_model": query_model,
        "answers": {
            "count": answers,
            "precision": options.answers.name(),
            "embedding_model": answer_model,
        },
        "parts": parts,
    });
    format!("{manifest:#}\n").into_bytes()
}

/// What is where the folder is to be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing, or an empty folder.
    Nothing,
    /// The folder of an earlier export, and nothing else in it.
    Ours,
    /// A folder with other things.
    Foreign,
}

fn look_at(folder: &Path) -> Result<Found> {
    if !folder.exists() {
        return Ok(Found::Nothing);
    }
    if !folder.is_dir() {
        return refuse(folder, "is a file, expected a folder");
    }
    let reading = |error| Error::io("reading", folder, error);
    let entries = fs::read_dir(folder).map_err(reading)?;
    let names: std::io::Result<HashSet<_>> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(reading)?;
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    let ours = [MANIFEST, MODEL, ANSWERS, TEXTS].map(OsStr::new);
    let known = names.iter().all(|name| ours.contains(&name.as_os_str()));
    Ok(if known && is_manifest(&folder.join(MANIFEST)) { Found::Ours } else { Found::Foreign })
}

/// Whether a file is the manifest of an export. It may be anybody's, of any size.
fn is_manifest(path: &Path) -> bool {
    use std::io::Read;
    let mut bytes = Vec::new();
    // A device or a pipe could go on for ever.
    let regular = path.metadata().is_ok_and(|about| about.is_file());
    let Some(file) = regular.then(|| fs::File::open(path).ok()).flatten() else { return false };
    if file.take(LONGEST_MANIFEST + 1).read_to_end(&mut bytes).is_err()
        || bytes.len() as u64 > LONGEST_MANIFEST
    {
        return false;
    }
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    manifest["format"] == FORMAT
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    atomic::write(&folder.join(name), |writer| writer.write_all(bytes))
}

/// A folder that is removed unless it takes its place.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(folder: &Path) -> Result<Self> {
        if folder.file_name().is_none() {
            return refuse(folder, "not the name of a folder");
        }
        let path = atomic::temporary_name(folder);
        fs::create_dir(&path).map_err(|error| Error::io("writing", folder, error))?;
        Ok(Self(path))
    }

    /// Takes the place of `folder`, which may be there.
    fn replace(self, folder: &Path) -> Result<()> {
        let writing = |error| Error::io("writing", folder, error);
        let old = atomic::temporary_name(folder);
        let there = folder.exists();
        if there {
            fs::rename(folder, &old).map_err(writing)?;
        }
        if let Err(error) = fs::rename(&self.0, folder) {
            // The first error is the one to report.
            let _ = fs::rename(&old, folder);
            return Err(writing(error));
        }
        if there {
            fs::remove_dir_all(&old).map_err(writing)?;
        }
        Ok(())
    }

    /// Moves the files, the manifest last, which then says what the others are.
    fn move_files(self, folder: &Path) -> Result<()> {
        for name in [MODEL, ANSWERS, TEXTS, MANIFEST] {
            fs::rename(self.0.join(name), folder.join(name))
                .map_err(|error| Error::io("writing", &folder.join(name), error))?;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone where it took its place.
        let _ = fs::remove_dir_all(&self.0);
    }
}
