//! The active projections: which one answers where none is named; and renaming and deleting.
//!
//! Every embedding model of queries has one active projection, the one that was activated last.
//! Where none ever was, as in stores of other programs, it is the newest. Programs that know
//! nothing of this add projections without activating them.

use std::collections::HashSet;

use projection_core::{Error, ErrorKind, Result, layout};
use rusqlite::params;

use crate::files::FileUse;
use crate::store::{Change, Store};
use crate::{ModelKind, StoredModel};

impl Store {
    /// Marks which of `models`, all of the store in ascending order of id, are active, and which
    /// is the default of the store.
    pub(crate) fn mark_active(&self, models: &mut [StoredModel]) -> Result<()> {
        let mut order: Vec<(i64, bool)> = match self.has_table("engine_activations")? {
            true => self.rows(
                "SELECT projection_id, linear FROM engine_activations \
                 ORDER BY activation_id DESC",
                [],
            )?,
            false => Vec::new(),
        };
        let mut newest: Vec<(i64, bool)> = models.iter().map(identity).collect();
        newest.sort_by_key(|(id, linear)| (-id, *linear));
        order.extend(newest);
        let mut done = HashSet::new();
        for wanted in order {
            let Some(model) = models.iter_mut().find(|model| identity(model) == wanted) else {
                continue;
            };
            let first = done.is_empty();
            if done.insert(model.model_name.clone()) {
                (model.active, model.default) = (true, first);
            }
        }
        Ok(())
    }

    /// The active projection for queries by the embedding model `model_name`, or of the store:
    /// the one that was activated last. `None` if there is no projection.
    pub fn active_model(&self, model_name: Option<&str>) -> Result<Option<StoredModel>> {
        let is_wanted = |model: &StoredModel| match model_name {
            Some(name) => model.active && model.model_name == name,
            None => model.default,
        };
        Ok(self.models()?.into_iter().find(is_wanted))
    }

    /// Makes a projection the active one of its embedding model, and the one that the store
    /// answers with by default.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the store does not have it any more.
    pub fn activate(&mut self, model: &StoredModel) -> Result<()> {
        let change = self.begin()?;
        let models = change.keep_active(&model.model_name)?;
        let known = change.find(&models, model)?;
        if !known.default || !known.active {
            change.add_activation(identity(known))?;
        }
        change.commit()
    }

    /// Returns to the projection that was active before the active one of `model_name`, or of
    /// the store. The result is the one that was active, and the one that is now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there was none.
    pub fn roll_back(&mut self, model_name: Option<&str>) -> Result<(StoredModel, StoredModel)> {
        let active = self.active_model(model_name)?;
        let nothing = |store: &Self, what: &str| Err(store.error(ErrorKind::NotFound, what));
        let Some(active) = active else { return nothing(self, "no projection to roll back") };
        let change = self.begin()?;
        change.create_own_tables()?;
        let models = change.models()?;
        let history: Vec<(i64, i64, bool)> = change.rows(
            "SELECT activation_id, projection_id, linear FROM engine_activations \
             ORDER BY activation_id DESC",
            [],
        )?;
        let before = history.into_iter().find_map(|(at, id, linear)| {
            let model = models.iter().find(|model| identity(model) == (id, linear))?;
            let same =
                model.model_name == active.model_name && identity(model) != identity(&active);
            same.then(|| (at, model.clone()))
        });
        let Some((at, before)) = before else {
            let what = format!("no projection was active before projection {}", active.id);
            return nothing(&change, &what);
        };
        for model in models.iter().filter(|model| model.model_name == active.model_name) {
            let (id, linear) = identity(model);
            change.execute(
                "DELETE FROM engine_activations WHERE activation_id > ?1 AND projection_id = ?2 \
                 AND linear = ?3",
                params![at, id, linear],
            )?;
        }
        change.commit()?;
        Ok((active, before))
    }

    /// Renames a projection; `None` removes its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the store does not have it any more.
    pub fn rename_model(&mut self, model: &StoredModel, name: Option<&str>) -> Result<()> {
        let (id, linear) = identity(model);
        let change = self.begin()?;
        let (table, column) = table_of(linear);
        let sql = format!("UPDATE {table} SET name = ?2 WHERE {column} = ?1");
        if change.execute(&sql, params![id, name])? == 0 {
            return Err(change.no_more(id));
        }
        change.commit()
    }

