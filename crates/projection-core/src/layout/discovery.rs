//! Finding the heads of a projection by the names of their files. A folder is listed once and
//! no file is asked about, since there may be tens of thousands.

use std::ffi::OsString;
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
    clusters.files()
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
    fn files(&self) -> Result<Vec<HeadFiles>> {
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
        let centroid = Paths::new(folder, &self.naming.centroid);
        let answer = Paths::new(folder, &self.naming.answer);
        let matrix = self.naming.matrix.as_ref().map(|matrix| Paths::new(folder, matrix));
        if self.centroids != self.answers || !self.shown.is_empty() {
            let mut all = [&self.centroids[..], &self.answers, &self.shown].concat();
            all.sort_unstable();
            for cluster in all {
                let files = [(&self.centroids, &centroid), (&self.answers, &answer)];
                for ((clusters, path), (_, other)) in [(files[0], files[1]), (files[1], files[0])] {
                    if clusters.binary_search(&cluster).is_err() {
                        return Err(Error::new(
                            ErrorKind::InvalidModel,
                            format!(
                                "head of cluster {cluster}: {} is missing beside {}",
                                path.of(cluster).display(),
                                other.of(cluster).display()
                            ),
                        ));
                    }
                }
            }
        }
        let mut matrices = self.matrices.iter().copied().peekable();
        let files = self.centroids.iter().map(|&cluster_id| {
            while matrices.next_if(|cluster| *cluster < cluster_id).is_some() {}
            let has_matrix = matrices.next_if_eq(&cluster_id).is_some();
            HeadFiles {
                cluster_id,
                centroid: centroid.of(cluster_id),
                answer: answer.of(cluster_id),
                matrix: matrix.as_ref().filter(|_| has_matrix).map(|path| path.of(cluster_id)),
            }
        });
        Ok(files.collect())
    }
}

/// Whether digits are those that a number is written with.
fn is_plain(digits: &str) -> bool {
    digits == "0" || !digits.starts_with('0')
}

/// The paths of files that differ in their cluster alone.
struct Paths<'a> {
    start: OsString,
    end: &'a str,
}

impl<'a> Paths<'a> {
    fn new(folder: &Path, (start, end): &(String, &'a str)) -> Self {
        Self { start: folder.join(start).into_os_string(), end }
    }

    fn of(&self, cluster: i64) -> PathBuf {
        let digits = cluster.to_string();
        let mut path = OsString::with_capacity(self.start.len() + digits.len() + self.end.len());
        path.push(&self.start);
        path.push(&digits);
        path.push(self.end);
        path.into()
    }
}

/// The entries of a folder.
pub(crate) struct Listing {
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
    pub fn heads(&self, id: i64) -> Result<Vec<HeadFiles>> {
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
        clusters.files()
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
