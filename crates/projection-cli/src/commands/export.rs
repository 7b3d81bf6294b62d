//! `projection export`: a model for programs that have no store, in one file, or in a folder
//! with its answers.

mod edge;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, ValueEnum};
use projection_core::kernel::progress::ignore_progress;
use projection_core::model_file::Description;
use projection_core::projection::{Model, Precision};
use projection_core::{Error, ErrorKind};
use projection_engine::{ExportFormat, ExportReport, export, export_store};
use projection_store::Store;
use projection_store::edge::EdgeReport;
use serde::Serialize;

use super::{precision, temperature, with_precision};
use crate::failure::Failure;
use crate::output::{Report, Screen, count, note};

/// Write a model to one file, or with its answers to a folder
///
/// A .safetensors file holds everything, opens in every language of the engine and gives the
/// same numbers. An .onnx file runs in ONNX Runtime and whatever else knows ONNX: input
/// `query` (n, d), outputs `projected` (n, o) and, for kinds that route, `weights` (n, heads).
/// The folder of the format edge holds the model, the answers' vectors and the texts, to be
/// served as static files to browsers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection export lda.db
  projection export lda.db --projection 3 --format onnx --output model.onnx
  projection export --model transformer.pt --format onnx
  projection export lda.db --format edge out/")]
#[command(group(ArgGroup::new("source").required(true).args(["store", "embeddings", "model"])))]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: Option<PathBuf>,

    /// Folder to write, with --format edge; that of an earlier export is replaced
    #[arg(value_name = "FOLDER", requires = "store", conflicts_with = "output")]
    folder: Option<PathBuf>,

    /// Folder of the model's files instead, without a database
    #[arg(long, value_name = "DIR", requires = "projection")]
    embeddings: Option<PathBuf>,

    /// A model in a file of its own instead: .safetensors, or a transformer's .pt
    #[arg(long, value_name = "FILE", conflicts_with = "projection")]
    model: Option<PathBuf>,

    /// Projection to write [default: the active one, see `projection models`]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Softmax temperature [default: the recorded one, or 0.1]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,

    /// How a multi-head projection's vectors are kept: f32, bf16 in half the space, or int8 in
    /// a quarter [default: as they are]
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,

    /// Kind of file
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Safetensors)]
    format: Format,

    /// File to write [default: projection_{ID} or the model's name, in the working directory]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// With --format edge, how the answers' vectors are written: in bytes, a quarter of the
    /// size, or as they are [default: int8]
    #[arg(long, value_name = "P", value_enum, requires = "folder")]
    answers_precision: Option<edge::AnswersPrecision>,

    /// With --format edge, write into a folder that holds something else, which stays
    #[arg(long, requires = "folder")]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Everything, to be opened by this engine
    Safetensors,
    /// A graph for ONNX Runtime
    Onnx,
    /// A folder with the model, the answers and the texts, for browsers
    Edge,
}

/// What was written.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Exported {
    File(ExportReport),
    Folder(EdgeReport),
}

impl Report for Exported {
    fn render(&self, screen: &Screen) -> String {
        match self {
            Self::File(report) => report.render(screen),
            Self::Folder(report) => report.render(screen),
        }
    }
}

pub fn run(args: &Args) -> Result<Exported, Failure> {
    let format = match args.format {
        Format::Edge => return edge::run(args).map(Exported::Folder),
        Format::Safetensors => ExportFormat::Safetensors,
        Format::Onnx => ExportFormat::Onnx,
    };
    if let Some(folder) = &args.folder {
        let message = format!("{} without --format edge, expected --output", folder.display());
        return Err(Failure::Usage(message));
    }
    to_file(args, format).map(Exported::File)
}

fn to_file(args: &Args, format: ExportFormat) -> Result<ExportReport, Failure> {
    let output =
        |stem: PathBuf| args.output.clone().unwrap_or_else(|| stem.with_extension(format.name()));
    let go_on = &mut ignore_progress;
    let numbered = |id: i64| output(PathBuf::from(format!("projection_{id}")));
    match (&args.store, &args.embeddings, &args.model) {
        (Some(database), None, None) => {
            let store = Store::open_read_only(database)?;
            let id = store.choose(args.projection)?.id;
            let (temperature, precision) = (args.temperature, args.precision);
            let output = numbered(id);
            export_store(&store, Some(id), temperature, precision, format, &output, go_on)
                .map_err(refused)
        }
        (None, Some(folder), None) => {
            let id = args.projection.unwrap_or_default();
            let model = match args.temperature {
                None => Model::load(folder, id, None).or_else(|_| Model::load(folder, id, 0.1))?,
                wanted => Model::load(folder, id, wanted)?,
            };
            let model = with_precision(model, args.precision)?;
            let about = Description::default();
            Ok(export(&model, Some(id), &about, format, None, &numbered(id), go_on)?)
        }
        (None, None, Some(file)) => {
            let model = projection_interop::load_file(file)?;
            let model = match args.temperature {
                Some(temperature) => model.with_temperature(temperature)?,
                None => model,
            };
            let model = with_precision(model, args.precision)?;
            let output = output(file.file_stem().map(Path::new).unwrap_or(Path::new("")).into());
            let about = Description::default();
            export(&model, None, &about, format, Some(file), &output, go_on).map_err(refused)
        }
        _ => Err(Failure::Usage("expected STORE.db, --embeddings or --model".into())),
    }
}

/// An output that would replace what is exported, or a temperature or a precision for a kind
/// without one, is a mistake in the arguments.
fn refused(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::InvalidArgument => {
            Failure::Usage(format!("{error}; see --output, --temperature and --precision"))
        }
        _ => error.into(),
    }
}

impl Report for ExportReport {
    fn render(&self, screen: &Screen) -> String {
        let mut what = format!("{} projection", self.kind);
        if let Some(id) = self.projection_id {
            what += &format!(" {id}");
        }
        if self.heads > 0 {
            what += &format!(", {}", count(self.heads, "head"));
        }
        if self.precision != Precision::F32 {
            what += &format!(", in {}", self.precision.name());
        }
        let mut text = format!(
            "{}, {}\n{what}, dimension {} → {}\n",
            screen.clean(&self.output),
            size(self.bytes),
            self.input_dim,
            self.output_dim
        );
        self.notes.iter().for_each(|what| text += &note(what));
        text
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
