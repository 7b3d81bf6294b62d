//! `projection import-embeddings`: vectors of any embedding model.

use std::fs;

use half::f16;
use ndarray::{Array1, Array2, array};
use ndarray_npy::{WritableElement, write_npy};
use projection_core::npy;
use projection_store::search::Searcher;
use serde_json::{Value, json};

use crate::common::{Place, Run, SMALL, model_dir, run, vector_file};

/// Vectors that differ from row to row and from one `turn` to another.
pub fn vectors(rows: usize, dim: usize, turn: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, dim), |(row, column)| {
        ((row * 31 + column * 17 + turn * 101) as f32 * 0.37).sin() + 0.01
    })
}

/// Four answers, of which the last has no question, and five questions, of which the fourth
/// has no answer.
fn place() -> Place {
    let place = Place::new();
    write(&place, "A.npy", &vectors(4, 6, 0));
    write(&place, "Q.npy", &vectors(5, 6, 1));
    write(&place, "L.npy", &array![0i64, 0, 1, -1, 2]);
    place
}

fn write<T: WritableElement, D: ndarray::Dimension>(
    place: &Place,
    name: &str,
    array: &ndarray::Array<T, D>,
) {
    write_npy(place.path(name), array).unwrap();
}

fn texts(place: &Place, answers: &[&str], questions: &[&str]) {
    let texts = json!({"answers": answers, "questions": questions});
    place.write("T.json", &texts.to_string());
}

fn import(place: &Place, more: &[&str]) -> Run {
    let (db, files) = (place.db(), ["A.npy", "Q.npy", "L.npy"].map(|name| place.file(name)));
    let [a, q, l] = files.each_ref().map(String::as_str);
    let args = ["import-embeddings", &db, "--model-name", "mine", "--answers", a];
    run(args.iter().chain(&["--questions", q, "--labels", l]).chain(more))
}

fn with_texts(place: &Place) -> Run {
    import(place, &["--json", "--texts", &place.file("T.json")])
}

