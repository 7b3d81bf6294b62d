//! Embedding the texts of a store.

use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use projection_embed::Embedder;
use projection_store::{EmbeddingModel, EntityType, Store};
use projection_train::{OnProgress, Progress};
use serde::Serialize;

/// Texts that are embedded and stored together: few enough that little is lost if the work is
/// interrupted, many enough to keep all processors busy.
const CHUNK: usize = 64;

/// What [`embed_store`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbedReport {
    /// The store's database.
    pub store: String,
    /// The embedding model, as the store calls it.
    pub model: String,
    /// Dimension of its embeddings.
    pub dimension: usize,
    /// Number of answers that were embedded.
    pub answers: usize,
    /// Number of questions that were embedded.
    pub questions: usize,
}

/// The name of an embedding model that is called like its folder; `None` if that is not UTF-8.
pub fn folder_name(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    dir.file_name()?.to_str().map(str::to_string)
}

/// Loads the embedding model in `model_dir` and calls [`embed_store`]. In the store it is called
/// `model_name`, or like its folder. With `again`, texts that have embeddings by it are embedded
/// anew.
///
/// # Errors
/// As [`Embedder::load`] and [`embed_store`], and [`ErrorKind::InvalidArgument`] if neither is
/// a name in UTF-8.
pub fn embed_store_with(
    store: &mut Store,
    model_dir: &Path,
    model_name: Option<&str>,
    again: bool,
    progress: &mut OnProgress<'_>,
) -> Result<EmbedReport> {
    let embedder = Embedder::load(model_dir)?;
    let folder = folder_name(model_dir);
    let name = model_name.or(folder.as_deref()).ok_or_else(|| {
        let dir = model_dir.display();
        let message = format!("{dir}: the folder has no name in UTF-8, expected a model name");
        Error::new(ErrorKind::InvalidArgument, message)
    })?;
    // Another model is refused below.
    let is_it = |m: &EmbeddingModel| m.name == name && m.dimension == embedder.dim();
    if again && store.embedding_models()?.iter().any(is_it) {
        store.forget_embeddings(name)?;
    }
    embed_store(store, &embedder, name, progress)
}

/// Embeds every text of `store` that the embedding model `model_name` has not embedded yet,
/// registers the model if it is new, and completes the batches that waited for it. A step
/// of `progress` is a text. Interrupted work is continued by the next call.
///
/// # Errors
/// [`ErrorKind::DimensionMismatch`] if the store knows `model_name` with another dimension, and
/// errors of embedding and writing.
pub fn embed_store(
    store: &mut Store,
    embedder: &Embedder,
    model_name: &str,
    progress: &mut OnProgress<'_>,
) -> Result<EmbedReport> {
    let max_tokens = Some(embedder.max_tokens());
    let model = store.register_embedding_model(
        model_name,
        embedder.dim(),
        env!("CARGO_PKG_NAME"),
        max_tokens,
    )?;
    let mut report = EmbedReport {
        store: store.path().display().to_string(),
        model: model_name.to_string(),
        dimension: model.dimension,
        answers: 0,
        questions: 0,
    };
    let mut done = 0;
    let mut missing = store.texts_without_vector(model_name)?;
    while !missing.is_empty() {
        let total = done + missing.len();
        Progress::new("embedding", done, total).send(progress)?;
        for chunk in missing.chunks(CHUNK) {
            let texts: Vec<&str> = chunk.iter().map(|text| text.text.as_str()).collect();
            let vectors = embedder.embed_batch_with(&texts, &mut |_| {
                progress(Progress::new("embedding", done, total))
            })?;
            store.add_embeddings(&model, chunk, vectors.view())?;
            let answers = chunk.iter().filter(|t| t.entity_type == EntityType::Answer).count();
            report.answers += answers;
            report.questions += chunk.len() - answers;
            done += chunk.len();
            Progress::new("embedding", done, total).send(progress)?;
        }
        // Texts that another process imported in the meantime belong to the batches that are
        // about to be marked as completed.
        let before = std::mem::replace(&mut missing, store.texts_without_vector(model_name)?);
        if missing == before {
            break;
        }
    }
    store.complete_embedded_batches(model_name)?;
    Ok(report)
}
