//! `projection export`: a model in one file, for programs that have no store.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, ValueEnum};
use projection_core::model_file::Description;
use projection_core::projection::{Model, ModelKind, Projection};
use projection_core::store::Store;
use projection_core::{Error, ErrorKind};
use serde::Serialize;
use serde_json::Value;

use super::temperature;
use crate::failure::Failure;
use crate::output::{Report, Screen, count};

/// Write a model to one file
///
/// A .safetensors file holds everything, opens in every language of the engine and gives the
/// same numbers. An .onnx file runs in ONNX Runtime and whatever else knows ONNX: input
/// `query` (n, d), outputs `projected` (n, o) and, for kinds that route, `weights` (n, heads).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection export lda.db
  projection export lda.db --projection 3 --format onnx --output model.onnx
  projection export --model transformer.pt --format onnx")]
#[command(group(ArgGroup::new("source").required(true).args(["store", "embeddings", "model"])))]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: Option<PathBuf>,

    /// Folder of the model's files instead, without a database
    #[arg(long, value_name = "DIR", requires = "projection")]
    embeddings: Option<PathBuf>,

    /// A model in a file of its own instead: .safetensors, or a transformer's .pt
    #[arg(long, value_name = "FILE", conflicts_with = "projection")]
    model: Option<PathBuf>,

    /// Projection to write [default: the newest of the store]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Softmax temperature [default: the recorded one, or 0.1]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,

    /// Kind of file
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Safetensors)]
    format: Format,

    /// File to write [default: projection_{ID} or the model's name, in the working directory]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// Everything, to be opened by this engine
    Safetensors,
    /// A graph for ONNX Runtime
    Onnx,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
        }
    }
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// None for a model from a file of its own.
    projection_id: Option<i64>,
    kind: &'static str,
    /// None for kinds that have none.
    temperature: Option<f64>,
    heads: usize,
    input_dim: usize,
    output_dim: usize,
    format: Format,
    output: String,
    bytes: u64,
}

pub fn run(args: &Args) -> Result<Exported, Failure> {
    let (id, model, about) = match (&args.store, &args.embeddings, &args.model) {
        (Some(database), None, None) => {
            let store = Store::open_read_only(database)?;
            let id = args.projection.map_or_else(|| newest(&store), Ok)?;
            let model = Model::from_store(&store, id)?;
            let about = describe(&store, id, model.kind())?;
            (Some(id), model, about)
        }
        (None, Some(folder), None) => {
            let id = args.projection.unwrap_or_default();
            let model = match args.temperature {
                None => Model::load(folder, id, None).or_else(|_| Model::load(folder, id, 0.1))?,
                wanted => Model::load(folder, id, wanted)?,
            };
            (Some(id), model, Description::default())
        }
        (None, None, Some(file)) => (None, Model::load_file(file)?, Description::default()),
        _ => return Err(Failure::Usage("expected STORE.db, --embeddings or --model".into())),
    };
    let model = match args.temperature {
        Some(temperature) if args.embeddings.is_none() => model.with_temperature(temperature)?,
        _ => model,
    };
    let stem = match (id, &args.model) {
        (Some(id), _) => PathBuf::from(format!("projection_{id}")),
        (None, file) => file.as_deref().and_then(Path::file_stem).unwrap_or_default().into(),
    };
    let output = args.output.clone().unwrap_or(stem.with_extension(args.format.extension()));
    if let Some(input) = args.model.as_deref().or(args.store.as_deref())
        && input.canonicalize().is_ok_and(|input| output.canonicalize().is_ok_and(|o| o == input))
    {
        let message =
            format!("{} is what is to be exported: give another --output", output.display());
        return Err(Failure::Usage(message));
    }
    match args.format {
        Format::Safetensors => model.save_file_with(&output, &about)?,
        Format::Onnx => model.save_onnx(&output)?,
    }
    let written = std::fs::metadata(&output).map_err(|e| Error::io("reading", &output, e))?;
    Ok(Exported {
        projection_id: id,
        kind: model.kind().name(),
        temperature: Some(model.temperature()).filter(|temperature| !temperature.is_nan()),
        heads: model.head_ids().len(),
        input_dim: model.input_dim(),
        output_dim: model.output_dim(),
        format: args.format,
        output: output.display().to_string(),
        bytes: written.len(),
    })
}

fn newest(store: &Store) -> Result<i64, Failure> {
    let routing = store.multi_head_projections()?.into_iter().map(|row| row.id);
    let linear = store.linear_projections()?.into_iter().map(|row| row.id);
    let newest = routing.chain(linear).max();
    newest.ok_or_else(|| {
        let message = format!(
            "{}: the store has no projection yet, `projection train` makes one",
            store.path().display()
        );
        Error::new(ErrorKind::NotFound, message).into()
    })
}

/// What the store knows of a model beside its numbers.
fn describe(store: &Store, id: i64, kind: ModelKind) -> Result<Description, Failure> {
    let name = match kind {
        ModelKind::Linear => store
            .linear_projections()?
            .into_iter()
            .find(|row| row.id == id)
            .and_then(|row| row.name),
        _ => store.multi_head_projection(id)?.name,
    };
    let record = store.model_record(id)?.filter(|record| record.kind == kind);
    let (training, metrics) = match record {
        Some(record) => (record.parameters["training"].clone(), record.metrics),
        None => (Value::Null, Value::Null),
    };
    Ok(Description { name, training, metrics })
}

impl Report for Exported {
    fn render(&self, screen: &Screen) -> String {
        let mut what = format!("{} projection", self.kind);
        if let Some(id) = self.projection_id {
            what += &format!(" {id}");
        }
        if self.heads > 0 {
            what += &format!(", {}", count(self.heads, "head"));
        }
        format!(
            "{}, {}\n{what}, dimension {} → {}\n",
            screen.clean(&self.output),
            size(self.bytes),
            self.input_dim,
            self.output_dim
        )
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
