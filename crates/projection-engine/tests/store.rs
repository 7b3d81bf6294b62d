//! The way of the data through a store: import, vectors, training, opening; and stores that
//! are damaged, busy or left behind by a program that was killed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use projection_core::layout;
use projection_core::projection::{MultiHeadProjection, Projection};
use projection_core::{ErrorKind, npy};
use projection_engine::{MultiHeadTraining, train_multi_head};
use projection_store::import::{ImportOptions, ImportOutcome, import_file, import_paths};
use projection_store::search::Searcher;
use projection_store::{EntityType, Store};
use projection_train::weighted_centroid;

const DIM: usize = 12;
const MODEL: &str = "letters";

const FIRST: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Read CSV files with the csv module.",
     "questions": ["How do I read a csv?", "comma separated values", "open a table file"]},
    {"answer_id": "json", "answer": "Use a JSON parser.", "questions": ["parse json", "json?"]},
    {"id": "auth", "answer_source": "auth.md",
     "answers": {"default": "Log in with a token.", "letters": "token login"},
     "queries": {"short": ["login"], "long": ["How do I authenticate with the server?"]}}]}"#;

/// A stand-in for a text model: counts of letters, which depend on the text alone.
fn vector(text: &str) -> Vec<f32> {
    let mut counts = [0.1f32; DIM];
    for byte in text.to_lowercase().bytes() {
        counts[byte as usize % DIM] += 1.0;
    }
    let norm = counts.iter().map(|v| v * v).sum::<f32>().sqrt();
    counts.iter().map(|v| v / norm).collect()
}

fn embed(store: &mut Store) -> usize {
    let model = store.register_embedding_model(MODEL, DIM, "test", None).unwrap();
    let missing = store.texts_without_vector(MODEL, false).unwrap();
    let rows: Vec<f32> = missing.iter().flat_map(|text| vector(&text.text)).collect();
    let vectors = Array2::from_shape_vec((missing.len(), DIM), rows).unwrap();
    store.add_embeddings(&model, &missing, vectors.view()).unwrap();
    store.complete_embedded_batches(MODEL).unwrap();
    missing.len()
}

/// A folder with a store that has `FIRST` imported and embedded.
fn filled() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (database, file) = (folder.path().join("lda.db"), folder.path().join("qa.json"));
    fs::write(&file, FIRST).unwrap();
    let mut store = Store::open_or_create(&database).unwrap();
    import_file(&mut store, &file).unwrap();
    embed(&mut store);
    (folder, database, file)
}

fn ids_by_text(database: &Path) -> HashMap<String, i64> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT text, answer_id FROM answers UNION ALL SELECT text, question_id FROM questions",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn from_pairs_to_hits() {
    let (_folder, database, _) = filled();
    let mut store = Store::open(&database).unwrap();
    let training = MultiHeadTraining { name: Some("first".into()), ..Default::default() };
    let trained = train_multi_head(&mut store, &training).unwrap();
    assert_eq!((trained.id, trained.heads, trained.questions), (1, 3, 7));
    assert_eq!(store.choose(Some(1)).unwrap().name.as_deref(), Some("first"));

    // The folder and the database give the same model, which is what the definition says.
    let by_id =
        Store::open_read_only(&database).and_then(|store| store.multi_head_model(1)).unwrap();
    let folder = store.embeddings_folder(MODEL);
    let by_folder = MultiHeadProjection::load_unified(&folder, 1, 0.1).unwrap();
    let query = vector("reading comma separated files");
    assert_eq!(by_id.project(&query).unwrap(), by_folder.project(&query).unwrap());
    assert_eq!(by_id.cluster_ids(), [1, 2, 3]);
    let questions = ["How do I read a csv?", "comma separated values", "open a table file"];
    let rows: Vec<f32> = questions.iter().flat_map(|text| vector(text)).collect();
    let rows = Array2::from_shape_vec((3, DIM), rows).unwrap();
    let centroid = npy::NpyArray::load(folder.join(layout::centroid_name(1, 1))).unwrap();
    assert_eq!(centroid.to_f32().unwrap(), weighted_centroid(rows.view()).unwrap());
    let answer = npy::NpyArray::load(folder.join(layout::answer_name(1, 1))).unwrap();
    assert_eq!(answer.to_f32().unwrap(), vector("Read CSV files with the csv module."));

    // Two wordings of one answer are averaged and normalised.
    let answer = npy::NpyArray::load(folder.join(layout::answer_name(1, 3))).unwrap();
    let both = (vector("Log in with a token."), vector("token login"));
    let mean: Vec<f32> = both.0.iter().zip(&both.1).map(|(a, b)| (a + b) / 2.0).collect();
    let norm = mean.iter().map(|v| v * v).sum::<f32>().sqrt();
    for (found, mean) in answer.to_f32().unwrap().iter().zip(mean) {
        assert!((found - mean / norm).abs() < 1e-6);
    }

    let searcher = Searcher::open(&database, None).unwrap();
    assert_eq!(searcher.index().len(), 4);
    let hits = searcher.vector_search_with_projection(&query, Some(&by_id), 2).unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(searcher.text(hits[0].answer_id), Some("Read CSV files with the csv module."));
    let first = store.answer(hits[0].answer_id).unwrap();
    assert_eq!((first.source_file.as_str(), first.record_id.as_deref()), ("qa.json", Some("csv")));

    // A second training gets a new id and leaves the first model as it was.
    assert_eq!(train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id, 2);
    assert_eq!(
        Store::open_read_only(&database)
            .and_then(|store| store.multi_head_model(1))
            .unwrap()
            .project(&query)
            .unwrap(),
        by_id.project(&query).unwrap()
    );
}