/// Id and text of all answers, then of all questions.
fn ids(place: &Place) -> Vec<(i64, String)> {
    let sql = place.sql();
    let mut statement = sql
        .prepare(
            "SELECT id, text FROM (SELECT 1 AS o, answer_id AS id, text FROM answers UNION ALL \
             SELECT 2, question_id, text FROM questions ORDER BY 1, 2)",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn vector_of(place: &Place, entity: &str, id: i64) -> Vec<f32> {
    let path: String = place
        .sql()
        .query_row(
            "SELECT vector_path FROM embeddings WHERE entity_type = ?1 AND entity_id = ?2",
            (entity, id),
            |row| row.get(0),
        )
        .unwrap();
    npy::NpyArray::load(place.path(&path)).unwrap().to_f32().unwrap()
}

#[test]
fn from_arrays_to_hits() {
    let place = place();
    let imported = import(&place, &[]).ok();
    assert!(imported.starts_with("imported 4 answers and 5 questions by mine (dimension 6)\n"));
    assert!(imported.contains("1 answer without a question"), "{imported}");
    assert!(imported.contains("1 question without an answer"), "{imported}");
    assert!(import(&place, &[]).ok().starts_with("unchanged"));
    let report = place.healthy();
    assert_eq!(report["texts"], json!({"clusters": 4, "answers": 4, "questions": 5}));
    assert_eq!(report["batches"][0]["status"], "completed");

    let trained = run(["train", &place.db(), "--json", "--method", "multi-head", "--force"]).json();
    assert_eq!((&trained["heads"], &trained["questions"]), (&json!(3), &json!(4)));
    assert_eq!((&trained["model"], &trained["clusters_left_out"]), (&json!("mine"), &json!(1)));

    // The answer without a head is searched like the others.
    let searcher = Searcher::open(place.db(), Some("mine")).unwrap();
    assert_eq!(searcher.index().len(), 4);
    let answers = vectors(4, 6, 0);
    let best = searcher.vector_search(answers.row(3).as_slice().unwrap(), 1).unwrap();
    assert_eq!(searcher.text(best[0].answer_id), Some("answer 3"));
    let model = projection_store::Store::open_read_only(place.db())
        .and_then(|store| store.multi_head_model(1))
        .unwrap();
    let questions = vectors(5, 6, 1);
    let question = questions.row(4);
    let hits =
        searcher.vector_search_with_projection(question.as_slice().unwrap(), Some(&model), 1);
    assert_eq!(searcher.text(hits.unwrap()[0].answer_id), Some("answer 2"));
}

#[test]
fn moved_arrays_are_known_and_their_next_version_replaces_them() {
    let place = place();
    import(&place, &[]).ok();
    let before = ids(&place);
    fs::create_dir(place.path("moved")).unwrap();
    for name in ["A.npy", "Q.npy", "L.npy"] {
        fs::rename(place.path(name), place.path(&format!("moved/{name}"))).unwrap();
    }
    let import_moved = || {
        let [a, q, l] = ["A", "Q", "L"].map(|name| place.file(&format!("moved/{name}.npy")));
        run(["import-embeddings", &place.db(), "--model-name", "mine", "--answers", &a]
            .into_iter()
            .chain(["--questions", &q, "--labels", &l]))
        .ok()
    };
    assert!(import_moved().starts_with("moved, "));
    assert!(import_moved().starts_with("unchanged, "));
    assert_eq!(ids(&place), before);
    write(&place, "moved/A.npy", &vectors(4, 6, 2));
    assert!(import_moved().starts_with("replaced 4 answers"));
    assert_eq!(ids(&place), before);
    let report = place.healthy();
    assert_eq!(report["texts"], json!({"clusters": 4, "answers": 4, "questions": 5}));
}

#[test]
fn every_kind_of_array_gives_the_same_store() {
    let answers = vectors(4, 6, 0).mapv(|value| f16::from_f32(value).to_f32());
    let labels = array![0i64, 0, 1, -1, 2];
    let stored = |place: &Place| {
        import(place, &[]).ok();
        (1..=4).map(|id| vector_of(place, "answer", id)).collect::<Vec<_>>()
    };
    let one = place();
    write(&one, "A.npy", &answers);
    let expected = stored(&one);
    let other = place();
    // NumPy's column order, double precision, the shortest integers.
    write(
        &other,
        "A.npy",
        &answers.mapv(f64::from).reversed_axes().as_standard_layout().t().to_owned(),
    );
    write(&other, "L.npy", &labels.mapv(|label| label as i8));
    assert_eq!(stored(&other), expected);
    let half = place();
    let bytes: Vec<u8> = answers.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (4, 6), }";
    file.extend(format!("{header:<117}\n").bytes());
    fs::write(half.path("A.npy"), [file, bytes].concat()).unwrap();
    write(&half, "L.npy", &labels.mapv(|label| label as i32).insert_axis(ndarray::Axis(1)));
    assert_eq!(stored(&half), expected);
}

#[test]
fn a_new_version_replaces_the_last_one_and_keeps_ids_by_text() {
    let place = place();
    texts(&place, &["a", "b", "c", "b"], &["1", "2", "3", "4", "5"]);
    with_texts(&place).json();
    let before = ids(&place);
    run(["train", &place.db(), "--method", "multi-head", "--force"]).ok();
    let model = projection_store::Store::open_read_only(place.db())
        .and_then(|store| store.multi_head_model(1))
        .unwrap();
    let query = [0.3, -0.2, 0.9, 0.1, 0.5, -0.7];
    let expected = model.project(&query).unwrap();

    // A new answer in front, "c" gone, "a" with another vector, "2" moved to another answer.
    let old = vectors(4, 6, 0);
    let mut answers = Array2::zeros((4, 6));
    for (row, from) in [(0, vectors(1, 6, 7).row(0)), (1, vectors(1, 6, 8).row(0))] {
        answers.row_mut(row).assign(&from);
    }
    answers.row_mut(2).assign(&old.row(1));
    answers.row_mut(3).assign(&old.row(3));
    write(&place, "A.npy", &answers);
    write(&place, "L.npy", &array![1u8, 2, 2, 0, 0]);
    texts(&place, &["new", "a", "b", "b"], &["1", "2", "3", "4", "5"]);
    let folder = place.path("embeddings/mine");
    let file = |id: i64| vector_file(&folder, &format!("answer_{id}_model_1"));
    let kept_file = fs::metadata(file(2)).unwrap().modified().unwrap();
    let replaced = with_texts(&place).json();
    assert_eq!((&replaced["outcome"], &replaced["questions"]), (&json!("replaced"), &json!(5)));
    assert_eq!(replaced["removed"], 4, "the answer c, and 2, 4 and 5, which have other answers");
    let report = place.healthy();
    assert_eq!(report["texts"]["answers"], 4);
    assert_eq!(report["models"][0]["questions"], 5);
    let after = ids(&place);
    for kept in [(1, "a"), (2, "b"), (4, "b"), (1, "1"), (3, "3")] {
        let kept = (kept.0, kept.1.to_string());
        assert!(before.contains(&kept) && after.contains(&kept), "{kept:?} {after:?}");
    }
    assert_eq!(vector_of(&place, "answer", 1), vectors(1, 6, 8).row(0).to_vec());
    assert_eq!(vector_of(&place, "answer", 2), old.row(1).to_vec());
    assert_eq!(fs::metadata(file(2)).unwrap().modified().unwrap(), kept_file, "not written again");
    let new = after.iter().find(|(_, text)| text == "new").unwrap().0;
    assert_eq!(vector_of(&place, "answer", new), vectors(1, 6, 7).row(0).to_vec());

    // The old model serves as before; the next one has a new id.
    let model = projection_store::Store::open_read_only(place.db())
        .and_then(|store| store.multi_head_model(1))
        .unwrap();
    assert_eq!(model.project(&query).unwrap(), expected);
    assert!(
        run(["train", &place.db(), "--method", "multi-head", "--force"])
            .ok()
            .starts_with("projection 2\n")
    );

    // The same files as vectors of another model: the first one's are gone.
    let (db, t) = (place.db(), place.file("T.json"));
    let [a, q, l] = ["A.npy", "Q.npy", "L.npy"].map(|name| place.file(name));
    let args = ["import-embeddings", &db, "--answers", &a, "--questions", &q, "--labels", &l];
    run(args.iter().chain(&["--model-name", "other", "--texts", &t])).ok();
    let report = place.healthy();
    let models = report["models"].as_array().unwrap();
    assert_eq!((&models[0]["answers"], &models[0]["questions"]), (&json!(0), &json!(0)));
    assert_eq!((&models[1]["answers"], &models[1]["questions"]), (&json!(4), &json!(5)));
    assert_eq!(ids(&place), after);
}

#[test]
fn placeholders_are_not_embedded_but_texts_are() {
    let place = place();
    import(&place, &[]).ok();
    let nothing = place.embed().ok();
    assert!(nothing.starts_with("nothing to embed"), "{nothing}");
    texts(&place, &["a", "b", "c", "d"], &["1", "2", "3", "4", "5"]);
    with_texts(&place).json();
    let embedded = place.embed().ok();
    assert!(embedded.starts_with("embedded 4 answers and 5 questions"), "{embedded}");
    // New vectors of the same texts leave those of the other model alone.
    write(&place, "A.npy", &vectors(4, 6, 9));
    with_texts(&place).json();
    assert!(place.embed().ok().starts_with("nothing to embed"));
    place.healthy();
    // The embedding model has another dimension than the vectors that were imported under the name.
    let model = model_dir();
    let args = ["--json", "embed", &place.db(), "--model-name", "mine", "--model-dir"];
    let (kind, _) = run(args.into_iter().chain([model.to_str().unwrap()])).json_error(1);
    assert_eq!(kind, "dimension_mismatch");
}

/// Makes one file wrong. Gives the error's kind and words that its message must have.
type Damage = (&'static str, fn(&Place), &'static str, &'static [&'static str]);

