//! Runs all of `tests/conformance/` through the Rust interface.

mod vectors;

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, ShapeBuilder};
use projection_core::npy::NpyArray;
use projection_core::projection::{Model, MultiHeadProjection, Projection};
use projection_core::{Error, ErrorKind};
use projection_store::search::{Hit, Index, Searcher};
use vectors::{TOLERANCE, id_rows, lines, matrix_f32, matrix_f64, root};

/// One line of `cases.txt` with the files of its folder.
struct Case {
    name: String,
    folder: PathBuf,
    from_database: bool,
    path: PathBuf,
    id: i64,
    temperature: f64,
    k: usize,
    searches: String,
    embedding_model: String,
}

impl Case {
    fn all() -> Vec<Self> {
        let cases: Vec<Self> = lines(&root().join("cases.txt"))
            .iter()
            .map(|line| {
                let columns: Vec<&str> = line.split(' ').collect();
                Self {
                    name: columns[0].into(),
                    folder: root().join("cases").join(columns[0]),
                    from_database: columns[1] == "db",
                    path: root().join(columns[2]),
                    id: columns[3].parse().unwrap(),
                    temperature: columns[4].parse().unwrap(),
                    k: columns[10].parse().unwrap(),
                    searches: columns[11].into(),
                    embedding_model: columns[12].into(),
                }
            })
            .collect();
        assert!(cases.len() > 50, "only {} cases", cases.len());
        cases
    }

