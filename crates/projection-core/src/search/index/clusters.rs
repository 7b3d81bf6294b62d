//! The clusters of an index's answers, by which a projection's answer side is found.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Group, Index};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Rows;
use crate::projection::Projection;
use crate::search::AnswerSide;
use crate::search::answer_sides::moving;

impl Index {
    /// The same index with the cluster and the id of every answer that is in one; an answer may be
    /// in several. Ids that the index does not have are passed over.
    ///
    /// With its clusters known, a search by a projection with heads compares projected queries with
    /// moved answers, and adds the projection's offset to the cosines of unseen ones.
    pub fn with_clusters(mut self, members: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let row_of = self.row_of();
        let members = members.into_iter();
        let members = members.filter_map(|(cluster, id)| Some((cluster, *row_of.get(&id)?)));
        let mut members: Vec<(i64, u32)> = members.collect();
        members.sort_unstable();
        self.members = Some(members);
        self.forget_sides();
        self
    }

    /// Cluster and row of answers, ascending, if clusters are known.
    pub fn members(&self) -> Option<&[(i64, u32)]> {
        self.members.as_deref()
    }

    /// Numbers of heads, whose clusters ascend, each with the row of an answer in its cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the answers' clusters are not known.
    pub fn rows_of_heads(&self, head_ids: &[i64]) -> Result<Vec<(usize, usize)>> {
        let Some(members) = self.members() else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the answers' clusters are not known, expected answers of a store",
            ));
        };
        let mut found = Vec::with_capacity(head_ids.len());
        let mut rest = 0;
        for (head, cluster) in head_ids.iter().enumerate() {
            let of_cluster: Range<usize> = {
                let start = rest + members[rest..].partition_point(|(id, _)| id < cluster);
                start..start + members[start..].partition_point(|(id, _)| id <= cluster)
            };
            rest = of_cluster.end;
            found.extend(members[of_cluster].iter().map(|(_, row)| (head, *row as usize)));
        }
        Ok(found)
    }

    /// The answers as a projection sees them.
    ///
    /// # Errors
    /// As [`rows_of_heads`](Self::rows_of_heads), and if the projection's vectors are not valid.
    pub fn answer_side(&self, projection: &dyn Projection) -> Result<Arc<AnswerSide>> {
        self.sides.get(projection, || self.new_answer_side(projection))
    }

    pub(super) fn new_answer_side(&self, projection: &dyn Projection) -> Result<AnswerSide> {
        AnswerSide::new(self, projection, self.rows_of_heads(projection.head_ids())?)
    }

    /// The offset that training chose for the projection's unseen answers, if it is known which
    /// they are, else 0.
    pub fn unseen_offset(&self, projection: Option<&dyn Projection>) -> f64 {
        let with_heads = projection.filter(|projection| !projection.head_ids().is_empty());
        let known = with_heads.filter(|_| self.members.is_some());
        known.and_then(|projection| projection.unseen_offset()).unwrap_or_default()
    }

    /// The answer side of a projection, if a search with an offset of unseen answers depends on it:
    /// if the offset is not 0, or if it is known which answers the projection moves.
    ///
    /// # Errors
    /// As [`answer_side`](Self::answer_side).
    pub fn side_for(
        &self,
        projection: Option<&dyn Projection>,
        offset: f64,
    ) -> Result<Option<Arc<AnswerSide>>> {
        let known = self.members.is_some();
        let needed = |own: &&dyn Projection| offset != 0.0 || known && moving(*own).is_some();
        projection.filter(needed).map(|projection| self.answer_side(projection)).transpose()
    }

    /// The vectors at length 1 (len × dim), row-major, of what a search by the projection compares
    /// with, for other indexes: of the answers where the projection moves them, if it is known
    /// which, or of the answers themselves.
    ///
    /// # Errors
    /// As [`answer_side`](Self::answer_side).
    pub fn vectors_for(&self, projection: Option<&dyn Projection>) -> Result<Rows> {
        let mut vectors = self.vectors.clone();
        if let Some(side) = self.side_for(projection, 0.0)? {
            side.move_in(&mut vectors);
        }
        Ok(vectors)
    }

    /// Calls `work` with the answers with `allowed` ids, or all, where the projection moves them,
    /// in groups of one offset.
    ///
    /// # Errors
    /// As [`answer_side`](Self::answer_side).
    pub fn in_groups<R>(
        &self,
        allowed: Option<&[i64]>,
        projection: Option<&dyn Projection>,
        offset: f64,
        work: impl FnOnce(&[Group<'_>]) -> R,
    ) -> Result<R> {
        if let Some(side) = self.side_for(projection, offset)? {
            return Ok(side.with_groups(self, allowed, offset as f32, work));
        }
        let rows = allowed.map(|ids| self.rows_of(ids));
        Ok(work(&[Group { index: self, rows: rows.as_deref(), offset: 0.0 }]))
    }

    /// Forgets how projections see the answers, which changed; clones of the index keep it.
    pub(super) fn forget_sides(&mut self) {
        match Arc::get_mut(&mut self.sides) {
            Some(own) => own.clear(),
            None => self.sides = Arc::default(),
        }
    }

    /// Keeps clusters in step with rows that were removed, as
    /// [`remove_rows`](Self::remove_rows) returns them.
    pub(super) fn remove_members(&mut self, removed: &[(usize, usize)]) {
        let Some(members) = &mut self.members else { return };
        let mut by_row: HashMap<usize, Vec<i64>> = HashMap::new();
        for (cluster, row) in members.drain(..) {
            by_row.entry(row as usize).or_default().push(cluster);
        }
        for (row, last) in removed {
            by_row.remove(row);
            if let Some(clusters) = by_row.remove(last) {
                by_row.insert(*row, clusters);
            }
        }
        let rows = by_row.into_iter();
        members.extend(rows.flat_map(|(row, clusters)| {
            clusters.into_iter().map(move |cluster| (cluster, row as u32))
        }));
        members.sort_unstable();
    }
}