    /// Deletes a projection: its rows in one change, then its files, except those that the
    /// database names for anything else. The active one is deleted only if that is forced; then
    /// the one that was active before it, or the newest, takes its place.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for the active one, [`ErrorKind::NotFound`] if the store
    /// does not have it any more.
    pub fn delete_model(&mut self, model: &StoredModel, force: bool) -> Result<()> {
        let (id, linear) = identity(model);
        let change = self.begin()?;
        change.create_own_tables()?;
        let models = change.models()?;
        let known = change.find(&models, model)?;
        if known.active && !force {
            let what = format!(
                "projection {id} is the active one of '{}': activate another one first, or \
                 force it",
                known.model_name
            );
            return Err(change.error(ErrorKind::InvalidArgument, what));
        }
        change.discard_files(known)?;
        let (table, column) = table_of(linear);
        let parts = if linear { "projection_clusters" } else { "cluster_heads" };
        for table in [parts, table] {
            change.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [id])?;
        }
        change.execute(
            "DELETE FROM engine_models WHERE mh_projection_id = ?1 AND (kind = 'linear') = ?2",
            params![id, linear],
        )?;
        change.execute(
            "DELETE FROM engine_activations WHERE projection_id = ?1 AND linear = ?2",
            params![id, linear],
        )?;
        // A later projection may get the id. Of two with one id, the log does not say which.
        if !models.iter().any(|other| identity(other) == (id, !linear)) {
            for table in ["query_log", "training_batches"] {
                let sql =
                    format!("UPDATE {table} SET projection_id = NULL WHERE projection_id = ?1");
                change.execute(&sql, [id])?;
            }
        }
        change.commit()?;
        self.carry_out_deletes();
        Ok(())
    }
}

impl Store {
    /// The one of `models`, all of the store, that `model` was when it was listed.
    fn find<'a>(&self, models: &'a [StoredModel], model: &StoredModel) -> Result<&'a StoredModel> {
        let known = models.iter().find(|known| identity(known) == identity(model));
        known.ok_or_else(|| self.no_more(model.id))
    }

    fn no_more(&self, id: i64) -> Error {
        self.error(ErrorKind::NotFound, format!("no projection {id} any more"))
    }
}

impl Change<'_> {
    fn keep_active(&self, model_name: &str) -> Result<Vec<StoredModel>> {
        self.create_own_tables()?;
        let models = self.models()?;
        let active = models.iter().find(|model| model.active && model.model_name == model_name);
        let known = "SELECT 1 FROM engine_activations WHERE projection_id = ?1 AND linear = ?2";
        if let Some(active) = active
            && !self.exists(known, identity(active))?
        {
            self.add_activation(identity(active))?;
        }
        Ok(models)
    }

    /// Makes the `new` projection of `model_name`, whose row is not there yet, the active one, or
    /// keeps the one active that is.
    pub(crate) fn settle_active(
        &self,
        model_name: &str,
        new: (i64, bool),
        active: Option<bool>,
    ) -> Result<()> {
        let Some(active) = active else { return Ok(()) };
        // It may be active as the newest only, whose place the new one would take.
        self.keep_active(model_name)?;
        if active { self.add_activation(new) } else { Ok(()) }
    }

    fn add_activation(&self, model: (i64, bool)) -> Result<()> {
        let sql = "INSERT INTO engine_activations (projection_id, linear) VALUES (?1, ?2)";
        self.execute(sql, model)?;
        Ok(())
    }

    /// Notes that the files of a projection are to be removed, except those that are in use
    /// for anything else.
    fn discard_files(&self, model: &StoredModel) -> Result<()> {
        let is_its_own = |file_use: &FileUse| match *file_use {
            FileUse::Vector { .. } => false,
            FileUse::Head { projection, .. } | FileUse::Part { projection, .. } => {
                identity(model) == (projection, false)
            }
            FileUse::LinearMatrix { projection } => identity(model) == (projection, true),
        };
        let (own, others): (Vec<_>, Vec<_>) =
            self.files()?.into_iter().partition(|file| is_its_own(&file.file_use));
        let others: HashSet<_> = others.into_iter().filter_map(|file| file.path.ok()).collect();
        let mut paths: Vec<_> = own.into_iter().filter_map(|file| file.path.ok()).collect();
        // Files that a model need not have.
        let name = match model.kind {
            ModelKind::Linear => layout::model_name(model.id),
            _ => layout::index_name(model.id),
        };
        paths.extend(model.file(self, &name).ok());
        for path in paths.iter().filter(|path| !others.contains(*path)) {
            let path = path.canonicalize().map_err(|error| Error::io("deleting", path, error))?;
            let path = path.to_str().ok_or_else(|| {
                let message = format!("{}: expected a file name in UTF-8", path.display());
                Error::new(ErrorKind::InvalidStore, message)
            })?;
            self.delete_file_later(path)?;
        }
        Ok(())
    }
}

/// A projection is known by its id and by whether it is linear: existing stores count linear ones
/// apart.
pub(crate) fn identity(model: &StoredModel) -> (i64, bool) {
    (model.id, model.kind == ModelKind::Linear)
}

/// The table of a projection, and the column of its id there and in the table of its parts.
fn table_of(linear: bool) -> (&'static str, &'static str) {
    match linear {
        true => ("projections", "projection_id"),
        false => ("multi_head_projections", "mh_projection_id"),
    }
}
