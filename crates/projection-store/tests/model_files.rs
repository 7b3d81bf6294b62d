//! Models in one file each: every conformance model gives the same numbers, bit for bit, and
//! damaged files are refused.

mod parts;
#[allow(dead_code)] // Not all of it is needed here.
mod vectors;

use std::fs;
use std::path::Path;

use ndarray::{Array2, array};
use parts::Parts;
use projection_core::ErrorKind;
use projection_core::kernel::Rows;
use projection_core::model_file::{self, Description};
use projection_core::projection::{
    Head, LinearProjection, Model, ModelKind, MultiHeadProjection, Projection, ResidualParts,
    ResidualProjection,
};
use serde_json::json;
use vectors::{lines, matrix_f32, root};

/// Every conformance case's name, model and queries.
fn cases() -> Vec<(String, Model, Array2<f32>)> {
    let mut cases = Vec::new();
    for (list, folder) in [("cases.txt", "cases"), ("kinds.txt", "kinds")] {
        for line in lines(&root().join(list)) {
            let columns: Vec<&str> = line.split(' ').collect();
            let (path, id) = (root().join(columns[2]), columns[3].parse().unwrap());
            let temperature: Option<f64> = columns[4].parse().ok();
            let model = match columns[1] {
                "db" => {
                    projection_store::Store::open_read_only(&path).and_then(|store| store.model(id))
                }
                _ => Model::load(&path, id, temperature),
            };
            let queries = matrix_f32(&root().join(folder).join(columns[0]).join("queries.npy"));
            cases.push((columns[0].to_string(), model.unwrap(), queries));
        }
    }
    assert!(cases.len() > 70, "only {} cases", cases.len());
    cases
}

fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

/// All that a model gives for some queries, to the last bit.
fn answers(model: &Model, queries: &Array2<f32>) -> Vec<Vec<u32>> {
    let mut results = Vec::new();
    let shape = (queries.nrows(), model.head_ids().len());
    let mut weights = Array2::zeros(shape);
    let mut batch = Array2::zeros((queries.nrows(), model.output_dim()));
    model.project_batch_into(queries.view(), batch.view_mut(), Some(weights.view_mut())).unwrap();
    results.extend([bits(batch), bits(weights)]);
    for query in queries.rows() {
        let (projected, weights) = Projection::project(model, &query.to_vec()).unwrap();
        results.extend([bits(projected), bits(weights)]);
        if let Some(residual) = model.as_residual() {
            let query = query.to_vec();
            results.push(bits(residual.nearest_question_scores(&query).unwrap()));
            let near = residual.neighbours_of(&query).unwrap();
            results.push(near.iter().map(|near| near.row as u32).collect());
            results.push(bits(near.iter().map(|near| near.weight as f32)));
        }
    }
    results
}

fn assert_same(name: &str, found: &Model, expected: &Model, queries: &Array2<f32>) {
    assert_eq!(found.kind(), expected.kind(), "{name}");
    assert_eq!(found.head_ids(), expected.head_ids(), "{name}");
    assert_eq!(found.temperature().to_bits(), expected.temperature().to_bits(), "{name}");
    assert_eq!(found.hybrid_weight(), expected.hybrid_weight(), "{name}");
    assert!(answers(found, queries) == answers(expected, queries), "{name}: other numbers");
}

#[test]
fn every_conformance_model_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model, queries) in cases() {
        let model = model.with_hybrid_weight(Some(0.25)).unwrap();
        let path = folder.path().join(format!("{name}.safetensors"));
        model.save_file(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, model.to_bytes().unwrap(), "{name}");
        let mapped = Model::load_file(&path).unwrap();
        assert_same(&name, &mapped, &model, &queries);
        assert_same(&name, &Model::from_bytes(&bytes).unwrap(), &model, &queries);
        // What was loaded makes the same file again.
        assert_eq!(mapped.to_bytes().unwrap(), bytes, "{name}");
        if model.kind() != ModelKind::Linear {
            let warm = model.with_temperature(0.7).unwrap();
            assert_same(&name, &mapped.with_temperature(0.7).unwrap(), &warm, &queries);
        }
        // The mapping outlives the file.
        fs::remove_file(&path).unwrap();
        assert_same(&name, &mapped, &model, &queries);
    }
}

#[test]
fn clones_and_copies_of_a_residual_model_from_a_file_work_on() {
    let (_, model, queries) =
        cases().into_iter().find(|(name, ..)| name == "residual_all").unwrap();
    let Model::Residual(direct) = &model else { panic!() };
    let Model::Residual(read) = Model::from_bytes(&model.to_bytes().unwrap()).unwrap() else {
        panic!()
    };
    let expected = direct.with_gain(0.2).unwrap().with_neighbours(2).unwrap();
    let found = read.with_gain(0.2).unwrap().with_neighbours(2).unwrap();
    assert_same("copy", &Model::Residual(found), &Model::Residual(expected), &queries);
}

