//! Multi-head projections from a store's files.

use std::path::Path;

use ndarray::Array2;

use super::multi_head::HeadPart;
use super::{Head, MultiHeadProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, HeadFiles};
use crate::npy::NpyArray;

impl MultiHeadProjection {
    /// Loads projection `id` from its files, without a database.
    ///
    /// `folder` is `embeddings/{model_name}`, or `embeddings` of an older store, or a folder
    /// of model folders of which exactly one holds the id; see
    /// [`layout::discover_heads`](crate::layout::discover_heads).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the folder or the id does not exist,
    /// [`ErrorKind::AmbiguousModel`] where two folders hold it,
    /// [`ErrorKind::InvalidArray`] for damaged files, [`ErrorKind::InvalidModel`],
    /// [`ErrorKind::DimensionMismatch`], [`ErrorKind::NotFinite`] or
    /// [`ErrorKind::ZeroVector`] where the heads do not make a model, and
    /// [`ErrorKind::InvalidArgument`] for a temperature that is not a finite number above
    /// zero. Messages name the head and the file.
    pub fn load_unified(folder: impl AsRef<Path>, id: i64, temperature: f64) -> Result<Self> {
        let heads = layout::discover_heads(folder, id)?;
        let folder = heads.first().and_then(|head| head.centroid.parent());
        check_complete(folder.unwrap_or(Path::new("")), id)?;
        Self::load_heads(&heads, temperature)
    }

    /// Loads the heads with these files, whose clusters ascend.
    ///
    /// # Errors
    /// As [`load_unified`](Self::load_unified).
    pub fn load_heads(files: &[HeadFiles], temperature: f64) -> Result<Self> {
        let clusters = files.iter().map(|files| files.cluster_id).collect();
        let all_have_matrices = files.iter().all(|files| files.matrix.is_some());
        let put_files = |number: usize, into: &mut HeadFiles| into.clone_from(&files[number]);
        from_files(clusters, all_have_matrices, put_files, temperature)
    }
}

/// Refuses the files of a training that is under way or was interrupted.
pub fn check_complete(folder: &Path, id: i64) -> Result<()> {
    if !folder.join(layout::incomplete_name(id)).exists() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidModel,
        format!(
            "{}: projection {id} is being trained, or its training was interrupted ({} is there)",
            folder.display(),
            layout::incomplete_name(id)
        ),
    ))
}

/// Loads heads of clusters in ascending order. `put_files` turns the files of a head into those
/// of the head with a number, in their memory.
fn from_files(
    clusters: Vec<i64>,
    all_have_matrices: bool,
    put_files: impl Fn(usize, &mut HeadFiles),
    temperature: f64,
) -> Result<MultiHeadProjection> {
    let mut files = HeadFiles::default();
    let next = |number: usize, head: &mut Head| {
        put_files(number, &mut files);
        load_head(&files, head)
    };
    let name_of = |number, part| {
        let mut files = HeadFiles::default();
        put_files(number, &mut files);
        let HeadFiles { centroid, answer, matrix, .. } = files;
        let path = match part {
            HeadPart::Centroid => centroid,
            HeadPart::Answer => answer,
            HeadPart::Matrix => matrix.unwrap_or(answer),
        };
        path.display().to_string()
    };
    MultiHeadProjection::from_one_by_one(clusters, all_have_matrices, next, temperature, name_of)
}

/// Puts a head of files into the memory of another one.
fn load_head(files: &HeadFiles, head: &mut Head) -> Result<()> {
    head.cluster_id = files.cluster_id;
    let mut load = || {
        let centroid = NpyArray::load(&files.centroid)?;
        centroid.vector_len()?;
        head.centroid = centroid.to_f64();
        let answer = NpyArray::load(&files.answer)?;
        answer.vector_len()?;
        head.answer = answer.to_f32()?;
        head.matrix = match &files.matrix {
            Some(path) => {
                let matrix = NpyArray::load(path)?;
                let values = Array2::from_shape_vec(matrix.matrix_shape(), matrix.to_f32()?);
                Some(values.expect("the shape is the array's own"))
            }
            None => None,
        };
        Ok(())
    };
    load().map_err(|error: Error| error.context(format!("head of cluster {}", files.cluster_id)))
}
