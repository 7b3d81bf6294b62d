//! Embedding the texts of a store.

use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use projection_embed::Embedder;
use projection_store::{EntityType, Store};
use projection_train::{OnProgress, Progress};
use serde::Serialize;

use crate::same_model::check_embedder;

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
    /// What a person should know.
    pub notes: Vec<String>,
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
    force: bool,
    progress: &mut OnProgress<'_>,
) -> Result<EmbedReport> {
    let embedder = Embedder::load(model_dir)?;
    let folder = folder_name(model_dir);
    let name = model_name.or(folder.as_deref()).ok_or_else(|| {
        let dir = model_dir.display();
        let message = format!("{dir}: the folder has no name in UTF-8, expected a model name");
        Error::new(ErrorKind::InvalidArgument, message)
    })?;
    // Another dimension is refused below.
    let mut known = store.embedding_models()?.into_iter();
    let known = known.find(|m| m.name == name && m.dimension == embedder.dim());
    if let Some(model) = known.filter(|_| again) {
        // Before anything is lost. Vectors without a fingerprint may be the wrong ones.
        if store.recorded_fingerprint(&model)?.is_some() {
            check_embedder(store, &model, &embedder, force)?;
        }
        store.forget_embeddings(name)?;
    }
    embed_store(store, &embedder, name, force, progress)
}

/// Embeds every text of `store` that the embedding model `model_name` has not embedded yet,
/// registers the model if it is new, and completes the batches that waited for it. A step
/// of `progress` is a text. Interrupted work is continued by the next call.
///
/// The embedder's fingerprint is recorded with the vectors. `force` replaces that of another
/// embedder, whose vectors stay.
///
/// # Errors
/// [`ErrorKind::DimensionMismatch`] if the store knows `model_name` with another dimension, as
/// [`check_embedder`] if another embedder made its vectors, and errors of embedding and writing.
pub fn embed_store(
    store: &mut Store,
    embedder: &Embedder,
    model_name: &str,
    force: bool,
    progress: &mut OnProgress<'_>,
) -> Result<EmbedReport> {
    let max_tokens = Some(embedder.max_tokens());
    let model = store.register_embedding_model(
        model_name,
        embedder.dim(),
        env!("CARGO_PKG_NAME"),
        max_tokens,
    )?;
    let note = check_embedder(store, &model, embedder, force)?;
    // A guess is not recorded.
    if note.is_none() || force {
        let fingerprint = embedder.fingerprint().to_string();
        if store.recorded_fingerprint(&model)?.as_ref() != Some(&fingerprint) {
            store.record_fingerprint(&model, &fingerprint)?;
        }
    }
    let mut report = EmbedReport {
        store: store.path().display().to_string(),
        model: model_name.to_string(),
        dimension: model.dimension,
        answers: 0,
        questions: 0,
        notes: note.into_iter().collect(),
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