#[test]
fn a_description_goes_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let about = Description {
        name: Some("FAQ \"quoted\" ☕".into()),
        training: json!({"seed": 7}),
        metrics: json!({"recall_at_1": 0.75}),
    };
    let model = Model::Linear(LinearProjection::new(array![[1.0, 2.0], [0.5, 0.25]]).unwrap());
    model.save_file_with(&path, &about).unwrap();
    let info = model_file::inspect(&path).unwrap();
    assert_eq!(info.description, about);
    assert_eq!(info.kind, ModelKind::Linear);
    assert_eq!(info.parameters["kind"], "linear");
    assert_eq!(info.tensors, [("matrix".into(), "F32".into(), vec![2, 2])]);
    assert_eq!(info.bytes as u64, fs::metadata(&path).unwrap().len());
    assert_eq!(Model::load_file(&path).unwrap().kind(), ModelKind::Linear);
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = &two_heads();
    let missing = folder.path().join("no/such.safetensors");
    for error in [Model::load_file(&missing).unwrap_err(), model.save_file(&missing).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("such.safetensors"), "{error}");
    }
    for error in
        [Model::load_file(folder.path()).unwrap_err(), model.save_file(folder.path()).unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    let empty = folder.path().join("empty.safetensors");
    fs::write(&empty, b"").unwrap();
    let error = Model::load_file(&empty).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    assert!(error.to_string().contains("empty.safetensors"), "{error}");
    // A file that is there is replaced.
    model.save_file(&empty).unwrap();
    assert_eq!(Model::load_file(&empty).unwrap().head_ids(), [3, 8]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_large_file_with_nan_is_refused_at_its_first_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let dim = 512;
    let heads = (0..400)
        .map(|cluster_id| Head {
            cluster_id,
            centroid: (0..dim).map(|i| f64::from((i * 7 + cluster_id as i32) % 13) - 6.0).collect(),
            answer: vec![0.5; dim as usize],
            matrix: None,
        })
        .collect();
    let model = Model::MultiHead(MultiHeadProjection::from_heads(heads, 0.1).unwrap());
    let mut bytes = model.to_bytes().unwrap();
    assert!(bytes.len() > 1 << 20);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    // A value in the middle of the first tensor, the centroids.
    let at = 8 + header + 8 * (200 * 512 + 17);
    bytes[at..at + 8].copy_from_slice(&f64::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = Model::from_bytes(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    let mapped = Model::load_file(&path).unwrap();
    let mut projected = vec![7.0; dim as usize];
    let query = vec![1.0; dim as usize];
    for _ in 0..2 {
        let error = mapped.project_into(&query, &mut projected, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        for word in ["large.safetensors", "centroids", "row 200", "column 17"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    assert!(projected.iter().all(|value| *value == 7.0));
    let queries = Array2::ones((2, dim as usize));
    let mut batch = Array2::from_elem((2, dim as usize), 7.0);
    let error = mapped.project_batch_into(queries.view(), batch.view_mut(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert!(mapped.check_values().is_err() && mapped.to_bytes().is_err());
    assert!(mapped.save_file(folder.path().join("copy")).is_err());
}

fn two_heads() -> Model {
    let head = |cluster_id, centroid: [f64; 2], matrix| Head {
        cluster_id,
        centroid: centroid.to_vec(),
        answer: vec![0.25, -1.0],
        matrix,
    };
    let heads =
        vec![head(3, [1.0, 0.2], None), head(8, [0.3, 1.0], Some(array![[1.0, 0.5], [0.0, 2.0]]))];
    Model::MultiHead(MultiHeadProjection::from_heads(heads, 0.1).unwrap())
}

fn residual() -> Model {
    let mut parts = ResidualParts {
        adapter: Some(Rows::from_values(2, &[0.1, 0.2, 0.3, 0.4])),
        ..ResidualParts::new(2)
    };
    let heads = [(2, array![[1.0, 0.5], [1.0, 0.0]]), (5, array![[-1.0, 0.3]])];
    for (cluster, questions) in heads {
        parts.questions.push(cluster, &[0.25, -1.0], questions.view()).unwrap();
    }
    Model::Residual(ResidualProjection::new(parts).unwrap())
}

fn linear() -> Model {
    Model::Linear(LinearProjection::new(array![[1.0, 2.0, 3.0], [0.5, 0.25, 0.0]]).unwrap())
}

#[test]
fn hostile_files_are_refused_and_the_reason_named() {
    let (heads, residual) = (|| Parts::of(&two_heads()), || Parts::of(&residual()));
    let one = 1i64.to_le_bytes();
    let nan = f32::NAN.to_le_bytes();
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (heads().text("format", "pt"), &["format", "pt"]),
        (heads().text("format_version", "2"), &["format_version", "2"]),
        (heads().text("format_version", "one"), &["format_version"]),
        (heads().text("kind", "magic"), &["kind", "magic"]),
        (heads().text("kind", "linear"), &["kind", "linear", "multi_head"]),
        (heads().text("parameters", "{"), &["parameters", "JSON"]),
        (heads().text("parameters", r#"{"kind":"multi_head"}"#), &["temperature"]),
        (
            heads().text("parameters", r#"{"kind":"multi_head","temperature":-1}"#),
            &["temperature -1"],
        ),
        (
            heads()
                .text("parameters", r#"{"kind":"multi_head","temperature":1,"hybrid_weight":2}"#),
            &["hybrid_weight"],
        ),
        (heads().text("input_dim", "3"), &["input_dim", "3", "2"]),
        (heads().text("output_dim", "many"), &["output_dim", "many"]),
        (heads().with("centroids", "shape", json!([1, 4])), &["'centroids'", "[1, 4]", "[2, 4]"]),
        (heads().with("centroids", "shape", json!([4])), &["'centroids'", "2 axes"]),
        (heads().with("centroids", "shape", json!([2, 3])), &["'centroids'", "48 bytes"]),
        (heads().with("centroids", "dtype", json!("I32")), &["'centroids'", "I32"]),
        (heads().with("centroids", "data_offsets", json!([0, 1u64 << 40])), &["truncated"]),
        (heads().with("answers", "data_offsets", json!([0, 16])), &["overlaps"]),
        (heads().renamed("answers"), &["'answers' is missing"]),
        (heads().renamed("head_ids"), &["'head_ids' is missing"]),
        (heads().renamed("matrix_heads"), &["'matrix_heads' is missing"]),
        (heads().renamed("matrices"), &["'matrices' is missing"]),
        (heads().value("head_ids", 0, &8i64.to_le_bytes()), &["head 8 after 8"]),
        (heads().value("matrix_heads", 0, &2i64.to_le_bytes()), &["matrix_heads"]),
        (heads().value("matrix_heads", 0, &(-1i64).to_le_bytes()), &["matrix_heads"]),
        (heads().value("matrix_heads", 0, &0i64.to_le_bytes()), &["'answers'", "cluster 3"]),
        (
            heads().value("centroids", 8, &f64::NAN.to_le_bytes()),
            &["'centroids'", "NaN", "row 0, column 1"],
        ),
        (heads().value("centroids", 0, &7f64.to_le_bytes()), &["length", "cluster 3"]),
        (heads().value("answers", 0, &f32::INFINITY.to_le_bytes()), &["'answers'", "inf"]),
        (heads().value("matrices", 8, &nan), &["'matrices'", "NaN"]),
        (residual().value("question_counts", 0, &one), &["question_counts", "sum to 3"]),
        (residual().value("question_counts", 0, &(-1i64).to_le_bytes()), &["question_counts"]),
        (residual().value("question_counts", 0, &i64::MAX.to_le_bytes()), &["question_counts"]),
        (residual().value("head_ids", 0, &9i64.to_le_bytes()), &["head 5 after 9"]),
        (residual().value("questions", 0, &nan), &["'questions'", "NaN"]),
        (residual().value("questions", 0, &[0; 8]), &["'questions'", "length 0 in row 0"]),
        (residual().value("answers", 0, &nan), &["'answers'", "NaN"]),
        (residual().value("adapter", 0, &nan), &["'adapter'", "NaN"]),
        (residual().with("adapter", "shape", json!([1, 4])), &["'adapter'", "[1, 4]", "[2, 2]"]),
        (residual().renamed("questions"), &["'questions' is missing"]),
        (Parts::of(&linear()).value("matrix", 0, &nan), &["'matrix'", "NaN"]),
        (Parts::of(&linear()).with("matrix", "shape", json!([0, 6])), &["'matrix'"]),
        (Parts::of(&linear()).with("matrix", "shape", json!([6])), &["'matrix'", "2 axes"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let mut failures = Vec::new();
    for (number, (bytes, words)) in cases.into_iter().enumerate() {
        fs::write(&path, &bytes).unwrap();
        for result in [Model::from_bytes(&bytes), Model::load_file(&path)] {
            match result {
                Ok(_) => failures.push(format!("case {number} {words:?}: accepted")),
                Err(error) => {
                    let message = error.to_string();
                    if words.iter().any(|word| !message.contains(word)) {
                        failures.push(format!("case {number} {words:?}: {message}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_truncation_is_refused() {
    for model in [two_heads(), residual(), linear()] {
        let bytes = model.to_bytes().unwrap();
        for end in 0..bytes.len() {
            let error = Model::from_bytes(&bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{end}: {error}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Model::from_bytes(&longer).is_err());
        let mut endless = bytes;
        for length in [u64::MAX, u64::MAX / 2, 1 << 40] {
            endless[..8].copy_from_slice(&length.to_le_bytes());
            assert!(Model::from_bytes(&endless).is_err());
        }
    }
}

#[test]
fn a_file_that_is_replaced_while_it_is_open_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let (old, new) = (two_heads(), two_heads().with_temperature(2.0).unwrap());
    old.save_file(&path).unwrap();
    let opened = Model::load_file(&path).unwrap();
    new.save_file(&path).unwrap();
    let queries = array![[1.0, 2.0], [-1.0, 0.5]];
    assert_same("old", &opened, &old, &queries);
    assert_same("new", &Model::load_file(Path::new(&path)).unwrap(), &new, &queries);
}
