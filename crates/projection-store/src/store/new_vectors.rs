//! Vectors that become visible with a change of the store.

use std::path::{Path, PathBuf};

use rusqlite::params;

use super::embeddings::recorded_path;
use super::files::{StagedFiles, sync_folder};
use super::{Change, EmbeddingModel, EntityType};
use crate::error::{Error, Result};
use crate::layout;

/// Vectors by one text model that are added in a change: the rows become visible when it is
/// committed, and their files must be [published](Self::publish) before.
pub(crate) struct NewVectors<'a> {
    change: &'a Change<'a>,
    model: &'a EmbeddingModel,
    staged: StagedFiles,
    folder: PathBuf,
    /// Names for the list of files that are put in place, where one is kept.
    listed: Option<Vec<String>>,
}

/// The list of files that a change puts in place, one name a line. It is there until the
/// change is committed: what a killed program left is found by it.
const LIST: &str = "vectors.incomplete";

impl<'a> NewVectors<'a> {
    /// `folder` is the one of the model's files.
    pub fn begin(change: &'a Change<'a>, folder: &Path, model: &'a EmbeddingModel) -> Result<Self> {
        let staged = StagedFiles::new(folder)?;
        Ok(Self { change, model, staged, folder: folder.to_path_buf(), listed: None })
    }

    /// Keeps a list of the files that are put in place, for vectors of entities that are not
    /// there yet: if the change is not committed, nothing else tells what the files were for.
    /// Files that are on the list of a killed program are noted to be removed.
    ///
    /// Once the change is committed, [`remove_list`] is to be called.
    pub fn keep_list(&mut self) -> Result<()> {
        let left = std::fs::read_to_string(self.folder.join(LIST)).unwrap_or_default();
        let left: Vec<String> = left.lines().map(str::to_string).collect();
        let recorded = left.iter().map(|name| recorded_path(&self.model.name, name));
        // Those that are recorded for something by now stay.
        self.change.discard_files(&recorded.collect::<Vec<_>>())?;
        self.listed = Some(left);
        Ok(())
    }

    /// Adds the vector of an entity that has none by this model.
    pub fn add(&mut self, entity: EntityType, id: i64, vector: &[f32]) -> Result<()> {
        let name = layout::embedding_name(entity.name(), id, self.model.model_id);
        self.add_as(&name, entity, id, vector)
    }

    /// Adds the vector of an entity in place of the present one, whose file is recorded as
    /// `present`. The new file has another name: until the change is committed, and for ever
    /// if it is not, the present one counts.
    pub fn replace(
        &mut self,
        entity: EntityType,
        id: i64,
        vector: &[f32],
        present: &str,
    ) -> Result<()> {
        let usual = layout::embedding_name(entity.name(), id, self.model.model_id);
        let other = usual.replace(".npy", "_b.npy");
        let present_name = present.rsplit(['/', '\\']).next();
        let name = if present_name == Some(usual.as_str()) { other } else { usual };
        self.change.discard_files(&[present.to_string()])?;
        self.add_as(&name, entity, id, vector)
    }

    fn add_as(&mut self, name: &str, entity: EntityType, id: i64, vector: &[f32]) -> Result<()> {
        self.staged.vector(name, vector)?;
        if let Some(listed) = &mut self.listed {
            listed.push(name.to_string());
        }
        self.change.execute(
            "INSERT OR REPLACE INTO embeddings (model_id, entity_type, entity_id, vector_path) \
             VALUES (?1, ?2, ?3, ?4)",
            params![self.model.model_id, entity.name(), id, recorded_path(&self.model.name, name)],
        )?;
        Ok(())
    }

    /// Puts the files in place and waits until they are on disk.
    pub fn publish(self) -> Result<()> {
        if let Some(listed) = &self.listed {
            let path = self.folder.join(LIST);
            // Cleared away like the arrays if it stays.
            let temporary = self.folder.join(format!(".{LIST}.npy.tmp"));
            std::fs::write(&temporary, listed.join("\n"))
                .and_then(|()| std::fs::OpenOptions::new().write(true).open(&temporary))
                .and_then(|file| file.sync_all())
                .and_then(|()| std::fs::rename(&temporary, &path))
                .map_err(|error| Error::io("writing", &path, error))?;
            sync_folder(&self.folder)?;
        }
        self.staged.publish()
    }
}

/// Removes the list of files in `folder`, after the commit.
pub(crate) fn remove_list(folder: &Path) {
    // One that stays does no harm: its files are recorded.
    let _ = std::fs::remove_file(folder.join(LIST));
}
