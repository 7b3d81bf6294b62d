//! Runs the cases of `tests/conformance/kinds.txt` through the Rust interface.

#[path = "vectors/refusals.rs"]
mod refusals;
mod vectors;

use std::path::PathBuf;

use ndarray::{Array2, ShapeBuilder};
use projection_core::ErrorKind;
use projection_core::projection::{Model, ModelKind, Projection};
use projection_store::search::{Hit, Index};
use refusals::assert_refuses_wrong_queries;
use vectors::{TOLERANCE, id_rows, lines, matrix_f32, matrix_f64, root};

struct Case {
    name: String,
    kind: ModelKind,
    path: PathBuf,
    id: i64,
    temperature: Option<f64>,
    heads: usize,
    k: usize,
    both: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let cases: Vec<Self> = lines(&root().join("kinds.txt"))
            .iter()
            .map(|line| {
                let columns: Vec<&str> = line.split(' ').collect();
                Self {
                    name: columns[0].into(),
                    kind: ModelKind::from_name(columns[1]).unwrap(),
                    path: root().join(columns[2]),
                    id: columns[3].parse().unwrap(),
                    temperature: columns[4].parse().ok(),
                    heads: columns[7].parse().unwrap(),
                    k: columns[10].parse().unwrap(),
                    both: columns[11] == "both",
                }
            })
            .collect();
        assert!(cases.len() > 20, "only {} cases", cases.len());
        cases
    }

    fn model(&self) -> Model {
        let model = Model::load(&self.path, self.id, self.temperature);
        let model = model.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert_eq!(model.kind(), self.kind, "{}", self.name);
        model
    }

    fn file(&self, name: &str) -> PathBuf {
        root().join("kinds").join(&self.name).join(name)
    }
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= TOLERANCE * scale, "{what}[{i}]: {found}, expected {expected}");
    }
}

#[test]
fn projected_queries_and_weights() {
    for case in Case::all() {
        let model = case.model();
        assert_eq!(model.head_ids(), id_rows(&case.file("head_ids.txt")).concat(), "{}", case.name);
        let queries = matrix_f32(&case.file("queries.npy"));
        let expected = matrix_f64(&case.file("projected.npy"));
        let rows = queries.nrows();
        let expected_weights = match case.heads {
            0 => Array2::zeros((rows, 0)),
            _ => matrix_f64(&case.file("weights.npy")),
        };
        let mut batch = Array2::zeros((rows, model.output_dim()));
        let mut batch_weights = Array2::zeros((rows, case.heads));
        let weights_view = Some(batch_weights.view_mut());
        model.project_batch_into(queries.view(), batch.view_mut(), weights_view).unwrap();
        for row in 0..rows {
            let name = |what: &str| format!("{} row {row} {what}", case.name);
            let expected = expected.row(row).to_vec();
            let expected_weights = expected_weights.row(row).to_vec();
            let scale = expected.iter().fold(0.0f64, |top, v| top.max(v.abs()));
            let query = queries.row(row).to_vec();
            let mut projected = vec![0.0; model.output_dim()];
            let mut weights = vec![0.0; case.heads];
            model.project_into(&query, &mut projected, Some(&mut weights)).unwrap();
            assert_close(&name("projected"), &projected, &expected, scale);
            assert_close(&name("weight"), &weights, &expected_weights, 1.0);
            let mut unweighted = vec![0.0; model.output_dim()];
            model.project_into(&query, &mut unweighted, None).unwrap();
            assert_eq!(unweighted, projected, "{}", name("with and without weights"));
            assert_close(&name("batch"), &batch.row(row).to_vec(), &expected, scale);
            let found = batch_weights.row(row).to_vec();
            assert_close(&name("batch weight"), &found, &expected_weights, 1.0);
        }
        // Column-major queries and buffers give the same.
        let mut turned = Array2::zeros(queries.dim().f());
        turned.assign(&queries);
        let mut columns = Array2::zeros(batch.dim().f());
        model.project_batch_into(turned.view(), columns.view_mut(), None).unwrap();
        assert_eq!(columns, batch, "{}", case.name);
    }
}

fn check_hits(case: &Case, kind: &str, found: &[Vec<Hit>]) {
    let ids = id_rows(&case.file(&format!("{kind}_ids.txt")));
    let scores = matrix_f64(&case.file(&format!("{kind}_scores.npy")));
    for (row, found) in found.iter().enumerate() {
        let name = format!("{} {kind} row {row}", case.name);
        let found_ids: Vec<i64> = found.iter().map(|hit| hit.answer_id).collect();
        assert_eq!(found_ids, ids[row], "{name}");
        let found_scores: Vec<f32> = found.iter().map(|hit| hit.score).collect();
        assert_close(&name, &found_scores, &scores.row(row).to_vec(), 1.0);
    }
}

#[test]
fn hits() {
    for case in Case::all() {
        let model = case.model();
        let queries = matrix_f32(&case.file("queries.npy"));
        let answer_ids = id_rows(&case.file("answer_ids.txt")).concat();
        let answers = matrix_f32(&case.file("answers.npy"));
        let index = Index::from_vectors(&answer_ids, answers.view()).unwrap();
        let search = |model: Option<&dyn Projection>| {
            index.search_batch(queries.view(), model, case.k).unwrap()
        };
        check_hits(&case, "projected", &search(Some(&model)));
        if case.both {
            check_hits(&case, "plain", &search(None));
        }
    }
}

#[test]
fn a_copy_at_another_temperature_is_the_model_loaded_at_it() {
    for case in Case::all() {
        let query = matrix_f32(&case.file("queries.npy")).row(0).to_vec();
        let copy = case.model().with_temperature(0.3);
        if case.kind == ModelKind::Linear {
            assert_eq!(copy.unwrap_err().kind(), ErrorKind::InvalidArgument);
            assert!(case.model().temperature().is_nan());
            continue;
        }
        let loaded = Model::load(&case.path, case.id, 0.3).unwrap();
        assert_eq!(loaded.temperature(), 0.3);
        let project = |model: &Model| {
            let mut projected = vec![0.0; model.output_dim()];
            model.project_into(&query, &mut projected, None).unwrap();
            projected
        };
        assert_eq!(project(&copy.unwrap()), project(&loaded), "{}", case.name);
        for temperature in [0.0, -1.0, f64::NAN] {
            let error = Model::load(&case.path, case.id, temperature).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{}", case.name);
        }
    }
}

#[test]
fn refusals_of_queries() {
    for name in ["residual_all", "linear_d8"] {
        let case = Case::all().into_iter().find(|case| case.name == name).unwrap();
        assert_refuses_wrong_queries(&case.model());
    }
}
