//! Inspecting a store: its database and the files that the database names.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use projection_core::projection::ModelKind;
use projection_core::{Error, ErrorKind, layout};
use projection_store::{FileUse, Store, StoredFile, StoredModel};

use super::arrays::{Content, check, check_len};
use super::folder;
use super::heads::{HeadPaths, Heads, check_heads};
use super::{Dtypes, EmbeddingModelFacts, Inspected, Problems, ProjectionFacts, Texts, kind_name};
use crate::output::progress;

pub(super) fn inspect(database: &Path) -> Result<Inspected, Error> {
    let store = Store::open_read_only(database)?;
    let mut problems = Problems::default();
    problems.value_of(store.check_triggers());
    let (answers, questions) = problems.value_of(store.text_counts());
    let clusters = problems.value_of(store.clusters()).len();
    let mut models: Vec<EmbeddingModelFacts> = problems
        .value_of(store.embedding_models())
        .into_iter()
        .map(|model| EmbeddingModelFacts {
            id: model.model_id,
            name: model.name,
            dimension: model.dimension,
            answers: 0,
            questions: 0,
            dtypes: Dtypes::default(),
        })
        .collect();
    for odd in problems.value_of(store.odd_values()) {
        problems.of_kind(ErrorKind::InvalidStore, odd.to_string());
    }
    for shared in problems.value_of(store.shared_files()) {
        problems.add("shared_files", shared.to_string());
    }
    let stored = problems.value_of(store.files());
    let mut files = Files::default();
    let bar = progress("reading", stored.len());
    for file in stored {
        files.check(file, &mut models, &mut problems);
        bar.inc(1);
    }
    let (linear, with_heads): (Vec<_>, Vec<_>) = problems
        .value_of(store.models())
        .into_iter()
        .partition(|model| model.kind == ModelKind::Linear);
    let known: Vec<i64> = with_heads.iter().map(|model| model.id).collect();
    let mut projections = Vec::new();
    for stored in with_heads {
        let heads = files.heads.remove(&stored.id).unwrap_or_default();
        let trouble = files.trouble.contains(&stored.id);
        let facts = inspect_projection(&store, stored, &heads, trouble, &models, &mut problems);
        projections.push(facts);
    }
    for id in files.heads.keys() {
        let message = format!("heads of projection {id}, which the database does not have");
        problems.of_kind(ErrorKind::InvalidModel, message);
    }
    for facts in &mut files.linear {
        if let Some(stored) = linear.iter().find(|stored| Some(stored.id) == facts.id) {
            set_search_defaults(stored, facts, &mut problems);
        }
    }
    projections.append(&mut files.linear);
    files.paths.extend(problems.value_of(store.files_of_neighbours()));
    check_folder(&store, &files.paths, &known, &mut problems);
    bar.finish_and_clear();
    Ok(Inspected {
        path: database.display().to_string(),
        texts: Some(Texts { clusters, answers, questions }),
        models,
        batches: problems.value_of(store.batches()),
        projections,
        problems: problems.0,
    })
}

/// What the files in the database turned out to be.
#[derive(Default)]
struct Files {
    heads: BTreeMap<i64, Heads>,
    /// Projections with heads whose files are missing.
    trouble: HashSet<i64>,
    linear: Vec<ProjectionFacts>,
    /// Files in the database, as [`real`] names them.
    paths: HashSet<PathBuf>,
}

impl Files {
    fn check(
        &mut self,
        file: StoredFile,
        models: &mut [EmbeddingModelFacts],
        problems: &mut Problems,
    ) {
        let what = describe(&file.file_use);
        let path = match file.path {
            Ok(path) => Some(path),
            Err(error) => {
                problems.error(&error.context(&what));
                None
            }
        };
        self.paths.extend(path.as_deref().map(real));
        match file.file_use {
            FileUse::Vector { model_id, entity_type, .. } => {
                let Some(model) = models.iter_mut().find(|model| model.id == model_id) else {
                    let message = format!(
                        "{what}: by embedding model {model_id}, which is not in the database"
                    );
                    return problems.of_kind(ErrorKind::InvalidStore, message);
                };
                match entity_type.as_str() {
                    "answer" => model.answers += 1,
                    _ => model.questions += 1,
                }
                let Some(path) = path else { return };
                if let Some(array) = check(&path, &what, Content::Direction, problems) {
                    check_len(&array, &path, &what, model.dimension, problems);
                    model.dtypes.0.insert(array.dtype);
                }
            }
            FileUse::Head { projection, cluster_id, part } => {
                let head = self.head(projection, cluster_id, path.is_some());
                match part {
                    "centroid" => head.centroid = path,
                    "answer" => head.answer = path,
                    _ => head.matrix = path,
                }
            }
            FileUse::Part { projection, name } => match path {
                Some(path) if name.ends_with(".npy") => {
                    check(&path, &what, Content::Matrix, problems);
                }
                Some(_) => {}
                None => drop(self.trouble.insert(projection)),
            },
            FileUse::LinearMatrix { projection } => {
                let facts = folder::linear_projection(projection, path.as_deref(), &what, problems);
                self.linear.push(facts);
            }
        }
    }

