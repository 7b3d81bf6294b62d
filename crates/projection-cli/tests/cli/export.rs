//! `export`, and models in one file in the commands that take them.

use std::fs;

use serde_json::json;

use crate::common::{Place, run};

#[test]
fn an_exported_model_answers_as_that_of_the_store() {
    let place = Place::trained();
    let file = place.file("m.safetensors");
    let report = run(["export", &place.db(), "--output", &file, "--json"]).json();
    assert_eq!(report["projection_id"], 1);
    assert_eq!(report["output_dim"], 384);
    assert_eq!(report["format"], "safetensors");
    assert_eq!(report["bytes"], fs::metadata(place.path("m.safetensors")).unwrap().len());

    let question = "How do I read a CSV file?";
    let by_store = place.query(&[question, "--json"]).json();
    let by_file = place.query(&[question, "--json", "--model", &file]).json();
    for key in ["kind", "temperature", "weights", "hits"] {
        assert_eq!(by_file[key], by_store[key], "{key}");
    }
    assert_eq!((&by_file["projection_id"], &by_file["model_file"]), (&json!(null), &json!(file)));
    assert!(place.query(&[question, "--model", &file]).ok().contains("m.safetensors"));

    let inspected = run(["inspect", &file, "--json"]).json();
    assert_eq!(inspected["projections"][0]["output_dim"], 384);
    assert_eq!(inspected["problems"], json!([]));
    assert!(run(["inspect", &file]).ok().contains("no problems found"));

    // From file to file, and into a graph.
    let (copy, graph) = (place.file("copy.safetensors"), place.file("m.onnx"));
    run(["export", "--model", &file, "--output", &copy]).ok();
    let (one, other) = (fs::metadata(&file).unwrap(), fs::metadata(&copy).unwrap());
    assert!(one.len() - other.len() < 4096, "{} {}", one.len(), other.len());
    let report = run(["export", &place.db(), "--format", "onnx", "--output", &graph]).ok();
    assert!(report.contains("m.onnx") && report.contains("384 → 384"), "{report}");
}

#[test]
fn what_cannot_be_exported_or_opened_is_named() {
    let place = Place::trained();
    let db = place.db();
    let file = place.file("m.safetensors");
    assert!(run(["export", &db, "--projection", "99"]).failed(1).contains("99"));
    assert!(
        run(["export", &db, "--output", &place.file("no/m.onnx")]).failed(1).contains("m.onnx")
    );
    assert!(run(["export", &db, "--output", &place.file("")]).failed(1).contains("folder"));
    assert!(run(["export", &db, "--output", &db]).failed(2).contains("--output"));
    assert!(run(["export", "--model", &file]).failed(1).contains("m.safetensors"));
    for wrong in [
        vec!["export"],
        vec!["export", &db, "--format", "magic"],
        vec!["export", &db, "--model", &file],
        vec!["export", "--embeddings", &db],
    ] {
        run(wrong).failed(2);
    }
    run(["export", &db, "--output", &file]).ok();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let problems = run(["inspect", &file, "--json"]);
    assert_eq!(problems.code, Some(1));
    assert!(problems.stdout.contains("invalid_model") && problems.stdout.contains("truncated"));
    let message = place.query(&["why?", "--model", &file]).failed(1);
    assert!(message.contains("m.safetensors"), "{message}");
}
