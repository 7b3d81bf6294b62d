//! `projection inspect`: what a store or a folder of models holds, and what is wrong with it.

mod arrays;
mod file;
mod folder;
mod heads;
mod render;
mod store;

use std::path::PathBuf;

use projection_core::{Error, ErrorKind};
use projection_store::{Batch, ModelKind};
use serde::Serialize;

use crate::failure::{self, Failure};

/// Show what a store or a folder of models holds, and every problem found
///
/// Reads all array files. Problems are files that are missing, damaged, of a wrong shape or
/// dimension, or hold NaN, infinity or only zeros; heads with one of their two files; files that
/// are not in the database, or that another database in the folder names for something else; values
/// of a wrong type in a table; a projection id in two folders; an interrupted training.
///
/// The exit code is 1 if there are problems.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection inspect lda.db
  projection inspect embeddings/all-MiniLM-L6-v2
  projection inspect model.safetensors")]
pub struct Args {
    /// The store's database, a folder of model files, or a one-file model
    #[arg(value_name = "STORE.db|DIR|FILE")]
    path: PathBuf,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Inspected {
    path: String,
    /// `None` for a folder.
    texts: Option<Texts>,
    models: Vec<EmbeddingModelFacts>,
    batches: Vec<Batch>,
    projections: Vec<ProjectionFacts>,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Texts {
    clusters: usize,
    answers: usize,
    questions: usize,
}

/// An embedding model and its embeddings in the store.
#[derive(Debug, Serialize)]
struct EmbeddingModelFacts {
    id: i64,
    name: String,
    dimension: usize,
    answers: usize,
    questions: usize,
    dtypes: Dtypes,
}

#[derive(Debug, Default, Serialize)]
struct ProjectionFacts {
    /// `None` for heads in files of the older names, which have no id.
    id: Option<i64>,
    kind: &'static str,
    name: Option<String>,
    /// The embedding model, if the database names it.
    model: Option<String>,
    /// The folder of the files, if there is no database.
    folder: Option<String>,
    temperature: Option<f64>,
    /// The weight of BM25 in hybrid search that training chose.
    hybrid_weight: Option<f64>,
    /// The offset of answers without training questions that training chose.
    unseen_offset: Option<f64>,
    created_at: Option<String>,
    heads: usize,
    matrices: usize,
    /// `None` for kinds other than transformers.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    input_dim: Option<usize>,
    output_dim: Option<usize>,
    centroid_dtypes: Dtypes,
    answer_dtypes: Dtypes,
    matrix_dtypes: Dtypes,
    /// The tensors of a one-file model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<Tensor>,
}

#[derive(Debug, Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// The sizes of a transformer.
#[derive(Debug, Serialize)]
struct Network {
    layers: usize,
    ff_dim: usize,
    weights: usize,
}

/// The element types of some files, each once.
#[derive(Debug, Default, Serialize)]
struct Dtypes(std::collections::BTreeSet<&'static str>);

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Problem {
    /// The name of an error kind, `orphan_file`, `shared_files` or `interrupted_training`.
    kind: String,
    message: String,
}

/// The problems so far. Every check goes on after one.
#[derive(Debug, Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, kind: &str, message: impl Into<String>) {
        self.0.push(Problem { kind: kind.to_string(), message: message.into() });
    }

    fn of_kind(&mut self, kind: ErrorKind, message: impl Into<String>) {
        self.add(&failure::kind_name(kind), message);
    }

    fn error(&mut self, error: &Error) {
        self.of_kind(error.kind(), error.to_string());
    }

    /// The value, or a default one and a problem.
    fn value_of<T: Default>(&mut self, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| {
            self.error(&error);
            T::default()
        })
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

pub fn run(args: &Args) -> Result<Inspected, Failure> {
    if file::is_model(&args.path) {
        return Ok(file::inspect(&args.path)?);
    }
    if !args.path.is_dir() {
        return Ok(store::inspect(&args.path)?);
    }
    let database = args.path.join("lda.db");
    Ok(if database.is_file() { store::inspect(&database)? } else { folder::inspect(&args.path)? })
}

/// The kind of a model as `train --method` calls it.
fn kind_name(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::MultiHead => "multi-head",
        other => other.name(),
    }
}
