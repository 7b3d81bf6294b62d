//! Finding the files of a projection by their names. A folder is listed once and no file is
//! asked about, since there may be tens of thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use super::{HeadFiles, centroid_name, parse_id};
use crate::error::{Error, ErrorKind, Result};

/// Finds the heads of projection `id`, in ascending order of cluster id.
///
/// `folder` is the folder that holds the files (`embeddings/{model_name}`, or `embeddings`
/// in older stores), or the folder of all model folders, of which one may then hold the id.
/// If there are no files of any numbered projection, the older names without an id are looked
/// for.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the folder or the id does not exist,
/// [`ErrorKind::AmbiguousModel`] if two folders hold the id,
/// [`ErrorKind::InvalidModel`] if a head lacks one of its two files.
pub fn discover_heads(folder: impl AsRef<Path>, id: i64) -> Result<Vec<HeadFiles>> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        let what = if folder.exists() { "not a folder" } else { "no such folder" };
        return Err(Error::new(ErrorKind::NotFound, format!("{}: {what}", folder.display())));
    }
    let listing = Listing::of(folder)?;
    let below = listing.folders.iter().map(|f| Listing::of(f)).collect::<Result<Vec<_>>>()?;
    let naming = Naming::numbered(id);
    let mut found = [&listing]
        .into_iter()
        .chain(&below)
        .map(|listing| Clusters::of(listing, &naming))
        .filter(|clusters| !clusters.is_empty());
    match (found.next(), found.next()) {
        (Some(clusters), None) => clusters.heads(),
        (Some(one), Some(other)) => Err(ambiguous(
            &format!("projection {id} is in "),
            &one.listing.folder,
            &other.listing.folder,
        )),
        (None, _) => discover_unnumbered(&listing, id),
    }
}

/// The file called `name` in `folder` or in one of the folders in it, if there is one.
///
/// # Errors
/// [`ErrorKind::AmbiguousModel`] if two folders have it, [`ErrorKind::Io`] if a folder can't
/// be listed.
pub fn find_file(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let folders = Listing::of(folder)?.folders;
    let folders = [folder].into_iter().chain(folders.iter().map(PathBuf::as_path));
    let mut found = folders.map(|folder| folder.join(name)).filter(|path| path.exists());
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(ambiguous("", &one, &other)),
        (first, _) => Ok(first),
    }
}

fn ambiguous(what: &str, one: &Path, other: &Path) -> Error {
    let (one, other) = (one.display(), other.display());
    let message = format!("{what}{one} and {other}: pass the folder of one of them");
    Error::new(ErrorKind::AmbiguousModel, message)
}

/// Heads named without a projection id, of stores that held a single projection.
fn discover_unnumbered(listing: &Listing, id: i64) -> Result<Vec<HeadFiles>> {
    let is_numbered = |name: &String| {
        let rest = name.strip_prefix("mh_").and_then(|name| name.strip_suffix("_centroid.npy"));
        rest.is_some_and(|rest| rest.contains("_cluster_"))
    };
    let naming = Naming::unnumbered();
    let clusters = Clusters::of(listing, &naming);
    if clusters.is_empty() || listing.names.iter().any(is_numbered) {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{}: no heads of projection {id}, expected files named {}",
                listing.folder.display(),
                centroid_name(id, 0).replace("_0_", "_*_")
            ),
        ));
    }
    clusters.heads()
}

