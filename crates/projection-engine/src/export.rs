//! Writing models to files for other programs.

use std::path::Path;

use serde::Serialize;

use projection_core::ivf::IndexStats;
use projection_core::kernel::parallel;
use projection_core::kernel::progress::{OnProgress, Progress};
use projection_core::model_file::Description;
use projection_core::projection::{Model, Precision, Projection};
use projection_core::{Error, ErrorKind, Result};
use projection_interop::onnx;
use projection_store::Store;

/// Format of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// The one-file format of this engine, which keeps everything.
    #[default]
    Safetensors,
    /// A graph for ONNX Runtime.
    Onnx,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::Safetensors, Self::Onnx];

    /// Its name, which is also the usual extension of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
        }
    }

    /// The format with this name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let message = format!("format is '{name}', expected one of {names}");
            Error::new(ErrorKind::InvalidArgument, message)
        })
    }
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// The model's id; `None` for a model from a file of its own.
    pub projection_id: Option<i64>,
    /// The model's kind, such as `multi_head`.
    pub kind: &'static str,
    /// Temperature, for kinds that have one.
    pub temperature: Option<f64>,
    /// Precision of its vectors.
    pub precision: Precision,
    /// Number of heads.
    pub heads: usize,
    /// Dimension of queries.
    pub input_dim: usize,
    /// Dimension of projected queries.
    pub output_dim: usize,
    /// Format of the file.
    pub format: ExportFormat,
    /// The file.
    pub output: String,
    /// Its size.
    pub bytes: u64,
    /// What the file leaves to its user.
    pub notes: Vec<String>,
    /// Recall and cost of the approximate index of its heads or training questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexStats>,
}

/// Writes a model to the file `output`, which is replaced only by the complete new one. A file
/// for this engine has an approximate index if [`Model::with_approximate_index`] builds one.
/// `source` is the file or database that the model is from, which must not be replaced; `id` is
/// the model's in its store. If `progress` cancels the work, no file is written.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if `output` is `source`, [`ErrorKind::Io`] if the file can't
/// be written, [`ErrorKind::Cancelled`].
pub fn export(
    model: &Model,
    id: Option<i64>,
    about: &Description,
    format: ExportFormat,
    source: Option<&Path>,
    output: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<ExportReport> {
    if let Some(source) = source {
        expect_other_file(source, output)?;
    }
    let mut index = None;
    match format {
        ExportFormat::Safetensors => {
            let model = model.with_approximate_index(parallel::threads(), progress)?;
            model.save_file_with(output, about)?;
            index = model.index_stats();
        }
        ExportFormat::Onnx => {
            Progress::new("exporting", 0, 1).send(progress)?;
            onnx::save(model, output)?;
        }
    }
    let written = std::fs::metadata(output).map_err(|e| Error::io("reading", output, e))?;
    Ok(ExportReport {
        projection_id: id,
        kind: model.kind().name(),
        temperature: Some(model.temperature()).filter(|temperature| !temperature.is_nan()),
        precision: model.precision(),
        heads: model.head_ids().len(),
        input_dim: model.input_dim(),
        output_dim: model.output_dim(),
        format,
        output: output.display().to_string(),
        bytes: written.len(),
        notes: match format {
            ExportFormat::Safetensors => Vec::new(),
            ExportFormat::Onnx => left_to_the_user(model),
        },
        index,
    })
}

/// What a graph can't do: it projects queries, and knows no answers.
fn left_to_the_user(model: &Model) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(offset) = model.unseen_offset().filter(|offset| *offset != 0.0) {
        notes.push(format!(
            "the offset {offset} of answers without training questions is not part of it: it finds \
             such answers less often than a search of the store, unless its user adds the offset"
        ));
    }
    if model.as_residual().is_some_and(|residual| residual.moves_answers()) {
        notes.push(
            "it projects queries to where its training moved the answers: the index has to hold \
             the moved answers, see docs/training.md, or train with --query-only"
                .into(),
        );
    }
    notes
}

/// Refuses to write to `output` if that is `source`, which the model is from.
pub(crate) fn expect_other_file(source: &Path, output: &Path) -> Result<()> {
    let same =
        source.canonicalize().is_ok_and(|source| output.canonicalize().is_ok_and(|o| o == source));
    if same {
        let message =
            format!("{} is what the model is from: expected another output", output.display());
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(())
}

/// Exports a projection of a store, or the active one, at another temperature than the stored one
/// and in less than single precision if that is wanted.
///
/// # Errors
/// [`ErrorKind::NotFound`] for no such projection; as [`export`], [`Model::with_precision`] and
/// [`Store::model`].
pub fn export_store(
    store: &Store,
    id: Option<i64>,
    temperature: Option<f64>,
    precision: Option<Precision>,
    format: ExportFormat,
    output: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<ExportReport> {
    Progress::new("exporting", 0, 1).send(progress)?;
    let stored = store.choose(id)?;
    let mut model = store.open_model(&stored)?;
    if let Some(temperature) = temperature {
        model = model.with_temperature(temperature)?;
    }
    let model = model.with_precision(precision.unwrap_or_default())?;
    let about = stored.description();
    export(&model, Some(stored.id), &about, format, Some(store.path()), output, progress)
}
