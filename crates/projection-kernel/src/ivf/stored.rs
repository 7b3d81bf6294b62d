//! IvfIndex as files hold them: a few flat arrays.

use std::borrow::Cow;

use super::change::Added;
use super::routes::Routes;
use super::{IndexStats, IvfIndex, KS};
use crate::QuantizedRows;

/// The parts of lists of n rows of dimension d around l centres.
pub struct StoredIndex<'a> {
    /// Rows in bytes (n × d), one list after another.
    pub codes: Cow<'a, QuantizedRows>,
    /// The numbers of these rows (n).
    pub rows: Vec<i64>,
    /// Where each list begins, and the last one ends (l + 1).
    pub offsets: Vec<i64>,
    /// Means of lists (l × d), and what their spreads add to their scores (l).
    pub centres: Cow<'a, QuantizedRows>,
    pub spreads: Cow<'a, [f32]>,
    /// The greatest distance of a row from what is stored of it, recall, the share that is
    /// read, and the slacks: see [`StoredIndex::FACTS`].
    pub facts: Vec<f64>,
}

impl StoredIndex<'_> {
    /// Number of facts.
    pub const FACTS: usize = 3 + KS.len();
}

impl IvfIndex {
    /// The parts; `None` for one list, which is as soon made as read, and for lists that have
    /// changed since they were made.
    pub fn stored(&self) -> Option<StoredIndex<'_>> {
        let routes = self.routes.as_ref()?;
        if self.added.count() > 0 || self.added.any_gone() {
            return None;
        }
        let IndexStats { recall, read, .. } = routes.found;
        let slacks = routes.slacks.iter().copied().map(f64::from);
        Some(StoredIndex {
            codes: Cow::Borrowed(&self.codes),
            rows: self.rows.iter().copied().map(i64::from).collect(),
            offsets: routes.offsets.iter().map(|offset| *offset as i64).collect(),
            centres: Cow::Borrowed(&routes.centres),
            spreads: Cow::Borrowed(&routes.spreads),
            facts: [f64::from(self.distance), recall, read].into_iter().chain(slacks).collect(),
        })
    }

    /// IvfIndex of parts whose shapes fit together. What is wrong with them otherwise.
    pub fn from_stored(parts: StoredIndex<'_>) -> Result<Self, String> {
        for (name, rows) in [("codes", &parts.codes), ("centres", &parts.centres)] {
            let wrong = rows.not_finite().or(rows.negative_scale().map(|(row, _)| row));
            if let Some(row) = wrong {
                return Err(format!("{name} of lists: the scale of row {row} is no length"));
            }
        }
        let (count, lists) = (parts.codes.count(), parts.spreads.len());
        let ends = (parts.offsets.first(), parts.offsets.last());
        if ends != (Some(&0), Some(&(count as i64))) || !parts.offsets.is_sorted() {
            return Err(format!("offsets of lists: expected ascending numbers from 0 to {count}"));
        }
        let mut seen = vec![false; count];
        let mut rows = Vec::with_capacity(count);
        for row in parts.rows {
            let seen = usize::try_from(row).ok().and_then(|row| seen.get_mut(row));
            if seen.is_none_or(|seen| std::mem::replace(seen, true)) {
                return Err(format!("rows of lists: {row}, expected each from 0 to {count} once"));
            }
            rows.push(row as u32);
        }
        let wrong = |value: &&f64| !value.is_finite();
        let [distance, recall, read, ..] = parts.facts[..] else {
            return Err("facts of lists are missing".into());
        };
        if let Some(value) = parts.facts.iter().find(wrong) {
            return Err(format!("facts of lists: {value}, expected finite numbers"));
        }
        let shares = [recall, read];
        if distance < 0.0 || shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(format!(
                "facts of lists: {distance}, {recall}, {read} are no distance and shares"
            ));
        }
        if let Some(list) = parts.spreads.iter().position(|spread| !spread.is_finite()) {
            return Err(format!("spreads of lists: {} at {list}", parts.spreads[list]));
        }
        let mut slacks = [0.0; KS.len()];
        slacks.iter_mut().zip(&parts.facts[3..]).for_each(|(slack, fact)| *slack = *fact as f32);
        let routes = Routes {
            centres: parts.centres.into_owned(),
            spreads: parts.spreads.into_owned(),
            offsets: parts.offsets.iter().map(|offset| *offset as usize).collect(),
            slacks,
            found: IndexStats { recall, read, lists },
        };
        let (distance, added) = (distance as f32, Added::new(lists));
        Ok(Self { codes: parts.codes.into_owned(), rows, distance, routes: Some(routes), added })
    }
}
