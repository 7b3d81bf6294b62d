//! Whether an embedding model is the one that made the vectors of a store.

use projection_core::{Error, ErrorKind, Result};
use projection_embed::{Embedder, Fingerprint};
use projection_store::{EmbeddingModel, Store};

/// Texts that are embedded anew to check vectors without a recorded fingerprint. One may have
/// been changed since, or be longer than what another program embedded.
const TEXTS: usize = 3;

/// The cosine of a stored vector and a new one of the same text. Half precision and other
/// programs keep it above the first value; below the second it is another model, or another use
/// of it.
const SAME: f32 = 0.999;
const OTHER: f32 = 0.9;

/// Refuses an embedder that did not make the vectors of `model` in a store: its vectors may have
/// the same dimension and yet nothing in common with them. With `force`, only another dimension
/// is refused. Returns what a person should know.
///
/// The fingerprint that was recorded with the vectors decides. If there is none, a few stored
/// texts are embedded and compared with their vectors.
///
/// # Errors
/// [`ErrorKind::DimensionMismatch`] for another dimension, [`ErrorKind::InvalidEmbedder`] for
/// another model; errors of reading the store.
pub fn check_embedder(
    store: &Store,
    model: &EmbeddingModel,
    embedder: &Embedder,
    force: bool,
) -> Result<Option<String>> {
    let (folder, database) = (embedder.dir().display(), store.path().display());
    if embedder.dim() != model.dimension {
        let message = format!(
            "{folder}: vectors of dimension {}, expected {} as those of the embedding model '{}' \
             in {database}",
            embedder.dim(),
            model.dimension,
            model.name,
        );
        return Err(Error::new(ErrorKind::DimensionMismatch, message));
    }
    let vectors = format!("the vectors of '{}' in {database}", model.name);
    let difference = match store.recorded_fingerprint(model)? {
        Some(recorded) => {
            let recorded: Fingerprint = recorded.parse()?;
            embedder.fingerprint().difference(&recorded)
        }
        None if !store.has_vectors(model)? => None,
        None => match best_cosine(store, model, embedder)? {
            Some(cosine) if cosine >= SAME => None,
            Some(cosine) if cosine >= OTHER => {
                return Ok(Some(format!(
                    "{folder} embeds stored texts somewhat differently than {vectors} (cosine \
                     {cosine:.3}), which do not say which embedding model made them"
                )));
            }
            Some(cosine) => Some(format!("cosine {cosine:.3} to the vectors of stored texts")),
            None => {
                return Ok(Some(format!(
                    "whether {folder} made {vectors} is not known: neither a fingerprint nor a \
                     text with its vector is stored"
                )));
            }
        },
    };
    let Some(difference) = difference else { return Ok(None) };
    let message = format!("{folder} is not the embedding model that made {vectors}: {difference}");
    match force {
        true => Ok(Some(message)),
        false => Err(Error::new(
            ErrorKind::InvalidEmbedder,
            format!("{message}; --force, or `force` in a program, uses it all the same"),
        )),
    }
}

/// The best cosine of the vectors of a few stored texts to those by `embedder`; `None` if the
/// store has no text with a vector.
fn best_cosine(store: &Store, model: &EmbeddingModel, embedder: &Embedder) -> Result<Option<f32>> {
    let texts = store.short_embedded_texts(model, TEXTS)?;
    let stored = model.load(texts.iter().map(|text| &text.vector))?;
    let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    let new = embedder.embed_batch(&texts)?;
    let cosines = stored.rows().into_iter().zip(new.rows()).map(|(a, b)| {
        let lengths = (a.dot(&a) * b.dot(&b)).sqrt();
        if lengths > 0.0 { a.dot(&b) / lengths } else { 0.0 }
    });
    Ok(cosines.reduce(f32::max))
}
