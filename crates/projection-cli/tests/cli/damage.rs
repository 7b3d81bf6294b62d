//! `projection inspect` on stores and folders with something wrong.

use std::fs;

use ndarray::{Array1, Array2};
use projection_core::layout;
use projection_core::npy;
use serde_json::Value;

use crate::common::{Place, model_dir, run, vector_file};

const MODEL: &str = "embeddings/all-MiniLM-L6-v2";

/// Checks that the report has a problem of `kind` whose message has all `words`.
#[track_caller]
fn has(report: &Value, kind: &str, words: &[&str]) {
    let problems = report["problems"].as_array().unwrap();
    let fits = |problem: &Value| {
        let message = problem["message"].as_str().unwrap();
        problem["kind"] == kind && words.iter().all(|word| message.contains(word))
    };
    assert!(problems.iter().any(fits), "no {kind} with {words:?} in {problems:#?}");
}

#[test]
fn every_problem_of_a_store_is_found() {
    let place = Place::trained();
    run(["train", &place.db(), "--method", "multi-head", "--force"]).ok();
    let file = |name: &str| place.path(&format!("{MODEL}/{name}"));
    let vector_of = |name: &str| vector_file(&place.path(MODEL), name);
    let vector = |values: Vec<f32>| Array1::from_vec(values);
    let head = |cluster| (layout::centroid_name(1, cluster), layout::answer_name(1, cluster));

    fs::remove_file(vector_of("answer_1_model_1")).unwrap();
    fs::write(vector_of("question_1_model_1"), "not an array").unwrap();
    npy::save(vector_of("question_2_model_1"), vector(vec![0.0; 384]).view()).unwrap();
    npy::save(vector_of("question_3_model_1"), vector(vec![1.0; 12]).view()).unwrap();
    npy::save(vector_of("question_4_model_1"), Array2::<f32>::ones((2, 384)).view()).unwrap();
    let mut values = vec![1.0; 384];
    values[7] = f32::NAN;
    npy::save(file(&head(1).0), vector(values).view()).unwrap();
    npy::save(file(&head(2).1), vector(vec![1.0; 383]).view()).unwrap();
    fs::remove_file(file(&head(3).1)).unwrap();
    fs::copy(file(&head(2).0), file("stray.npy")).unwrap();
    fs::write(file(".x.npy.1.npy.tmp"), "").unwrap();
    fs::write(file(&layout::incomplete_name(9)), "").unwrap();
    // Of a training that was killed when it was through: harmless.
    fs::write(file(&layout::incomplete_name(2)), "").unwrap();
    fs::create_dir(place.path("embeddings/copy")).unwrap();
    let copy = place.path("embeddings/copy").join(layout::centroid_name(2, 1));
    fs::copy(file(&layout::centroid_name(2, 1)), copy).unwrap();

    let report = place.inspect();
    has(&report, "not_found", &["vector of answer 1", "answer_1_model_1"]);
    has(&report, "invalid_array", &["vector of question 1", "question_1_model_1"]);
    has(&report, "zero_vector", &["question_2_model_1"]);
    has(&report, "dimension_mismatch", &["question_3_model_1", "12", "384"]);
    has(&report, "dimension_mismatch", &["question_4_model_1", "[2, 384]"]);
    has(&report, "not_finite", &["projection 1, head of cluster 1, centroid", "NaN at index 7"]);
    has(&report, "dimension_mismatch", &["projection 1, head of cluster 2, answer", "383"]);
    has(&report, "not_found", &["projection 1, head of cluster 3, answer"]);
    has(&report, "orphan_file", &["stray.npy"]);
    has(&report, "orphan_file", &[".x.npy.1.npy.tmp"]);
    has(&report, "orphan_file", &["copy", "mh_2_cluster_1_centroid.npy"]);
    has(&report, "ambiguous_model", &["projection 2", "copy"]);
    has(&report, "interrupted_training", &["mh_9.incomplete"]);
    assert_eq!(report["problems"].as_array().unwrap().len(), 13, "and no other");
    // What is sound is described all the same.
    assert_eq!(report["projections"].as_array().unwrap().len(), 2);
    assert_eq!(report["projections"][1]["centroid_dtypes"], serde_json::json!(["float32"]));

    let text = run(["inspect", &place.db()]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(1), ""));
    assert!(text.stdout.contains("13 problems found"), "{}", text.stdout);

    // The same folder without its database.
    let folder = run(["inspect", "--json", &place.file("embeddings")]);
    assert_eq!(folder.code, Some(1));
    let report = serde_json::from_str(&folder.stdout).unwrap();
    has(&report, "invalid_model", &["projection 1, head of cluster 3", "no file of its answer"]);
    has(&report, "invalid_model", &["copy", "projection 2, head of cluster 1"]);
    has(&report, "not_finite", &["projection 1, head of cluster 1, centroid"]);
    has(&report, "ambiguous_model", &["projection 2"]);
    has(&report, "interrupted_training", &["mh_9.incomplete"]);
}

