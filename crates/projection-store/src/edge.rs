//! A folder with all that a search needs, without the store: to be served as static files to a
//! browser or a worker, which open it with the JavaScript package.
//!
//! ```text
//! manifest.json        what is there, with the size and the SHA-256 of each other file
//! model.safetensors    the projection, see model_file
//! answers.safetensors  the answers' vectors, see answer_file
//! texts.json           {"answers": [{"id", "title", "text"}…], "questions": [text…]}
//! ```
//!
//! Answers stand in the order of their vectors. The questions are the training questions of
//! a residual projection in the model's order, null if the store has lost one; other kinds have
//! none. The title of an answer that has none is its name. A title or text that is not known is left out.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use projection_core::answer_file::AnswerPrecision;
use projection_core::kernel::progress::ignore_progress;
use projection_core::kernel::{files, parallel};
use projection_core::projection::{Precision, Projection};
use projection_core::{Error, ErrorKind, Result, atomic};
use serde::Serialize;
use serde_json::{Value, json};

use crate::import::sha256;
use crate::store::Store;

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
    /// Softmax temperature in place of the stored one.
    pub temperature: Option<f64>,
    /// How the vectors of a multi-head projection are written; `None` for as they are.
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
    /// The embedding model of queries.
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

/// Writes the projection `id` of a store, or the active one, with its answers to the folder
/// `output`.
/// All files are written beside it first: a folder of an earlier export is replaced by the whole
/// new one.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if `output` is not a folder, or holds what is not from an
/// export and is not forced; [`ErrorKind::NotFound`] for no such projection, or a parent that
/// does not exist; [`ErrorKind::DimensionMismatch`] if the answers do not have the dimension of
/// the projection; [`ErrorKind::Io`] if writing fails; and as [`Store::model`] and
/// [`Store::searcher`].
pub fn export_edge(
    store: &Store,
    id: Option<i64>,
    options: &EdgeOptions,
    output: &Path,
) -> Result<EdgeReport> {
    let stored = store.choose(id)?;
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
    let searcher = store.searcher(Some(&stored.answer_model))?;
    let index = searcher.index();
    let mut model = store.open_model(&stored)?;
    if let Some(temperature) = options.temperature {
        model = model.with_temperature(temperature)?;
    }
    let model = model.with_precision(options.precision.unwrap_or_default())?;
    let model = model.with_approximate_index(parallel::threads(), &mut ignore_progress)?;
    if model.output_dim() != index.dim() {
        return Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!(
                "answers by '{}' of dimension {}, expected {} as projection {} gives",
                stored.answer_model,
                index.dim(),
                model.output_dim(),
                stored.id
            ),
        ));
    }
    let questions = match model.as_residual() {
        Some(residual) => searcher.training_questions(residual),
        None => Vec::new(),
    };

    let (temporary, _lock) = temporary_beside(&folder)?;
    let model_file = temporary.path().join(MODEL);
    model.save_file_with(&model_file, &stored.description())?;
    let model_bytes = files::read(&model_file)?;
    let answers = index.to_bytes(Some(&stored.answer_model), options.answers)?;
    let texts = json!({"answers": answer_texts(store, index.ids())?, "questions": questions});
    let texts = texts.to_string().into_bytes();
    let contents = [(MODEL, &model_bytes), (ANSWERS, &answers), (TEXTS, &texts)];
    let parts = contents
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes.len(), "sha256": sha256(bytes)}));
    // Of the embedding model of questions; null for vectors of other programs.
    let recorded = match store.embedding_models()?.iter().find(|m| m.name == stored.model_name) {
        Some(model) => store.recorded_fingerprint(model)?,
        None => None,
    };
    let fingerprint: Value =
        recorded.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let manifest = json!({
        "format": FORMAT,
        "format_version": VERSION,
        "projection": {
            "id": stored.id,
            "kind": model.kind().name(),
            "heads": model.head_ids().len(),
            "temperature": Some(model.temperature()).filter(|value| !value.is_nan()),
            "input_dim": model.input_dim(),
            "output_dim": model.output_dim(),
        },
        "embedding_model": stored.model_name,
        "embedding_model_fingerprint": fingerprint,
        "answers": {
            "count": index.len(),
            "precision": options.answers.name(),
            "embedding_model": stored.answer_model,
        },
        "parts": parts,
    });
    let manifest = format!("{manifest:#}\n").into_bytes();
    for (name, bytes) in [(ANSWERS, &answers), (TEXTS, &texts), (MANIFEST, &manifest)] {
        atomic::write(&temporary.path().join(name), |writer| writer.write_all(bytes))?;
    }
    match found {
        Found::Foreign => move_files(temporary.path(), &folder)?,
        Found::Nothing | Found::Ours => replace(temporary, &folder)?,
    }
    let all = contents.into_iter().chain([(MANIFEST, &manifest)]);
    Ok(EdgeReport {
        output: output.display().to_string(),
        projection_id: stored.id,
        kind: model.kind().name(),
        input_dim: model.input_dim(),
        output_dim: model.output_dim(),
        embedding_model: stored.model_name,
        answers: index.len(),
        answers_precision: options.answers.name(),
        questions: questions.len(),
        parts: all.map(|(name, bytes)| EdgePart { name, bytes: bytes.len() as u64 }).collect(),
    })
}

