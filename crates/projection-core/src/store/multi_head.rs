//! Trained multi-head projections.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use rusqlite::params;

use super::embeddings::recorded_path;
use super::files::{StagedFiles, sync_folder};
use super::{EmbeddingModel, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, HeadFiles};

/// A row of `multi_head_projections`.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiHeadRow {
    /// The projection's id.
    pub id: i64,
    /// The text model whose vectors it was trained on.
    pub model_name: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Softmax temperature; 1.0 where the database has none.
    pub temperature: f64,
    /// Number of heads that it was trained with.
    pub num_heads: Option<usize>,
    /// When it was made, in UTC.
    pub created_at: Option<String>,
}

/// A head to be stored.
#[derive(Debug, Clone)]
pub struct NewHead {
    /// The cluster that the head answers for.
    pub cluster_id: i64,
    /// Mean question.
    pub centroid: Vec<f32>,
    /// Answer.
    pub answer: Vec<f32>,
    /// Matrix that is applied to the query instead of using the answer.
    pub matrix: Option<Array2<f32>>,
    /// Number of questions that the centroid was made of.
    pub num_questions: usize,
}

impl Store {
    /// All multi-head projections in ascending order of id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`] for a damaged database.
    pub fn multi_head_projections(&self) -> Result<Vec<MultiHeadRow>> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT p.mh_projection_id, coalesce(m.name, ''), p.name, \
                 coalesce(p.temperature, 1.0), p.num_heads, p.created_at \
                 FROM multi_head_projections p LEFT JOIN embedding_models m USING (model_id) \
                 ORDER BY p.mh_projection_id",
            )
            .map_err(self.reading())?;
        statement
            .query_map([], |row| {
                Ok(MultiHeadRow {
                    id: row.get(0)?,
                    model_name: row.get(1)?,
                    name: row.get(2)?,
                    temperature: row.get(3)?,
                    num_heads: row.get(4)?,
                    created_at: row.get(5)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(self.reading())
    }

    /// The multi-head projection with the given id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none; the message names those there are.
    pub fn multi_head_projection(&self, id: i64) -> Result<MultiHeadRow> {
        let mut rows = self.multi_head_projections()?;
        match rows.iter().position(|row| row.id == id) {
            Some(at) => Ok(rows.swap_remove(at)),
            None => {
                let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
                let known = if ids.is_empty() { "none".to_string() } else { ids.join(", ") };
                Err(self.not_found(format!("no projection {id}, the store has {known}")))
            }
        }
    }

    /// The files of the heads of projection `id`, in ascending order of cluster id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the projection or a recorded file does not exist,
    /// [`ErrorKind::InvalidStore`] where a path leads outside the store's folder.
    pub fn cluster_heads(&self, id: i64) -> Result<Vec<HeadFiles>> {
        let model_name = self.multi_head_projection(id)?.model_name;
        let mut statement = self
            .connection
            .prepare(
                "SELECT cluster_id, centroid_path, answer_emb_path, W_path FROM cluster_heads \
                 WHERE mh_projection_id = ?1 ORDER BY cluster_id",
            )
            .map_err(self.reading())?;
        let rows = statement
            .query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .map_err(self.reading())?;
        rows.into_iter()
            .map(|(cluster_id, centroid, answer, matrix): (i64, String, String, Option<String>)| {
                let resolve = |recorded: &str| {
                    self.resolve(recorded, &model_name)
                        .map_err(|error| error.context(format!("head of cluster {cluster_id}")))
                };
                Ok(HeadFiles {
                    cluster_id,
                    centroid: resolve(&centroid)?,
                    answer: resolve(&answer)?,
                    matrix: matrix
                        .filter(|path| !path.is_empty())
                        .map(|path| resolve(&path))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Stores a trained projection and gives its new id. It is there as a whole when this
    /// returns, and not at all before or after an error or a crash.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModel`] for no heads, [`ErrorKind::Io`] where a file can't be
    /// written, [`ErrorKind::Busy`] where another process keeps writing.
    pub fn add_multi_head_projection(
        &mut self,
        model: &EmbeddingModel,
        name: Option<&str>,
        temperature: f64,
        heads: &[NewHead],
    ) -> Result<i64> {
        if heads.is_empty() {
            return Err(Error::new(ErrorKind::InvalidModel, "a projection without heads"));
        }
        let folder = self.embeddings_folder(&model.name);
        let embeddings = folder.parent().map(Path::to_path_buf).unwrap_or_default();
        let change = self.begin()?;
        let mut staged = StagedFiles::new(&folder)?;
        let last = change.query(
            "SELECT coalesce(max(mh_projection_id), 0) FROM multi_head_projections",
            [],
            |row| row.get::<_, i64>(0),
        )?[0];
        remove_stale_markers(&folder, last);
        // Files of an id that this database does not know may be another store's, so the
        // id is passed over, unless a marker shows that they are left of an interrupted
        // training.
        let mut id = last + 1;
        while has_files(&embeddings, id) && !folder.join(layout::incomplete_name(id)).exists() {
            id += 1;
        }
        let marker = folder.join(layout::incomplete_name(id));
        change.execute(
            "INSERT INTO multi_head_projections \
             (mh_projection_id, model_id, name, temperature, num_heads) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, model.model_id, name, temperature, heads.len()],
        )?;
        for head in heads {
            let cluster = head.cluster_id;
            let centroid = layout::centroid_name(id, cluster);
            let answer = layout::answer_name(id, cluster);
            staged.vector(&centroid, &head.centroid)?;
            staged.vector(&answer, &head.answer)?;
            let matrix = match &head.matrix {
                Some(matrix) => {
                    let name = layout::matrix_name(id, cluster);
                    staged.matrix(&name, matrix.view())?;
                    Some(name)
                }
                None => None,
            };
            let recorded = |name: &String| recorded_path(&model.name, name);
            change.execute(
                "INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, \
                 answer_emb_path, W_path, num_questions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id,
                    cluster,
                    recorded(&centroid),
                    recorded(&answer),
                    matrix.as_ref().map(recorded),
                    head.num_questions
                ],
            )?;
        }
        let publish = || {
            let creating = |error| Error::io("creating", &marker, error);
            fs::File::create(&marker).and_then(|file| file.sync_all()).map_err(creating)?;
            sync_folder(&folder)?;
            remove_files(&folder, id);
            staged.publish()?;
            change.commit()
        };
        match publish() {
            // The model is there now; a marker that stays is removed by the next training.
            Ok(()) => {
                let _ = fs::remove_file(&marker);
                Ok(id)
            }
            Err(error) => {
                remove_files(&folder, id);
                let _ = fs::remove_file(&marker);
                Err(error)
            }
        }
    }
}

/// Whether any folder of the store has a file of a projection with this id.
fn has_files(embeddings: &Path, id: i64) -> bool {
    let prefix = format!("mh_{id}_cluster_");
    let in_folder = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
    };
    let below = fs::read_dir(embeddings).into_iter().flatten().flatten();
    in_folder(embeddings) || below.into_iter().any(|entry| in_folder(&entry.path()))
}

/// Removes the files of a projection that is not in the database.
fn remove_files(folder: &Path, id: i64) {
    let prefix = format!("mh_{id}_cluster_");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // A file that stays is overwritten by the next training that gets this id.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes the markers of projections that were committed by a writer that was killed
/// right afterwards.
fn remove_stale_markers(folder: &Path, last_id: i64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id =
            name.to_str().and_then(|name| name.strip_prefix("mh_")?.strip_suffix(".incomplete"));
        if id.and_then(|id| id.parse::<i64>().ok()).is_some_and(|id| id <= last_id) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
