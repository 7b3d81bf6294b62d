//! Helpful feedback as training questions.

use std::path::Path;

use projection_core::Result;
use projection_embed::Embedder;
use projection_store::{EmbeddingModel, Store};
use projection_train::{OnProgress, Progress};

use crate::same_model::check_embedder;

/// Embeds the logged queries that were helpful with the embedding model in `model_dir`, adds
/// them as questions of their answers, and returns the number of new questions. `model_name`
/// is the embedding model in the store; `None` for the only one. `force` accepts another one in
/// the folder.
///
/// # Errors
/// As [`check_embedder`] if the folder's model is another one, and errors of loading, embedding
/// and writing.
pub fn add_feedback(
    store: &mut Store,
    model_name: Option<&str>,
    model_dir: &Path,
    force: bool,
    progress: &mut OnProgress<'_>,
) -> Result<usize> {
    let model = store.embedding_model(model_name)?;
    let questions = store.feedback_questions(&model)?;
    if questions.is_empty() {
        return Ok(0);
    }
    let (embedder, _) = load_for(store, &model, model_dir, force, progress)?;
    let texts: Vec<&str> = questions.iter().map(|question| question.text.as_str()).collect();
    let vectors = embedder.embed_batch_with(&texts, progress)?;
    store.add_feedback_questions(&model, &questions, vectors.view())
}

/// Loads the embedding model in `dir`, which must have made the vectors of `model` in the store;
/// see [`check_embedder`].
pub(crate) fn load_for(
    store: &Store,
    model: &EmbeddingModel,
    dir: &Path,
    force: bool,
    progress: &mut OnProgress<'_>,
) -> Result<(Embedder, Option<String>)> {
    Progress::new("loading the embedding model", 0, 1).send(progress)?;
    let embedder = Embedder::load(dir)?;
    let note = check_embedder(store, model, &embedder, force)?;
    Ok((embedder, note))
}
