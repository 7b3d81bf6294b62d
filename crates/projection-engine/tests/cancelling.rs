//! Long work asks often enough whether it is to go on, and leaves nothing behind when it isn't.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use projection_core::kernel::progress::{OnProgress, Progress};
use projection_core::npy;
use projection_core::{ErrorKind, Result};
use projection_engine::{
    DistillRequest, EvaluateRequest, ExportFormat, TestQuestions, TrainRequest, distill_store,
    evaluate, export_store, train,
};
use projection_store::Store;
use projection_store::import::{
    ImportOptions, PrecomputedEmbeddings, import_embeddings, import_paths,
};
use projection_train::{Distillation, Method, TrainingOptions, Tuning};

const DIM: usize = 16;
const ANSWERS: usize = 150;
const QUESTIONS: usize = 600;

fn vectors(rows: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, DIM), |(row, column)| {
        ((row % ANSWERS * 31 + column * 17) as f32).sin() + ((row * 7 + column + seed) as f32).cos()
    })
}

/// A store with a projection, and the files that it was imported from.
fn store(folder: &Path) -> (PathBuf, PrecomputedEmbeddings) {
    let file = |name: &str| folder.join(name);
    npy::save(file("a.npy"), vectors(ANSWERS, 1).view()).unwrap();
    npy::save(file("q.npy"), vectors(QUESTIONS, 5).view()).unwrap();
    let labels: Vec<i64> = (0..QUESTIONS).map(|row| (row % ANSWERS) as i64).collect();
    std::fs::write(file("l.npy"), integers(&labels)).unwrap();
    let ids: Vec<i64> = labels.iter().map(|label| label + 1).collect();
    std::fs::write(file("ids.npy"), integers(&ids)).unwrap();
    let texts = |what: &str, count| (0..count).map(|i| format!("{what} {i}")).collect::<Vec<_>>();
    let texts = HashMap::from([
        ("answers", texts("the answer", ANSWERS)),
        ("questions", texts("what is", QUESTIONS)),
    ]);
    std::fs::write(file("t.json"), serde_json::to_string(&texts).unwrap()).unwrap();
    let files = PrecomputedEmbeddings {
        model_name: "m".into(),
        answers: file("a.npy"),
        questions: file("q.npy"),
        labels: file("l.npy"),
        texts: Some(file("t.json")),
    };
    let database = file("lda.db");
    let mut store = Store::open_or_create(&database).unwrap();
    import_embeddings(&mut store, &files, &mut || Ok(())).unwrap();
    (database, files)
}