#[test]
fn wrong_files_are_named_and_change_nothing() {
    let good = place();
    texts(&good, &["a", "b", "c", "d"], &["1", "2", "3", "4", "5"]);
    with_texts(&good).json();
    let before = (ids(&good), good.healthy()["models"].clone());
    let cases: &[Damage] = &[
        (
            "dimension",
            |p| write(p, "Q.npy", &vectors(5, 7, 1)),
            "dimension_mismatch",
            &["Q.npy", "dimension 7", "expected 6", "A.npy"],
        ),
        (
            "model's dimension",
            |p| {
                write(p, "A.npy", &vectors(4, 7, 1));
                write(p, "Q.npy", &vectors(5, 7, 1));
            },
            "dimension_mismatch",
            &["'mine'", "dimension 6", "expected 7"],
        ),
        (
            "1-d",
            |p| write(p, "A.npy", &Array1::<f32>::ones(6)),
            "dimension_mismatch",
            &["A.npy", "shape [6]", "two dimensions"],
        ),
        (
            "label too large",
            |p| write(p, "L.npy", &array![0i32, 1, 4, 0, 0]),
            "invalid_input",
            &["L.npy", "row 2", "label 4", "0 to 3", "-1"],
        ),
        (
            "label too small",
            |p| write(p, "L.npy", &array![0i32, -2, 1, 0, 0]),
            "invalid_input",
            &["L.npy", "row 1", "label -2"],
        ),
        (
            "float labels",
            |p| write(p, "L.npy", &array![0.0f64, 1.0, 0.0, 0.0, 0.0]),
            "invalid_array",
            &["L.npy", "'<f8'", "int64"],
        ),
        (
            "too few labels",
            |p| write(p, "L.npy", &array![0i32, 1]),
            "dimension_mismatch",
            &["L.npy", "2 labels", "expected 5", "Q.npy"],
        ),
        (
            "NaN",
            |p| {
                let mut array = vectors(5, 6, 3);
                array[(3, 2)] = f32::NAN;
                write(p, "Q.npy", &array);
            },
            "not_finite",
            &["Q.npy", "row 3", "component 2", "NaN"],
        ),
        (
            "too large",
            |p| {
                let mut array = vectors(4, 6, 3).mapv(f64::from);
                array[(1, 5)] = 1e200;
                write(p, "A.npy", &array);
            },
            "not_finite",
            &["A.npy", "row 1", "component 5", "1e200"],
        ),
        (
            "zero",
            |p| {
                let mut array = vectors(4, 6, 3);
                array.row_mut(2).fill(0.0);
                write(p, "A.npy", &array);
            },
            "zero_vector",
            &["A.npy", "row 2"],
        ),
        (
            "integer vectors",
            |p| write(p, "A.npy", &array![[1i64, 2]]),
            "invalid_array",
            &["A.npy", "'<i8'", "float32"],
        ),
        (
            "cut",
            |p| {
                let bytes = fs::read(p.path("A.npy")).unwrap();
                fs::write(p.path("A.npy"), &bytes[..bytes.len() - 4]).unwrap();
            },
            "invalid_array",
            &["A.npy", "truncated"],
        ),
        (
            "too few texts",
            |p| texts(p, &["a", "b"], &["1", "2", "3", "4", "5"]),
            "invalid_input",
            &["T.json", "2 texts", "answers", "expected 4"],
        ),
        (
            "empty text",
            |p| texts(p, &["a", "b", "c", "d"], &["1", "2", " ", "4", "5"]),
            "invalid_input",
            &["T.json", "questions[2]", "empty"],
        ),
        (
            "no list",
            |p| p.write("T.json", r#"{"answers": ["a", "b", "c", "d"]}"#),
            "invalid_input",
            &["T.json", "questions"],
        ),
        ("no JSON", |p| p.write("T.json", "a\nb\n"), "invalid_input", &["T.json", "JSON"]),
    ];
    for (case, damage, kind, words) in cases {
        let names = ["A.npy", "Q.npy", "L.npy", "T.json"];
        let whole = names.map(|name| fs::read(good.path(name)).unwrap());
        damage(&good);
        let (found, message) = with_texts(&good).json_error(1);
        assert_eq!(found, *kind, "{case}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{case}: {message}");
        let batches = run(["batches", &good.db(), "--json"]).json();
        let last = batches["batches"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["status"], &last["error"]), (&json!("failed"), &Value::from(message)));
        for (name, bytes) in names.iter().zip(whole) {
            fs::write(good.path(name), bytes).unwrap();
        }
        assert_eq!((ids(&good), good.healthy()["models"].clone()), before, "{case}");
    }
    assert_eq!(with_texts(&good).json()["outcome"], "unchanged");
    fs::remove_file(good.path("L.npy")).unwrap();
    let (kind, message) = with_texts(&good).json_error(1);
    assert!(kind == "not_found" && message.contains("L.npy"), "{message}");
}

