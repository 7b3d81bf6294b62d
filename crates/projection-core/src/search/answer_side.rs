//! The answers of an index as a projection sees them: which ones it was trained on, and where it
//! moves these.

use ndarray::ArrayView2;

use super::{Group, Index};
use crate::error::Result;
use crate::kernel::Rows;
use crate::kernel::progress::OnProgress;
use crate::projection::Projection;
use crate::search::answer_sides::moving;

/// What a projection with heads makes of the answers of an [`Index`]. Valid until the index
/// changes.
#[derive(Debug)]
pub struct AnswerSide {
    /// Of each row, whether the projection was trained on the answer.
    seen: Vec<bool>,
    /// The rows of unseen and of seen answers, ascending.
    rows: [Vec<u32>; 2],
    /// The seen answers where the projection moves them, in the order of their rows; `None` if it
    /// leaves them in place.
    moved: Option<Index>,
}

impl AnswerSide {
    /// `heads_of_rows` are the rows of answers that the projection was trained on, each with the
    /// number of its head among [`head_ids`](Projection::head_ids). If a row has several heads, the
    /// first counts.
    ///
    /// # Errors
    /// If the projection's vectors are not valid.
    pub fn new(
        index: &Index,
        projection: &dyn Projection,
        heads_of_rows: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Self> {
        let mut head_of_row = vec![None; index.len()];
        for (head, row) in heads_of_rows {
            head_of_row[row].get_or_insert(head);
        }
        let rows = [false, true].map(|wanted| {
            let rows = head_of_row.iter().zip(0u32..);
            rows.filter(|(head, _)| head.is_some() == wanted).map(|(_, row)| row).collect()
        });
        let moved = moving(projection).map(|residual| {
            let (mut ids, mut vectors) = (Vec::new(), Vec::new());
            for (row, head) in head_of_row.iter().enumerate() {
                let Some(head) = *head else { continue };
                ids.push(index.ids()[row]);
                vectors.extend(residual.moved_answer(head, index.unit(row))?);
            }
            Index::from_rows(&ids, &vectors, (ids.len(), index.dim()))
        });
        let seen = head_of_row.iter().map(Option::is_some).collect();
        Ok(Self { seen, rows, moved: moved.transpose()? })
    }

    /// Of each row, whether the projection was trained on the answer.
    pub fn seen(&self) -> &[bool] {
        &self.seen
    }

    /// Calls `work` with the answers with `allowed` ids, or with all, in groups: `offset` is
    /// added to the cosines of unseen answers.
    pub fn with_groups<R>(
        &self,
        index: &Index,
        allowed: Option<&[i64]>,
        offset: f32,
        work: impl FnOnce(&[Group<'_>]) -> R,
    ) -> R {
        let some = allowed.map(|ids| {
            let rows = index.rows_of(ids);
            let (seen, unseen) = rows.into_iter().partition(|row| self.seen[*row as usize]);
            [unseen, self.moved.as_ref().map_or(seen, |moved| moved.rows_of(ids))]
        });
        // All rows of an index are read faster than a list of them.
        let [unseen, seen] =
            self.rows.each_ref().map(|rows| (rows.len() < index.len()).then_some(&rows[..]));
        let (unseen, seen) = match (&some, &self.moved) {
            (Some([unseen, seen]), _) => (Some(&unseen[..]), Some(&seen[..])),
            (None, Some(_)) => (unseen, None),
            (None, None) => (unseen, seen),
        };
        let seen = Group { index: self.moved.as_ref().unwrap_or(index), rows: seen, offset: 0.0 };
        let groups = [Group { index, rows: unseen, offset }, seen];
        match groups.each_ref().map(Group::is_empty) {
            [true, _] => work(&groups[1..]),
            [_, true] => work(&groups[..1]),
            _ => work(&groups),
        }
    }

    /// The cosine of every answer with a unit vector, in the order of the index.
    pub fn scores(&self, index: &Index, target: &[f32]) -> Vec<f32> {
        let mut scores = index.scores(target);
        if let Some(moved) = &self.moved {
            for (row, score) in self.rows[1].iter().zip(moved.scores(target)) {
                scores[*row as usize] = score;
            }
        }
        scores
    }

    /// Puts the moved answers in the places of the original ones.
    pub(super) fn move_in(&self, vectors: &mut Rows) {
        if let Some(moved) = &self.moved {
            for (number, row) in self.rows[1].iter().enumerate() {
                vectors.set(*row as usize, moved.unit(number));
            }
        }
    }

    /// Builds an approximate index of the moved answers, see [`Index::build_index`].
    ///
    /// # Errors
    /// As there.
    pub fn build_index(
        &mut self,
        queries: Option<ArrayView2<'_, f32>>,
        projection: &dyn Projection,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        if let Some(moved) = &mut self.moved {
            moved.build_index(queries, Some(projection), threads, progress)?;
        }
        Ok(())
    }
}
