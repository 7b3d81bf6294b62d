//! Finding the heads of a projection by the names of their files. A folder is listed once and
//! no file is asked about, since there may be tens of thousands.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::{HeadFiles, answer_name, centroid_name, matrix_name, parse_id};
use crate::error::{Error, ErrorKind, Result};

/// Finds the heads of projection `id`, in ascending order of cluster id.
///
/// `folder` is the folder that holds the files (`embeddings/{model_name}`, or `embeddings`
/// in older stores), or the folder of all model folders, of which one may then hold the id.
/// Where there are no files of any numbered projection, the older names without an id are
/// looked for.
///
/// # Errors
/// [`ErrorKind::NotFound`] where the folder or the id does not exist,
/// [`ErrorKind::AmbiguousModel`] where two folders hold the id,
/// [`ErrorKind::InvalidModel`] where a head lacks one of its two files.
pub fn discover_heads(folder: impl AsRef<Path>, id: i64) -> Result<Vec<HeadFiles>> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        let what = if folder.exists() { "not a folder" } else { "no such folder" };
        return Err(Error::new(ErrorKind::NotFound, format!("{}: {what}", folder.display())));
    }
    Listing::of(folder)?.heads(id)
}

/// Heads named without a projection id, of stores that held a single projection.
fn discover_unnumbered(listing: &Listing, id: i64) -> Result<Vec<HeadFiles>> {
    let of_any_id = Pattern::new("mh_*_cluster_*_centroid.npy").expect("a sound pattern");
    let numbered = listing.names.iter().any(|name| of_any_id.matches(name));
    let mut texts = listing.between("centroid_", &[".npy"]);
    texts.extend(listing.between("answer_emb_", &[".npy"]));
    if numbered || texts.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{}: no heads of projection {id}, expected files named {}",
                listing.folder.display(),
                centroid_name(id, 0).replace("_0_", "_*_")
            ),
        ));
    }
    pair_up(listing, &texts, |cluster| {
        (format!("centroid_{cluster}.npy"), format!("answer_emb_{cluster}.npy"), None)
    })
}

/// Makes heads of the cluster ids in names, which `texts` holds with the names. `names` gives
/// the names that a cluster's files must have.
fn pair_up(
    listing: &Listing,
    texts: &[(&str, &str)],
    names: impl Fn(i64) -> (String, String, Option<String>),
) -> Result<Vec<HeadFiles>> {
    let path = |name: &str| listing.folder.join(name);
    let mut clusters = Vec::with_capacity(texts.len());
    for (text, name) in texts {
        let cluster = if text.is_empty() { None } else { parse_id(text) };
        clusters.push(cluster.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidModel,
                format!("{}: expected a cluster id in the file's name", path(name).display()),
            )
        })?);
    }
    clusters.sort_unstable();
    clusters.dedup();
    clusters
        .into_iter()
        .map(|cluster_id| {
            let (centroid, answer, matrix) = names(cluster_id);
            for (file, other) in [(&centroid, &answer), (&answer, &centroid)] {
                if !listing.names.contains(file) {
                    return Err(Error::new(
                        ErrorKind::InvalidModel,
                        format!(
                            "head of cluster {cluster_id}: {} is missing beside {}",
                            path(file).display(),
                            path(other).display()
                        ),
                    ));
                }
            }
            Ok(HeadFiles {
                cluster_id,
                centroid: path(&centroid),
                answer: path(&answer),
                matrix: matrix.filter(|name| listing.names.contains(name)).map(|name| path(&name)),
            })
        })
        .collect()
}

/// The entries of a folder.
pub(crate) struct Listing {
    folder: PathBuf,
    /// Names that are text, as all of ours are.
    names: HashSet<String>,
    /// The folders among them, in the order of their names.
    folders: Vec<PathBuf>,
}

impl Listing {
    /// Unreadable folders are errors, so that a model is never smaller than its files.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut listing =
            Self { folder: folder.to_path_buf(), names: HashSet::new(), folders: Vec::new() };
        let failed = |error| Error::io("listing", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_folder(&entry) {
                listing.folders.push(entry.path());
            } else if let Ok(name) = entry.file_name().into_string() {
                listing.names.insert(name);
            }
        }
        listing.folders.sort();
        Ok(listing)
    }

    /// [`discover_heads`] in the folder and those in it.
    ///
    /// # Errors
    /// As there.
    pub fn heads(&self, id: i64) -> Result<Vec<HeadFiles>> {
        let below: Vec<Listing> =
            self.folders.iter().map(|f| Listing::of(f)).collect::<Result<_>>()?;
        let prefix = format!("mh_{id}_cluster_");
        // An answer alone also shows that the id is meant to be here.
        let mut found = [self].into_iter().chain(&below).filter_map(|listing| {
            let ids = listing.between(&prefix, &["_centroid.npy", "_answer.npy"]);
            (!ids.is_empty()).then_some((listing, ids))
        });
        let Some((listing, texts)) = found.next() else { return discover_unnumbered(self, id) };
        if let Some((other, _)) = found.next() {
            let mut folders = [&listing.folder, &other.folder];
            folders.sort();
            return Err(Error::new(
                ErrorKind::AmbiguousModel,
                format!(
                    "projection {id} is in {} and in {}: give the folder of one of them",
                    folders[0].display(),
                    folders[1].display()
                ),
            ));
        }
        let any_matrix = listing.names.iter().any(|name| name.ends_with("_W.npy"));
        let name = |cluster: i64| {
            let matrix = any_matrix.then(|| matrix_name(id, cluster));
            (centroid_name(id, cluster), answer_name(id, cluster), matrix)
        };
        pair_up(listing, &texts, name)
    }

    /// [`find_file`](super::find_file).
    ///
    /// # Errors
    /// As there.
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        let folders = [&self.folder].into_iter().chain(&self.folders);
        let paths = folders.map(|folder| folder.join(name));
        let found: Vec<PathBuf> = paths.filter(|path| path.exists()).collect();
        match &found[..] {
            [] => Ok(None),
            [path] => Ok(Some(path.clone())),
            [first, second, ..] => Err(Error::new(
                ErrorKind::AmbiguousModel,
                format!(
                    "{} and {}: give the folder of one of them",
                    first.display(),
                    second.display()
                ),
            )),
        }
    }

    /// What stands between `start` and one of `ends` in names, with the names.
    fn between(&self, start: &str, ends: &[&str]) -> Vec<(&str, &str)> {
        let middle = |name| {
            let rest = str::strip_prefix(name, start)?;
            ends.iter().find_map(|end| rest.strip_suffix(end))
        };
        self.names.iter().filter_map(|name| Some((middle(name.as_str())?, name.as_str()))).collect()
    }
}

/// Whether an entry is a folder or leads to one. Only links have to be asked about.
fn is_folder(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}