#[test]
fn a_failed_import_is_retried_from_the_recorded_files() {
    let place = place();
    write(&place, "L.npy", &array![0i64, 0, 9, -1, 2]);
    import(&place, &[]).failed(1);
    assert!(!place.path("lda.db").exists(), "a first import that fails leaves no store");
    place.write("other.json", SMALL);
    run(["import", &place.db(), &place.file("other.json")]).ok();
    import(&place, &[]).failed(1);
    write(&place, "L.npy", &array![0i64, 0, 1, -1, 2]);
    let retried = run(["import", &place.db(), "--retry-failed", "--json"]).json();
    assert_eq!(retried["files"][0]["outcome"], "imported");
    assert_eq!(retried["files"][0]["questions"], 5);
    assert!(import(&place, &[]).ok().starts_with("unchanged"));
    let nothing = run(["import", &place.db(), "--retry-failed"]).ok();
    assert_eq!(nothing, "nothing to import\n");
}

#[test]
fn what_a_killed_import_left_is_cleared_away_by_the_next() {
    let place = place();
    import(&place, &[]).ok();
    // Put in place by a change that was never committed. The list names a file of ours, too.
    let folder = place.path("embeddings/mine");
    let ours = vector_file(&folder, "answer_1_model_1");
    fs::copy(&ours, folder.join("answer_99_model_1_ab.npy")).unwrap();
    let ours = ours.file_name().unwrap().to_str().unwrap();
    // The digits are those of the SHA-256 of the database's name.
    let list = folder.join("vectors.934db2b3.incomplete");
    fs::write(&list, format!("answer_99_model_1_ab.npy\n{ours}\n../../lda.db")).unwrap();
    // That of another database in the folder stays.
    let other = folder.join("vectors.00000000.incomplete");
    fs::write(&other, ours).unwrap();
    assert_eq!(place.inspect()["problems"].as_array().unwrap().len(), 1);
    write(&place, "A.npy", &vectors(4, 6, 5));
    import(&place, &[]).ok();
    place.healthy();
    assert!(!list.exists() && other.exists());
}
