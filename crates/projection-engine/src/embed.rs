//! Embedding the texts of a store.

use std::path::Path;

use projection_core::{Error, ErrorKind, Result};
use projection_embed::Embedder;
use projection_store::{EmbeddingModel, EntityType, Store};
use projection_train::{OnProgress, Progress};
use serde::Serialize;

use crate::same_model::check_embedder;

/// Texts that are embedded and stored together: few enough that little is lost if the work is
/// interrupted, many enough to keep all processors busy.
const CHUNK: usize = 64;

/// How a store is embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmbedOptions {
    /// Whether to embed even if another embedding model made the vectors that are there. Its
    /// fingerprint is replaced, its vectors stay.
    pub force: bool,
    /// Whether to embed the texts of answers without their titles.
    pub no_titles: bool,
}

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
    options: EmbedOptions,
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
            check_embedder(store, &model, &embedder, options.force)?;
        }
        store.forget_embeddings(name)?;
        store.set_embeds_titles(&model, false)?;
    }
    embed_store(store, &embedder, name, options, progress)
}

/// Embeds every text of `store` that the embedding model `model_name` has not embedded yet,
/// registers the model if it is new, and completes the batches that waited for it. A step
/// of `progress` is a text. Interrupted work is continued by the next call.
///
/// Answers that have a title are embedded with it. The embedder's fingerprint is recorded with the
/// vectors, and whether these include titles. Vectors of titled answers that do not are continued
/// without them, which is noted.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if titles are to be left out and the vectors that are there
/// include them, [`ErrorKind::DimensionMismatch`] if the store knows `model_name` with another dimension, as
/// [`check_embedder`] if another embedder made its vectors, and errors of embedding and writing.
pub fn embed_store(
    store: &mut Store,
    embedder: &Embedder,
    model_name: &str,
    options: EmbedOptions,
    progress: &mut OnProgress<'_>,
) -> Result<EmbedReport> {
    let force = options.force;
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
    let titles = embeds_titles(store, &model, options.no_titles)?;
    let mut report = EmbedReport {
        store: store.path().display().to_string(),
        model: model_name.to_string(),
        dimension: model.dimension,
        answers: 0,
        questions: 0,
        notes: note.into_iter().collect(),
    };
    if !titles && !options.no_titles {
        report.notes.push(format!(
            "answers have titles, and their vectors by '{model_name}' do not include them, nor do \
             new ones; `projection embed --again` embeds them with their titles"
        ));
    }
    let mut done = 0;
    let mut missing = store.texts_without_vector(model_name, titles)?;
    while !missing.is_empty() {
        let total = done + missing.len();
        Progress::new("embedding", done, total).send(progress)?;
        for chunk in missing.chunks(CHUNK) {
            let texts: Vec<String> = chunk.iter().map(|text| text.titled_text()).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
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
        let now = store.texts_without_vector(model_name, titles)?;
        let before = std::mem::replace(&mut missing, now);
        if missing == before {
            break;
        }
    }
    store.complete_embedded_batches(model_name)?;
    Ok(report)
}

/// Whether titles are embedded: as the vectors that are there were made, else as wanted.
fn embeds_titles(store: &mut Store, model: &EmbeddingModel, no_titles: bool) -> Result<bool> {
    let recorded = store.embeds_titles(model)?;
    match (recorded, no_titles) {
        (true, true) if store.titled_vectors(model)? > 0 => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: the vectors of '{}' include titles; `projection embed --again --no-titles` \
                 makes all of them without",
                store.path().display(),
                model.name
            ),
        )),
        (true, false) => Ok(true),
        (false, false) if store.titled_vectors(model)? > 0 => Ok(false),
        _ => {
            store.set_embeds_titles(model, !no_titles)?;
            Ok(!no_titles)
        }
    }
}
