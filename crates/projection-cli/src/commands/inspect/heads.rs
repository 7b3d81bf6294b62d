//! Checking the heads of one multi-head projection.

use std::collections::BTreeMap;
use std::path::PathBuf;

use projection_core::ErrorKind;

use super::arrays::{Array, Content, check, check_len};
use super::{Problems, ProjectionFacts};

/// The files of a head, as far as they are there.
#[derive(Debug, Default)]
pub(super) struct HeadPaths {
    pub centroid: Option<PathBuf>,
    pub answer: Option<PathBuf>,
    pub matrix: Option<PathBuf>,
}

/// Heads by cluster id.
pub(super) type Heads = BTreeMap<i64, HeadPaths>;

/// A file that could be read, with its path and the words for it.
type ReadFile = (Array, PathBuf, String);

/// Reads the files of all `heads` and enters what they hold into `facts`. `dim` is the
/// dimension of queries, where it is known otherwise.
pub(super) fn check_heads(
    what: &str,
    heads: &Heads,
    dim: Option<usize>,
    facts: &mut ProjectionFacts,
    problems: &mut Problems,
) {
    let (mut centroids, mut answers, mut matrices) = (Vec::new(), Vec::new(), Vec::new());
    for (cluster, head) in heads {
        let mut read = |role: &str, path: &Option<PathBuf>, content, to: &mut Vec<ReadFile>| {
            let what = format!("{what}, head of cluster {cluster}, {role}");
            if let Some(path) = path
                && let Some(array) = check(path, &what, content, problems)
            {
                to.push((array, path.clone(), what));
            }
        };
        read("centroid", &head.centroid, Content::Direction, &mut centroids);
        read("answer", &head.answer, Content::Vector, &mut answers);
        read("matrix", &head.matrix, Content::Matrix, &mut matrices);
    }
    let dtypes = |list: &[ReadFile]| list.iter().map(|(array, ..)| array.dtype).collect();
    facts.centroid_dtypes.0 = dtypes(&centroids);
    facts.answer_dtypes.0 = dtypes(&answers);
    facts.matrix_dtypes.0 = dtypes(&matrices);
    facts.heads = heads.len();
    facts.matrices = heads.values().filter(|head| head.matrix.is_some()).count();

    let input = dim.or_else(|| most_common(&centroids));
    // Only where every head has a matrix may answers be of another dimension than queries.
    let output = if facts.matrices < heads.len() { input } else { most_common(&answers) };
    (facts.input_dim, facts.output_dim) = (input, output);
    for (list, expected) in [(&centroids, input), (&answers, output)] {
        for (array, path, what) in list {
            check_len(array, path, what, expected.unwrap_or(array.len()), problems);
        }
    }
    if let (Some(input), Some(output)) = (input, output) {
        for (array, path, what) in &matrices {
            if array.shape != [output, input] && !(output == 1 && array.shape == [input]) {
                let message = format!(
                    "{what}: {}: shape {:?}, expected {:?}",
                    path.display(),
                    array.shape,
                    [output, input]
                );
                problems.of_kind(ErrorKind::DimensionMismatch, message);
            }
        }
    }
}

/// The length that most vectors have: the others are the odd ones.
fn most_common(vectors: &[ReadFile]) -> Option<usize> {
    let mut counts = BTreeMap::new();
    for (array, ..) in vectors {
        *counts.entry(array.len()).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(len, _)| len)
}
