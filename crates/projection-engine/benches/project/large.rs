//! Many vectors, in clusters as real questions are: exact and approximate search beside FAISS
//! and usearch.

use std::cell::OnceCell;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use ndarray::{Array2, s};
use projection_core::kernel::progress::ignore_progress;
use projection_core::npy;
use projection_core::projection::{Model, ResidualParts, ResidualProjection};
use projection_store::search::{Hit, Index};

use crate::work::{DIM, Engine, Limit, Neighbours, Peer, QUERIES, Work};

/// Nearest vectors that are looked for; the peers have it too.
const NEAREST: usize = 10;

/// The same of training questions: as many as take part in a residual projection.
const TAKING_PART: usize = 32;

/// Training questions that the growth of the time is measured from.
pub const SMALL: usize = 10_000;

/// Queries that recall is measured by.
const HELD_OUT: usize = 200;

/// Least recall of an approximate search.
const RECALL: f64 = 0.99;

/// A row of the table.
#[derive(Clone, Copy)]
pub enum Row {
    /// So many queries at a time, beside a library.
    Exact(usize, &'static str, &'static str),
    /// One query by lists, beside a library at the same recall, or an exact search.
    Lists(Option<(&'static str, &'static str)>),
    /// So many training questions of a residual projection, in bytes or lists, beside exact
    /// search.
    Questions { count: usize, lists: bool },
}

impl Row {
    pub fn title(self, count: usize) -> String {
        match self {
            Self::Exact(1, ..) => format!("exact top {NEAREST} of {count}"),
            Self::Exact(queries, ..) => {
                format!("exact top {NEAREST} of {count}, batch of {queries}")
            }
            Self::Lists(_) => format!("lists, top {NEAREST} of {count}"),
            Self::Questions { count, lists } => {
                let how = if lists { "lists" } else { "bytes" };
                format!("nearest {TAKING_PART} of {count} questions, {how}")
            }
        }
    }
}

/// Queries, and the vectors in an index.
type Data = (Rc<Array2<f32>>, Rc<Index>);

/// Vectors and queries, which are made when the first row needs them.
pub struct Large {
    count: usize,
    folder: PathBuf,
    data: OnceCell<Data>,
    lists: OnceCell<Rc<Index>>,
}

impl Large {
    pub fn new(count: usize, folder: &Path) -> Self {
        let (data, lists) = (OnceCell::new(), OnceCell::new());
        Self { count, folder: folder.to_path_buf(), data, lists }
    }

    pub fn rows(&self) -> Vec<Row> {
        // Those whose vectors the peers need not have come first: they take memory enough.
        vec![
            Row::Questions { count: SMALL, lists: false },
            Row::Questions { count: 37_000, lists: false },
            Row::Questions { count: 37_000, lists: true },
            Row::Questions { count: self.count, lists: true },
            Row::Exact(1, "FAISS flat", "flat"),
            Row::Exact(1, "usearch exact", "usearch"),
            Row::Exact(64, "FAISS flat", "flat"),
            Row::Exact(64, "usearch exact", "usearch"),
            Row::Lists(None),
            Row::Lists(Some(("FAISS IVF", "ivf"))),
            Row::Lists(Some(("FAISS HNSW", "hnsw"))),
            Row::Lists(Some(("usearch HNSW", "graph"))),
        ]
        .into_iter()
        // A graph of a million takes the better part of an hour to make.
        .filter(|row| {
            let graph = matches!(row, Row::Lists(Some((_, "hnsw" | "graph"))));
            !graph || self.count <= 100_000
        })
        .collect()
    }