    fn head(&mut self, projection: i64, cluster_id: i64, there: bool) -> &mut HeadPaths {
        if !there {
            self.trouble.insert(projection);
        }
        self.heads.entry(projection).or_default().entry(cluster_id).or_default()
    }
}

fn describe(file_use: &FileUse) -> String {
    match file_use {
        FileUse::Vector { entity_type, entity_id, .. } => {
            format!("vector of {entity_type} {entity_id}")
        }
        FileUse::Head { projection, cluster_id, part } => {
            format!("projection {projection}, head of cluster {cluster_id}, {part}")
        }
        FileUse::Part { projection, name } => format!("projection {projection}, {name}"),
        FileUse::LinearMatrix { projection } => format!("linear projection {projection}, matrix"),
    }
}

fn inspect_projection(
    store: &Store,
    stored: StoredModel,
    heads: &Heads,
    trouble: bool,
    models: &[EmbeddingModelFacts],
    problems: &mut Problems,
) -> ProjectionFacts {
    let what = format!("projection {}", stored.id);
    let before = problems.len();
    let mut facts = ProjectionFacts {
        id: Some(stored.id),
        kind: kind_name(stored.kind),
        name: stored.name.clone(),
        temperature: stored.temperature,
        created_at: stored.created_at.clone(),
        ..ProjectionFacts::default()
    };
    set_search_defaults(&stored, &mut facts, problems);
    let model = models.iter().find(|model| model.name == stored.model_name);
    match model {
        Some(model) => facts.model = Some(model.name.clone()),
        None => {
            let message = format!("{what}: its embedding model is not in the database");
            problems.of_kind(ErrorKind::InvalidStore, message);
        }
    }
    if let Some(expected) = stored.heads.filter(|expected| *expected != heads.len()) {
        let message = format!("{what}: {} heads, expected {expected} as trained", heads.len());
        problems.of_kind(ErrorKind::InvalidModel, message);
    }
    check_heads(&what, heads, model.map(|model| model.dimension), &mut facts, problems);
    // The engine has the last word where the checks above found nothing.
    if !trouble
        && problems.len() == before
        && let Err(error) = store.open_model(&stored)
    {
        problems.error(&error);
    }
    if let Err(error) = store.check_index(stored.id) {
        problems.error(&error);
    }
    facts
}

/// What training chose for search.
fn set_search_defaults(stored: &StoredModel, facts: &mut ProjectionFacts, problems: &mut Problems) {
    let values = problems.value_of(stored.search_defaults());
    facts.hybrid_weight = values.hybrid_weight;
    facts.unseen_offset = values.unseen_offset;
}

/// Looks for orphans and for traces of an interrupted training.
fn check_folder(
    store: &Store,
    known_files: &HashSet<PathBuf>,
    known: &[i64],
    problems: &mut Problems,
) {
    let folder = store.path().parent().unwrap_or(Path::new("")).join(layout::EMBEDDINGS_FOLDER);
    if !folder.is_dir() {
        // A new store has none, and files that are missing were found above.
        return;
    }
    let found = match folder::scan(&folder, problems) {
        Ok(found) => found,
        Err(error) => return problems.error(&error),
    };
    folder::check_ids(&found, problems);
    folder::check_markers(&found, known, problems);
    for path in &found.files {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if name.starts_with('.') && name.ends_with(".tmp") {
            problems
                .add("orphan_file", format!("{}: left of an interrupted write", path.display()));
        } else if name.ends_with(".npy") && !known_files.contains(&real(path)) {
            let message = format!("{}: it is not in the database", path.display());
            problems.add("orphan_file", message);
        }
    }
}

/// One name for each file, however it is reached.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
