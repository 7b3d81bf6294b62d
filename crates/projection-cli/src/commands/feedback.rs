//! Helpful feedback as training questions, for `projection train --with-feedback`.

use std::path::Path;

use projection_core::store::Store;
use projection_core::{Error, ErrorKind};
use projection_embed::Embedder;

use crate::failure::Failure;
use crate::output::spinner;

/// Embeds the logged queries that were helpful with the model in `model_dir` and adds them as
/// questions of their answers. Gives the number of new questions.
pub fn add(
    store: &mut Store,
    model_name: Option<&str>,
    model_dir: &Path,
) -> Result<usize, Failure> {
    let model = store.embedding_model(model_name)?;
    let questions = store.feedback_questions(&model)?;
    if questions.is_empty() {
        return Ok(0);
    }
    let spinner = spinner("embedding the questions of the feedback");
    let embedder = Embedder::load(model_dir)?;
    if embedder.dim() != model.dimension {
        let message = format!(
            "{}: vectors of dimension {}, expected {} as those of the text model '{}' in {}",
            model_dir.display(),
            embedder.dim(),
            model.dimension,
            model.name,
            store.path().display()
        );
        return Err(Error::new(ErrorKind::DimensionMismatch, message).into());
    }
    let texts: Vec<&str> = questions.iter().map(|question| question.text.as_str()).collect();
    let vectors = embedder.embed_batch(&texts)?;
    let added = store.add_feedback_questions(&model, &questions, vectors.view())?;
    spinner.finish_and_clear();
    Ok(added)
}
