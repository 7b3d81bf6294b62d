//! Importing into a store.

use std::ffi::{c_char, c_void};

use projection_core::kernel::progress::Progress;
use projection_store::Store;
use projection_store::import::{
    ImportOptions, PrecomputedEmbeddings, import_embeddings, import_paths,
};

use crate::argument::{invalid, path};
use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};
use crate::progress::ProgressC;

/// Imports the question-answer files `paths`, `n` of them, and those in folders among them, into
/// the store whose database is the file `database`. The store is created if it does not exist and
/// `n` is not 0. A file that cannot be imported does not stop the others. If the work is cancelled,
/// files that were imported stay.
///
/// `options` is a JSON object with these keys, all optional, or NULL:
/// - "retry_failed": true to retry first what failed or was interrupted before
/// - "skip_invalid": true to leave out entries that are wrong instead of refusing their file
/// - "files": how files are read, an object with these keys, all optional: "format" ("json",
///   "jsonl", "csv" or "tsv"; default what name and content of a file say), "question_column",
///   "answer_column" and "id_column" (names of columns or fields; default the usual ones), and
///   "split" (which qrels of a BEIR folder are imported; default "train")
///
/// A file may be compressed with gzip. A folder with corpus.jsonl and queries.jsonl is a BEIR
/// folder; of other folders, all files of a known format are imported. "-" is standard input.
///
/// The result is JSON, {"store", "files": [{"file", "outcome", "clusters", "answers", "questions",
/// "removed", "skipped", "warnings": [text], "error": {"kind", "message"}}]}; the last three are
/// absent if there are none. "outcome" is "imported", "replaced", "unchanged",
/// "moved" (a known file at another path), "failed", with an error, or "missing" (a file that a
/// folder had before).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_import(
    database: *const c_char,
    paths: *const *const c_char,
    n: usize,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, out) = (path!(database), out!(result));
        let options: ImportOptions = json_options!(options);
        let mut progress = reporter!(progress, context).progress();
        let paths = texts!(paths, n).into_iter().enumerate();
        let paths = paths.map(|(i, text)| Ok(path(&format!("paths[{i}]"), text)?.to_path_buf()));
        let paths = paths.collect::<projection_core::Result<Vec<_>>>()?;
        let mut store = match paths.is_empty() {
            true => Store::open(database)?,
            false => Store::open_or_create(database)?,
        };
        let imported = import_paths(&mut store, &paths, &options, &mut |done, total, _| {
            progress(Progress::new("importing", done, total))
        });
        store.close_or_discard();
        give_json(out, &imported?)?;
    })
}

/// Imports precomputed embeddings and labels into the store whose database is the file `database`,
/// which is created if it does not exist. Everything becomes visible at once, or nothing, as when
/// the work is cancelled.
///
/// `options` is a JSON object with these keys, all but "texts" required:
/// - "model_name": name of the embedding model that computed the vectors
/// - "answers" and "questions": .npy files of their vectors
/// - "labels": .npy file with an integer for each question, the row of its answer from 0, or -1
/// - "texts": JSON file with a text for each row, {"answers": [...], "questions": [...]}; default
///   placeholders
///
/// The result is JSON, {"store", "model", "outcome", "dimension", "answers", "questions",
/// "removed", "answers_without_question", "questions_without_answer"}.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_import_embeddings(
    database: *const c_char,
    options: *const c_char,
    progress: ProgressC,
    context: *mut c_void,
    result: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (database, out) = (path!(database), out!(result));
        let files: PrecomputedEmbeddings = crate::json::options("options", text!(options))?;
        if files.model_name.trim().is_empty() {
            Err(invalid("options.model_name", "is empty, expected the name of a model"))?;
        }
        let mut store = Store::open_or_create(database)?;
        let mut progress = reporter!(progress, context).progress();
        let imported = import_embeddings(&mut store, &files, &mut || {
            Progress::new("importing", 0, 1).send(&mut progress)
        });
        store.close_or_discard();
        give_json(out, &imported?)?;
    })
}
