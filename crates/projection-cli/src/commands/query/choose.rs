//! Which projection and which embedding model a query uses.

use projection_core::projection::Model;
use projection_engine::folder_name;
use projection_store::Store;

use super::Args;
use crate::commands::with_precision;
use crate::failure::Failure;

/// The projection to search with.
pub(super) struct Chosen {
    /// None for a model in a file of its own.
    pub id: Option<i64>,
    pub projection: Model,
    /// The embedding models of its queries and of the answers it projects to; empty if
    /// the store does not say.
    pub trained_on: String,
    searched: String,
}

/// The active projection of the embedding model in the folder, or of the store, or what the
/// arguments name.
pub(super) fn choose_projection(
    store: &Store,
    args: &Args,
    notes: &mut Vec<String>,
) -> Result<Option<Chosen>, Failure> {
    if args.no_projection {
        return Ok(None);
    }
    if let Some(file) = &args.model {
        let projection = with_precision(projection_interop::load_file(file)?, args.precision)?;
        let (trained_on, searched) = Default::default();
        return Ok(Some(Chosen { id: None, projection, trained_on, searched }));
    }
    let stored = match (args.projection, folder_name(&args.model_dir)) {
        (Some(id), _) => Some(store.choose(Some(id))?),
        (None, name) => match store.active_model(name.as_deref())? {
            None => store.active_model(None)?,
            found => found,
        },
    };
    let Some(stored) = stored else {
        notes.push("the store has no projection yet, `projection train` makes one".into());
        return Ok(None);
    };
    let projection = with_precision(store.open_model(&stored)?, args.precision)?;
    let (trained_on, searched) = (stored.model_name, stored.answer_model);
    Ok(Some(Chosen { id: Some(stored.id), projection, trained_on, searched }))
}

/// The embedding model whose vectors are searched: the one that the projection was trained on,
/// else the one that is called like the model folder, else (`None`) the only one.
pub(super) fn choose_model(
    store: &Store,
    args: &Args,
    chosen: Option<&Chosen>,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Failure> {
    let models = store.embedding_models()?;
    let folder = folder_name(&args.model_dir);
    let folder = folder.filter(|name| models.iter().any(|model| model.name == *name));
    let Some(Chosen { trained_on, searched, .. }) =
        chosen.filter(|chosen| !chosen.trained_on.is_empty() && !chosen.searched.is_empty())
    else {
        return Ok(folder);
    };
    if let Some(folder) = folder.filter(|folder| folder != trained_on) {
        notes.push(format!(
            "the projection was trained on vectors of '{trained_on}', which the model folder of \
             '{folder}' does not give"
        ));
    }
    Ok(Some(searched.clone()))
}
