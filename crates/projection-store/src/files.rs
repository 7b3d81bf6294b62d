//! Every array file that the database names, for checks of a whole store.

use std::path::PathBuf;

use projection_core::{Result, layout};

use crate::store::Store;
use crate::{ModelKind, ModelParameters};

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileUse {
    /// The embedding of an answer or question.
    Vector {
        /// The embedding model that it is by.
        model_id: i64,
        /// `answer` or `question`.
        entity_type: String,
        /// The answer's or question's id.
        entity_id: i64,
    },
    /// A part of a head.
    Head {
        /// The multi-head or residual model.
        projection: i64,
        /// The head's cluster.
        cluster_id: i64,
        /// `centroid`, `answer` or `matrix`.
        part: &'static str,
    },
    /// Another file of a model: the questions of a cluster, an adapter, or its parameters
    /// as JSON.
    Part {
        /// The multi-head or residual model.
        projection: i64,
        /// The file's name.
        name: String,
    },
    /// The matrix of a linear model.
    LinearMatrix {
        /// The row of `projections`.
        projection: i64,
    },
}

/// A file that the database names.
#[derive(Debug)]
pub struct StoredFile {
    /// What it is for.
    pub file_use: FileUse,
    /// Where it is, or why it can't be used.
    pub path: Result<PathBuf>,
}

impl Store {
    /// All files that the database names: embeddings, heads, other files of models, linear
    /// matrices, each in ascending order of id. Files that do not exist are among them, and so
    /// are those of rows whose embedding model or projection is missing.
    pub fn files(&self) -> Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        let mut add = |file_use, path: &str, model: &str| {
            files.push(StoredFile { file_use, path: self.resolve_path(path, model) });
        };
        let vectors: Vec<(i64, String, i64, String, String)> = self.rows(
            "SELECT e.model_id, e.entity_type, e.entity_id, e.vector_path, coalesce(m.name, '') \
             FROM embeddings e LEFT JOIN embedding_models m USING (model_id) \
             ORDER BY e.model_id, e.entity_type, e.entity_id",
            [],
        )?;
        for (model_id, entity_type, entity_id, path, model) in vectors {
            add(FileUse::Vector { model_id, entity_type, entity_id }, &path, &model);
        }
        let heads: Vec<(i64, i64, String, String, String, String)> = self.rows(
            "SELECT h.mh_projection_id, h.cluster_id, h.centroid_path, h.answer_emb_path, \
             coalesce(h.W_path, ''), coalesce(m.name, '') FROM cluster_heads h \
             LEFT JOIN multi_head_projections p USING (mh_projection_id) \
             LEFT JOIN embedding_models m USING (model_id) \
             ORDER BY h.mh_projection_id, h.cluster_id",
            [],
        )?;
        for (projection, cluster_id, centroid, answer, matrix, model) in heads {
            let head = |part| FileUse::Head { projection, cluster_id, part };
            add(head("centroid"), &centroid, &model);
            add(head("answer"), &answer, &model);
            // Most heads have no matrix.
            if !matrix.is_empty() {
                add(head("matrix"), &matrix, &model);
            }
        }
        let models = self.models()?;
        for model in models.iter().filter(|model| model.kind != ModelKind::Linear) {
            let Some(parameters) = model.parameters()? else { continue };
            let id = model.id;
            let mut names = vec![layout::model_name(id)];
            if let ModelParameters::Residual { adapter, .. } = parameters {
                let clusters = "SELECT cluster_id FROM cluster_heads WHERE mh_projection_id = ?1 \
                                ORDER BY cluster_id";
                let clusters = self.ids(clusters, [id])?.into_iter();
                names.extend(clusters.map(|cluster| layout::questions_name(id, cluster)));
                names.extend(adapter.then(|| layout::adapter_name(id)));
            }
            for name in names {
                let path = model.file(self, &name);
                files.push(StoredFile { file_use: FileUse::Part { projection: id, name }, path });
            }
        }
        for model in models.iter().filter(|model| model.kind == ModelKind::Linear) {
            let file_use = FileUse::LinearMatrix { projection: model.id };
            files.push(StoredFile { file_use, path: model.matrix(self) });
        }
        Ok(files)
    }
}
