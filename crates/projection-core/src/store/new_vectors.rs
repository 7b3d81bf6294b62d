//! Vectors that become visible with a change of the store.

use std::path::Path;

use rusqlite::params;

use super::embeddings::recorded_path;
use super::files::StagedFiles;
use super::{Change, EmbeddingModel, EntityType};
use crate::error::Result;
use crate::layout;

/// Vectors by one text model that are added in a change: the rows become visible when it is
/// committed, and their files must be [published](Self::publish) before.
pub(crate) struct NewVectors<'a> {
    change: &'a Change<'a>,
    model: &'a EmbeddingModel,
    staged: StagedFiles,
}

impl<'a> NewVectors<'a> {
    /// `folder` is the one of the model's files.
    pub fn begin(change: &'a Change<'a>, folder: &Path, model: &'a EmbeddingModel) -> Result<Self> {
        Ok(Self { change, model, staged: StagedFiles::new(folder)? })
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
        self.change.execute(
            "INSERT OR REPLACE INTO embeddings (model_id, entity_type, entity_id, vector_path) \
             VALUES (?1, ?2, ?3, ?4)",
            params![self.model.model_id, entity.name(), id, recorded_path(&self.model.name, name)],
        )?;
        Ok(())
    }

    /// Puts the files in place and waits until they are on disk.
    pub fn publish(self) -> Result<()> {
        self.staged.publish()
    }
}
