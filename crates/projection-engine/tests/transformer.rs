//! Transformers: files that torch wrote, our own files, damage, and distillation.

#[path = "../../projection-store/tests/vectors/refusals.rs"]
mod refusals;
// Shared with other tests, which use other parts of it.
#[allow(dead_code)]
#[path = "../../projection-store/tests/vectors/mod.rs"]
mod vectors;

use projection_train::ignore_progress;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use projection_core::projection::{Model, ModelKind, Projection, TransformerProjection};
use projection_core::{ErrorKind, Result};
use projection_train::{
    Distillation, ResidualTraining, TrainingData, distill_model, train_residual,
};
use refusals::assert_refuses_wrong_queries;
use serde_json::{Value, json};
use vectors::{TOLERANCE, matrix_f32, matrix_f64, root};

fn fixture(name: &str) -> PathBuf {
    root().join("transformer").join(name)
}

fn load(path: impl AsRef<Path>) -> Result<TransformerProjection> {
    projection_interop::load_file(path).map(transformer)
}

fn from_bytes(bytes: &[u8], name: &str) -> Result<TransformerProjection> {
    projection_interop::from_bytes(bytes, name).map(transformer)
}

fn transformer(model: Model) -> TransformerProjection {
    let Model::Transformer(model) = model else { panic!("kind {}", model.kind().name()) };
    model
}

fn model() -> TransformerProjection {
    load(fixture("transformer.pt")).unwrap()
}

/// The largest error of a row, relative to its largest value.
fn distance(found: &Array2<f32>, expected: &Array2<f64>) -> f64 {
    let rows = found.rows().into_iter().zip(expected.rows());
    rows.map(|(found, expected)| {
        let largest = expected.iter().fold(0.0f64, |top, value| top.max(value.abs()));
        let errors = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).abs());
        errors.fold(0.0, f64::max) / largest
    })
    .fold(0.0, f64::max)
}

fn project(model: &dyn Projection, queries: &Array2<f32>) -> Array2<f32> {
    let mut projected = Array2::zeros((queries.nrows(), model.output_dim()));
    model.project_batch_into(queries.view(), projected.view_mut(), None).unwrap();
    projected
}

#[test]
fn a_file_of_torch_gives_the_numbers_of_torch() {
    let (queries, expected) =
        (matrix_f32(&fixture("queries.npy")), matrix_f64(&fixture("projected.npy")));
    let model = Model::Transformer(model());
    assert_eq!(model.kind(), ModelKind::Transformer);
    assert_eq!(ModelKind::from_name("transformer"), Some(model.kind()));
    assert!(model.temperature().is_nan() && model.head_ids().is_empty());
    let error = model.with_temperature(0.1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("transformer"), "{error}");

    assert!(distance(&project(&model, &queries), &expected) < TOLERANCE);
    for (query, expected) in queries.rows().into_iter().zip(expected.rows()) {
        let (projected, weights) = model.project(&query.to_vec()).unwrap();
        let found = Array2::from_shape_vec((1, projected.len()), projected).unwrap();
        let expected = expected.to_owned().insert_axis(ndarray::Axis(0));
        assert!(distance(&found, &expected) < TOLERANCE && weights.is_empty());
    }
    // Half precision rounds the weights, to three digits.
    let half = load(fixture("float16.pt")).unwrap();
    let error = distance(&project(&half, &queries), &expected);
    assert!(error > TOLERANCE && error < 1e-2, "{error}");
}

#[test]
fn queries_are_checked_as_by_the_other_kinds() {
    assert_refuses_wrong_queries(&model());
}

