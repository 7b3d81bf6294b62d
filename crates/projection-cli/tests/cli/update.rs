//! Files that are imported again.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::common::{Place, SMALL, run};

/// Id of every text that has a vector, and the vector file's bytes.
fn vectors(place: &Place) -> BTreeMap<String, (i64, Vec<u8>)> {
    let sql = place.sql();
    let mut statement = sql
        .prepare(
            "SELECT coalesce(a.text, q.text), e.entity_id, e.vector_path FROM embeddings e \
             LEFT JOIN answers a ON e.entity_type = 'answer' AND a.answer_id = e.entity_id \
             LEFT JOIN questions q ON e.entity_type = 'question' AND q.question_id = e.entity_id",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(String, i64, String)> = rows.map(Result::unwrap).collect();
    rows.into_iter()
        .map(|(text, id, path)| (text, (id, fs::read(place.path(&path)).unwrap())))
        .collect()
}

#[test]
fn a_changed_file_replaces_what_it_brought_and_keeps_the_rest() {
    let place = Place::trained();
    let before = vectors(&place);
    assert_eq!(before.len(), 12);

    // One answer reworded, one question gone, one new.
    let changed = SMALL
        .replace("A function keeps the variables around it.", "It captures its surroundings.")
        .replace("What is a closure?", "closures, please explain");
    place.write("small.json", &changed);
    let report = run(["import", "--json", &place.db(), &place.file("small.json")]).json();
    assert_eq!(report["files"][0]["outcome"], "replaced");
    assert_eq!(report["files"][0]["removed"], 1);
    assert_eq!(vectors(&place).len(), 10, "vectors of older wordings are gone");

    let embedded = place.embed().ok();
    assert!(embedded.starts_with("embedded 1 answer and 1 question"), "{embedded}");
    let after = vectors(&place);
    assert_eq!(after.len(), 12);
    let kept: Vec<_> = before.iter().filter(|(text, _)| after.contains_key(*text)).collect();
    assert_eq!(kept.len(), 10);
    assert!(kept.into_iter().all(|(text, vector)| after[text] == *vector));
    let old = &before["A function keeps the variables around it."];
    let new = &after["It captures its surroundings."];
    assert_eq!(old.0, new.0, "the answer keeps its id");
    assert_ne!(old.1, new.1, "and has a new vector");

    // The model of before still answers, with the clusters' names.
    let found = place.query(&["--json", "closures"]).json();
    assert_eq!(found["weights"][1]["name"], "closures");
    let texts = found["hits"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap());
    assert!(texts.into_iter().any(|text| text == "It captures its surroundings."));
}

#[test]
fn a_file_that_fails_does_not_stop_the_others() {
    let place = Place::new();
    place.write("good.json", SMALL);
    place.write("bad.json", r#"{"clusters": [{"answer_id": "x"}]}"#);
    let (db, good, bad) = (place.db(), place.file("good.json"), place.file("bad.json"));
    let gone = place.file("gone.json");

    let both = run(["import", &db, &bad, &gone, &good]);
    assert_eq!(both.code, Some(1));
    let errors: Vec<&str> = both.stderr.lines().collect();
    assert_eq!(errors.len(), 2, "{}", both.stderr);
    assert!(errors[0].starts_with("error: ") && errors[0].contains(&bad), "{}", errors[0]);
    assert!(errors[1].contains(&gone));
    assert!(both.stdout.contains("2 of 3 files failed"), "{}", both.stdout);

    let again = run(["import", "--json", &db, &bad, &good]);
    assert_eq!(again.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(report["files"][0]["error"]["kind"], "invalid_input");
    assert_eq!(report["files"][1]["outcome"], "unchanged");
    let error: serde_json::Value = serde_json::from_str(&again.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "invalid_input");

    let report = place.healthy();
    assert_eq!(report["texts"], json!({"clusters": 3, "answers": 5, "questions": 8}));
    let failed = &report["batches"][0];
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("clusters[0]"));
}

#[test]
fn a_removed_cluster_is_called_by_its_number() {
    let place = Place::trained();
    place.sql().execute("DELETE FROM qa_clusters WHERE cluster_id = 2", []).unwrap();
    let found = place.query(&["closures"]).ok();
    assert!(found.contains("cluster 2"), "{found}");
    let found = place.query(&["closures", "--json"]).json();
    assert_eq!(found["weights"][1]["cluster_id"], 2);
    assert_eq!(found["weights"][1]["name"], serde_json::Value::Null);
}
