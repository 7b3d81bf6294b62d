//! Files that the store knows by another path: moved, or copied.

use std::collections::HashMap;

use rusqlite::params;

use super::{ImportOutcome, source_path};
use crate::error::Result;
use crate::store::{Store, VectorBatch};

/// What becomes of `source`, a path that the store does not know, where it has these very
/// bytes from another path already; `None` where they are new.
///
/// Where nothing is left at the other path, the file has moved: what it brought belongs to
/// the new path from then on, so that later versions replace it. Otherwise it is a copy,
/// which brings nothing.
pub(super) fn known_by_another_path(
    store: &mut Store,
    source: &str,
    file_hash: &str,
    vectors: Option<&VectorBatch>,
) -> Result<Option<ImportOutcome>> {
    let hashes: HashMap<i64, String> =
        store.batches()?.into_iter().map(|batch| (batch.batch_id, batch.file_hash)).collect();
    let same: Vec<(String, i64)> = store
        .sources()?
        .into_iter()
        .filter(|(_, batch_id)| hashes.get(batch_id).is_some_and(|hash| hash == file_hash))
        .collect();
    let is_gone = |source: &str| !source_path(store.path(), source).exists();
    match same.iter().find(|(other, _)| is_gone(other)) {
        _ if same.is_empty() => Ok(None),
        None => Ok(Some(ImportOutcome::Unchanged)),
        Some((old, batch_id)) => {
            rename(store, old, source, *batch_id, vectors)?;
            Ok(Some(ImportOutcome::Moved))
        }
    }
}

fn rename(
    store: &mut Store,
    old: &str,
    new: &str,
    batch_id: i64,
    vectors: Option<&VectorBatch>,
) -> Result<()> {
    let change = store.begin()?;
    change.execute(
        "UPDATE answers SET source_file = ?2 WHERE source_file = ?1 AND answer_id IN (SELECT \
         entity_id FROM engine_imports WHERE source_file = ?1 AND entity_type = 'answer')",
        params![old, new],
    )?;
    for table in ["engine_imports", "engine_sources"] {
        let sql = format!("UPDATE {table} SET source_file = ?2 WHERE source_file = ?1");
        change.execute(&sql, params![old, new])?;
    }
    // A version of these bytes that failed at the new path keeps its own row, and this one
    // its old name: the source knows its batch by number.
    change.execute(
        "UPDATE OR IGNORE training_batches SET source_file = ?2 WHERE batch_id = ?1",
        params![batch_id, new],
    )?;
    if let Some(files) = vectors {
        change.set_vector_batch(batch_id, files)?;
    }
    change.commit()
}