#[test]
fn our_file_holds_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = (model(), folder.path().join("t.safetensors"));
    model.save(&path, &json!({"teacher": "none"})).unwrap();
    let again = load(&path).unwrap();
    assert_eq!((again.shape(), again.weights()), (model.shape(), model.weights()));
    let queries = matrix_f32(&fixture("queries.npy"));
    assert_eq!(project(&again, &queries), project(&model, &queries));
    let error = model.save(folder.path().join("no/t.safetensors"), &Value::Null).unwrap_err();
    assert!(error.to_string().contains("no/t.safetensors"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn truncated_and_changed_files_are_errors_or_the_same_model() {
    let model = model();
    let torch = std::fs::read(fixture("transformer.pt")).unwrap();
    let safetensors = Model::Transformer(model.clone()).to_bytes().unwrap();
    for (name, whole) in [("t.pt", torch), ("t.safetensors", safetensors)] {
        assert_eq!(from_bytes(&whole, name).unwrap().weights(), model.weights());
        for length in 0..whole.len() {
            let error = from_bytes(&whole[..length], name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{length}: {error}");
            assert!(error.to_string().starts_with(name), "{length}: {error}");
        }
        // Never a panic; torch's checksums find what our own format takes as other weights.
        let mut state = 1u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut changed = whole.clone();
            let place = state as usize % whole.len();
            changed[place] ^= 1 << (state >> 29);
            if let Ok(other) = from_bytes(&changed, name) {
                assert!(name != "t.pt" || other.weights() == model.weights(), "byte {place}");
            }
        }
    }
}

#[test]
fn what_is_no_transformer_is_refused() {
    let kind = |bytes: &[u8]| from_bytes(bytes, "f").unwrap_err().kind();
    for bytes in [&b""[..], b"PK", b"PK\x05\x06", b"SQLite format 3\0", &[0xff; 64]] {
        assert_eq!(kind(bytes), ErrorKind::InvalidModel);
    }
    let error = load("no/such.pt").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(load(root()).unwrap_err().kind(), ErrorKind::Io);
    let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let error = from_bytes(legacy, "old.pt").unwrap_err();
    assert!(error.to_string().contains("before 1.6"), "{error}");

    // The header of our format, with one thing changed.
    let whole = Model::Transformer(model()).to_bytes().unwrap();
    let text = String::from_utf8(whole[8..].iter().copied().take_while(|b| b.is_ascii()).collect());
    assert!(text.unwrap().contains("embed_dim"));
    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        from_bytes(&bytes, "t.safetensors").unwrap_err().to_string()
    };
    for (from, to, word) in [
        ("\"kind\":\"transformer\"", "\"kind\":\"transformed\"", "transformed"),
        ("\"format_version\":\"1\"", "\"format_version\":\"2\"", "format_version"),
        ("\\\"num_layers\\\":2", "\\\"num_layers\\\":3", "encoder.layers.2"),
        ("\\\"num_layers\\\":2", "\\\"num_layers\\\":1", "encoder.layers.1"),
        ("\\\"num_heads\\\":2", "\\\"num_heads\\\":3", "num_heads 3"),
        ("\\\"ff_dim\\\":12", "\\\"ff_dim\\\":11", "linear1.weight"),
        ("\"F32\"", "\"I32\"", "F32"),
        ("norm2.weight", "norm3.weight", "norm2.weight"),
    ] {
        let message = changed(from, to);
        assert!(message.contains(word), "{from} → {to}: {message}");
    }
}

/// Clusters of questions around four directions, in 16 dimensions.
fn data() -> TrainingData {
    let wave = |i: usize, step: f32| (i as f32 * step + 0.3).sin();
    let answers = Array2::from_shape_fn((4, 16), |(row, i)| wave(row * 16 + i, 1.9));
    let labels: Vec<usize> = (0..60).map(|i| i % 4).collect();
    let questions = Array2::from_shape_fn((60, 16), |(row, i)| {
        wave(labels[row] * 16 + i, 0.7) + 0.5 * wave(row * 16 + i, 2.3)
    });
    TrainingData::new(answers.view(), questions.view(), labels).unwrap()
}

fn options() -> Distillation {
    Distillation { ff_dim: 64, epochs: 40, samples: 512, threads: 1, ..Distillation::default() }
}

#[test]
fn a_student_agrees_with_its_teacher_on_questions_that_it_never_saw() {
    let data = data();
    let parts = train_residual(&data, &ResidualTraining::closed(), &mut ignore_progress).unwrap();
    let teacher = projection_core::projection::ResidualProjection::new(parts).unwrap();
    let teacher = Model::Residual(teacher);
    // The callback may be called several times in an epoch.
    let mut losses = BTreeMap::new();
    let distilled = distill_model(
        &teacher,
        data.questions(),
        data.answers(),
        None,
        &options(),
        &mut |progress| {
            losses.extend(progress.loss.map(|loss| (progress.step, loss)));
            std::ops::ControlFlow::Continue(())
        },
    );
    let distilled = distilled.unwrap();
    assert_eq!(losses.len(), distilled.epochs);
    let (first, last) = (losses.values().next().unwrap(), losses.values().last().unwrap());
    assert!(*last < 0.9 * first, "{losses:?}");
    let agreed = distilled.held_out;
    assert_eq!(agreed.questions, 6);
    assert!(agreed.mean > 0.95 && agreed.min <= agreed.mean, "{agreed:?}");
    assert!(agreed.same_first.unwrap() > 0.6, "{agreed:?}");
    let trained = distilled.trained;
    assert!(trained.questions == 48 && trained.mean > 0.95, "{trained:?}");
}

#[test]
fn the_same_seed_gives_the_same_file_with_any_number_of_threads() {
    let data = data();
    let parts = train_residual(&data, &ResidualTraining::closed(), &mut ignore_progress).unwrap();
    let teacher = projection_core::projection::ResidualProjection::new(parts).unwrap();
    let teacher = Model::Residual(teacher);
    let bytes = |seed, threads, dropout| {
        let options = Distillation { epochs: 2, seed, threads, dropout, ..options() };
        let distilled = distill_model(
            &teacher,
            data.questions(),
            data.answers(),
            None,
            &options,
            &mut ignore_progress,
        )
        .unwrap();
        let record = distilled.to_json(&Value::Null).to_string();
        (Model::Transformer(distilled.model).to_bytes().unwrap(), record)
    };
    let first = bytes(5, 1, 0.1);
    assert!(first == bytes(5, 3, 0.1), "another number of threads");
    assert!(first != bytes(6, 1, 0.1), "another seed");
    assert!(first != bytes(5, 1, 0.0), "no dropout");
}

#[test]
fn distillation_checks_what_it_is_given() {
    let data = data();
    let teacher = Model::Transformer(model());
    let kind = |options: Distillation| {
        distill_model(
            &teacher,
            data.questions(),
            data.answers(),
            None,
            &options,
            &mut ignore_progress,
        )
        .unwrap_err()
        .kind()
    };
    let good = options();
    for wrong in [
        Distillation { epochs: 0, ..good.clone() },
        Distillation { batch: 0, ..good.clone() },
        Distillation { samples: 10, ..good.clone() },
        Distillation { rate: f64::NAN, ..good.clone() },
        Distillation { cosine_weight: 1.5, ..good.clone() },
        Distillation { held_out: 0.0, ..good.clone() },
        Distillation { heads: 3, ..good.clone() },
        Distillation { layers: 0, ..good.clone() },
    ] {
        assert_eq!(kind(wrong.clone()), ErrorKind::InvalidArgument, "{wrong:?}");
    }
    // Queries of dimension 8, questions of 16.
    assert_eq!(kind(good), ErrorKind::DimensionMismatch);
}
