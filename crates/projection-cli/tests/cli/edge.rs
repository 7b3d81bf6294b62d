//! `export --format edge`: a folder that has everything, or is not written.

use std::fs;
use std::path::Path;

use projection_core::projection::{Model, Projection};
use projection_core::search::Index;
use serde_json::{Value, json};

use crate::common::{Place, run};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const PARTS: [&str; 4] =
    ["answers.safetensors", "manifest.json", "model.safetensors", "texts.json"];

#[test]
fn the_folder_has_everything() {
    let place = Place::embedded();
    let (db, out) = (place.db(), place.file("out"));
    run(["train", &db, "--method", "residual", "--force"]).ok();
    let report = run(["export", &db, "--format", "edge", &out, "--json"]).json();
    assert_eq!((&report["kind"], &report["answers"]), (&json!("residual"), &json!(4)));
    assert_eq!((&report["answers_precision"], &report["questions"]), (&json!("int8"), &json!(8)));
    let folder = place.path("out");
    assert_eq!(names(&folder), PARTS);

    let manifest = json_of(&folder.join("manifest.json"));
    assert_eq!(manifest["format"], "projection_edge");
    assert_eq!(manifest["embedding_model"], "all-MiniLM-L6-v2");
    assert_eq!(manifest["answers"]["count"], 4);
    let fingerprint = manifest["embedding_model_fingerprint"].to_string().parse().unwrap();
    for part in manifest["parts"].as_array().unwrap() {
        let bytes = fs::read(folder.join(part["name"].as_str().unwrap())).unwrap();
        assert_eq!(part["bytes"], bytes.len());
        assert_eq!(part["sha256"].as_str().unwrap().len(), 64);
    }

    // What is in it finds what the store finds.
    let texts = json_of(&folder.join("texts.json"));
    let index = Index::from_bytes(&fs::read(folder.join("answers.safetensors")).unwrap()).unwrap();
    let model = Model::from_bytes(&fs::read(folder.join("model.safetensors")).unwrap()).unwrap();
    let ids: Vec<i64> = (texts["answers"].as_array().unwrap().iter())
        .map(|answer| answer["id"].as_i64().unwrap())
        .collect();
    assert_eq!(index.ids(), ids);
    let csv = &texts["answers"][0];
    assert_eq!(csv["title"], "csv");
    assert_eq!(csv["text"], "Use the delimiter option of the table reader.");
    let question = "How do I read a CSV file?";
    let embedded = projection_embed::Embedder::load(crate::common::model_dir()).unwrap();
    assert_eq!(*embedded.fingerprint(), fingerprint);
    let vector = embedded.embed(question).unwrap();
    let hits = index.search(&vector, Some(&model as &dyn Projection), 3).unwrap();
    let expected = place.query(&[question, "--json"]).json();
    for (hit, expected) in hits.iter().zip(expected["hits"].as_array().unwrap()) {
        assert_eq!(hit.answer_id, expected["answer_id"]);
        assert!((f64::from(hit.score) - expected["score"].as_f64().unwrap()).abs() < 5e-3);
    }
    // The texts are those of the model's questions, in its order.
    let nearest = model.as_residual().unwrap().neighbours_of(&vector).unwrap();
    assert_eq!(texts["questions"][nearest[0].number], question);

    // Again, otherwise: the old folder gives way, and nothing is left beside it.
    let report = run(["export", &db, "--format", "edge", &out, "--answers-precision", "f32"]).ok();
    assert!(report.contains("answers.safetensors") && report.contains("4 answers in f32"));
    let exact = Index::from_bytes(&fs::read(folder.join("answers.safetensors")).unwrap()).unwrap();
    let hits = exact.search(&vector, Some(&model as &dyn Projection), 3).unwrap();
    for (hit, expected) in hits.iter().zip(expected["hits"].as_array().unwrap()) {
        assert_eq!(hit.answer_id, expected["answer_id"]);
        assert!((f64::from(hit.score) - expected["score"].as_f64().unwrap()).abs() < 1e-5);
    }
    assert_eq!(names(&folder), PARTS);
    assert!(names(place.dir.path()).iter().all(|name| !name.contains("tmp")));

    // What killed exports left goes, what somebody else put there or is writing stays.
    for name in [".out.9-0.tmp", ".out.aB3.tmp", ".out.busy.tmp", ".out.mine.tmp", ".other.1.tmp"] {
        fs::create_dir(place.path(name)).unwrap();
        place.write(&format!("{name}/texts.json"), "");
    }
    place.write(".out.9-0.tmp/.tmpx.tmp", "");
    place.write(".out.mine.tmp/notes.txt", "mine");
    let busy = fs::File::open(place.path(".out.busy.tmp")).unwrap();
    busy.lock().unwrap();
    run(["export", &db, "--format", "edge", &out]).ok();
    let mut left = names(place.dir.path());
    left.retain(|name| name.contains("tmp"));
    assert_eq!(left, [".other.1.tmp", ".out.busy.tmp", ".out.mine.tmp"]);
}

