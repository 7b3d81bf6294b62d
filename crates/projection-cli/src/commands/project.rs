//! `projection project`: vectors in a file through a model into another file.

use std::path::{Path, PathBuf};

use clap::ArgGroup;
use ndarray::{Array2, ArrayView1};
use projection_core::atomic::Staged;
use projection_core::npy::{self, NpyArray};
use projection_core::projection::{Model, Precision, Projection};
use projection_core::{Error, ErrorKind};
use serde::Serialize;

use super::{precision, temperature, with_precision};
use crate::failure::Failure;
use crate::output::{Report, Screen, count};

/// Project the vectors of a .npy file
///
/// The input is (d,) or (n, d); the output is float32 of shape (o,) or (n, o), and the
/// weights (heads,) or (n, heads), one column per cluster in ascending order of id. Nothing
/// is written unless every vector can be projected.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection project --db lda.db --id 1 --input queries.npy --output projected.npy
  projection project --embeddings embeddings/all-MiniLM-L6-v2 --id 1 --temperature 0.1 \\
      --input queries.npy --output projected.npy --weights weights.npy
  projection project --model transformer.pt --input queries.npy --output projected.npy")]
#[command(group(ArgGroup::new("source").required(true).args(["db", "embeddings", "model"])))]
pub struct Args {
    /// The store's database
    #[arg(long, value_name = "STORE.db")]
    db: Option<PathBuf>,

    /// Folder of the model's files, without a database
    #[arg(long, value_name = "DIR")]
    embeddings: Option<PathBuf>,

    /// A model in a file of its own: .safetensors as `export` writes it, or a transformer's .pt
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    model: Option<PathBuf>,

    /// Projection to use
    #[arg(long, value_name = "ID", required_unless_present = "model")]
    id: Option<i64>,

    /// Softmax temperature [default: the database's or file's, or 0.1 with --embeddings]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,

    /// How a multi-head projection's vectors are kept: f32, bf16 in half the memory, or int8 in
    /// a quarter [default: as the model has them]
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,

    /// Vectors to project
    #[arg(long, value_name = "Q.npy")]
    input: PathBuf,

    /// File for the projected vectors
    #[arg(long, value_name = "P.npy")]
    output: PathBuf,

    /// File for the routing weights
    #[arg(long, value_name = "W.npy")]
    weights: Option<PathBuf>,
}

/// What was projected.
#[derive(Debug, Serialize)]
pub struct Projected {
    /// None for a model in a file of its own.
    id: Option<i64>,
    kind: &'static str,
    /// None for kinds that have none.
    temperature: Option<f64>,
    precision: Precision,
    vectors: usize,
    input_dim: usize,
    output_dim: usize,
    /// The clusters of the weights' columns.
    cluster_ids: Vec<i64>,
    output: String,
    weights: Option<String>,
}

pub fn run(args: &Args) -> Result<Projected, Failure> {
    check_paths(args)?;
    let model = with_precision(load(args)?, args.precision)?;
    let input = NpyArray::load(&args.input)?;
    let (rows, dim) = input.matrix_shape();
    let queries = Array2::from_shape_vec((rows, dim), input.to_f32()?)
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let mut projected = Array2::zeros((rows, model.output_dim()));
    // For many vectors and heads they would take far more memory than either.
    let heads = model.head_ids().len();
    let mut weights = args.weights.as_ref().map(|path| (path, Array2::zeros((rows, heads))));
    let routed = weights.as_mut().map(|(_, weights)| weights.view_mut());
    model
        .project_batch_into(queries.view(), projected.view_mut(), routed)
        .map_err(|error| error.context(args.input.display()))?;

    let flat = input.shape().len() == 1;
    let projected = stage(&args.output, &projected, flat)?;
    let weights = weights.map(|(path, weights)| stage(path, &weights, flat)).transpose()?;
    // Both are written: now they appear.
    projected.publish()?;
    weights.map_or(Ok(()), Staged::publish)?;
    Ok(Projected {
        id: args.id,
        kind: model.kind().name(),
        temperature: Some(model.temperature()).filter(|temperature| !temperature.is_nan()),
        precision: model.precision(),
        vectors: rows,
        input_dim: dim,
        output_dim: model.output_dim(),
        cluster_ids: model.head_ids().to_vec(),
        output: args.output.display().to_string(),
        weights: args.weights.as_ref().map(|path| path.display().to_string()),
    })
}

fn load(args: &Args) -> Result<Model, Failure> {
    if let Some(file) = &args.model {
        let model = projection_interop::load_file(file)?;
        return Ok(match args.temperature {
            Some(temperature) => model.with_temperature(temperature)?,
            None => model,
        });
    }
    let id = args.id.ok_or_else(|| Failure::Usage("expected --id or --model".into()))?;
    Ok(match (&args.db, &args.embeddings) {
        (Some(database), None) => {
            let model = projection_store::Store::open_read_only(database)?.model(id)?;
            match args.temperature {
                Some(temperature) => model.with_temperature(temperature)?,
                None => model,
            }
        }
        (None, Some(folder)) => Model::load(folder, id, args.temperature.unwrap_or(0.1))?,
        _ => return Err(Failure::Usage("expected either --db or --embeddings".into())),
    })
}

/// Writes the rows to a `.npy` file, or the only row as a vector.
fn stage(path: &Path, rows: &Array2<f32>, flat: bool) -> Result<Staged, Error> {
    match rows.as_slice().filter(|_| flat) {
        Some(values) => npy::stage(path, ArrayView1::from(values)),
        None => npy::stage(path, rows.view()),
    }
}

/// Refuses to write over the input or both results to one file.
fn check_paths(args: &Args) -> Result<(), Failure> {
    let weights = args.weights.as_deref();
    let pairs = [
        ("--output", Some(args.output.as_path()), "--input", Some(args.input.as_path())),
        ("--weights", weights, "--input", Some(args.input.as_path())),
        ("--weights", weights, "--output", Some(args.output.as_path())),
    ];
    for (left, one, right, other) in pairs {
        if let (Some(one), Some(other)) = (one, other)
            && same_file(one, other)
        {
            let path = one.display();
            return Err(Failure::Usage(format!("{left} {path} is the file of {right}")));
        }
    }
    Ok(())
}

/// Whether two paths lead to one file, which need not be there yet.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        path.canonicalize().ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(folder.join(path.file_name()?))
        })
    };
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

impl Report for Projected {
    fn render(&self, _: &Screen) -> String {
        let mut text = format!(
            "projected {} from dimension {} to {} by {}{}\n{}\n",
            count(self.vectors, "vector"),
            self.input_dim,
            self.output_dim,
            match self.cluster_ids.len() {
                0 => format!("a {} projection", self.kind),
                heads => count(heads, "head"),
            },
            self.temperature.map(|t| format!(", temperature {t}")).unwrap_or_default(),
            self.output,
        );
        if let Some(weights) = &self.weights {
            text += &format!("{weights}\n");
        }
        text
    }
}