    pub fn work(&self, row: Row) -> Result<Work, Box<dyn Error>> {
        match row {
            Row::Questions { count, lists } => questions(row, count, lists),
            Row::Exact(queries, name, command) => {
                let engine = self.engine(self.data()?.1, queries)?;
                Ok(Work {
                    title: row.title(self.count),
                    queries,
                    checked: QUERIES,
                    tolerance: 1e-5,
                    limit: match queries {
                        1 => Limit::Bytes(self.count * DIM * size_of::<f32>()),
                        _ => Limit::Operations(2 * queries * self.count * DIM),
                    },
                    peer: Peer::Python(name, format!("{command} {} {queries}", self.count)),
                    engine: Box::new(engine),
                })
            }
            Row::Lists(peer) => {
                let (queries, exact) = self.data()?;
                let lists = self.lists(&exact)?;
                let recall = recall(&queries, &exact, &lists)?;
                Ok(Work {
                    title: format!("{}, recall {recall:.3}", row.title(self.count)),
                    queries: 1,
                    checked: QUERIES,
                    // Both sides are held to their recall instead.
                    tolerance: f32::INFINITY,
                    limit: Limit::Unknown,
                    peer: match peer {
                        None => Peer::Engine("exact", Box::new(self.engine(exact, 1)?)),
                        Some((name, command)) => {
                            Peer::Python(name, format!("{command} {} 1 {recall}", self.count))
                        }
                    },
                    engine: Box::new(self.engine(lists, 1)?),
                })
            }
        }
    }

    /// The queries, and the vectors in an index, which the peers find in files.
    fn data(&self) -> Result<Data, Box<dyn Error>> {
        if let Some((queries, index)) = self.data.get() {
            return Ok((Rc::clone(queries), Rc::clone(index)));
        }
        let (rows, queries) = clustered(self.count, HELD_OUT);
        npy::save(self.folder.join("large.npy"), rows.view())?;
        npy::save(self.folder.join("large_queries.npy"), queries.view())?;
        let ids: Vec<i64> = (0..self.count as i64).collect();
        let index = Index::from_vectors(&ids, rows.view())?;
        let data = (Rc::new(queries), Rc::new(index));
        Ok(self.data.get_or_init(|| data)).map(|(a, b)| (Rc::clone(a), Rc::clone(b)))
    }

    fn lists(&self, exact: &Index) -> Result<Rc<Index>, Box<dyn Error>> {
        if let Some(lists) = self.lists.get() {
            return Ok(Rc::clone(lists));
        }
        let mut lists = exact.clone();
        let start = Instant::now();
        let found = lists.build_index(None, None, 2, &mut ignore_progress)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("lists of {}, made in {seconds:.1} s by 2 threads: {found:?}", self.count);
        Ok(Rc::clone(self.lists.get_or_init(|| Rc::new(lists))))
    }

    fn engine(&self, index: Rc<Index>, batch: usize) -> Result<Search, Box<dyn Error>> {
        let (queries, _) = self.data()?;
        Ok(Search { index, queries, batch, hits: Vec::new() })
    }
}

/// The share of the true nearest vectors that lists find.
fn recall(queries: &Array2<f32>, exact: &Index, lists: &Index) -> Result<f64, Box<dyn Error>> {
    let mut found = 0;
    for query in queries.rows() {
        let query = query.to_slice().ok_or("rows are row-major")?;
        let hits = lists.search(query, None, NEAREST)?;
        let near = |hit: &Hit| hits.iter().any(|other| other.answer_id == hit.answer_id);
        found += exact.search(query, None, NEAREST)?.iter().filter(|hit| near(hit)).count();
    }
    let recall = found as f64 / (NEAREST * queries.nrows()) as f64;
    if recall < RECALL {
        return Err(format!("lists find {recall} of the nearest, expected {RECALL}").into());
    }
    Ok(recall)
}

fn questions(row: Row, count: usize, lists: bool) -> Result<Work, Box<dyn Error>> {
    let (rows, queries) = clustered(count, HELD_OUT);
    let ids: Vec<i64> = (0..count as i64).collect();
    let index = Rc::new(Index::from_vectors(&ids, rows.view())?);
    let mut parts = ResidualParts::new(DIM);
    for cluster in 0..count / 10 {
        let answer = rows.row(cluster * 10).to_vec();
        let questions = rows.slice(s![cluster * 10..(cluster + 1) * 10, ..]);
        parts.questions.push(cluster as i64, &answer, questions)?;
    }
    drop(rows);
    let model = Model::Residual(ResidualProjection::new(parts)?);
    let start = Instant::now();
    let model = if lists { model.with_approximate_index(2, &mut ignore_progress)? } else { model };
    let mut title = row.title(0);
    let found = model.index_stats();
    let Model::Residual(model) = model else { unreachable!("it was made one") };
    if let Some(found) = found {
        let seconds = start.elapsed().as_secs_f64();
        println!("lists of {count} questions, made in {seconds:.1} s by 2 threads: {found:?}");
        title += &format!(", recall {:.3}", recall_of_questions(&queries, &index, &model)?);
    }
    let queries = Rc::new(queries);
    let exact = Near { index, queries: Rc::clone(&queries), hits: Vec::new() };
    Ok(Work {
        title,
        queries: 1,
        checked: QUERIES,
        // Lists are held to their recall instead.
        tolerance: if lists { f32::INFINITY } else { 1e-5 },
        limit: if lists { Limit::Unknown } else { Limit::Bytes(count * DIM) },
        peer: Peer::Engine("exact", Box::new(exact)),
        engine: Box::new(Neighbours { model, queries, found: Vec::new() }),
    })
}

