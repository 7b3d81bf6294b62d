//! Every array file that the database records, for checks of a whole store.

use std::path::PathBuf;

use super::{ModelParameters, Store};
use crate::error::Result;
use crate::layout;

/// What a recorded file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileUse {
    /// The vector of an answer or question.
    Vector {
        /// The text model that it is by.
        model_id: i64,
        /// `answer` or `question`.
        entity_type: String,
        /// The answer's or question's id.
        entity_id: i64,
    },
    /// The centroid of a head.
    Centroid {
        /// The multi-head projection.
        projection: i64,
        /// The head's cluster.
        cluster_id: i64,
    },
    /// The answer of a head.
    HeadAnswer {
        /// The multi-head projection.
        projection: i64,
        /// The head's cluster.
        cluster_id: i64,
    },
    /// The matrix of a head.
    HeadMatrix {
        /// The multi-head projection.
        projection: i64,
        /// The head's cluster.
        cluster_id: i64,
    },
    /// Another file that belongs to a projection: the questions of a cluster, an adapter, a
    /// lift, or its parameters as JSON.
    Part {
        /// The multi-head or residual projection.
        projection: i64,
        /// The file's name.
        name: String,
    },
    /// The matrix of a linear projection.
    LinearMatrix {
        /// The row of `projections`.
        projection: i64,
    },
}

/// A file that the database records.
#[derive(Debug)]
pub struct RecordedFile {
    /// What it is for.
    pub file_use: FileUse,
    /// Where it is, or why it can't be used.
    pub path: Result<PathBuf>,
}

impl Store {
    /// All files that the database records: vectors, heads, linear matrices, each in
    /// ascending order of id. Files that are not there are among them; rows whose model or
    /// projection is missing are too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidStore`](crate::ErrorKind::InvalidStore) for a damaged database.
    pub fn recorded_files(&self) -> Result<Vec<RecordedFile>> {
        let mut files = Vec::new();
        self.each_row(
            "SELECT e.model_id, e.entity_type, e.entity_id, e.vector_path, coalesce(m.name, '') \
             FROM embeddings e LEFT JOIN embedding_models m USING (model_id) \
             ORDER BY e.model_id, e.entity_type, e.entity_id",
            |row| {
                let file_use = FileUse::Vector {
                    model_id: row.get(0)?,
                    entity_type: row.get(1)?,
                    entity_id: row.get(2)?,
                };
                let (path, model): (String, String) = (row.get(3)?, row.get(4)?);
                files.push(RecordedFile { file_use, path: self.resolve(&path, &model) });
                Ok(())
            },
        )?;
        self.each_row(
            "SELECT h.mh_projection_id, h.cluster_id, h.centroid_path, h.answer_emb_path, \
             coalesce(h.W_path, ''), coalesce(m.name, '') FROM cluster_heads h \
             LEFT JOIN multi_head_projections p USING (mh_projection_id) \
             LEFT JOIN embedding_models m USING (model_id) \
             ORDER BY h.mh_projection_id, h.cluster_id",
            |row| {
                let (projection, cluster_id) = (row.get(0)?, row.get(1)?);
                let model: String = row.get(5)?;
                for (column, file_use) in [
                    (2, FileUse::Centroid { projection, cluster_id }),
                    (3, FileUse::HeadAnswer { projection, cluster_id }),
                    (4, FileUse::HeadMatrix { projection, cluster_id }),
                ] {
                    let path: String = row.get(column)?;
                    // Most heads have no matrix.
                    if column < 4 || !path.is_empty() {
                        files.push(RecordedFile { file_use, path: self.resolve(&path, &model) });
                    }
                }
                Ok(())
            },
        )?;
        self.part_files(&mut files)?;
        self.each_row(
            "SELECT p.projection_id, p.W_path, coalesce(m.name, '') FROM projections p \
             LEFT JOIN embedding_models m ON m.model_id = p.output_model_id \
             ORDER BY p.projection_id",
            |row| {
                let file_use = FileUse::LinearMatrix { projection: row.get(0)? };
                let (path, model): (String, String) = (row.get(1)?, row.get(2)?);
                files.push(RecordedFile { file_use, path: self.resolve(&path, &model) });
                Ok(())
            },
        )?;
        Ok(files)
    }

    /// The files that the parameters of projections imply.
    fn part_files(&self, files: &mut Vec<RecordedFile>) -> Result<()> {
        for row in self.multi_head_projections()? {
            let Some(parameters) = self.model_parameters(row.id)? else { continue };
            let mut names = vec![layout::model_name(row.id)];
            if let ModelParameters::Residual { adapter, lift, .. } = parameters {
                let mut clusters = Vec::new();
                self.each_row(
                    &format!(
                        "SELECT cluster_id FROM cluster_heads WHERE mh_projection_id = {} \
                         ORDER BY cluster_id",
                        row.id
                    ),
                    |row| {
                        clusters.push(row.get(0)?);
                        Ok(())
                    },
                )?;
                names.extend(
                    clusters.iter().map(|cluster| layout::questions_name(row.id, *cluster)),
                );
                names.extend(adapter.then(|| layout::adapter_name(row.id)));
                names.extend(lift.map(|_| layout::lift_name(row.id)));
            }
            files.extend(names.into_iter().map(|name| RecordedFile {
                path: self.model_file(&row.model_name, &name),
                file_use: FileUse::Part { projection: row.id, name },
            }));
        }
        Ok(())
    }

    fn each_row(
        &self,
        sql: &str,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare(sql).map_err(self.reading())?;
        let mut rows = statement.query([]).map_err(self.reading())?;
        while let Some(row) = rows.next().map_err(self.reading())? {
            each(row).map_err(self.reading())?;
        }
        Ok(())
    }
}
