//! Helpful feedback as training questions.

use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use projection_embed::Embedder;
use projection_store::{EmbeddingModel, Store};
use projection_train::{OnProgress, Progress};

/// Embeds the logged queries that were helpful with the embedding model in `model_dir`, adds
/// them as questions of their answers, and returns the number of new questions. `model_name`
/// is the embedding model in the store; `None` for the only one.
///
/// # Errors
/// [`ErrorKind::DimensionMismatch`] if the folder's model is another one, and errors of
/// loading, embedding and writing.
pub fn add_feedback(
    store: &mut Store,
    model_name: Option<&str>,
    model_dir: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<usize> {
    let model = store.embedding_model(model_name)?;
    let questions = store.feedback_questions(&model)?;
    if questions.is_empty() {
        return Ok(0);
    }
    let embedder = load_for(&model, model_dir, store.path(), progress)?;
    let texts: Vec<&str> = questions.iter().map(|question| question.text.as_str()).collect();
    let vectors = embedder.embed_batch_with(&texts, progress)?;
    store.add_feedback_questions(&model, &questions, vectors.view())
}

/// Loads the embedding model that the store `database` knows as `model`.
pub(crate) fn load_for(
    model: &EmbeddingModel,
    dir: &Path,
    database: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<Embedder> {
    Progress::new("loading the embedding model", 0, 1).send(progress)?;
    let embedder = Embedder::load(dir)?;
    if embedder.dim() == model.dimension {
        return Ok(embedder);
    }
    let message = format!(
        "{}: vectors of dimension {}, expected {} as those of the embedding model '{}' in {}",
        dir.display(),
        embedder.dim(),
        model.dimension,
        model.name,
        database.display()
    );
    Err(Error::new(ErrorKind::DimensionMismatch, message))
}
