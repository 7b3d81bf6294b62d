//! `projection index`, and stored indexes that are not those of the projection.

use std::fs;

use serde_json::Value;

use crate::common::{Place, run};

#[test]
fn a_store_keeps_an_index_and_says_what_is_wrong_with_it() {
    let place = Place::trained();
    let db = place.db();
    // So small a projection has none.
    for arguments in [&["index", &db][..], &["index", &db, "--projection", "1", "--check"]] {
        let report = run(arguments.iter().chain(&["--json"])).json();
        assert_eq!((&report["projection_id"], &report["index"]), (&1.into(), &Value::Null));
        assert_eq!(
            run(arguments).ok(),
            "projection 1: no index, every query is compared with all vectors\n"
        );
    }
    place.healthy();
    // What another program left there is not used, and is told.
    let question = ["How do I read a CSV file?", "--json"];
    let before = place.query(&question).json();
    let folder = fs::read_dir(place.path("embeddings")).unwrap().next().unwrap().unwrap().path();
    let file = folder.join("mh_1_index.safetensors");
    fs::write(&file, "not an index").unwrap();
    assert_eq!(place.query(&question).json()["hits"], before["hits"]);
    let (kind, message) = run(["index", &db, "--check", "--json"]).json_error(1);
    assert_eq!(kind, "invalid_model");
    assert!(message.contains("mh_1_index.safetensors"), "{message}");
    let problems = place.inspect()["problems"].to_string();
    assert!(problems.contains("mh_1_index.safetensors"), "{problems}");
    run(["index", &db, "--threads", "2"]).ok();
    assert!(!file.exists());
    place.healthy();
    let (kind, _) = run(["index", &db, "--projection", "9", "--json"]).json_error(1);
    assert_eq!(kind, "not_found");
    run(["index", &db, "--check", "--threads", "2"]).failed(2);
}