/// The share of the true nearest questions that a model with lists finds.
fn recall_of_questions(
    queries: &Array2<f32>,
    exact: &Index,
    model: &ResidualProjection,
) -> Result<f64, Box<dyn Error>> {
    let mut found = 0;
    for query in queries.rows() {
        let query = query.to_slice().ok_or("rows are row-major")?;
        let near = model.neighbours_of(query)?;
        let hits = exact.search(query, None, TAKING_PART)?;
        let is_near = |hit: &Hit| near.iter().any(|near| near.number as i64 == hit.answer_id);
        found += hits.iter().filter(|hit| is_near(hit)).count();
    }
    let recall = found as f64 / (TAKING_PART * queries.nrows()) as f64;
    if recall < RECALL {
        return Err(format!("lists find {recall} of the nearest, expected {RECALL}").into());
    }
    Ok(recall)
}

/// Rows around topics, which lie in areas, and more that nobody has seen: values of a spectrum
/// that falls as that of sentence embeddings does.
pub fn clustered(count: usize, queries: usize) -> (Array2<f32>, Array2<f32>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let falling: Vec<f32> = (0..DIM).map(|column| (1.0 + column as f32).powf(-0.4)).collect();
    let mut value = move |column: usize| {
        let mut sum = 0.0;
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
        }
        sum * falling[column]
    };
    let topics = count / 50;
    let areas = (count / 5000).max(20);
    let area_points = Array2::from_shape_fn((areas, DIM), |(_, column)| value(column));
    let points = Array2::from_shape_fn((topics, DIM), |(topic, column)| {
        0.5 * area_points[[topic % areas, column]] + 0.6 * value(column)
    });
    let mut rows = |count| {
        Array2::from_shape_fn((count, DIM), |(row, column)| {
            points[[(row * 7919 + 13) % topics, column]] + 0.62 * value(column)
        })
    };
    (rows(count), rows(queries))
}

/// Searches of an index.
struct Search {
    index: Rc<Index>,
    queries: Rc<Array2<f32>>,
    batch: usize,
    hits: Vec<Vec<Hit>>,
}

impl Engine for Search {
    fn call(&mut self, query: usize) {
        let first = if self.batch == 1 { query } else { 0 };
        let queries = self.queries.slice(s![first..first + self.batch, ..]);
        let found = self.index.search_batch(queries, None, NEAREST);
        self.hits = found.expect("queries fit the index");
        black_box(&self.hits);
    }

    fn results(&self) -> [Vec<f32>; 2] {
        of_hits(self.hits.iter().flatten())
    }
}

/// The nearest 32, exactly.
struct Near {
    index: Rc<Index>,
    queries: Rc<Array2<f32>>,
    hits: Vec<Hit>,
}

impl Engine for Near {
    fn call(&mut self, query: usize) {
        let query = self.queries.row(query);
        let query = query.to_slice().expect("row-major");
        self.hits = self.index.search(query, None, TAKING_PART).expect("queries fit the index");
        black_box(&self.hits);
    }

    fn results(&self) -> [Vec<f32>; 2] {
        of_hits(self.hits.iter())
    }
}

fn of_hits<'a>(hits: impl Iterator<Item = &'a Hit> + Clone) -> [Vec<f32>; 2] {
    [hits.clone().map(|hit| hit.score).collect(), hits.map(|hit| hit.answer_id as f32).collect()]
}
