//! Finding the heads of a projection by the names of their files. A folder is listed once and
//! no file is asked about, since there may be tens of thousands.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::{HeadFiles, centroid_name, parse_id};
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
    discover(folder.as_ref(), id).map(|heads| heads.files())
}

/// [`discover_heads`], without their paths.
///
/// # Errors
/// As there.
pub fn discover(folder: &Path, id: i64) -> Result<FoundHeads> {
    if !folder.is_dir() {
        let what = if folder.exists() { "not a folder" } else { "no such folder" };
        return Err(Error::new(ErrorKind::NotFound, format!("{}: {what}", folder.display())));
    }
    Listing::of(folder)?.heads(id)
}

/// Heads named without a projection id, of stores that held a single projection.
fn discover_unnumbered(listing: &Listing, id: i64) -> Result<FoundHeads> {
    let of_any_id = Pattern::new("mh_*_cluster_*_centroid.npy").expect("a sound pattern");
    let numbered = listing.names().any(|name| of_any_id.matches(name));
    let naming = Naming::unnumbered();
    let clusters = Clusters::of(listing, &naming);
    if numbered || clusters.is_empty() {
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

/// The clusters of which a folder has files, each in ascending order.
struct Clusters<'a> {
    listing: &'a Listing,
    naming: &'a Naming,
    centroids: Vec<i64>,
    answers: Vec<i64>,
    matrices: Vec<i64>,
    /// Of files whose names have zeros before the number. They are not a head's files, but
    /// show that one is meant to be here.
    shown: Vec<i64>,
    /// The name of a file without a cluster.
    unclear: Option<&'a str>,
}

impl<'a> Clusters<'a> {
    fn of(listing: &'a Listing, naming: &'a Naming) -> Self {
        let mut found = Self {
            listing,
            naming,
            centroids: Vec::new(),
            answers: Vec::new(),
            matrices: Vec::new(),
            shown: Vec::new(),
            unclear: None,
        };
        let middle = |name: &'a str, (start, end): &(String, &str)| {
            name.strip_prefix(start.as_str())?.strip_suffix(*end)
        };
        for name in listing.names() {
            let (text, list) = if let Some(text) = middle(name, &naming.centroid) {
                (text, &mut found.centroids)
            } else if let Some(text) = middle(name, &naming.answer) {
                (text, &mut found.answers)
            } else {
                let matrix = naming.matrix.as_ref().and_then(|matrix| middle(name, matrix));
                let cluster = matrix.filter(|text| is_plain(text)).and_then(parse_id);
                found.matrices.extend(cluster);
                continue;
            };
            match if text.is_empty() { None } else { parse_id(text) } {
                Some(cluster) if is_plain(text) => list.push(cluster),
                Some(cluster) => found.shown.push(cluster),
                None => found.unclear = Some(name),
            }
        }
        for list in [&mut found.centroids, &mut found.answers, &mut found.matrices] {
            list.sort_unstable();
        }
        found
    }

    /// Whether there is nothing of the projection. An answer alone also shows that it is meant
    /// to be here.
    fn is_empty(&self) -> bool {
        let lists = [&self.centroids, &self.answers, &self.shown];
        lists.iter().all(|list| list.is_empty()) && self.unclear.is_none()
    }

    /// The heads, each of which must have its two files.
    fn heads(self) -> Result<FoundHeads> {
        let folder = &self.listing.folder;
        if let Some(name) = self.unclear {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                format!(
                    "{}: expected a cluster id in the file's name",
                    folder.join(name).display()
                ),
            ));
        }
        let paths = |naming| Paths::new(folder, naming);
        let (centroid, answer) = (paths(&self.naming.centroid), paths(&self.naming.answer));
        if self.centroids != self.answers || !self.shown.is_empty() {
            let mut all = [&self.centroids[..], &self.answers, &self.shown].concat();
            all.sort_unstable();
            let files =
                [(&self.centroids, &centroid, &answer), (&self.answers, &answer, &centroid)];
            for (cluster, (clusters, missing, other)) in
                all.into_iter().flat_map(|cluster| files.map(|files| (cluster, files)))
            {
                if clusters.binary_search(&cluster).is_err() {
                    let (missing, other) = (missing.of(cluster), other.of(cluster));
                    return Err(Error::new(
                        ErrorKind::InvalidModel,
                        format!(
                            "head of cluster {cluster}: {} is missing beside {}",
                            missing.display(),
                            other.display()
                        ),
                    ));
                }
            }
        }
        let matrix = self.naming.matrix.as_ref().map(paths);
        let (clusters, with_matrix) = (self.centroids, self.matrices);
        Ok(FoundHeads { folder: folder.clone(), clusters, with_matrix, centroid, answer, matrix })
    }
}

