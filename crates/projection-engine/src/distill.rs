//! Distilling a projection of a store into a transformer in a file.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use projection_core::projection::Projection;
use projection_core::{Error, ErrorKind, Result};
use projection_store::Store;
use projection_train::{Agreement, Distillation, Distilled, OnProgress, Progress, distill_model};

use crate::data::{load_matrix, training_data};
use crate::export::expect_other_file;

/// Below this mean cosine the student is another model than its teacher.
const USEFUL: f64 = 0.98;

/// What to distil. Fields that are `None` have their default.
#[derive(Debug, Clone, Default)]
pub struct DistillRequest {
    /// File for the transformer.
    pub output: PathBuf,
    /// Projection to distil; the active one by default.
    pub projection: Option<i64>,
    /// Embeddings of questions that the projection was not trained on, `.npy`.
    pub test: Option<PathBuf>,
    /// Attention heads; [`Distillation::suggested`] by default.
    pub heads: Option<usize>,
    /// Encoder layers; [`Distillation::suggested`] by default.
    pub layers: Option<usize>,
    /// Everything else. Its heads and layers are not used, and the batch is at most the samples.
    pub options: Distillation,
}

impl DistillRequest {
    /// The options, with heads and layers for a teacher with so many heads, over queries of
    /// dimension `dim`.
    pub fn options_for(&self, teacher_heads: usize, dim: usize) -> Distillation {
        let suggested = Distillation::suggested(teacher_heads, dim);
        Distillation {
            heads: self.heads.unwrap_or(suggested.heads),
            layers: self.layers.unwrap_or(suggested.layers),
            batch: self.options.batch.min(self.options.samples),
            ..self.options.clone()
        }
    }
}

/// The new file.
#[derive(Debug, Clone, Serialize)]
pub struct DistillReport {
    /// The teacher.
    pub projection_id: i64,
    /// Its kind.
    pub kind: &'static str,
    /// The embedding model of its queries.
    pub model: String,
    /// The file.
    pub output: String,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Width of the layers' inner part.
    pub ff_dim: usize,
    /// Numbers in the file.
    pub weights: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Duration.
    pub seconds: f64,
    /// Agreement on questions that nothing was chosen by.
    pub held_out: Agreement,
    /// Agreement on the questions that it learnt from.
    pub trained: Agreement,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Distils a projection of a store and writes the transformer to a file, which is replaced
/// only by the complete new one. If `progress` cancels the
/// work, no file is written.
///
/// # Errors
/// [`ErrorKind::NotFound`] for no such projection, [`ErrorKind::InvalidArgument`] if the
/// output is the store's database, [`ErrorKind::Io`] if the file can't be written; as
/// [`distill_model`], and errors of reading the store.
pub fn distill_store(
    store: &Store,
    request: &DistillRequest,
    progress: &mut OnProgress<'_>,
) -> Result<DistillReport> {
    let output = &request.output;
    if output.is_dir() {
        let message = format!("writing {}: it is a folder", output.display());
        return Err(Error::new(ErrorKind::Io, message));
    }
    expect_other_file(store.path(), output)?;
    let stored = store.choose(request.projection)?;
    let (id, teacher) = (stored.id, store.open_model(&stored)?);
    let model = store.embedding_model(Some(&stored.model_name))?;
    let options = request.options_for(teacher.head_ids().len(), teacher.input_dim());
    let poll = &mut || Progress::new("distilling", 0, options.epochs).send(progress);
    let data = training_data(store, &model, poll)?;
    let test = request.test.as_deref().map(load_matrix).transpose()?;
    let test = test.as_ref().map(|questions| questions.view());
    let begun = Instant::now();
    let distilled =
        distill_model(&teacher, data.questions(), data.answers(), test, &options, progress)?;
    let kind = teacher.kind().name();
    let made_of = json!({"projection": id, "kind": kind, "model": model.name});
    distilled.model.save(output, &distilled.to_json(&made_of))?;
    Ok(DistillReport {
        projection_id: id,
        kind,
        model: model.name,
        output: output.display().to_string(),
        heads: options.heads,
        layers: options.layers,
        ff_dim: options.ff_dim,
        weights: distilled.model.weights().len(),
        epochs: distilled.epochs,
        best_epoch: distilled.best_epoch,
        seconds: begun.elapsed().as_secs_f64(),
        held_out: distilled.held_out,
        trained: distilled.trained,
        notes: notes(&distilled),
    })
}

fn notes(distilled: &Distilled) -> Vec<String> {
    let mut notes = Vec::new();
    if distilled.held_out.mean < USEFUL {
        notes.push(format!(
            "a mean cosine below {USEFUL} on held-out questions: the transformer does not \
             answer as the projection does; more epochs, layers or a wider inner part may help"
        ));
    }
    if distilled.epochs < distilled.options.epochs {
        notes.push(format!(
            "stopped after epoch {} of {}: no better on held-out questions since epoch {}",
            distilled.epochs, distilled.options.epochs, distilled.best_epoch
        ));
    }
    notes
}
