//! `projection project` against the conformance data, and with input that it must refuse.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2, array};
use projection_core::npy::{self, Dtype, NpyArray};

use crate::common::{Place, copy_folder, root, run};

/// The values of a float32 result of the given shape.
#[track_caller]
fn result(path: &Path, shape: &[usize]) -> Vec<f64> {
    let array = NpyArray::load(path).unwrap();
    assert_eq!((array.shape(), array.dtype()), (shape, Dtype::Float32));
    array.to_f64()
}

/// Compares with the reference of a conformance case, by the tolerances of its README.
#[track_caller]
fn compare(place: &Place, case: &str) {
    let folder = root().join("tests/conformance/cases").join(case);
    let expected = NpyArray::load(folder.join("projected.npy")).unwrap();
    let (_, columns) = expected.matrix_shape();
    let projected = result(&place.path("p.npy"), expected.shape());
    let expected = expected.to_f64();
    for (found, expected) in projected.chunks(columns).zip(expected.chunks(columns)) {
        let largest = expected.iter().fold(0.0f64, |top, v| top.max(v.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * largest, "{case}: {found}, {expected}");
        }
    }
    let expected = NpyArray::load(folder.join("weights.npy")).unwrap();
    let weights = result(&place.path("w.npy"), expected.shape());
    for (found, expected) in weights.iter().zip(expected.to_f64()) {
        assert!((found - expected).abs() <= 1e-5, "{case}: weight {found}, {expected}");
    }
}

#[test]
fn a_folder_and_a_database_give_the_reference_numbers() {
    let place = Place::new();
    let data = root().join("tests/conformance");
    let (output, weights) = (place.file("p.npy"), place.file("w.npy"));
    let results = ["--output", &output, "--weights", &weights];

    let model = data.join("models/d8_mixed");
    let queries = data.join("cases/d8_mixed-t0.07/queries.npy");
    let args = ["project", "--embeddings", model.to_str().unwrap(), "--id", "1"];
    let more = ["--temperature", "0.07", "--json", "--input", queries.to_str().unwrap()];
    let report = run(args.iter().chain(&more).chain(&results)).json();
    compare(&place, "d8_mixed-t0.07");
    assert_eq!(report["cluster_ids"], serde_json::json!([2, 9, 10, 100]));
    assert_eq!(report["temperature"], 0.07);

    copy_folder(&data.join("legacy_store"), dir(&place));
    for (case, id) in [("legacy-absolute", "1"), ("legacy-working_directory", "2")] {
        let queries = data.join("cases").join(case).join("queries.npy");
        let db = place.db();
        let args = ["project", "--db", &db, "--id", id, "--input", queries.to_str().unwrap()];
        run(args.iter().chain(&results)).ok();
        compare(&place, case);
    }
    // The recorded temperature of 1.0 gives way to another one.
    let queries = data.join("cases/legacy-folder-1/queries.npy");
    let args = ["project", "--db", &place.db(), "--id", "1", "--temperature", "0.02", "--input"];
    run(args.iter().chain(&[queries.to_str().unwrap()]).chain(&results)).ok();
    compare(&place, "legacy-folder-1");
}

fn dir(place: &Place) -> &Path {
    place.dir.path()
}

/// A model of dimension 3 with two heads, and a file of queries.
fn tiny(queries: Array2<f32>) -> Place {
    let place = Place::new();
    copy_folder(&root().join("tests/conformance/models/d3_axes"), &place.path("m"));
    npy::save(place.path("q.npy"), queries.view()).unwrap();
    place
}

fn project(place: &Place, more: &[&str]) -> crate::common::Run {
    let (model, input, output) = (place.file("m"), place.file("q.npy"), place.file("p.npy"));
    let args = ["project", "--embeddings", &model, "--id", "4", "--input", &input];
    run(args.iter().chain(&["--output", &output]).chain(more))
}

#[test]
fn results_have_the_shape_of_the_input() {
    let place = tiny(array![[1.0, 2.0, 3.0], [-1.0, 0.5, 0.25]]);
    let weights = place.file("w.npy");
    project(&place, &["--weights", &weights]).ok();
    let both = result(&place.path("p.npy"), &[2, 3]);
    let both_weights = result(&place.path("w.npy"), &[2, 2]);

    npy::save(place.path("q.npy"), Array1::from_vec(vec![1.0f32, 2.0, 3.0]).view()).unwrap();
    let text = project(&place, &["--weights", &weights]).ok();
    assert!(text.contains("temperature 0.1"), "{text}");
    assert_eq!(result(&place.path("p.npy"), &[3]), both[..3]);
    assert_eq!(result(&place.path("w.npy"), &[2]), both_weights[..2]);

    npy::save(place.path("q.npy"), array![[-1.0f64, 0.5, 0.25]].view()).unwrap();
    project(&place, &[]).ok();
    assert_eq!(result(&place.path("p.npy"), &[1, 3]), both[3..]);
}

#[test]
fn nothing_is_written_on_error() {
    let place = tiny(array![[1.0, 2.0, 3.0], [f32::NAN, 0.5, 0.25]]);
    let weights = place.file("w.npy");
    let message = project(&place, &["--weights", &weights]).failed(1);
    assert!(message.contains("q.npy: row 1") && message.contains("NaN"), "{message}");
    npy::save(place.path("q.npy"), array![[1.0f32, 2.0]].view()).unwrap();
    let (kind, _) = project(&place, &["--weights", &weights, "--json"]).json_error(1);
    assert_eq!(kind, "dimension_mismatch");
    npy::save(place.path("q.npy"), array![[1.0f32, 2.0, 3.0]].view()).unwrap();
    // The second file can't be written, so the first is not either.
    let message = project(&place, &["--weights", &place.file("no/w.npy")]).failed(1);
    assert!(message.contains("no/w.npy"), "{message}");
    fs::create_dir(place.path("folder")).unwrap();
    project(&place, &["--weights", &place.file("folder")]).failed(1);

    let mut names: Vec<_> =
        fs::read_dir(dir(&place)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "m", "q.npy"]);
}

#[test]
fn the_input_is_not_overwritten() {
    let place = tiny(array![[1.0, 2.0, 3.0]]);
    let before = fs::read(place.path("q.npy")).unwrap();
    let (model, input, output) = (place.file("m"), place.file("q.npy"), place.file("p.npy"));
    let roundabout = format!("{}/m/../q.npy", dir(&place).display());
    for results in [
        vec!["--output", &input],
        vec!["--output", &roundabout],
        vec!["--output", &output, "--weights", &input],
        vec!["--output", &output, "--weights", &output],
    ] {
        let args = ["project", "--embeddings", &model, "--id", "4", "--input", &input];
        let message = run(args.iter().chain(&results)).failed(2);
        assert!(message.contains("is the file of"), "{message}");
    }
    assert_eq!(fs::read(place.path("q.npy")).unwrap(), before);
    assert!(!place.path("p.npy").exists());
}