#[test]
fn rows_that_do_not_fit_together() {
    let place = Place::trained();
    let sql = place.sql();
    sql.execute_batch(
        "UPDATE multi_head_projections SET num_heads = 4;
         INSERT INTO multi_head_projections (mh_projection_id, model_id, temperature)
             VALUES (2, 1, -1.0), (3, 77, 0.1);
         INSERT INTO cluster_heads (mh_projection_id, cluster_id, centroid_path, answer_emb_path)
             VALUES (5, 1, '../outside.npy', 'nowhere.npy');
         INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path)
             VALUES (66, 'answer', 1, 'embeddings/all-MiniLM-L6-v2/answer_1_model_1.npy');",
    )
    .unwrap();
    let report = place.inspect();
    has(&report, "invalid_model", &["projection 1", "3 heads, expected 4"]);
    has(&report, "invalid_model", &["projection 2", "no heads"]);
    has(&report, "invalid_store", &["projection 3", "embedding model"]);
    has(&report, "invalid_model", &["heads of projection 5"]);
    has(&report, "not_found", &["projection 5, head of cluster 1, centroid"]);
    has(&report, "not_found", &["projection 5, head of cluster 1, answer"]);
    has(&report, "invalid_store", &["vector of answer 1", "embedding model 66"]);
}

