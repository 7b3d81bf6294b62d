//! What is measured, and the engine's side of it.

use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ndarray::{Array2, s};
use projection_core::npy;
use projection_core::projection::{Head, MultiHeadProjection};
use projection_core::search::{Hit, Index};

const DIM: usize = 384;
pub const QUERIES: usize = 32;
/// These two have their twins in `numpy_peer.py`.
const TEMPERATURE: f64 = 0.1;
const NEAREST: usize = 10;

/// Random heads and queries. A model of n heads has the first n; an index of n vectors the
/// first n answers.
pub struct Data {
    centroids: Array2<f32>,
    answers: Array2<f32>,
    queries: Rc<Array2<f32>>,
}

impl Data {
    pub fn random(heads: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let centroids = Array2::from_shape_fn((heads, DIM), &mut random);
        let answers = Array2::from_shape_fn((heads, DIM), &mut random);
        let mut queries = Array2::from_shape_fn((QUERIES, DIM), &mut random);
        // Near to one of the first heads, as questions are: routing has something to choose.
        for (number, mut query) in queries.rows_mut().into_iter().enumerate() {
            query += &centroids.row(number % 18);
        }
        Self { centroids, answers, queries: Rc::new(queries) }
    }

    pub fn save(&self, folder: &Path) -> projection_core::Result<()> {
        npy::save(folder.join("centroids.npy"), self.centroids.view())?;
        npy::save(folder.join("answers.npy"), self.answers.view())?;
        npy::save(folder.join("queries.npy"), self.queries.view())
    }

    pub fn all_work(&self) -> projection_core::Result<Vec<Work>> {
        Ok(vec![
            self.one(18)?,
            self.batch(18)?,
            self.search(10_000)?,
            self.one(1_000)?,
            self.one(10_000)?,
        ])
    }

    fn model(&self, heads: usize) -> projection_core::Result<MultiHeadProjection> {
        let head = |number: usize| Head {
            cluster_id: number as i64,
            centroid: self.centroids.row(number).iter().copied().map(f64::from).collect(),
            answer: self.answers.row(number).to_vec(),
            matrix: None,
        };
        MultiHeadProjection::from_heads((0..heads).map(head).collect(), TEMPERATURE)
    }

    fn one(&self, heads: usize) -> projection_core::Result<Work> {
        Ok(Work {
            title: format!("one query, {heads} heads"),
            command: format!("one {heads}"),
            queries: 1,
            engine: Box::new(One {
                model: self.model(heads)?,
                queries: Rc::clone(&self.queries),
                projected: vec![0.0; DIM],
                weights: vec![0.0; heads],
            }),
        })
    }

    fn batch(&self, heads: usize) -> projection_core::Result<Work> {
        Ok(Work {
            title: format!("batch of {QUERIES}, {heads} heads"),
            command: format!("batch {heads}"),
            queries: QUERIES,
            engine: Box::new(Batch {
                model: self.model(heads)?,
                queries: Rc::clone(&self.queries),
                projected: Array2::zeros((QUERIES, DIM)),
                weights: Array2::zeros((QUERIES, heads)),
            }),
        })
    }

    fn search(&self, rows: usize) -> projection_core::Result<Work> {
        let ids: Vec<i64> = (0..rows as i64).collect();
        Ok(Work {
            title: format!("exact top {NEAREST} of {rows} vectors"),
            command: format!("search {rows}"),
            queries: 1,
            engine: Box::new(Search {
                index: Index::from_vectors(&ids, self.answers.slice(s![..rows, ..]))?,
                queries: Rc::clone(&self.queries),
                hits: Vec::new(),
            }),
        })
    }
}

/// Something that both sides do.
pub struct Work {
    pub title: String,
    /// What the peer calls it.
    pub command: String,
    /// Queries that one call answers.
    pub queries: usize,
    pub engine: Box<dyn Engine>,
}

impl Work {
    /// Calls the engine so many times.
    pub fn time(&mut self, calls: u64) -> Duration {
        let start = Instant::now();
        for call in 0..calls as usize {
            self.engine.call(call % QUERIES);
        }
        start.elapsed()
    }
}

/// The engine's side of some work, with everything prepared.
pub trait Engine {
    /// Answers a query, or all of them.
    fn call(&mut self, query: usize);

    /// The results of the last call, two rows a query.
    fn results(&self) -> [Vec<f32>; 2];
}

struct One {
    model: MultiHeadProjection,
    queries: Rc<Array2<f32>>,
    projected: Vec<f32>,
    weights: Vec<f32>,
}

impl Engine for One {
    fn call(&mut self, query: usize) {
        let queries = self.queries.as_slice().expect("row-major");
        let query = &queries[query * DIM..][..DIM];
        let done = self.model.project_into(query, &mut self.projected, Some(&mut self.weights));
        done.expect("queries fit the model");
        black_box((&self.projected, &self.weights));
    }

    fn results(&self) -> [Vec<f32>; 2] {
        [self.projected.clone(), self.weights.clone()]
    }
}

struct Batch {
    model: MultiHeadProjection,
    queries: Rc<Array2<f32>>,
    projected: Array2<f32>,
    weights: Array2<f32>,
}

impl Engine for Batch {
    fn call(&mut self, _: usize) {
        let (projected, weights) = (self.projected.view_mut(), self.weights.view_mut());
        let done = self.model.project_batch_into(self.queries.view(), projected, Some(weights));
        done.expect("queries fit the model");
        black_box((&self.projected, &self.weights));
    }

    fn results(&self) -> [Vec<f32>; 2] {
        [self.projected.iter().copied().collect(), self.weights.iter().copied().collect()]
    }
}

struct Search {
    index: Index,
    queries: Rc<Array2<f32>>,
    hits: Vec<Hit>,
}

impl Engine for Search {
    fn call(&mut self, query: usize) {
        let queries = self.queries.as_slice().expect("row-major");
        let query = &queries[query * DIM..][..DIM];
        self.hits = self.index.search(query, None, NEAREST).expect("queries fit the index");
        black_box(&self.hits);
    }

    fn results(&self) -> [Vec<f32>; 2] {
        let ids = self.hits.iter().map(|hit| hit.answer_id as f32);
        [self.hits.iter().map(|hit| hit.score).collect(), ids.collect()]
    }
}
