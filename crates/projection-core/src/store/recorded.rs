//! Every array file that the database records, for checks of a whole store.

use std::path::PathBuf;

use super::Store;
use crate::error::Result;

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