fn refuse<T>(folder: &Path, what: &str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidArgument, format!("{}: {what}", folder.display())))
}

fn answer_texts(store: &Store, ids: &[i64]) -> Result<Vec<Value>> {
    let known = store.answer_texts()?.into_iter();
    let known: HashMap<i64, _> = known.map(|answer| (answer.answer_id, answer)).collect();
    let entry = |id: &i64| {
        let mut entry = json!({"id": id});
        if let Some(answer) = known.get(id) {
            let title = if answer.title.is_some() { &answer.title } else { &answer.record_id };
            let fields = [("title", title), ("text", &answer.text)];
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

/// What is in the place of the new folder.
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
    let known = names.iter().all(|name| is_part(name));
    Ok(if known && is_manifest(&folder.join(MANIFEST)) { Found::Ours } else { Found::Foreign })
}

/// Whether an export writes files of this name.
fn is_part(name: &OsStr) -> bool {
    [MANIFEST, MODEL, ANSWERS, TEXTS].map(OsStr::new).contains(&name)
}

/// Whether a file is the manifest of an export. It may be anybody's, of any size.
fn is_manifest(path: &Path) -> bool {
    let short = files::open(path).is_ok_and(|(_, length)| length <= LONGEST_MANIFEST);
    let bytes = short.then(|| files::read(path).ok()).flatten().unwrap_or_default();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    manifest["format"] == FORMAT
}

/// An empty folder beside `folder`, which is removed if it does not take its place, and its lock,
/// which tells others that it is in use.
fn temporary_beside(folder: &Path) -> Result<(tempfile::TempDir, Option<fs::File>)> {
    let Some(name) = folder.file_name() else {
        return refuse(folder, "not the name of a folder");
    };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let prefix = format!(".{}.", name.to_string_lossy());
    remove_leftovers(parent, &prefix);
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).suffix(".tmp");
    // Whoever serves the folder may be another user.
    #[cfg(unix)]
    let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let writing = |error| Error::io("writing", folder, error);
    let temporary = builder.tempdir_in(parent).map_err(writing)?;
    let lock = fs::File::open(temporary.path()).ok();
    // A system that can't lock folders keeps leftovers.
    let _ = lock.as_ref().map(fs::File::lock);
    Ok((temporary, lock))
}

/// Removes the hidden folders of exports that were killed, or could not remove them.
fn remove_leftovers(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !name.starts_with(prefix) || !name.ends_with(".tmp") {
            continue;
        }
        let temporary = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with('.') && name.ends_with(".tmp")
        };
        let of_export = fs::read_dir(&path).is_ok_and(|mut files| {
            let name = |file: std::io::Result<fs::DirEntry>| file.ok().map(|f| f.file_name());
            files.all(|file| name(file).is_some_and(|name| is_part(&name) || temporary(&name)))
        });
        let lock = fs::File::open(&path);
        if of_export && lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // One that stays is tried again the next time.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Puts a new folder in the place of `folder`, which may exist.
fn replace(new: tempfile::TempDir, folder: &Path) -> Result<()> {
    let writing = |error| Error::io("writing", folder, error);
    let old = atomic::temporary_name(folder);
    let exists = folder.exists();
    if exists {
        fs::rename(folder, &old).map_err(writing)?;
    }
    if let Err(error) = fs::rename(new.path(), folder) {
        // The first error is the one to report.
        let _ = fs::rename(&old, folder);
        return Err(writing(error));
    }
    let _ = new.keep();
    if exists {
        // The new folder is there. What can't be removed now, the next export removes.
        let _ = fs::remove_dir_all(&old);
    }
    Ok(())
}

/// Moves the files into `folder`, the manifest last, which then says what the others are.
fn move_files(new: &Path, folder: &Path) -> Result<()> {
    for name in [MODEL, ANSWERS, TEXTS, MANIFEST] {
        fs::rename(new.join(name), folder.join(name))
            .map_err(|error| Error::io("writing", &folder.join(name), error))?;
    }
    Ok(())
}
