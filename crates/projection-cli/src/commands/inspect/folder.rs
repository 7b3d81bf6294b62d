//! Inspecting a folder of model files, without a database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use projection_core::projection::{Model, Projection};
use projection_core::{Error, ErrorKind};
use projection_store::{ModelKind, Store};

use super::arrays::{Content, check};
use super::heads::{HeadPaths, Heads, check_heads};
use super::{Dtypes, Inspected, Problems, ProjectionFacts, kind_name};
use crate::output::progress;

/// Any temperature will do to try whether a model loads.
const TEMPERATURE: f64 = 0.1;

/// What the names of files in a folder and the folders in it say.
#[derive(Default)]
pub(super) struct Found {
    /// Every folder with its files of a projection, by id; `None` for older names.
    pub projections: BTreeMap<Option<i64>, BTreeMap<PathBuf, Heads>>,
    /// Matrices of linear projections.
    pub linear: Vec<(i64, PathBuf)>,
    /// Files that say that a training is under way or was interrupted.
    pub markers: Vec<(i64, PathBuf)>,
    /// All arrays and temporary files.
    pub files: Vec<PathBuf>,
}

pub(super) fn inspect(folder: &Path) -> Result<Inspected, Error> {
    let mut problems = Problems::default();
    let found = scan(folder, &mut problems)?;
    if found.projections.is_empty() && found.markers.is_empty() && found.linear.is_empty() {
        let message = format!("{}: no files of a projection", folder.display());
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    check_ids(&found, &mut problems);
    check_markers(&found, &known_ids(folder), &mut problems);
    let mut projections = Vec::new();
    let bar = progress("reading", found.projections.values().map(BTreeMap::len).sum());
    for (id, folders) in &found.projections {
        for (place, heads) in folders {
            projections.push(inspect_projection(*id, place, heads, &mut problems));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for (id, path) in &found.linear {
        let what = format!("linear projection {id}, matrix");
        projections.push(linear_projection(*id, Some(path.as_path()), &what, &mut problems));
    }
    Ok(Inspected {
        path: folder.display().to_string(),
        projections,
        problems: problems.0,
        ..Inspected::default()
    })
}

fn inspect_projection(
    id: Option<i64>,
    folder: &Path,
    heads: &Heads,
    problems: &mut Problems,
) -> ProjectionFacts {
    let what = match id {
        Some(id) => format!("{}: projection {id}", folder.display()),
        None => format!("{}: projection without an id", folder.display()),
    };
    let mut facts = ProjectionFacts {
        id,
        kind: "multi-head",
        folder: Some(folder.display().to_string()),
        ..ProjectionFacts::default()
    };
    let before = problems.len();
    for (cluster, head) in heads {
        for (file, role) in [(&head.centroid, "centroid"), (&head.answer, "answer")] {
            if file.is_none() {
                let message = format!("{what}, head of cluster {cluster}: no file of its {role}");
                problems.of_kind(ErrorKind::InvalidModel, message);
            }
        }
    }
    check_heads(&what, heads, None, &mut facts, problems);
    // The engine has the last word where the checks above found nothing.
    let interrupted = |id: i64| folder.join(projection_core::layout::incomplete_name(id)).exists();
    if problems.len() == before && !id.is_some_and(interrupted) {
        match Model::load(folder, id.unwrap_or(1), TEMPERATURE) {
            Ok(model) => {
                facts.kind = kind_name(model.kind());
                facts.hybrid_weight = model.hybrid_weight();
                facts.unseen_offset = model.unseen_offset();
            }
            Err(error) => problems.error(&error.context(what)),
        }
    }
    facts
}

/// What the matrix of a linear projection says, where it is there.
pub(super) fn linear_projection(
    id: i64,
    path: Option<&Path>,
    what: &str,
    problems: &mut Problems,
) -> ProjectionFacts {
    let array = path.and_then(|path| check(path, what, Content::Matrix, problems));
    let side = |axis: usize| array.as_ref()?.shape.get(axis).copied();
    ProjectionFacts {
        id: Some(id),
        kind: kind_name(ModelKind::Linear),
        matrices: 1,
        input_dim: side(1),
        output_dim: side(0),
        matrix_dtypes: Dtypes(array.iter().map(|array| array.dtype).collect()),
        ..ProjectionFacts::default()
    }
}

/// Reads the names in `folder` and in the folders below it.
pub(super) fn scan(folder: &Path, problems: &mut Problems) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut below = Vec::new();
    for path in list(folder)? {
        if path.is_dir() {
            below.push(path);
        } else {
            found.files.push(path);
        }
    }
    for folder in below {
        let files = problems.value_of(list(&folder));
        found.files.extend(files.into_iter().filter(|path| path.is_file()));
    }
    for path in &found.files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(id) = marker_id(name) {
            found.markers.push((id, path.clone()));
        }
        if let Some(id) = name.strip_prefix("W_projection_").and_then(|n| n.strip_suffix(".npy")) {
            found.linear.extend(id.parse().ok().map(|id| (id, path.clone())));
        }
        let Some((id, cluster, role)) = head_file(name) else { continue };
        let Some(cluster) = cluster else {
            let message = format!("{}: expected a cluster id in the name", path.display());
            problems.of_kind(ErrorKind::InvalidModel, message);
            continue;
        };
        let heads = found.projections.entry(id).or_default().entry(folder.into()).or_default();
        let head: &mut HeadPaths = heads.entry(cluster).or_default();
        let file = match role {
            "centroid" => &mut head.centroid,
            "answer" => &mut head.answer,
            _ => &mut head.matrix,
        };
        *file = Some(path.clone());
    }
    // The older names count only where there are no others.
    let numbered: Vec<PathBuf> = (found.projections.iter())
        .filter(|(id, _)| id.is_some())
        .flat_map(|(_, folders)| folders.keys().cloned())
        .collect();
    if let Some(folders) = found.projections.get_mut(&None) {
        folders.retain(|folder, _| !numbered.contains(folder));
        if folders.is_empty() {
            found.projections.remove(&None);
        }
    }
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listing = |error| Error::io("listing", folder, error);
    let entries = fs::read_dir(folder).map_err(listing)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(listing)?;
    paths.sort();
    Ok(paths)
}

/// Projection id, cluster id and role that a file name stands for. The cluster id is `None`
/// where something else stands in its place.
fn head_file(name: &str) -> Option<(Option<i64>, Option<i64>, &'static str)> {
    let number = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let stem = name.strip_suffix(".npy")?;
    for (prefix, role) in [("centroid_", "centroid"), ("answer_emb_", "answer")] {
        if let Some(cluster) = stem.strip_prefix(prefix) {
            return Some((None, number(cluster), role));
        }
    }
    let (id, rest) = stem.strip_prefix("mh_")?.split_once("_cluster_")?;
    let id = number(id).filter(|number| number.to_string() == id)?;
    let (cluster, role) = rest.rsplit_once('_')?;
    let role = ["centroid", "answer", "W"].into_iter().find(|known| *known == role)?;
    Some((Some(id), number(cluster), role))
}

fn marker_id(name: &str) -> Option<i64> {
    name.strip_prefix("mh_")?.strip_suffix(".incomplete")?.parse().ok()
}

/// An id in two folders can't be loaded from the folder of both.
pub(super) fn check_ids(found: &Found, problems: &mut Problems) {
    for (id, folders) in &found.projections {
        let (Some(id), true) = (id, folders.len() > 1) else { continue };
        let places: Vec<_> = folders.keys().map(|place| place.display().to_string()).collect();
        let message = format!("projection {id} is in {}", places.join(" and in "));
        problems.of_kind(ErrorKind::AmbiguousModel, message);
    }
}

/// A marker of a projection that the database knows is left of a training that was killed
/// once it was through, and does no harm.
pub(super) fn check_markers(found: &Found, known: &[i64], problems: &mut Problems) {
    for (id, path) in found.markers.iter().filter(|(id, _)| !known.contains(id)) {
        let message = format!(
            "{}: projection {id} is being trained, or that was interrupted",
            path.display()
        );
        problems.add("interrupted_training", message);
    }
}

/// The projections of the database that the folder belongs to, where there is one.
fn known_ids(folder: &Path) -> Vec<i64> {
    let ids = |database: &str| {
        let store = Store::open_read_only(folder.join(database)).ok()?;
        Some(store.models().ok()?.into_iter().map(|model| model.id).collect())
    };
    ["../lda.db", "../../lda.db"].into_iter().find_map(ids).unwrap_or_default()
}