#[test]
fn a_folder_can_be_copied_elsewhere() {
    let (folder, database, _) = filled();
    train_multi_head(&mut Store::open(&database).unwrap(), &MultiHeadTraining::default()).unwrap();
    let query = vector("json");
    let expected = Store::open_read_only(&database)
        .and_then(|store| store.multi_head_model(1))
        .unwrap()
        .project(&query)
        .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("copy");
    fs::rename(folder.path(), &moved).unwrap();
    let model = Store::open_read_only(moved.join("lda.db"))
        .and_then(|store| store.multi_head_model(1))
        .unwrap();
    assert_eq!(model.project(&query).unwrap(), expected);
    assert_eq!(Searcher::open(moved.join("lda.db"), Some(MODEL)).unwrap().index().len(), 4);
}

#[test]
fn a_changed_file_replaces_what_it_brought() {
    let (_folder, database, file) = filled();
    let mut store = Store::open(&database).unwrap();
    let unchanged = import_file(&mut store, &file).unwrap();
    assert_eq!(unchanged.outcome, ImportOutcome::Unchanged);
    assert_eq!(store.batches().unwrap().len(), 1);
    assert_eq!(store.batches().unwrap()[0].status, "completed");
    train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap();

    let before = ids_by_text(&database);
    let second = FIRST
        .replace("Use a JSON parser.", "Use serde.")
        .replace("\"comma separated values\", ", "")
        .replace("parse json", "read json")
        .replace(r#""letters": "token login""#, r#""other": "token login""#);
    fs::write(&file, &second).unwrap();
    let replaced = import_file(&mut store, &file).unwrap();
    assert_eq!(replaced.outcome, ImportOutcome::Replaced);
    assert_eq!((replaced.answers, replaced.questions, replaced.removed), (4, 6, 3));
    let after = ids_by_text(&database);
    for text in ["How do I read a csv?", "json?", "Log in with a token.", "login"] {
        assert_eq!(before[text], after[text], "{text}");
    }
    assert_eq!(after["Use serde."], before["Use a JSON parser."]);
    for gone in ["comma separated values", "parse json", "Use a JSON parser."] {
        assert!(!after.contains_key(gone), "{gone}");
    }
    // Only what is new needs a vector; the wording for another text model does not.
    let mut missing: Vec<String> = store
        .texts_without_vector(MODEL, false)
        .unwrap()
        .into_iter()
        .map(|text| text.text)
        .collect();
    missing.sort();
    assert_eq!(missing, ["Use serde.", "read json"]);
    let vectors = || fs::read_dir(store.embeddings_folder(MODEL)).unwrap().flatten();
    let vectors = vectors().filter(|v| !v.file_name().to_string_lossy().starts_with("mh_")).count();
    assert_eq!(vectors, 11 - 4, "vectors of texts that are gone or reworded stay");
    assert_eq!(embed(&mut store), 2);
    // The model that was trained before is still there.
    assert_eq!(
        Store::open_read_only(&database)
            .and_then(|store| store.multi_head_model(1))
            .unwrap()
            .cluster_ids(),
        [1, 2, 3]
    );

    // Back to the first version, whose hash is known but is not what the store holds.
    fs::write(&file, FIRST).unwrap();
    assert_eq!(import_file(&mut store, &file).unwrap().outcome, ImportOutcome::Replaced);
    assert!(ids_by_text(&database).contains_key("comma separated values"));
}

#[test]
fn a_moved_file_keeps_what_it_brought_and_a_copy_brings_nothing() {
    let (_folder, database, file) = filled();
    let mut store = Store::open(&database).unwrap();
    let before = ids_by_text(&database);

    let copy = file.with_file_name("copy.json");
    fs::copy(&file, &copy).unwrap();
    assert_eq!(import_file(&mut store, &copy).unwrap().outcome, ImportOutcome::Unchanged);
    assert_eq!(store.sources().unwrap(), [("qa.json".to_string(), 1)]);
    fs::remove_file(&copy).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().canonicalize().unwrap().join("moved.json");
    fs::copy(&file, &moved).unwrap();
    fs::remove_file(&file).unwrap();
    let folders = [elsewhere.path().to_path_buf(), file.parent().unwrap().to_path_buf()];
    let imported = import_paths(&mut store, &folders, &ImportOptions::default(), &mut |_, _, _| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let outcomes: Vec<_> = imported.files.iter().map(|file| file.report.outcome).collect();
    assert_eq!(outcomes, [ImportOutcome::Moved], "nothing is missing");
    assert_eq!(ids_by_text(&database), before);
    assert_eq!(store.batches().unwrap().len(), 1);
    assert_eq!(store.batches().unwrap()[0].source_file, moved.to_str().unwrap());
    assert_eq!(store.answer(1).unwrap().source_file, moved.to_str().unwrap());
    assert_eq!(import_file(&mut store, &moved).unwrap().outcome, ImportOutcome::Unchanged);

    // Later versions replace what came from the old path.
    fs::write(&moved, FIRST.replace("parse json", "read json")).unwrap();
    let replaced = import_file(&mut store, &moved).unwrap();
    assert_eq!((replaced.outcome, replaced.removed), (ImportOutcome::Replaced, 1));
    assert_eq!(ids_by_text(&database).len(), before.len());
}

#[test]
fn a_file_of_another_shape_changes_nothing_but_its_batch() {
    let (_folder, database, file) = filled();
    let mut store = Store::open(&database).unwrap();
    let before = ids_by_text(&database);
    fs::write(&file, r#"{"clusters": [{"answer_id": "x", "answer": "y"}, 7]}"#).unwrap();
    let error = import_file(&mut store, &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("qa.json") && error.to_string().contains("clusters[1]"));
    assert_eq!(ids_by_text(&database), before);
    let batches = store.batches().unwrap();
    assert_eq!(batches[1].status, "failed");
    assert!(batches[1].error_message.as_deref().unwrap().contains("clusters[1]"));
    // The version that the store holds is still known as unchanged.
    fs::write(&file, FIRST).unwrap();
    assert_eq!(import_file(&mut store, &file).unwrap().outcome, ImportOutcome::Unchanged);
    let missing = import_file(&mut store, file.with_file_name("no.json")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn training_needs_vectors_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
    let train = |store: &mut Store| train_multi_head(store, &MultiHeadTraining::default());
    assert_eq!(train(&mut store).unwrap_err().kind(), ErrorKind::NotFound);
    let file = folder.path().join("qa.json");
    fs::write(&file, r#"{"clusters": [{"answer_id": "x", "answer": "y"}]}"#).unwrap();
    import_file(&mut store, &file).unwrap();
    assert_eq!(
        store.texts_without_vector(MODEL, false).unwrap()[0].entity_type,
        EntityType::Answer
    );
    embed(&mut store);
    assert_eq!(train(&mut store).unwrap_err().kind(), ErrorKind::InvalidModel);
    for temperature in [0.0, f64::NAN] {
        let (_folder, database, _) = filled();
        let training = MultiHeadTraining { temperature, ..Default::default() };
        let error = train_multi_head(&mut Store::open(&database).unwrap(), &training).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(Store::open(&database).unwrap().models().unwrap().is_empty());
    }
}

#[test]
fn what_a_killed_training_left_is_no_model_and_is_cleared_away() {
    let (_folder, database, _) = filled();
    let mut store = Store::open(&database).unwrap();
    let folder = store.embeddings_folder(MODEL);
    // As after a kill between the files and the database: some heads, a marker, no row.
    for cluster in [1, 2, 77] {
        let vector = ndarray::Array1::<f32>::ones(DIM);
        npy::save(folder.join(layout::centroid_name(1, cluster)), vector.view()).unwrap();
        npy::save(folder.join(layout::answer_name(1, cluster)), vector.view()).unwrap();
    }
    fs::write(folder.join(layout::incomplete_name(1)), TAG).unwrap();
    let name = format!(".mh_1_cluster_3_centroid.npy.{TAG}.99.npy.tmp");
    fs::write(folder.join(name), "half").unwrap();
    let error = MultiHeadProjection::load_unified(&folder, 1, 0.1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert_eq!(
        Store::open_read_only(&database)
            .and_then(|store| store.multi_head_model(1))
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );

    let trained = train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap();
    assert_eq!(trained.id, 1);
    let model = MultiHeadProjection::load_unified(&folder, 1, 0.1).unwrap();
    assert_eq!(model.cluster_ids(), [1, 2, 3]);
    let leftovers = fs::read_dir(&folder).unwrap().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.contains("_77_") || name.contains("tmp") || name.contains("incomplete")
    });
    assert_eq!(leftovers.count(), 0);

    // A marker that could not be removed: the database has the model, and the next training
    // removes the marker.
    fs::write(folder.join(layout::incomplete_name(1)), TAG).unwrap();
    assert!(store.model(1).is_ok());
    assert_eq!(train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id, 2);
    assert!(!folder.join(layout::incomplete_name(1)).exists());
}

#[test]
fn files_of_another_store_are_left_alone() {
    let (_folder, database, _) = filled();
    let mut store = Store::open(&database).unwrap();
    let foreign = store.embeddings_folder(MODEL).join(layout::centroid_name(1, 5));
    npy::save(&foreign, ndarray::Array1::<f32>::ones(3).view()).unwrap();
    let old_layout = database.with_file_name("embeddings").join(layout::answer_name(2, 5));
    npy::save(&old_layout, ndarray::Array1::<f32>::ones(3).view()).unwrap();
    // One that another database is about to put in place.
    let marker = store.embeddings_folder(MODEL).join(layout::incomplete_name(3));
    fs::write(&marker, "00000000").unwrap();
    assert_eq!(train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id, 4);
    assert!(foreign.exists() && old_layout.exists() && marker.exists());
}

/// The digits by which files of a database called lda.db are known.
const TAG: &str = "934db2b3";

/// Every vector of a store as text, to be compared.
fn vectors_of(database: &Path) -> Vec<String> {
    let store = Store::open_read_only(database).unwrap();
    let model = store.embedding_model(None).unwrap();
    let texts = store.embedded_answers(&model).unwrap().into_iter();
    texts.map(|t| format!("{} {:?}", t.text, model.load([&t.vector]).unwrap())).collect()
}

#[test]
fn two_databases_in_one_folder_share_no_file() {
    let (folder, first, imported) = filled();
    let before = vectors_of(&first);
    let second = folder.path().join("b.db");
    let file = folder.path().join("b.json");
    fs::write(&file, FIRST.replace("Read", "Fetch").replace("JSON", "YAML")).unwrap();
    let mut store = Store::open_or_create(&second).unwrap();
    import_file(&mut store, &file).unwrap();
    embed(&mut store);
    assert_eq!(vectors_of(&first), before);
    assert_ne!(vectors_of(&second), before);
    // Models have ids of their own in the folder.
    let train = |database: &Path| {
        let mut store = Store::open(database).unwrap();
        train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id
    };
    assert_eq!([train(&first), train(&second), train(&first)], [1, 2, 3]);

    // A copy names the files of the first one, and keeps them when that changes.
    let copy = folder.path().join("copy.db");
    fs::copy(&first, &copy).unwrap();
    let shared = |database: &Path| {
        let shared = Store::open_read_only(database).unwrap().shared_files().unwrap();
        shared.iter().map(|shared| shared.to_string()).collect::<Vec<_>>()
    };
    fs::write(&imported, FIRST.replace("JSON", "TOML")).unwrap();
    let mut store = Store::open(&first).unwrap();
    import_file(&mut store, &imported).unwrap();
    embed(&mut store);
    assert_eq!(vectors_of(&copy), before);
    assert_eq!(shared(&first), Vec::<String>::new());

    // A folder that other programs damaged is reported from both sides.
    let connection = rusqlite::Connection::open(&second).unwrap();
    connection.execute("ATTACH ?1 AS other", [first.to_str().unwrap()]).unwrap();
    let changed = "UPDATE embeddings SET vector_path = (SELECT vector_path FROM other.embeddings o \
                   WHERE o.entity_type = 'answer' LIMIT 1) WHERE entity_type = 'answer'";
    assert!(connection.execute(changed, []).unwrap() > 1);
    for (database, other) in [(&first, "b.db"), (&second, "lda.db")] {
        let found = shared(database);
        assert!(found.iter().any(|shared| shared.contains(other)), "{found:?}");
        assert!(Store::open(database).unwrap().warnings().unwrap()[0].contains("--again"));
    }
}

#[cfg(unix)]
#[test]
fn a_linked_database_has_its_files_beside_it() {
    let (folder, database, file) = filled();
    let before = vectors_of(&database);
    // A copy of another store beside the link.
    let app = folder.path().join("app");
    fs::create_dir_all(app.join("embeddings").join(MODEL)).unwrap();
    let links = [app.join("lda.db"), app.join("again.db"), app.join("new.db")];
    for (link, target) in links.iter().zip(["../lda.db", "lda.db", "../new.db"]) {
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    assert_eq!(vectors_of(&links[1]), before);
    // Also where the link leads to nothing yet.
    let mut store = Store::open_or_create(&links[2]).unwrap();
    import_file(&mut store, &file).unwrap();
    embed(&mut store);
    assert_eq!(vectors_of(&folder.path().join("new.db")), before);
    assert_eq!(fs::read_dir(app.join("embeddings").join(MODEL)).unwrap().count(), 0);
}

/// What programs that did not check their values wrote.
#[test]
fn rows_with_odd_values_are_read_and_named() {
    let four = "X'0400000000000000'";
    let cases = [
        (
            "UPDATE answers SET text = CAST(text AS BLOB) WHERE answer_id = 4",
            "answers, row 4: text",
        ),
        ("UPDATE answers SET text = CAST(X'ff41' AS TEXT) WHERE answer_id = 4", "not UTF-8"),
        ("UPDATE questions SET text = CAST(text AS BLOB)", "questions, row 1: text is a BLOB"),
        (
            "UPDATE cluster_answers SET answer_id = {4} WHERE answer_id = 4",
            "cluster_answers, row 4",
        ),
        ("UPDATE cluster_questions SET question_id = {4} WHERE question_id = 4", "of 8 bytes"),
        ("UPDATE embeddings SET entity_id = {4} WHERE entity_id = 4", "embeddings, row"),
        ("UPDATE multi_head_projections SET temperature = X'cdcccc3d'", "temperature is a BLOB"),
        ("UPDATE embedding_models SET dimension = X'0c00000000000000'", "dimension is a BLOB"),
    ];
    for (sql, expected) in cases {
        let (_folder, database, _) = filled();
        let mut store = Store::open(&database).unwrap();
        let training = MultiHeadTraining::default();
        train_multi_head(&mut store, &training).unwrap();
        assert_eq!(store.odd_values().unwrap(), []);
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        assert!(connection.execute(&sql.replace("{4}", four), []).unwrap() > 0, "{sql}");
        let odd = store.odd_values().unwrap();
        assert!(odd[0].to_string().contains(expected), "{odd:?}");
        assert!(store.warnings().unwrap()[0].contains(expected));
        let model = store.model(1).unwrap();
        assert!((model.temperature() - 0.1).abs() < 1e-6, "{sql}");
        let searcher = store.searcher(None).unwrap();
        let found = searcher.vector_search_with_projection(&vector("login"), Some(&model), 9);
        assert!(found.unwrap().len() >= searcher.index().len() - 1, "{sql}");
        assert!(train_multi_head(&mut store, &training).is_ok(), "{sql}");
    }
}

#[test]
fn databases_that_are_no_stores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lda.db");
    let kind = |path: &Path| Store::open(path).unwrap_err().kind();
    assert_eq!(kind(&path), ErrorKind::NotFound);
    assert!(!path.exists(), "opening must not create");
    assert_eq!(kind(folder.path()), ErrorKind::InvalidStore);
    let deeper = folder.path().join("no/lda.db");
    assert_eq!(Store::open_or_create(&deeper).unwrap_err().kind(), ErrorKind::NotFound);

    fs::write(&path, "no database, but long enough to look at").unwrap();
    for open in [Store::open, Store::open_read_only, Store::open_or_create] {
        let error = open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidStore);
        assert!(error.to_string().contains("lda.db"), "{error}");
    }

    let change = |sql: &str| {
        let (folder, database, _) = filled();
        rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
        let error = Store::open_read_only(&database).unwrap_err();
        drop(folder);
        (error.kind(), error.to_string())
    };
    for (sql, words) in [
        ("PRAGMA user_version = 99", "schema version 99, newer than 1"),
        ("DROP TABLE cluster_heads", "'cluster_heads' is missing"),
        ("ALTER TABLE answers DROP COLUMN record_id", "'answers' lacks the column record_id"),
    ] {
        let (kind, message) = change(sql);
        assert_eq!(kind, ErrorKind::InvalidStore);
        assert!(message.contains(words), "{message}");
    }
    // Some other program's database is not taken over.
    let (other, connection) = (folder.path().join("other.db"), rusqlite::Connection::open);
    connection(&other).unwrap().execute_batch("CREATE TABLE notes (x)").unwrap();
    assert_eq!(Store::open_or_create(&other).unwrap_err().kind(), ErrorKind::InvalidStore);
    // A database that is cut off.
    let (_folder, database, _) = filled();
    let bytes = fs::read(&database).unwrap();
    fs::write(&database, &bytes[..bytes.len() / 2]).unwrap();
    let error = Store::open(&database)
        .and_then(|store| store.models().map(drop).and(store.clusters().map(drop)))
        .and_then(|()| Searcher::open(&database, None).map(drop))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidStore, "{error}");
}

#[test]
fn a_change_that_was_cut_short_is_undone_by_readers_too() {
    let (_folder, database, _) = filled();
    train_multi_head(&mut Store::open(&database).unwrap(), &MultiHeadTraining::default()).unwrap();
    let expected = ids_by_text(&database);
    // As a killed writer leaves it: pages of an unfinished change, and their journal.
    let writer = rusqlite::Connection::open(&database).unwrap();
    writer
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE answers SET text = 'half'; \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
             INSERT INTO questions (text) SELECT 'half ' || i FROM n;",
        )
        .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    copy_folder(database.parent().unwrap(), elsewhere.path());
    drop(writer);
    assert!(elsewhere.path().join("lda.db-journal").metadata().unwrap().len() > 0);
    let database = elsewhere.path().join("lda.db");
    assert_eq!(
        Store::open_read_only(&database)
            .and_then(|store| store.multi_head_model(1))
            .unwrap()
            .cluster_ids(),
        [1, 2, 3]
    );
    assert_eq!(ids_by_text(&database), expected);
    assert_eq!(Searcher::open(&database, None).unwrap().index().len(), 4);
}

#[test]
fn a_second_writer_waits_and_then_gives_up() {
    let (_folder, database, file) = filled();
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut store = Store::open(&database).unwrap();
    let error = train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("lda.db"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id, 1);
    // Two at the same time both get through, one after the other.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut store = Store::open(&database).unwrap();
                train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap();
                import_file(&mut store, &file).unwrap();
            });
        }
    });
    let ids: Vec<i64> = store.models().unwrap().iter().map(|model| model.id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn a_store_of_the_python_code_is_trained_as_it_would_train_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/legacy_store");
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&source, folder.path());
    let database = folder.path().join("lda.db");
    let dump = |database: &Path| -> Vec<String> {
        let connection = rusqlite::Connection::open(database).unwrap();
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'engine_%'")
            .unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.map(|row| row.unwrap().unwrap_or_default()).collect()
    };
    let schema = dump(&database);
    let expected =
        Store::open_read_only(&database).and_then(|store| store.multi_head_model(1)).unwrap();
    let mut store = Store::open(&database).unwrap();
    let training = MultiHeadTraining { temperature: 1.0, ..Default::default() };
    let trained = train_multi_head(&mut store, &training).unwrap();
    assert_eq!(trained.heads, 13);
    assert_eq!(dump(&database), schema, "existing tables are never altered");
    let ours = Store::open_read_only(&database)
        .and_then(|store| store.multi_head_model(trained.id))
        .unwrap();
    assert_eq!(ours.cluster_ids(), expected.cluster_ids());
    let dim = expected.input_dim();
    for seed in 0..20 {
        let query: Vec<f32> = (0..dim).map(|i| ((i * 31 + seed * 17) as f32 * 0.7).sin()).collect();
        let (ours, theirs) = (ours.project(&query).unwrap(), expected.project(&query).unwrap());
        let pairs = ours.0.iter().zip(&theirs.0).chain(ours.1.iter().zip(&theirs.1));
        for (ours, theirs) in pairs {
            assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
        }
    }
    assert_eq!(ours.output_dim(), dim);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
