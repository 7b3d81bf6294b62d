//! The rows of a matrix nearest to a vector, without reading all of their values.
//!
//! Rows are kept at length 1 in bytes, a quarter of their size, which rule out all but some
//! candidates; the caller computes their similarities exactly. For many rows, the bytes lie in
//! lists around centres (k-means), and only the lists that may hold one of the k nearest are
//! read: those with
//!
//! ```text
//! q·c + 0.3·√(1 − |c|²)  ≥  s_k − t
//! ```
//!
//! where c is the mean of a list, so that q·c is the mean similarity of its rows and the root
//! says how far they are from each other, s_k the k-th best similarity so far, and t a slack
//! that is chosen when the lists are made: the least one that finds the true nearest rows of
//! held-out queries. A query that is near to many lists reads many of them. Inverted lists
//! are those of J. Sivic and A. Zisserman, "Video Google", ICCV 2003; with bytes beside them,
//! of H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search",
//! IEEE TPAMI 33(1), 2011.
//!
//! Where rows are not in clusters, no slack finds enough of them for less than reading all:
//! then there is one list, as there is for fewer rows than pay for more.

mod build;
mod calibrate;
mod change;
mod routes;
mod stored;
mod units;

use std::ops::Range;

use crate::scratch::Scratch;
use crate::{MAX_INT8_DIM, QuantizedQuery, QuantizedRows, Rows, prefetch, top_k};
use routes::{Entry, Order, Routes};

pub use stored::StoredIndex;
pub use units::UnitVectors;

/// From so many rows on, bytes are looked through first: below, rounding the query costs what
/// is saved.
const SCAN_FROM: usize = 256;

/// From so many rows on, lists are made where they are asked for.
pub const MIN_INDEX_ROWS: usize = 16_384;

/// Whether so many rows of so many values each are looked through in bytes first.
pub fn scan_pays_off(rows: usize, dim: usize) -> bool {
    (SCAN_FROM..GONE as usize).contains(&rows) && dim <= MAX_INT8_DIM
}

/// The share of the true nearest rows that must be found, on average.
pub const LEAST_RECALL: f64 = 0.99;

/// Numbers of nearest rows that there is a slack for. The slack of the largest one that is
/// not above k will do, since it falls with k.
const KS: [usize; 3] = [1, 10, 32];

/// How much the spread of a list counts.
const SPREAD: f32 = 0.3;

/// Rows whose similarities are looked through at a time.
const SCANNED: usize = 1024;

/// Where more than one row in so many is a candidate, reading bytes first does not pay.
const SELECTIVE: usize = 8;

/// How far single precision may misjudge a similarity, with a wide margin.
const DOUBT: f32 = 2e-6;

/// In lists, a rounded row is taken to misjudge similarities by at most this many standard
/// deviations of a rounding error in a random direction.
const DEVIATIONS: f32 = 8.0;

/// The row of a place whose row is gone.
const GONE: u32 = u32::MAX;

/// Rows at length 1 in bytes, in lists or all in one.
#[derive(Debug, Clone)]
pub struct IvfIndex {
    /// The rows, one list after another.
    codes: QuantizedRows,
    /// The number of each of these rows; empty where they are in their own order.
    rows: Vec<u32>,
    /// The greatest distance of a row from what is stored of it: by Cauchy and Schwarz, no
    /// similarity is misjudged by more.
    distance: f32,
    /// How to choose lists; none where there is one.
    routes: Option<Routes>,
    /// Rows added later.
    added: change::Added,
}

/// What making lists found out.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct IndexStats {
    /// The share of the true nearest rows that held-out queries find, the least of all groups
    /// of queries and numbers of rows; 1 where all rows are read.
    pub recall: f64,
    /// The share of all rows that they read on average.
    pub read: f64,
    /// Number of lists.
    pub lists: usize,
}

/// Which rows may be found.
pub type Allowed<'a> = Option<&'a dyn Fn(usize) -> bool>;

impl IvfIndex {
    /// Number of places, those of rows that are gone among them.
    fn places(&self) -> usize {
        self.codes.count() + self.added.count()
    }

    /// What was found out when the lists were made.
    pub fn stats(&self) -> IndexStats {
        match &self.routes {
            Some(routes) => routes.found,
            None => IndexStats { recall: 1.0, read: 1.0, lists: 1 },
        }
    }

    /// Whether all rows are read: then the nearest ones are always found.
    pub fn is_exact(&self) -> bool {
        self.routes.is_none()
    }

