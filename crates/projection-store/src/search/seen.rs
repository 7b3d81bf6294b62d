//! Which answers of a searcher a projection was trained on.

use std::sync::{Arc, Mutex, PoisonError};

use projection_core::search::Group;

/// Projections whose rows are kept, so that a server that compares a few does not look them up
/// for every query.
const KEPT: usize = 4;

/// The rows of an index that a projection has a head for, and the others.
#[derive(Debug)]
pub(super) struct SeenRows {
    /// The projection's heads.
    heads: Vec<i64>,
    /// Of each row.
    pub seen: Vec<bool>,
    /// The unseen and the seen ones, ascending.
    rows: [Vec<u32>; 2],
}

impl SeenRows {
    fn new(heads: &[i64], seen: Vec<bool>) -> Self {
        let rows = [false, true].map(|wanted| {
            let rows = seen.iter().zip(0u32..).filter(|(seen, _)| **seen == wanted);
            rows.map(|(_, row)| row).collect()
        });
        Self { heads: heads.to_vec(), seen, rows }
    }

    /// Calls `work` with the rows in groups, of which the unseen one has an offset.
    pub fn with_groups<R>(
        &self,
        allowed: Option<&[u32]>,
        offset: f32,
        work: impl FnOnce(&[Group<'_>]) -> R,
    ) -> R {
        let some;
        let [unseen, seen] = match allowed {
            None => &self.rows,
            Some(allowed) => {
                let is_seen = |row: &u32| self.seen[*row as usize];
                let (seen, unseen) = allowed.iter().copied().partition(is_seen);
                some = [unseen, seen];
                &some
            }
        };
        match (unseen.is_empty(), seen.is_empty()) {
            // All rows are read faster than a list of them.
            (true, _) => work(&[Group { rows: allowed, offset: 0.0 }]),
            (_, true) => work(&[Group { rows: allowed, offset }]),
            _ => work(&[
                Group { rows: Some(unseen), offset },
                Group { rows: Some(seen), offset: 0.0 },
            ]),
        }
    }
}

/// The [`SeenRows`] of the projections that were used last; empty after the answers changed.
#[derive(Debug, Default)]
pub(super) struct SeenCache(Mutex<Vec<Arc<SeenRows>>>);

impl SeenCache {
    /// The rows of a projection with these heads.
    pub fn get<E>(
        &self,
        heads: &[i64],
        find: impl FnOnce() -> Result<Vec<bool>, E>,
    ) -> Result<Arc<SeenRows>, E> {
        // The list is whole at any moment, also after a panic elsewhere.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().iter().find(|known| known.heads == heads) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(SeenRows::new(heads, find()?));
        let mut kept = lock();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&found));
        Ok(found)
    }
}
