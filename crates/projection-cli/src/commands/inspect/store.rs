//! Inspecting a store: its database and the files that this records.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use projection_core::projection::ModelKind;
use projection_core::{Error, ErrorKind, layout};
use projection_store::store::{FileUse, ModelRecord, MultiHeadRow, RecordedFile, Store};

use super::arrays::{Content, check, check_len};
use super::folder;
use super::heads::{HeadPaths, Heads, check_heads};
use super::{
    Dtypes, ImportedFile, Inspected, Problems, ProjectionFacts, TextModel, Texts, kind_name,
};
use crate::output::progress;

pub(super) fn inspect(database: &Path) -> Result<Inspected, Error> {
    let store = Store::open_read_only(database)?;
    let mut problems = Problems::default();
    let (answers, questions) = problems.value_of(store.text_counts());
    let clusters = problems.value_of(store.clusters()).len();
    let mut models: Vec<TextModel> = problems
        .value_of(store.embedding_models())
        .into_iter()
        .map(|model| TextModel {
            id: model.model_id,
            name: model.name,
            dimension: model.dimension,
            answers: 0,
            questions: 0,
            dtypes: Dtypes::default(),
        })
        .collect();
    let recorded = problems.value_of(store.recorded_files());
    let mut files = Files::default();
    let bar = progress("reading", recorded.len());
    for file in recorded {
        files.check(file, &mut models, &mut problems);
        bar.inc(1);
    }
    let rows = problems.value_of(store.multi_head_projections());
    let known: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut projections = Vec::new();
    for row in rows {
        let heads = files.heads.remove(&row.id).unwrap_or_default();
        let trouble = files.trouble.contains(&row.id);
        projections.push(inspect_projection(&store, row, &heads, trouble, &models, &mut problems));
    }
    for id in files.heads.keys() {
        let message = format!("heads of projection {id}, which the database does not have");
        problems.of_kind(ErrorKind::InvalidModel, message);
    }
    for facts in &mut files.linear {
        let record = facts.id.and_then(|id| problems.value_of(store.model_record(id)));
        set_search_values(record.filter(|r| r.kind == ModelKind::Linear), facts, &mut problems);
    }
    projections.append(&mut files.linear);
    check_folder(&store, &files.paths, &known, &mut problems);
    bar.finish_and_clear();
    Ok(Inspected {
        path: database.display().to_string(),
        texts: Some(Texts { clusters, answers, questions }),
        models,
        batches: batches(&store, &mut problems),
        projections,
        problems: problems.0,
    })
}

/// What the recorded files turned out to be.
#[derive(Default)]
struct Files {
    heads: BTreeMap<i64, Heads>,
    /// Projections with heads whose files are missing.
    trouble: HashSet<i64>,
    linear: Vec<ProjectionFacts>,
    /// Files that a row records, as [`real`] names them.
    paths: HashSet<PathBuf>,
}

impl Files {
    fn check(&mut self, file: RecordedFile, models: &mut [TextModel], problems: &mut Problems) {
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
                    let message = format!("{what}: by text model {model_id}, which is not there");
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
            FileUse::Centroid { projection, cluster_id } => {
                let there = path.is_some();
                self.head(projection, cluster_id, there).centroid = path;
            }
            FileUse::HeadAnswer { projection, cluster_id } => {
                let there = path.is_some();
                self.head(projection, cluster_id, there).answer = path;
            }
            FileUse::HeadMatrix { projection, cluster_id } => {
                let there = path.is_some();
                self.head(projection, cluster_id, there).matrix = path;
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
    let head = |projection, cluster_id, role| {
        format!("projection {projection}, head of cluster {cluster_id}, {role}")
    };
    match file_use {
        FileUse::Vector { entity_type, entity_id, .. } => {
            format!("vector of {entity_type} {entity_id}")
        }
        FileUse::Centroid { projection, cluster_id } => head(projection, cluster_id, "centroid"),
        FileUse::HeadAnswer { projection, cluster_id } => head(projection, cluster_id, "answer"),
        FileUse::HeadMatrix { projection, cluster_id } => head(projection, cluster_id, "matrix"),
        FileUse::Part { projection, name } => format!("projection {projection}, {name}"),
        FileUse::LinearMatrix { projection } => format!("linear projection {projection}, matrix"),
    }
}

fn inspect_projection(
    store: &Store,
    row: MultiHeadRow,
    heads: &Heads,
    trouble: bool,
    models: &[TextModel],
    problems: &mut Problems,
) -> ProjectionFacts {
    let what = format!("projection {}", row.id);
    let before = problems.len();
    let record = problems.value_of(store.model_record(row.id));
    let mut facts = ProjectionFacts {
        id: Some(row.id),
        kind: record.as_ref().map_or("multi-head", |r| kind_name(r.kind)),
        name: row.name,
        temperature: Some(row.temperature),
        created_at: row.created_at,
        ..ProjectionFacts::default()
    };
    set_search_values(record, &mut facts, problems);
    let model = models.iter().find(|model| model.name == row.model_name);
    match model {
        Some(model) => facts.model = Some(model.name.clone()),
        None => {
            let message = format!("{what}: its text model is not in the database");
            problems.of_kind(ErrorKind::InvalidStore, message);
        }
    }
    if let Some(expected) = row.num_heads.filter(|expected| *expected != heads.len()) {
        let message = format!("{what}: {} heads, expected {expected} as trained", heads.len());
        problems.of_kind(ErrorKind::InvalidModel, message);
    }
    check_heads(&what, heads, model.map(|model| model.dimension), &mut facts, problems);
    // The engine has the last word where the checks above found nothing.
    if !trouble
        && problems.len() == before
        && let Some(kind) = store.model_kinds(row.id).ok().and_then(|kinds| kinds.first().copied())
        && let Err(error) = store.model_of_kind(kind, row.id)
    {
        problems.error(&error);
    }
    if let Err(error) = store.check_index(row.id) {
        problems.error(&error);
    }
    facts
}

/// What training chose for search.
fn set_search_values(
    record: Option<ModelRecord>,
    facts: &mut ProjectionFacts,
    problems: &mut Problems,
) {
    if let Some(record) = record {
        facts.hybrid_weight = problems.value_of(record.hybrid_weight());
        facts.unseen_offset = problems.value_of(record.unseen_offset());
    }
}

fn batches(store: &Store, problems: &mut Problems) -> Vec<ImportedFile> {
    let batches = problems.value_of(store.batches()).into_iter();
    batches
        .map(|batch| ImportedFile {
            id: batch.batch_id,
            file: batch.source_file,
            sha256: batch.file_hash,
            status: batch.status,
            error: batch.error_message,
        })
        .collect()
}

/// Looks for files that no row records, and for traces of an interrupted training.
fn check_folder(
    store: &Store,
    recorded: &HashSet<PathBuf>,
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
        } else if name.ends_with(".npy") && !recorded.contains(&real(path)) {
            let message = format!("{}: no row of the database records it", path.display());
            problems.add("orphan_file", message);
        }
    }
}

/// One name for each file, however it is reached.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
