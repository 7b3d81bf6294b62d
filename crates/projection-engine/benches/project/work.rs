//! What is measured, and the engine's side of it.

use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ndarray::{Array2, s};
use projection_core::kernel::progress::ignore_progress;
use projection_core::npy;
use projection_core::projection::{
    Head, Model, MultiHeadProjection, Neighbour, Precision, Projection,
};
use projection_core::projection::{ResidualParts, ResidualProjection};
use projection_store::search::{Hit, Index};

pub const DIM: usize = 384;
/// Queries that single calls take in turn.
pub const QUERIES: usize = 32;
/// Queries that batches are taken from.
const ALL_QUERIES: usize = 1_024;
/// These two have their twins in `numpy_peer.py`.
const TEMPERATURE: f64 = 0.1;
const NEAREST: usize = 10;
/// Heads of the smallest model, which is exported for ONNX Runtime too.
const FEW: usize = 18;

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
        let mut queries = Array2::from_shape_fn((ALL_QUERIES, DIM), &mut random);
        // Near to one of the first heads, as questions are: routing has something to choose.
        for (number, mut query) in queries.rows_mut().into_iter().enumerate() {
            query += &centroids.row(number % 18);
        }
        Self { centroids, answers, queries: Rc::new(queries) }
    }

    pub fn save(&self, folder: &Path) -> projection_core::Result<()> {
        npy::save(folder.join("centroids.npy"), self.centroids.view())?;
        npy::save(folder.join("answers.npy"), self.answers.view())?;
        npy::save(folder.join("queries.npy"), self.queries.view())?;
        projection_interop::onnx::save(
            &Model::MultiHead(self.model(FEW)?),
            folder.join("heads.onnx"),
        )
    }

    /// Everything that is measured, in the order of the table.
    pub fn all_work(&self) -> projection_core::Result<Vec<Work>> {
        let mut all = Vec::new();
        for heads in [FEW, 1_000, 10_000, 100_000] {
            all.push(self.one(heads, Precision::F32)?);
        }
        for (queries, heads) in [(32, FEW), (32, 10_000), (1_024, 10_000)] {
            all.push(self.batch(queries, heads, 1)?);
        }
        let graph = |queries| Peer::Python("onnxruntime", format!("onnx {queries}"));
        all.push(Work { peer: graph(1), ..self.one(FEW, Precision::F32)? });
        all.push(Work { peer: graph(32), ..self.batch(32, FEW, 1)? });
        for precision in [Precision::Bf16, Precision::Int8] {
            for heads in [FEW, 10_000, 100_000] {
                all.push(self.one(heads, precision)?);
            }
        }
        for rows in [10_000, 100_000] {
            all.push(self.search(rows, 1, 1)?);
        }
        all.push(self.search(100_000, 64, 1)?);
        all.push(self.residual(37_000)?);
        all.push(self.batch(1_024, 10_000, 2)?);
        all.push(self.search(100_000, 64, 2)?);
        Ok(all)
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

    fn one(&self, heads: usize, precision: Precision) -> projection_core::Result<Work> {
        let model = self.model(heads)?;
        let engine = |model| One {
            model,
            queries: Rc::clone(&self.queries),
            projected: vec![0.0; DIM],
            weights: vec![0.0; heads],
        };
        let bytes = 2 * heads * DIM * size_of::<f32>();
        let (name, bytes, tolerance) = match precision {
            Precision::F32 => ("", bytes, 1e-5),
            Precision::Bf16 => (", bf16", bytes / 2, 2e-2),
            Precision::Int8 => (", int8", bytes / 4, 5e-2),
        };
        Ok(Work {
            title: format!("one query, {heads} heads{name}"),
            queries: 1,
            checked: QUERIES,
            tolerance,
            limit: Limit::Bytes(bytes),
            peer: match precision {
                Precision::F32 => Peer::Python("NumPy", format!("one {heads}")),
                _ => Peer::Engine("f32", Box::new(engine(model.clone()))),
            },
            engine: Box::new(engine(model.with_precision(precision)?)),
        })
    }

    fn batch(&self, queries: usize, heads: usize, threads: usize) -> projection_core::Result<Work> {
        let model = self.model(heads)?;
        let engine = |threads| Batch {
            model: model.clone(),
            threads,
            queries: self.queries.slice(s![..queries, ..]).to_owned(),
            projected: Array2::zeros((queries, DIM)),
            weights: Array2::zeros((queries, heads)),
        };
        Ok(Work {
            title: format!("batch of {queries}, {heads} heads{}", on(threads)),
            queries,
            checked: queries,
            tolerance: 1e-5,
            limit: Limit::Operations(4 * queries * heads * DIM),
            peer: match threads {
                1 => Peer::Python("NumPy", format!("batch {heads} {queries}")),
                _ => Peer::Engine("one thread", Box::new(engine(1))),
            },
            engine: Box::new(engine(threads)),
        })
    }

    fn search(&self, rows: usize, queries: usize, threads: usize) -> projection_core::Result<Work> {
        let ids: Vec<i64> = (0..rows as i64).collect();
        let index = Rc::new(Index::from_vectors(&ids, self.answers.slice(s![..rows, ..]))?);
        let engine = |threads| Search {
            index: Rc::clone(&index),
            queries: Rc::clone(&self.queries),
            batch: queries,
            threads,
            hits: Vec::new(),
        };
        let what = match queries {
            1 => String::new(),
            _ => format!(", batch of {queries}"),
        };
        Ok(Work {
            title: format!("exact top {NEAREST} of {rows}{what}{}", on(threads)),
            queries,
            checked: QUERIES,
            tolerance: 1e-5,
            limit: match queries {
                1 => Limit::Bytes(rows * DIM * size_of::<f32>()),
                _ => Limit::Operations(2 * queries * rows * DIM),
            },
            peer: match threads {
                1 => Peer::Python("NumPy", format!("search {rows} {queries}")),
                _ => Peer::Engine("one thread", Box::new(engine(1))),
            },
            engine: Box::new(engine(threads)),
        })
    }

    /// The nearest training questions of a residual projection, which are where its time goes
    /// if there are many.
    fn residual(&self, questions: usize) -> projection_core::Result<Work> {
        let mut parts = ResidualParts::new(DIM);
        for cluster in 0..questions / 10 {
            let rows = self.centroids.slice(s![cluster * 10..(cluster + 1) * 10, ..]);
            let answer = self.answers.row(cluster).to_vec();
            parts.questions.push(cluster as i64, &answer, rows)?;
        }
        Ok(Work {
            title: format!("nearest 32 of {questions} questions"),
            queries: 1,
            checked: QUERIES,
            tolerance: 1e-5,
            limit: Limit::Bytes(questions * DIM),
            peer: Peer::Python("NumPy", format!("neighbours {questions}")),
            engine: Box::new(Neighbours {
                model: ResidualProjection::new(parts)?,
                queries: Rc::clone(&self.queries),
                found: Vec::new(),
            }),
        })
    }
}