/// The heads of a projection in a folder. What paths they have is said when it is asked for,
/// since there may be tens of thousands.
pub struct FoundHeads {
    /// Where their files are.
    pub folder: PathBuf,
    /// Clusters in ascending order.
    pub clusters: Vec<i64>,
    /// Those of which there is a file of a matrix, likewise; some may have no head.
    with_matrix: Vec<i64>,
    centroid: Paths,
    answer: Paths,
    matrix: Option<Paths>,
}

impl FoundHeads {
    /// Turns the files of a head into those of the head with this number, in their memory.
    pub fn put_files(&self, number: usize, files: &mut HeadFiles) {
        let cluster = self.clusters[number];
        files.cluster_id = cluster;
        self.centroid.put(cluster, &mut files.centroid);
        self.answer.put(cluster, &mut files.answer);
        let matrix = self.matrix.as_ref().filter(|_| self.has_matrix(cluster));
        files.matrix = matrix.map(|paths| paths.of(cluster));
    }

    /// Whether every head has a matrix.
    pub fn all_have_matrices(&self) -> bool {
        self.clusters.iter().all(|cluster| self.has_matrix(*cluster))
    }

    fn has_matrix(&self, cluster: i64) -> bool {
        self.with_matrix.binary_search(&cluster).is_ok()
    }

    /// The files of all heads.
    fn files(&self) -> Vec<HeadFiles> {
        let files = |number| {
            let mut files = HeadFiles::default();
            self.put_files(number, &mut files);
            files
        };
        (0..self.clusters.len()).map(files).collect()
    }
}

/// Whether digits are those that a number is written with.
fn is_plain(digits: &str) -> bool {
    digits == "0" || !digits.starts_with('0')
}

/// The paths of files that differ in their cluster alone.
struct Paths {
    start: OsString,
    end: &'static str,
}

impl Paths {
    fn new(folder: &Path, (start, end): &(String, &'static str)) -> Self {
        Self { start: folder.join(start).into_os_string(), end }
    }

    fn of(&self, cluster: i64) -> PathBuf {
        let mut path = PathBuf::new();
        self.put(cluster, &mut path);
        path
    }

    /// Turns a path into that of a cluster.
    fn put(&self, cluster: i64, path: &mut PathBuf) {
        let path = path.as_mut_os_string();
        path.clear();
        path.push(&self.start);
        // Memory takes whatever is written to it.
        let _ = write!(path, "{cluster}");
        path.push(self.end);
    }
}

/// The entries of a folder.
pub struct Listing {
    folder: PathBuf,
    /// Names that are text, as all of ours are, each with a NUL, which no name has.
    names: String,
    /// The folders among them, in the order of their names.
    folders: Vec<PathBuf>,
}

impl Listing {
    /// Unreadable folders are errors, so that a model is never smaller than its files.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut listing =
            Self { folder: folder.to_path_buf(), names: String::new(), folders: Vec::new() };
        let failed = |error| Error::io("listing", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_folder(&entry) {
                listing.folders.push(entry.path());
            } else if let Some(name) = entry.file_name().to_str() {
                listing.names.push_str(name);
                listing.names.push('\0');
            }
        }
        listing.folders.sort();
        Ok(listing)
    }

    /// [`discover_heads`] in the folder and those in it.
    ///
    /// # Errors
    /// As there.
    pub fn heads(&self, id: i64) -> Result<FoundHeads> {
        let below: Vec<Listing> =
            self.folders.iter().map(|f| Listing::of(f)).collect::<Result<_>>()?;
        let naming = Naming::numbered(id);
        let listings = [self].into_iter().chain(&below);
        let mut found = listings.map(|listing| Clusters::of(listing, &naming));
        let Some(clusters) = found.find(|clusters| !clusters.is_empty()) else {
            return discover_unnumbered(self, id);
        };
        if let Some(other) = found.find(|clusters| !clusters.is_empty()) {
            let mut folders = [&clusters.listing.folder, &other.listing.folder];
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
        clusters.heads()
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

    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.split_terminator('\0')
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