/// The bytes of an array of 64-bit integers.
fn integers(values: &[i64]) -> Vec<u8> {
    let header =
        format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}", values.len());
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(header.as_bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

/// The stages of `work`, each with the number of times that it asked whether to go on with the
/// same step, at most; then the same work is cancelled at several of its calls.
fn stages(work: &mut dyn FnMut(&mut OnProgress<'_>) -> Result<()>) -> HashMap<String, usize> {
    let (mut calls, mut asked) = (0usize, HashMap::<(&str, usize), usize>::new());
    work(&mut |Progress { stage, step, .. }| {
        calls += 1;
        *asked.entry((stage, step)).or_default() += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    // Those who wait for other threads ask now and then, so that the last call is not known.
    for last in [1, calls.div_ceil(4), calls.div_ceil(2), (3 * calls).div_ceil(4)] {
        let mut number = 0;
        let cancelled = work(&mut |_| {
            number += 1;
            if number < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled, "call {last} of {calls}");
        assert_eq!(number, last, "nobody is asked again after cancelling");
    }
    let mut most = HashMap::new();
    for ((stage, _), count) in asked {
        let known = most.entry(stage.to_string()).or_default();
        *known = count.max(*known);
    }
    most
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn training() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = store(folder.path());
    let tuning = Tuning { threads: 1, folds: 2, ..Tuning::default() };
    let options = TrainingOptions { method: Method::MultiHead, tuning, ..Default::default() };
    let request = TrainRequest { options, force: true, ..TrainRequest::default() };
    let before = files(folder.path());
    let stages = stages(&mut |progress| {
        let mut store = Store::open(&database).unwrap();
        let result = train(&mut store, &request, progress).map(drop);
        let models = store.models().unwrap();
        assert_eq!(models.len(), usize::from(result.is_ok()));
        models.iter().for_each(|model| store.delete_model(model, true).unwrap());
        assert_eq!(files(folder.path()), before);
        result
    });
    // Every head is read and written between two questions whether to go on, not all of them.
    assert!(stages["reading"] >= ANSWERS && stages["storing"] >= ANSWERS, "{stages:?}");
    // 300 questions a fold are projected and ranked in blocks.
    assert!(stages["other kinds"] >= 2 * (300 / 128), "{stages:?}");
}

#[test]
fn distilling_evaluating_and_exporting() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = store(folder.path());
    let mut writable = Store::open(&database).unwrap();
    let tuning = Tuning { threads: 1, ..Tuning::default() };
    let options = TrainingOptions { method: Method::Residual, tuning, ..Default::default() };
    let request = TrainRequest { options, force: true, ..TrainRequest::default() };
    train(&mut writable, &request, &mut |_| ControlFlow::Continue(())).unwrap();

    let output = folder.path().join("out.safetensors");
    let options = Distillation {
        epochs: 1,
        samples: 256,
        batch: 128,
        ff_dim: 16,
        threads: 1,
        ..Distillation::default()
    };
    let request = DistillRequest { output: output.clone(), options, ..Default::default() };
    let asked = stages(&mut |progress| {
        let store = Store::open_read_only(&database).unwrap();
        let result = distill_store(&store, &request, progress).map(drop);
        assert_eq!(std::fs::remove_file(&output).is_ok(), result.is_ok());
        result
    });
    // Before the first epoch and after the last one: the clusters are read one by one, and 600
    // questions are projected by both and ranked by both, in blocks.
    assert!(asked["distilling"] >= ANSWERS, "{asked:?}");
    let mut at_the_end = 0;
    let store = Store::open_read_only(&database).unwrap();
    distill_store(&store, &request, &mut |progress| {
        at_the_end += usize::from(progress.step == 1);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(at_the_end >= 4 * (480 / 128), "{at_the_end}");

    let file = |name: &str| folder.path().join(name);
    let vectors = TestQuestions::Vectors { questions: file("q.npy"), labels: file("ids.npy") };
    for (test, stage) in [(None, "open folds"), (Some(vectors), "evaluating")] {
        let request = EvaluateRequest { folds: 2, sweeps: true, test, ..Default::default() };
        let asked = stages(&mut |progress| evaluate(&database, &request, progress).map(drop));
        // The intervals alone are of a thousand resamples each.
        assert!(asked[stage] >= 10_000 && asked["reading"] >= ANSWERS, "{asked:?}");
    }

    for format in ExportFormat::ALL {
        let asked = stages(&mut |progress| {
            let store = Store::open_read_only(&database).unwrap();
            let result = export_store(&store, None, None, None, format, &output, progress);
            assert_eq!(std::fs::remove_file(&output).is_ok(), result.is_ok());
            result.map(drop)
        });
        assert!(asked["exporting"] >= 1, "{asked:?}");
    }
}

/// A file that is cancelled in its midst brings nothing, and everything when it is tried again.
#[test]
fn importing() {
    let folder = tempfile::tempdir().unwrap();
    let (database, files) = store(folder.path());
    let clusters: Vec<String> = (0..ANSWERS)
        .map(|i| format!(r#"{{"answer_id": "{i}", "answer": "a {i}", "questions": ["q {i}"]}}"#))
        .collect();
    let file = folder.path().join("qa.json");
    std::fs::write(&file, format!(r#"{{"clusters": [{}]}}"#, clusters.join(","))).unwrap();
    for last in [1, 2, ANSWERS / 2, 2 * ANSWERS, usize::MAX] {
        let mut store = Store::open(&database).unwrap();
        let mut calls = 0;
        let imported = import_paths(
            &mut store,
            std::slice::from_ref(&file),
            &ImportOptions::default(),
            &mut |_, _, _| {
                calls += 1;
                if calls < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        match imported {
            Ok(imported) => {
                assert_eq!((last, imported.files[0].report.answers), (usize::MAX, ANSWERS));
                // At the begin, before the file is parsed, before each answer and cluster, and at the end.
                assert_eq!(calls, 3 + 2 * ANSWERS);
            }
            Err(error) => {
                assert_eq!((error.kind(), calls), (ErrorKind::Cancelled, last));
                assert_eq!(store.text_counts().unwrap(), (ANSWERS, QUESTIONS));
            }
        }
    }

    let other = tempfile::tempdir().unwrap();
    let mut store = Store::open_or_create(other.path().join("lda.db")).unwrap();
    let mut import = |last: usize| {
        let mut calls = 0;
        let imported = import_embeddings(&mut store, &files, &mut || {
            calls += 1;
            let poll = Progress::new("importing", 0, 1);
            let flow =
                |_| if calls < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
            poll.send(&mut { flow })
        });
        (imported, calls, store.text_counts().unwrap())
    };
    for last in [1, 3, ANSWERS, ANSWERS + QUESTIONS] {
        let (imported, calls, counts) = import(last);
        assert_eq!((imported.unwrap_err().kind(), calls), (ErrorKind::Cancelled, last));
        assert_eq!(counts, (0, 0));
        let left = self::files(other.path());
        assert!(left.iter().all(|path| path.extension().is_none_or(|e| e != "npy")), "{left:?}");
    }
    let (imported, calls, counts) = import(usize::MAX);
    assert_eq!((imported.unwrap().answers, counts), (ANSWERS, (ANSWERS, QUESTIONS)));
    assert!(calls >= ANSWERS + QUESTIONS);
}

/// While vectors are written, others write too, and remove only what killed writers left.
#[test]
fn an_import_of_vectors_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (database, paths) = store(folder.path());
    let changed = vectors(ANSWERS, 2);
    npy::save(&paths.answers, changed.view()).unwrap();
    let arrays = folder.path().join("embeddings/m");
    let before = self::files(&arrays).len();
    // Of a killed import into lda.db.
    let left = arrays.join(".934db2b3.dead.tmp");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("0.npy"), "half").unwrap();
    let mut store = Store::open(&database).unwrap();
    let model = store.embedding_model(None).unwrap();
    let (mut calls, mut waited) = (0, None);
    let imported = import_embeddings(&mut store, &paths, &mut || {
        calls += 1;
        if calls == ANSWERS {
            // Removes leftovers under the write lock.
            waited = Some(Store::open(&database)?.check_writable(&model));
        }
        Ok(())
    });
    waited.unwrap().unwrap();
    assert!(!left.exists());
    let imported = imported.unwrap();
    assert_eq!((imported.answers, imported.removed), (ANSWERS, 0));
    let (index, _) = store.searcher(None).unwrap().into_parts();
    let expected = changed.row(7).to_vec();
    let norm = expected.iter().map(|value| value * value).sum::<f32>().sqrt();
    let found = &index.units()[7 * DIM..8 * DIM];
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b / norm).abs() < 1e-5));
    // The questions' vectors are the same, and stay where they are.
    assert_eq!(self::files(&arrays).len(), before);
}
