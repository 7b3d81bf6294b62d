//! File names of a store, and finding the files of a model without its database.
//!
//! ```text
//! lda.db
//! embeddings/{model_name}/mh_{id}_cluster_{n}_centroid.npy    heads of a projection
//!                         mh_{id}_cluster_{n}_answer.npy
//!                         mh_{id}_cluster_{n}_W.npy           optional
//!                         mh_{id}_cluster_{n}_questions.npy   of a residual model, as the
//!                         mh_{id}_adapter.npy                 next one, each optional
//!                         mh_{id}_model.json                  kind and parameters, optional
//!                         mh_{id}_index.safetensors           approximate index of many heads or
//!                                                             questions, optional
//!                         W_projection_{id}.npy               a linear projection
//!                         answer_{id}_model_{id}_{random digits}.npy      embeddings; those
//!                         question_{id}_model_{id}_{random digits}.npy    of other programs
//!                                                             have no digits
//! ```
//! Older stores have the same files directly in `embeddings/`, or heads named
//! `centroid_{n}.npy` and `answer_emb_{n}.npy`. Both are read, only the first is written.

mod discovery;
mod resolve;

use std::path::{Path, PathBuf};

pub use discovery::{discover_heads, find_file};
pub use resolve::{Resolver, resolve};

/// The folder beside the database that holds all array files.
pub const EMBEDDINGS_FOLDER: &str = "embeddings";

/// The files of one head of a multi-head projection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadFiles {
    /// The cluster that the head answers for.
    pub cluster_id: i64,
    /// The cluster's weighted mean question.
    pub centroid: PathBuf,
    /// The cluster's answer.
    pub answer: PathBuf,
    /// A matrix that is applied to the query instead of using the answer.
    pub matrix: Option<PathBuf>,
}

/// The file name of the centroid of cluster `cluster_id` in projection `id`.
pub fn centroid_name(id: i64, cluster_id: i64) -> String {
    format!("mh_{id}_cluster_{cluster_id}_centroid.npy")
}

/// The file name of the answer of cluster `cluster_id` in projection `id`.
pub fn answer_name(id: i64, cluster_id: i64) -> String {
    format!("mh_{id}_cluster_{cluster_id}_answer.npy")
}

/// The file name of the matrix of cluster `cluster_id` in projection `id`.
pub fn matrix_name(id: i64, cluster_id: i64) -> String {
    format!("mh_{id}_cluster_{cluster_id}_W.npy")
}

/// The file name of the training questions of cluster `cluster_id` in projection `id`.
pub fn questions_name(id: i64, cluster_id: i64) -> String {
    format!("mh_{id}_cluster_{cluster_id}_questions.npy")
}

/// The file name of the adapter of projection `id`.
pub fn adapter_name(id: i64) -> String {
    format!("mh_{id}_adapter.npy")
}

/// The file name of the kind and parameters of projection `id`.
pub fn model_name(id: i64) -> String {
    format!("mh_{id}_model.json")
}

/// The file name of lists of the heads or training questions of projection `id`.
pub fn index_name(id: i64) -> String {
    format!("mh_{id}_index.safetensors")
}

/// The file name of the matrix of the linear projection `id`.
pub fn linear_name(id: i64) -> String {
    format!("W_projection_{id}.npy")
}

/// The file name of the embedding of an answer or question, as other programs write it. The rows
/// of the database say which file is whose: ours have names that no two databases choose.
pub fn embedding_name(entity_type: &str, entity_id: i64, model_id: i64) -> String {
    format!("{entity_type}_{entity_id}_model_{model_id}.npy")
}

/// The file that marks the files of projection `id` as incomplete while they are put in place.
pub fn incomplete_name(id: i64) -> String {
    format!("mh_{id}.incomplete")
}

