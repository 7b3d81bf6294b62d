//! `projection import` of folders, `projection batches` and `--retry-failed`.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Place, SMALL, run};

fn cluster(name: &str) -> String {
    let question = format!("What is {name}?");
    let cluster = json!({"answer_id": name, "answer": format!("{name}."), "questions": [question]});
    json!({"clusters": [cluster]}).to_string()
}

/// File name and outcome of each file of a report.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let (path, outcome) = (file["file"].as_str().unwrap(), file["outcome"].as_str());
            let name = path.rsplit('/').next().unwrap();
            (name.to_string(), outcome.unwrap().to_string())
        })
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, outcome)| (name.to_string(), outcome.to_string())).collect()
}

#[test]
fn a_folder_gives_its_new_and_changed_files() {
    let place = Place::new();
    for folder in ["qa", "qa/deep", "qa/.hidden"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    for name in ["qa/b.json", "qa/a.json", "qa/deep/c.json", "qa/.hidden/d.json", "qa/.e.json"] {
        place.write(name, &cluster(name));
    }
    place.write("qa/notes.txt", "no questions");
    place.write("more.json", &cluster("more"));
    let (db, qa) = (place.db(), place.file("qa"));
    let first = run(["import", "--json", &db, &qa, &place.file("more.json")]).json();
    let imported = |name| (name, "imported");
    assert_eq!(outcomes(&first), pairs(&["a.json", "b.json", "c.json", "more.json"].map(imported)));

    place.write("qa/b.json", &cluster("changed"));
    place.write("qa/new.json", &cluster("new"));
    fs::remove_file(place.path("qa/a.json")).unwrap();
    let second = run(["import", "--json", &db, &qa]).json();
    assert_eq!(
        outcomes(&second),
        pairs(&[
            ("b.json", "replaced"),
            ("c.json", "unchanged"),
            ("new.json", "imported"),
            ("a.json", "missing")
        ])
    );
    let third = run(["import", &db, &qa]).ok();
    assert!(third.contains("1 imported file missing; the store keeps their texts"), "{third}");
    assert_eq!(place.healthy()["texts"]["answers"], 5, "what a.json brought is still there");

    // The whole folder of the store: its arrays are no question-answer files.
    fs::create_dir_all(place.path("embeddings/m")).unwrap();
    place.write("embeddings/m/mh_1_model.json", "{}");
    let all = run(["import", "--json", &db, place.dir.path().to_str().unwrap()]).json();
    assert_eq!(
        outcomes(&all),
        pairs(&[
            ("more.json", "unchanged"),
            ("b.json", "unchanged"),
            ("c.json", "unchanged"),
            ("new.json", "unchanged"),
            ("a.json", "missing")
        ])
    );
    fs::create_dir(place.path("empty")).unwrap();
    assert_eq!(run(["import", &db, &place.file("empty")]).ok(), "nothing to import\n");
    run(["import", &db, &place.file("nowhere")]).failed(1);
}

#[test]
fn batches_are_listed_and_failed_ones_retried() {
    let place = Place::new();
    let db = place.db();
    place.write("good.json", &cluster("good"));
    place.write("bad.json", r#"{"clusters": 7}"#);
    place.write("gone.json", "{");
    let files = ["good.json", "bad.json", "gone.json"].map(|name| place.file(name));
    run(["import", &db].iter().copied().chain(files.iter().map(String::as_str))).failed(1);

    let batches = run(["batches", &db, "--json"]).json();
    let rows = batches["batches"].as_array().unwrap();
    let column = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(column("status"), ["embedding", "failed", "failed"]);
    assert_eq!(column("current"), [true, false, false]);
    assert_eq!(column("questions"), [json!(1), Value::Null, Value::Null]);
    assert!(rows[1]["error"].as_str().unwrap().contains("clusters"));
    assert!(rows[1]["started_at"].is_string() && rows[1]["completed_at"].is_string());
    assert!(rows[0]["started_at"].is_string() && rows[0]["completed_at"].is_null());
    let text = run(["batches", &db]).ok();
    assert!(text.lines().nth(2).is_some_and(|line| line.contains("bad.json")), "{text}");

    // One is mended, the other is not there any more.
    place.write("bad.json", &cluster("mended"));
    fs::remove_file(place.path("gone.json")).unwrap();
    let retried = run(["import", &db, "--retry-failed", "--json"]);
    assert_eq!(retried.code, Some(1));
    let report = serde_json::from_str(&retried.stdout).unwrap();
    assert_eq!(outcomes(&report), pairs(&[("bad.json", "imported"), ("gone.json", "failed")]));
    assert_eq!(report["files"][1]["error"]["kind"], "not_found");
    assert_eq!(place.healthy()["texts"]["answers"], 2);

    // An import that was killed is tried again too.
    place.write("good.json", &cluster("better"));
    run(["import", &db, &place.file("good.json")]).ok();
    place
        .sql()
        .execute_batch(
            "UPDATE training_batches SET status = 'importing' WHERE batch_id = 5;
             UPDATE engine_sources SET batch_id = 1 WHERE source_file = 'good.json';",
        )
        .unwrap();
    place.write("gone.json", &cluster("back"));
    let retried = run(["import", &db, "--retry-failed", "--json"]).json();
    assert_eq!(outcomes(&retried), pairs(&[("gone.json", "imported"), ("good.json", "replaced")]));
    assert_eq!(run(["import", &db, "--retry-failed"]).ok(), "nothing to import\n");
    let missing = run(["import", &place.file("no.db"), "--retry-failed", "--json"]).json_error(1);
    assert_eq!(missing.0, "not_found");
}

#[test]
fn more_data_is_embedded_alone_and_trained_beside_the_old_model() {
    let place = Place::trained();
    let db = place.db();
    let query: Vec<f32> = (0..384).map(|i| (i as f32 * 0.7).sin()).collect();
    let old = projection_store::Store::open_read_only(&db)
        .and_then(|store| store.multi_head_model(1))
        .unwrap()
        .project(&query)
        .unwrap();
    let folder = place.path("embeddings/all-MiniLM-L6-v2");
    let files = || {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
        let modified = |entry: &fs::DirEntry| entry.metadata().unwrap().modified().unwrap();
        entries
            .map(|entry| (entry.file_name(), modified(&entry)))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files();
    place.write("more.json", &cluster("more"));
    run(["import", &db, &place.file("more.json")]).ok();
    let embedded = place.embed().ok();
    assert!(embedded.starts_with("embedded 1 answer and 1 question"), "{embedded}");
    let trained = run(["train", &db, "--json", "--method", "multi-head", "--force"]).json();
    assert_eq!((&trained["id"], &trained["heads"]), (&json!(2), &json!(4)));
    let after = files();
    assert!(before.iter().all(|(name, time)| after[name] == *time), "nothing is written again");
    assert_eq!(
        projection_store::Store::open_read_only(&db)
            .and_then(|store| store.multi_head_model(1))
            .unwrap()
            .project(&query)
            .unwrap(),
        old
    );
    let found = place.query(&["closures", "--json", "--projection", "1"]).json();
    assert_eq!(found["weights"].as_array().unwrap().len(), 3);
    // Words of a file that is imported again stay what they are.
    place.write("small.json", &SMALL.replace("CSV file", "CSV-file"));
    run(["import", &db, &place.file("small.json")]).ok();
    assert!(place.embed().ok().starts_with("embedded 0 answers and 1 question"));
    place.healthy();
}