/// What stands before and after the cluster in the names of a projection's files.
struct Naming {
    centroid: (String, &'static str),
    answer: (String, &'static str),
    matrix: Option<(String, &'static str)>,
}

impl Naming {
    fn numbered(id: i64) -> Self {
        let name = |end| (format!("mh_{id}_cluster_"), end);
        Self {
            centroid: name("_centroid.npy"),
            answer: name("_answer.npy"),
            matrix: Some(name("_W.npy")),
        }
    }

    fn unnumbered() -> Self {
        Self {
            centroid: ("centroid_".into(), ".npy"),
            answer: ("answer_emb_".into(), ".npy"),
            matrix: None,
        }
    }
}

/// Which of its two files a head has. It has neither if there are only files whose names have
/// zeros before the number, which show that a head is meant to be here.
#[derive(Default)]
struct Found {
    centroid: bool,
    answer: bool,
}

/// The clusters that have files in a folder.
struct Clusters<'a> {
    listing: &'a Listing,
    naming: &'a Naming,
    heads: BTreeMap<i64, Found>,
    matrices: BTreeSet<i64>,
    /// The name of a file without a cluster.
    unclear: Option<&'a str>,
}

impl<'a> Clusters<'a> {
    fn of(listing: &'a Listing, naming: &'a Naming) -> Self {
        let (heads, matrices) = (BTreeMap::new(), BTreeSet::new());
        let mut found = Self { listing, naming, heads, matrices, unclear: None };
        for name in &listing.names {
            let between = |(start, end): &(String, &str)| {
                name.strip_prefix(start.as_str())?.strip_suffix(*end)
            };
            let centroid = between(&naming.centroid);
            if let Some(digits) = centroid.or_else(|| between(&naming.answer)) {
                let Some(cluster) = parse_id(digits).filter(|_| !digits.is_empty()) else {
                    found.unclear = Some(name);
                    continue;
                };
                let head = found.heads.entry(cluster).or_default();
                match centroid {
                    Some(_) => head.centroid |= is_plain(digits),
                    None => head.answer |= is_plain(digits),
                }
            } else if let Some(digits) = naming.matrix.as_ref().and_then(between) {
                found.matrices.extend(parse_id(digits).filter(|_| is_plain(digits)));
            }
        }
        found
    }

    /// Whether there is nothing of the projection. An answer alone also shows that it is meant
    /// to be here, a matrix alone does not.
    fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.unclear.is_none()
    }

    /// The heads, each of which must have its two files.
    fn heads(self) -> Result<Vec<HeadFiles>> {
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidModel, what));
        let folder = &self.listing.folder;
        if let Some(name) = self.unclear {
            let path = folder.join(name);
            let what = "expected a cluster id in the file's name";
            return invalid(format!("{}: {what}", path.display()));
        }
        let path = |cluster: i64, (start, end): &(String, &str)| {
            folder.join(format!("{start}{cluster}{end}"))
        };
        let mut heads = Vec::with_capacity(self.heads.len());
        for (cluster_id, found) in self.heads {
            let centroid = path(cluster_id, &self.naming.centroid);
            let answer = path(cluster_id, &self.naming.answer);
            if !found.centroid || !found.answer {
                let (missing, other) =
                    if found.centroid { (&answer, &centroid) } else { (&centroid, &answer) };
                let (missing, other) = (missing.display(), other.display());
                return invalid(format!(
                    "head of cluster {cluster_id}: {missing} is missing beside {other}"
                ));
            }
            let matrix = self.naming.matrix.as_ref();
            let matrix = matrix.filter(|_| self.matrices.contains(&cluster_id));
            let matrix = matrix.map(|naming| path(cluster_id, naming));
            heads.push(HeadFiles { cluster_id, centroid, answer, matrix });
        }
        Ok(heads)
    }
}

/// Whether digits are those that a number is written with.
fn is_plain(digits: &str) -> bool {
    digits == "0" || !digits.starts_with('0')
}

/// The entries of a folder.
struct Listing {
    folder: PathBuf,
    /// Files whose names are text, as all of ours are.
    names: Vec<String>,
    /// Folders, in the order of their names.
    folders: Vec<PathBuf>,
}

impl Listing {
    /// Unreadable folders are errors, so that a model is never smaller than its files.
    fn of(folder: &Path) -> Result<Self> {
        let (mut names, mut folders) = (Vec::new(), Vec::new());
        let failed = |error| Error::io("listing", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_folder(&entry) {
                folders.push(entry.path());
            } else if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        folders.sort();
        Ok(Self { folder: folder.to_path_buf(), names, folders })
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