#[test]
fn folders_of_models() {
    let data = crate::common::root().join("tests/conformance");
    let inspect = |path: &str| run(["inspect", "--json", data.join(path).to_str().unwrap()]);
    let report = inspect("models/chapter/embeddings").json();
    let projections = report["projections"].as_array().unwrap();
    assert_eq!(projections.len(), 2, "{report}");
    let report = inspect("models/old_names").json();
    assert_eq!(report["projections"][0]["id"], Value::Null);
    assert_eq!(report["projections"][0]["heads"], 12);
    let report = inspect("models/d384_to_d8").json();
    assert_eq!(report["projections"][0]["input_dim"], 384);
    assert_eq!(report["projections"][0]["output_dim"], 8);
    inspect("models/d8_large_ids").json();
    inspect("models/d8_float16").json();

    // Whatever the engine refuses to load, inspect refuses too.
    let bad = fs::read_to_string(data.join("bad.txt")).unwrap();
    let models = bad.lines().filter_map(|line| line.strip_prefix("model "));
    let mut checked = 0;
    for model in models {
        let columns: Vec<&str> = model.split(' ').collect();
        let (path, status) = (columns[0], columns[3]);
        // An id that is not there says nothing of those that are.
        if status == "NOT_FOUND" {
            continue;
        }
        let run = inspect(path);
        assert_eq!(run.code, Some(1), "{path}: {}{}", run.stdout, run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        has(&report, &status.to_lowercase(), &[]);
        checked += 1;
    }
    assert!(checked > 10);
    let (kind, _) = inspect("bad/arrays").json_error(1);
    assert_eq!(kind, "not_found");
}

/// Runs a command that must not wait for a pipe or read a device to its end.
#[cfg(unix)]
#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let mut timed = vec!["20", crate::common::PROJECTION];
    timed.extend(args);
    let output = std::process::Command::new("timeout").args(&timed).output().unwrap();
    let run = crate::common::Run::from(output);
    assert_eq!(run.code, Some(1), "{args:?}: {}{}", run.stdout, run.stderr);
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(words.iter().all(|word| all.contains(word)), "{args:?}: {all}");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_in_the_place_of_files() {
    let place = Place::trained();
    let (db, pipe) = (place.db(), place.file("pipe.json"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let endless = place.file("endless.json");
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    let model = model_dir().to_str().unwrap().to_string();
    for special in [&*pipe, &endless] {
        let words = &[special, "not a regular file"];
        refused(&["import", &db, special], words);
        refused(&["evaluate", &db, "--test", special, "--model-dir", &model], words);
        refused(
            &["import-embeddings", &db, "--model-name", "m", "--answers", special]
                .into_iter()
                .chain(["--questions", special, "--labels", special])
                .collect::<Vec<_>>(),
            words,
        );
        let text_model = place.path("text_model");
        crate::common::copy_folder(&model_dir(), &text_model);
        for name in ["modules.json", "tokenizer.json", "1_Pooling/config.json"] {
            let file = text_model.join(name);
            let kept = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(special, &file).unwrap();
            let folder = text_model.to_str().unwrap();
            refused(&["query", &db, "x", "--model-dir", folder], &[name, "not a regular file"]);
            fs::remove_file(&file).unwrap();
            fs::write(&file, kept).unwrap();
        }
        fs::remove_dir_all(&text_model).unwrap();
        for suffix in ["-journal", "-wal", "-shm"] {
            let file = place.path(&format!("lda.db{suffix}"));
            std::os::unix::fs::symlink(special, &file).unwrap();
            refused(&["inspect", &db], &["lda.db", suffix, "not a regular file"]);
            fs::remove_file(file).unwrap();
        }
        // An index that can't be read is no index.
        let index = place.path(MODEL).join(layout::index_name(1));
        std::os::unix::fs::symlink(special, &index).unwrap();
        refused(&["inspect", &db], &["index", "not a regular file"]);
        fs::remove_file(index).unwrap();
        // The description of a model beside its arrays.
        let described = place.path(MODEL).join(layout::model_name(1));
        let kept = fs::read(&described).ok();
        let _ = fs::remove_file(&described);
        std::os::unix::fs::symlink(special, &described).unwrap();
        refused(&["inspect", &place.file("embeddings")], &["not a regular file"]);
        fs::remove_file(&described).unwrap();
        kept.into_iter().for_each(|kept| fs::write(&described, kept).unwrap());
    }
    place.healthy();
}

#[test]
fn views_and_triggers_in_a_database() {
    let place = Place::trained();
    let db = place.db();
    place.write("more.json", &crate::common::SMALL.replace("csv", "more"));
    let more = place.file("more.json");
    place
        .sql()
        .execute_batch(
            "CREATE TRIGGER all_gone AFTER INSERT ON Answers BEGIN DELETE FROM questions; END",
        )
        .unwrap();
    let report = place.inspect();
    has(&report, "invalid_store", &["'all_gone'", "'Answers'", "drop it"]);
    let refusal = run(["import", &db, &more]).failed(1);
    assert!(refusal.contains("'all_gone'"), "{refusal}");
    let (_, words) = (place.query(&["a CSV file?"]).ok(), "a view or a virtual table");
    place.sql().execute_batch("DROP TRIGGER all_gone").unwrap();
    place.healthy();
    place
        .sql()
        .execute_batch(
            "ALTER TABLE qa_clusters RENAME TO kept;
             CREATE VIEW qa_clusters AS WITH RECURSIVE n(cluster_id) AS (SELECT 1 UNION ALL
             SELECT cluster_id + 1 FROM n) SELECT cluster_id, 'x' AS name, 'x' AS description,
             'x' AS created_at FROM n;",
        )
        .unwrap();
    for run in [run(["inspect", &db]), run(["import", &db, &more]), place.query(&["x"])] {
        let message = run.failed(1);
        assert!(message.contains("'qa_clusters'") && message.contains(words), "{message}");
    }
}