    fn model(&self) -> MultiHeadProjection {
        let model = match self.from_database {
            true => projection_store::Store::open_read_only(&self.path)
                .and_then(|store| store.multi_head_model(self.id)),
            false => MultiHeadProjection::load_unified(&self.path, self.id, self.temperature),
        };
        model.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Compares with the expected values, `scale` being what 1e-5 is relative to.
fn assert_close(case: &str, what: &str, found: &[f32], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len(), "{case}: {what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= TOLERANCE * scale, "{case}: {what}[{i}]: {found}, expected {expected}");
    }
}

#[test]
fn projected_queries_and_weights() {
    for case in Case::all() {
        let model = case.model();
        assert_eq!(model.temperature(), case.temperature, "{}", case.name);
        let ids: Vec<i64> = id_rows(&case.file("head_ids.txt")).concat();
        assert_eq!(model.cluster_ids(), ids, "{}", case.name);
        let queries = matrix_f32(&case.file("queries.npy"));
        let projected = matrix_f64(&case.file("projected.npy"));
        let weights = matrix_f64(&case.file("weights.npy"));
        let (batch, batch_weights) = model.project_batch(queries.view()).unwrap();
        for row in 0..queries.nrows() {
            let name = format!("{} row {row}", case.name);
            let expected = projected.row(row).to_vec();
            let expected_weights = weights.row(row).to_vec();
            let scale = expected.iter().fold(0.0f64, |top, v| top.max(v.abs()));
            let (single, single_weights) = model.project(&queries.row(row).to_vec()).unwrap();
            assert_close(&name, "projected", &single, &expected, scale);
            assert_close(&name, "weight", &single_weights, &expected_weights, 1.0);
            let mut unweighted = vec![0.0; model.output_dim()];
            model.project_into(&queries.row(row).to_vec(), &mut unweighted, None).unwrap();
            assert_eq!(unweighted, single, "{name}: with and without weights");
            assert_close(&name, "batch", &batch.row(row).to_vec(), &expected, scale);
            let found = batch_weights.row(row).to_vec();
            assert_close(&name, "batch weight", &found, &expected_weights, 1.0);
        }
        // Column-major queries and buffers give the same.
        let mut transposed_queries = Array2::zeros(queries.dim().f());
        transposed_queries.assign(&queries);
        let mut columns = Array2::zeros(batch.dim().f());
        let mut weight_columns = Array2::zeros(batch_weights.dim().f());
        model
            .project_batch_into(
                transposed_queries.view(),
                columns.view_mut(),
                Some(weight_columns.view_mut()),
            )
            .unwrap();
        assert_eq!((columns, weight_columns), (batch, batch_weights), "{}", case.name);
    }
}

#[test]
fn a_copy_at_another_temperature_is_the_model_loaded_at_it() {
    for case in Case::all().iter().filter(|case| !case.from_database) {
        let copy = MultiHeadProjection::load_unified(&case.path, case.id, 0.5)
            .and_then(|model| model.with_temperature(case.temperature))
            .unwrap();
        let query = matrix_f32(&case.file("queries.npy")).row(0).to_vec();
        assert_eq!(copy.project(&query).unwrap(), case.model().project(&query).unwrap());
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
        assert_close(&name, "score", &found_scores, &scores.row(row).to_vec(), 1.0);
    }
}

#[test]
fn hits() {
    let mut searched = 0;
    for case in Case::all().iter().filter(|case| case.searches != "none") {
        let model = case.model();
        let queries = matrix_f32(&case.file("queries.npy"));
        let answers = matrix_f32(&case.file("answers.npy"));
        let ids: Vec<i64> = id_rows(&case.file("answer_ids.txt")).concat();
        let index = Index::from_vectors(&ids, answers.view()).unwrap();
        let single = |index: &Index, projection: Option<&dyn Projection>| -> Vec<Vec<Hit>> {
            let rows = queries.rows().into_iter();
            rows.map(|query| index.search(&query.to_vec(), projection, case.k).unwrap()).collect()
        };
        let batch = |index: &Index, projection: Option<&dyn Projection>| {
            index.search_batch(queries.view(), projection, case.k).unwrap()
        };
        let mut indexes = vec![index];
        if case.from_database {
            let searcher = Searcher::open(&case.path, Some(&case.embedding_model)).unwrap();
            indexes.push(searcher.index().clone());
        }
        for index in &indexes {
            check_hits(case, "projected", &single(index, Some(&model)));
            check_hits(case, "projected", &batch(index, Some(&model)));
            if case.searches == "both" {
                check_hits(case, "plain", &single(index, None));
                check_hits(case, "plain", &batch(index, None));
            }
        }
        searched += 1;
    }
    assert!(searched > 40, "only {searched} cases with searches");
}

/// The status names of `bad.txt` are the kinds in capitals.
fn kind_of(name: &str) -> ErrorKind {
    match name {
        "INVALID_ARGUMENT" => ErrorKind::InvalidArgument,
        "DIMENSION_MISMATCH" => ErrorKind::DimensionMismatch,
        "NOT_FINITE" => ErrorKind::NotFinite,
        "ZERO_VECTOR" => ErrorKind::ZeroVector,
        "NOT_FOUND" => ErrorKind::NotFound,
        "IO" => ErrorKind::Io,
        "INVALID_ARRAY" => ErrorKind::InvalidArray,
        "INVALID_MODEL" => ErrorKind::InvalidModel,
        "AMBIGUOUS_MODEL" => ErrorKind::AmbiguousModel,
        other => panic!("unknown status {other}"),
    }
}

#[test]
fn refusals() {
    let bad = lines(&root().join("bad.txt"));
    assert!(bad.len() > 60, "only {} refusals", bad.len());
    let mut failures = Vec::new();
    for line in bad {
        let columns: Vec<&str> = line.split(' ').collect();
        let path = root().join(columns[1]);
        let error: Option<Error> = match columns[0] {
            "array" => NpyArray::load(&path).and_then(|array| array.to_f32()).err(),
            _ => Model::load(&path, columns[2].parse().unwrap(), 0.1).err(),
        };
        let Some(error) = error else {
            failures.push(format!("{line}: was accepted"));
            continue;
        };
        let message = error.to_string();
        if error.kind() != kind_of(columns[4])
            || columns[5..].iter().any(|word| !message.contains(word))
        {
            failures.push(format!("{line}: {:?}: {message}", error.kind()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn refusals_of_queries_and_temperatures() {
    let case = Case::all().into_iter().find(|case| case.name == "d8_mixed-t0.1").unwrap();
    let model = case.model();
    let kind = |query: &[f32]| model.project(query).unwrap_err().kind();
    assert_eq!(kind(&[0.0; 8]), ErrorKind::ZeroVector);
    assert_eq!(kind(&[1.0; 7]), ErrorKind::DimensionMismatch);
    assert_eq!(kind(&[]), ErrorKind::DimensionMismatch);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut query = [1.0; 8];
        query[5] = value;
        assert_eq!(kind(&query), ErrorKind::NotFinite);
        let message = model.project(&query).unwrap_err().to_string();
        assert!(message.contains("index 5"), "{message}");
    }
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = model.with_temperature(temperature).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let error = MultiHeadProjection::load_unified(&case.path, case.id, temperature);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    // Nothing is written where one row of a batch is refused.
    let mut queries = Array2::<f32>::ones((3, 8));
    queries[(2, 0)] = f32::NAN;
    let mut projected = Array2::from_elem((3, 8), 7.0f32);
    let error = model.project_batch_into(queries.view(), projected.view_mut(), None).unwrap_err();
    assert!(error.to_string().contains("row 2"), "{error}");
    assert!(projected.iter().all(|value| *value == 7.0));
    let wrong = model.project_batch_into(
        ArrayView2::from_shape((1, 8), &[1.0; 8]).unwrap(),
        projected.view_mut(),
        None,
    );
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::BufferSize);
}

#[test]
fn sixteen_threads_share_a_model() {
    let case = Case::all().into_iter().find(|case| case.name.starts_with("d384_18")).unwrap();
    let model = case.model();
    let queries = matrix_f32(&case.file("queries.npy"));
    let expected = model.project_batch(queries.view()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(model.project_batch(queries.view()).unwrap(), expected);
                }
            });
        }
    });
}