    /// Rows that may be among the k nearest to a unit vector, k above zero, each once and in
    /// any order; or `None` where those are too many to be worth it. All of the k nearest are
    /// among them where there is one list, and nearly always otherwise.
    pub fn shortlist(
        &self,
        unit: &[f32],
        k: usize,
        allowed: Allowed<'_>,
    ) -> Option<Scratch<usize>> {
        let query = &self.codes.quantize(unit);
        // The query is rounded to 16 bits, by at most half a step of its largest value.
        let step = unit.iter().fold(0.0f32, |top, value| top.max(value.abs())) / 32_512.0;
        let rounding = 0.51 * step * (unit.len() as f32).sqrt();
        let likely = match self.routes {
            Some(_) => (DEVIATIONS / (unit.len() as f32).sqrt()).min(1.0),
            None => 1.0,
        };
        let mut search = Search {
            lists: self,
            query,
            margin: 2.0 * (likely * self.distance + 1.01 * rounding + DOUBT),
            most: (self.places() / SELECTIVE).max(4 * k),
            top: top_k::TopK::new(k),
            found: Scratch::new(),
            allowed,
        };
        match &self.routes {
            None => search.read(0, 0..self.codes.count(), self.codes.count())?,
            Some(routes) => search.read_lists(routes, routes.slack(k))?,
        }
        Some(search.finish())
    }

    fn row_at(&self, place: usize) -> u32 {
        match place.checked_sub(self.codes.count()) {
            Some(added) => self.added.row(added),
            None if self.rows.is_empty() => place as u32,
            None => self.rows[place],
        }
    }
}

/// Numbers of rows, each of which is asked for a few turns before it comes: they lie anywhere.
pub fn prefetched(numbers: &[usize], rows: &Rows) -> impl Iterator<Item = usize> {
    const EARLY: usize = 4;
    let ask = |number: &usize| prefetch(rows.row(*number));
    numbers.iter().take(EARLY).for_each(ask);
    numbers.iter().enumerate().map(move |(at, number)| {
        numbers.get(at + EARLY).into_iter().for_each(ask);
        *number
    })
}

/// A search under way.
struct Search<'a> {
    lists: &'a IvfIndex,
    query: &'a QuantizedQuery,
    /// Twice what rounding may misjudge a similarity by.
    margin: f32,
    /// As many candidates as are worth it.
    most: usize,
    top: top_k::TopK,
    /// Places and similarities by the rounded rows.
    found: Scratch<(usize, f32)>,
    allowed: Allowed<'a>,
}

impl Search<'_> {
    /// Reads the lists that may hold one of the k nearest; `None` as in [`read`](Self::read).
    fn read_lists(&mut self, routes: &Routes, slack: f32) -> Option<()> {
        let mut order = Order::of(routes.scores(self.query));
        let first = order.first();
        self.read_in_turn(routes, slack, &first)?;
        let others = order.others(self.top.threshold() - slack);
        self.read_in_turn(routes, slack, &others)
    }

    /// Reads lists, the best first, as long as they may hold one of the k nearest.
    fn read_in_turn(&mut self, routes: &Routes, slack: f32, lists: &[Entry]) -> Option<()> {
        for (at, entry) in lists.iter().enumerate() {
            if entry.score() < self.top.threshold() - slack {
                break;
            }
            let next = lists.get(at + 1).map(|next| routes.offsets[next.list()]);
            let next = next.unwrap_or(self.lists.codes.count());
            self.read(entry.list(), routes.places(entry.list()), next)?;
        }
        Some(())
    }

    /// Reads a list, after which that of the places from `next` on is likely to be read; `None`
    /// where there are too many candidates.
    fn read(&mut self, list: usize, places: Range<usize>, next: usize) -> Option<()> {
        let mut scores = [0.0; SCANNED];
        for first in places.clone().step_by(SCANNED) {
            let part = first..places.end.min(first + SCANNED);
            let next = if part.end == places.end { next } else { part.end };
            let scores = &mut scores[..part.len()];
            self.lists.codes.dots_quantized(self.query, part, next, scores);
            self.add(scores, |at| first + at)?;
        }
        let added = self.lists.added.of_list(list);
        for places in added.chunks(SCANNED) {
            let scores = &mut scores[..places.len()];
            for (score, place) in scores.iter_mut().zip(places) {
                *score = self.lists.added.dot(self.query, *place as usize);
            }
            let codes = self.lists.codes.count();
            self.add(scores, |at| codes + places[at] as usize)?;
        }
        Some(())
    }

    fn add(&mut self, scores: &mut [f32], place: impl Fn(usize) -> usize) -> Option<()> {
        if self.allowed.is_some() || self.lists.added.any_gone() {
            for (at, score) in scores.iter_mut().enumerate() {
                let row = self.lists.row_at(place(at));
                let may = row != GONE && self.allowed.is_none_or(|allowed| allowed(row as usize));
                if !may {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        let found = &mut self.found;
        self.top.add(scores, self.margin, |at| {
            if scores[at] > f32::NEG_INFINITY {
                found.push((place(at), scores[at]));
            }
        });
        if found.len() > self.most {
            let limit = self.top.threshold() - self.margin;
            found.retain(|(_, score)| *score >= limit);
        }
        (found.len() <= self.most).then_some(())
    }

    fn finish(self) -> Scratch<usize> {
        let limit = self.top.threshold() - self.margin;
        let found = self.found.iter().filter(|(_, score)| *score >= limit);
        found.map(|(place, _)| self.lists.row_at(*place) as usize).collect()
    }
}

#[cfg(test)]
mod tests;