fn on(threads: usize) -> String {
    if threads == 1 { String::new() } else { format!(", {threads} threads") }
}

/// Something that both sides do.
pub struct Work {
    pub title: String,
    pub peer: Peer,
    /// Queries that one call answers.
    pub queries: usize,
    /// Queries whose results are compared.
    pub checked: usize,
    /// How far results may be apart, relative to the largest value of a result.
    pub tolerance: f32,
    pub limit: Limit,
    pub engine: Box<dyn Engine>,
}

/// Who else does it.
pub enum Peer {
    /// A library of this name in the Python process, by this command.
    Python(&'static str, String),
    /// The engine in another way, with a name for it.
    Engine(&'static str, Box<dyn Engine>),
}

/// What one call needs at least.
#[derive(Clone, Copy)]
pub enum Limit {
    /// What it needs depends on the query.
    Unknown,
    /// Bytes to be read from memory.
    Bytes(usize),
    /// Multiplications and additions.
    Operations(usize),
}

/// Calls an engine so many times.
pub fn time(engine: &mut dyn Engine, calls: u64) -> Duration {
    let start = Instant::now();
    for call in 0..calls as usize {
        engine.call(call % QUERIES);
    }
    start.elapsed()
}

/// A side of some work, with everything prepared.
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
    threads: usize,
    queries: Array2<f32>,
    projected: Array2<f32>,
    weights: Array2<f32>,
}

impl Engine for Batch {
    fn call(&mut self, _: usize) {
        let (projected, weights) = (self.projected.view_mut(), Some(self.weights.view_mut()));
        let done = self.model.project_batch_on(
            self.threads,
            self.queries.view(),
            projected,
            weights,
            &mut || Ok(()),
        );
        done.expect("queries fit the model");
        black_box((&self.projected, &self.weights));
    }

    fn results(&self) -> [Vec<f32>; 2] {
        [self.projected.iter().copied().collect(), self.weights.iter().copied().collect()]
    }
}

struct Search {
    index: Rc<Index>,
    queries: Rc<Array2<f32>>,
    batch: usize,
    threads: usize,
    hits: Vec<Vec<Hit>>,
}

impl Engine for Search {
    fn call(&mut self, query: usize) {
        let first = if self.batch == 1 { query } else { 0 };
        let queries = self.queries.slice(s![first..first + self.batch, ..]);
        self.hits = match self.batch {
            1 => {
                let query = queries.to_slice().expect("one row");
                vec![self.index.search(query, None, NEAREST).expect("queries fit the index")]
            }
            _ => {
                let found = self.index.search_batch_among(
                    None,
                    self.threads,
                    queries,
                    None,
                    NEAREST,
                    &mut ignore_progress,
                );
                found.expect("queries fit the index")
            }
        };
        black_box(&self.hits);
    }

    fn results(&self) -> [Vec<f32>; 2] {
        let hits = || self.hits.iter().flatten();
        [hits().map(|hit| hit.score).collect(), hits().map(|hit| hit.answer_id as f32).collect()]
    }
}

/// The nearest training questions.
pub struct Neighbours {
    pub model: ResidualProjection,
    pub queries: Rc<Array2<f32>>,
    pub found: Vec<Neighbour>,
}

impl Engine for Neighbours {
    fn call(&mut self, query: usize) {
        let query = self.queries.row(query);
        let query = query.to_slice().expect("row-major");
        self.found = self.model.neighbours_of(query).expect("queries fit the model");
        black_box(&self.found);
    }

    fn results(&self) -> [Vec<f32>; 2] {
        let numbers = self.found.iter().map(|near| near.number as f32);
        [self.found.iter().map(|near| near.similarity as f32).collect(), numbers.collect()]
    }
}
