//! Importing into a store.

use std::ffi::{c_char, c_void};

use projection_store::Store;
use projection_store::import::{PrecomputedEmbeddings, import_embeddings, import_paths};

use crate::argument::{Buffer, Out, path, text};
use crate::error::{ErrorHandle, Status};
use crate::guard;
use crate::options::{Options, flag, optional_path, options_or_none, read_options};
use crate::progress::{ProgressC, Reporter};
use crate::text::TextHandle;

/// How to import. All but `size` may be 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ImportOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// 1 to try again first what failed or was interrupted before, else 0.
    pub retry_failed: i32,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for ImportOptionsC {
    const NAME: &'static str = "projection_import_options";
}

/// Imports the question-answer files `paths`, `n` of them, and those of folders among them,
/// into the store whose database is the file `database`, which is made where there is none
/// and `n` is not 0. A file that can't be imported does not keep the others from it. `options`
/// may be NULL.
///
/// The result is JSON, {"store", "files": [{"file", "outcome", "clusters", "answers",
/// "questions", "removed", "error": {"kind", "message"}}]}; outcome is "imported", "replaced",
/// "unchanged", "moved", a known file at another path, "failed", which has an error, or
/// "missing", a file that a folder had before.
///
/// # Safety
/// `database` is NULL or a text; `paths` is NULL or has `n` entries that are NULL or texts;
/// `options` is NULL or as large as its size says; `progress` is NULL or may be called with
/// `context`; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_import(
    database: *const c_char,
    paths: *const *const c_char,
    n: usize,
    options: *const ImportOptionsC,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, options, reporter, out) = unsafe {
            (
                path("database", database)?,
                options_or_none(options)?,
                Reporter::new(progress, context),
                Out::new("result", result)?,
            )
        };
        let retry = options.map_or(Ok(false), |o| flag("options.retry_failed", o.retry_failed))?;
        let paths = Buffer::new("paths", paths, n)?;
        // SAFETY: the caller's promises about the array and its entries.
        let paths = unsafe {
            let entries = paths.read()?.iter().enumerate();
            let named = |(i, path): (usize, &*const c_char)| {
                self::path(&format!("paths[{i}]"), *path).map(|path| path.to_path_buf())
            };
            entries.map(named).collect::<Result<Vec<_>, _>>()?
        };
        let mut store = match paths.is_empty() {
            true => Store::open(database)?,
            false => Store::open_or_create(database)?,
        };
        let imported = import_paths(&mut store, &paths, retry, &mut |done, total, _| {
            reporter.tell("importing", done, total, None);
        })?;
        out.give(TextHandle::json(&imported)?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_import", error, body) }
}

/// Vectors of the caller's own text model. The texts may be NULL, all others are needed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ImportVectorsOptionsC {
    /// Size of this structure, as the caller knows it. Later versions may add to its end.
    pub size: usize,
    /// Name of the text model that gave the vectors.
    pub model_name: *const c_char,
    /// Vectors of the answers, .npy.
    pub answers: *const c_char,
    /// Vectors of the questions, .npy.
    pub questions: *const c_char,
    /// For each question the row of its answer from 0, or -1 for none, .npy of integers.
    pub labels: *const c_char,
    /// JSON with a text for each row, {"answers": [...], "questions": [...]}; NULL for
    /// placeholders.
    pub texts: *const c_char,
}

// SAFETY: repr(C), and `size` comes first.
unsafe impl Options for ImportVectorsOptionsC {
    const NAME: &'static str = "projection_import_vectors_options";
}

/// Imports vectors and labels into the store whose database is the file `database`, which is
/// made where there is none. Everything becomes visible together, or nothing.
///
/// The result is JSON, {"store", "model", "outcome", "dimension", "answers", "questions",
/// "removed", "answers_without_question", "questions_without_answer"}.
///
/// # Safety
/// `database` is NULL or a text; `options` is NULL or as large as its size says, its texts
/// are NULL or texts; `result` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_import_vectors(
    database: *const c_char,
    options: *const ImportVectorsOptionsC,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (database, files, out) = unsafe {
            let database = path("database", database)?;
            let options = read_options(options)?;
            let files = PrecomputedEmbeddings {
                model_name: text("options.model_name", options.model_name)?.to_string(),
                answers: path("options.answers", options.answers)?.to_path_buf(),
                questions: path("options.questions", options.questions)?.to_path_buf(),
                labels: path("options.labels", options.labels)?.to_path_buf(),
                texts: optional_path("options.texts", options.texts)?,
            };
            (database, files, Out::new("result", result)?)
        };
        if files.model_name.trim().is_empty() {
            let message = "argument options.model_name is empty, expected the name of a model";
            return Err(ErrorHandle::new(Status::InvalidArgument, message));
        }
        let mut store = Store::open_or_create(database)?;
        out.give(TextHandle::json(&import_embeddings(&mut store, &files)?)?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_import_vectors", error, body) }
}