#[test]
fn foreign_folders_stay_as_they_are() {
    let place = Place::trained();
    let (db, out) = (place.db(), place.file("out"));
    let export = |more: &[&str]| run(["export", &db, "--format", "edge"].iter().chain(more));
    fs::create_dir(&out).unwrap();
    place.write("out/notes.txt", "mine");
    assert!(export(&[&out]).failed(2).contains("--force"));
    assert_eq!(names(Path::new(&out)), ["notes.txt"]);
    // A file of one of our names does not make it ours.
    place.write("out/manifest.json", r#"{"format": "another"}"#);
    fs::remove_file(place.path("out/notes.txt")).unwrap();
    assert!(export(&[&out]).failed(2).contains("out: is not empty"));
    // Nor does one of any size.
    let long = format!(r#"{{"format": "projection_edge", "more": "{}"}}"#, "x".repeat(1 << 20));
    place.write("out/manifest.json", &long);
    assert!(export(&[&out]).failed(2).contains("out: is not empty"));
    // Nor do ours beside others.
    place.write("out/manifest.json", r#"{"format": "projection_edge"}"#);
    place.write("out/notes.txt", "mine");
    export(&[&out]).failed(2);
    export(&[&out, "--force"]).ok();
    assert_eq!(fs::read_to_string(place.path("out/notes.txt")).unwrap(), "mine");
    assert_eq!(names(Path::new(&out)).len(), 5);
    // An empty folder is as good as none.
    fs::create_dir(place.path("empty")).unwrap();
    export(&[&place.file("empty")]).ok();
    assert_eq!(names(&place.path("empty")), PARTS);
    assert_eq!(json_of(&place.path("empty/texts.json"))["questions"], json!([]));
}

#[test]
fn what_cannot_be_exported_is_named_and_leaves_nothing() {
    let place = Place::trained();
    let db = place.db();
    let before = names(place.dir.path());
    let out = place.file("out");
    for (arguments, code, part) in [
        (vec![&*db, "--format", "edge"], 2, "folder"),
        (vec![&*db, &*out], 2, "--format edge"),
        (vec![&*db, &*out, "--format", "edge", "--output", "x"], 2, "--output"),
        (vec![&*db, &*out, "--format", "edge", "--answers-precision", "int4"], 2, "int4"),
        (vec![&*db, "--format", "safetensors", "--force"], 2, "FOLDER"),
        (vec![&*db, &*out, "--format", "edge", "--projection", "99"], 1, "99"),
        (vec![&*db, &*db, "--format", "edge"], 2, "lda.db: is a file"),
        (vec![&*db, "/", "--format", "edge", "--force"], 2, "folder"),
        (vec!["/nowhere/lda.db", &*out, "--format", "edge"], 1, "lda.db"),
    ] {
        let message = run(["export"].iter().chain(&arguments)).failed(code);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    let deep = place.file("no/such/out");
    assert!(run(["export", &db, &deep, "--format", "edge"]).failed(1).contains("out"));
    assert_eq!(names(place.dir.path()), before);
}