/// The folder under `embeddings/` for an embedding model. Characters that a folder name can't
/// have everywhere, such as the slash of `sentence-transformers/all-MiniLM-L6-v2`, become
/// `_`, and so does a leading dot.
pub fn model_folder(model_name: &str) -> String {
    let allowed = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
    let name: String = model_name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

/// The cluster id in the name of a centroid file: `mh_1_cluster_12_centroid.npy` or the
/// older `centroid_12.npy`. `None` for any other name.
pub fn extract_cluster_id(path: impl AsRef<Path>) -> Option<i64> {
    let name = path.as_ref().file_name()?.to_str()?;
    if let Some(number) = name.strip_prefix("centroid_").and_then(|n| n.strip_suffix(".npy")) {
        return parse_id(number);
    }
    let (id, rest) = name.strip_prefix("mh_")?.split_once("_cluster_")?;
    parse_id(id)?;
    parse_id(rest.strip_suffix("_centroid.npy")?)
}

/// Ids are decimal numbers without sign. Leading zeros are allowed, as `int()` does.
fn parse_id(digits: &str) -> Option<i64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::fs;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn cluster_ids_come_from_both_kinds_of_names_only() {
        assert_eq!(extract_cluster_id("a/mh_1_cluster_12_centroid.npy"), Some(12));
        assert_eq!(extract_cluster_id("centroid_007.npy"), Some(7));
        for name in [
            "mh_1_cluster_12_answer.npy",
            "mh_x_cluster_1_centroid.npy",
            "centroid_-1.npy",
            "c.npy",
        ] {
            assert_eq!(extract_cluster_id(name), None, "{name}");
        }
    }

    #[test]
    fn heads_come_in_numeric_order_from_either_level() {
        let folder = tempfile::tempdir().unwrap();
        // A folder name with the pattern language's special characters.
        let model = folder.path().join("embeddings/mini[L6]*");
        for cluster in [10, 9, 100, 2] {
            touch(&model.join(centroid_name(1, cluster)));
            touch(&model.join(answer_name(1, cluster)));
        }
        touch(&model.join(centroid_name(11, 5)));
        touch(&model.join(matrix_name(1, 9)));
        for start in [model.clone(), folder.path().join("embeddings")] {
            let heads = discover_heads(start, 1).unwrap();
            let ids: Vec<i64> = heads.iter().map(|head| head.cluster_id).collect();
            assert_eq!(ids, [2, 9, 10, 100]);
            assert_eq!(heads[1].matrix, Some(model.join(matrix_name(1, 9))));
            assert_eq!(heads[0].matrix, None);
        }
        let error = discover_heads(&model, 11).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        assert!(error.to_string().contains("cluster 5"), "{error}");
    }

    #[test]
    fn odd_names_are_never_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let message = |id| {
            let error = discover_heads(folder.path(), id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel);
            error.to_string()
        };
        // Written otherwise than ours are, so that the head's own files are missing.
        touch(&folder.path().join("mh_1_cluster_07_centroid.npy"));
        touch(&folder.path().join(answer_name(1, 7)));
        assert!(message(1).contains(&centroid_name(1, 7)), "{}", message(1));
        touch(&folder.path().join(centroid_name(1, 7)));
        // A matrix alone is no head, one of another cluster is not this one's.
        touch(&folder.path().join(matrix_name(1, 6)));
        touch(&folder.path().join(matrix_name(1, 70)));
        let heads = discover_heads(folder.path(), 1).unwrap();
        assert_eq!((heads.len(), heads[0].cluster_id, &heads[0].matrix), (1, 7, &None));
        touch(&folder.path().join(centroid_name(2, 3)));
        assert!(message(2).contains(&answer_name(2, 3)), "{}", message(2));
        for (id, cluster) in [(3, ""), (4, "x"), (5, "1_2"), (6, "9223372036854775808")] {
            let name = format!("mh_{id}_cluster_{cluster}_answer.npy");
            touch(&folder.path().join(&name));
            assert!(message(id).contains(&name), "{}", message(id));
        }
        let old = folder.path().join("old");
        for cluster in [10, 9] {
            touch(&old.join(format!("centroid_{cluster}.npy")));
            touch(&old.join(format!("answer_emb_{cluster}.npy")));
        }
        let heads = discover_heads(&old, 1).unwrap();
        assert_eq!(heads[1].answer, old.join("answer_emb_10.npy"));
        assert_eq!((heads.len(), heads[0].cluster_id), (2, 9));
    }

    #[test]
    fn an_id_in_two_folders_is_an_error_that_names_both() {
        let folder = tempfile::tempdir().unwrap();
        for model in ["first", "second"] {
            touch(&folder.path().join(model).join(centroid_name(3, 1)));
            touch(&folder.path().join(model).join(answer_name(3, 1)));
        }
        let error = discover_heads(folder.path(), 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AmbiguousModel);
        assert!(error.to_string().contains("first") && error.to_string().contains("second"));
    }
}
