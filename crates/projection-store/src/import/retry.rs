//! Trying again what failed.

use std::path::PathBuf;

use super::{OwnVectors, VectorFiles, import_file, import_vectors, source_path};
use crate::error::Result;
use crate::store::{Batch, Store};

/// A batch that was tried again.
#[derive(Debug)]
pub struct Retried {
    /// The file of the batch: of question–answer pairs, or the answers' of own vectors.
    pub file: PathBuf,
    /// What it brought.
    pub result: Result<super::ImportReport>,
}

/// Imports the file of `batch` as it is now, or all files where it is a batch of own vectors.
/// [`Store::failed_batches`] gives those to try.
///
/// # Errors
/// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database. What
/// is wrong with the file is in the result.
pub fn retry_batch(store: &mut Store, batch: &Batch) -> Result<Retried> {
    let path = |source: &str| source_path(store.path(), source);
    let file = path(&batch.source_file);
    let result = match store.vector_batch(batch.batch_id)? {
        None => import_file(store, &file),
        Some(vectors) => {
            let files = VectorFiles {
                answers: file.clone(),
                questions: path(&vectors.questions_file),
                labels: path(&vectors.labels_file),
                texts: vectors.texts_file.as_deref().map(path),
                model_name: vectors.model_name,
            };
            import_vectors(store, &files).map(|OwnVectors { report, .. }| report)
        }
    };
    Ok(Retried { file, result })
}
