//! Heads in bf16 and in bytes in files: the same numbers as in memory, bit for bit, and files
//! whose scales or types are wrong are refused.

#[allow(dead_code)] // Not all of it is needed here.
mod parts;

use std::fs;

use ndarray::{Array2, array};
use projection_core::ErrorKind;
use projection_core::model_file;
use projection_core::projection::{
    Head, LinearProjection, Model, MultiHeadProjection, Precision, Projection,
};
use serde_json::json;

use parts::Parts;

const COMPACT: [Precision; 2] = [Precision::Bf16, Precision::Int8];

/// Heads that differ, the last of them with a matrix where that is wanted.
fn model(heads: i64, dim: usize, matrix: bool) -> Model {
    let wave = |head: i64, at: usize| ((head as usize * 31 + at * 7 + 3) as f64 * 0.7).sin();
    let heads = (0..heads).map(|head| Head {
        cluster_id: 3 + 2 * head,
        centroid: (0..dim).map(|at| wave(head, at)).collect(),
        answer: (0..dim).map(|at| 0.2 * wave(head + 100, at) as f32).collect(),
        matrix: (matrix && head + 1 == heads)
            .then(|| Array2::from_shape_fn((dim, dim), |(row, at)| wave(row as i64, at) as f32)),
    });
    let heads = MultiHeadProjection::from_heads(heads.collect(), 0.1).unwrap();
    Model::MultiHead(heads.with_top_k(None).unwrap())
}

fn answers(model: &Model, queries: &Array2<f32>) -> Vec<u32> {
    let mut weights = Array2::zeros((queries.nrows(), model.head_ids().len()));
    let mut projected = Array2::zeros((queries.nrows(), model.output_dim()));
    model
        .project_batch_into(queries.view(), projected.view_mut(), Some(weights.view_mut()))
        .unwrap();
    let mut all: Vec<f32> = projected.into_iter().chain(weights).collect();
    for query in queries.rows() {
        let (projected, weights) = Projection::project(model, &query.to_vec()).unwrap();
        all.extend(projected.into_iter().chain(weights));
    }
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn files_give_the_same_bits_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    // Whole registers, so that the file is used where it lies, and rows that are filled up; the
    // last is large enough for its values to be looked at only when they are used.
    for (heads, dim, matrix) in [(5, 64, false), (7, 20, true), (3, 384, true), (2000, 384, false)]
    {
        let exact = model(heads, dim, matrix);
        let queries = Array2::from_shape_fn((9, dim), |(row, at)| ((row * 5 + at) as f32).cos());
        for precision in COMPACT {
            let compact = exact.with_precision(precision).unwrap();
            let expected = answers(&compact, &queries);
            compact.save_file(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            let loaded = Model::load_file(&path).unwrap();
            let read = Model::from_bytes(&bytes).unwrap();
            for other in [&loaded, &read, &loaded.with_temperature(0.1).unwrap()] {
                assert_eq!((other.precision(), other.head_ids()), (precision, exact.head_ids()));
                assert!(answers(other, &queries) == expected, "{heads} × {dim} {precision:?}");
                assert_eq!(other.to_bytes().unwrap(), bytes);
            }
            // In double precision too.
            let cold = |model: &Model| answers(&model.with_temperature(1e-3).unwrap(), &queries);
            assert!(cold(&loaded) == cold(&compact));
            let tensors = model_file::inspect(&path).unwrap().tensors;
            let dtype = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| t.1.as_str());
            let bytes_a_value = match precision {
                Precision::Bf16 => {
                    assert_eq!([dtype("centroids"), dtype("answer_scales")], [Some("BF16"), None]);
                    2
                }
                _ => {
                    assert_eq!(dtype("answers"), Some("I8"));
                    assert_eq!(dtype("centroid_scales"), Some("F32"));
                    1
                }
            };
            let vectors = 2 * heads as usize * dim * bytes_a_value;
            let matrices = if matrix { 4 * dim * dim } else { 0 };
            let beside = 1500 + 16 * heads as usize;
            assert!((vectors + matrices..vectors + matrices + beside).contains(&bytes.len()));
        }
    }
}

#[test]
fn rounding_is_not_undone_nor_done_twice() {
    let exact = model(4, 24, false);
    for precision in COMPACT {
        let compact =
            Model::from_bytes(&exact.with_precision(precision).unwrap().to_bytes().unwrap())
                .unwrap();
        assert_eq!(compact.with_precision(precision).unwrap().precision(), precision);
        for other in Precision::ALL.into_iter().filter(|other| *other != precision) {
            let error = compact.with_precision(other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let words = [format!("precision {}", other.name()), precision.name().to_string()];
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
        let error = projection_interop::onnx::to_bytes(&compact).unwrap_err();
        assert!(error.to_string().contains(precision.name()), "{error}");
        let linear = Model::Linear(LinearProjection::new(array![[1.0, 2.0]]).unwrap());
        let error = linear.with_precision(precision).unwrap_err();
        assert!(error.to_string().contains("linear") && error.to_string().contains("multi_head"));
        assert!(linear.with_precision(Precision::F32).is_ok());
    }
    assert_eq!(Precision::ALL.map(|p| Precision::from_name(p.name()).unwrap()), Precision::ALL);
    let error = Precision::from_name("int4").unwrap_err();
    assert!(error.to_string().contains("'int4', expected one of f32, bf16, int8"), "{error}");
}

#[test]
fn long_vectors_of_bytes_are_refused() {
    let long = model(1, 65_537, false);
    let error = long.with_precision(Precision::Int8).unwrap_err();
    assert!(error.to_string().contains("65537"), "{error}");
    let fitting = model(1, 65_536, false).with_precision(Precision::Int8).unwrap();
    let mut query = vec![0.0; 65_536];
    query[7] = 1.0;
    assert!(Projection::project(&fitting, &query).is_ok());
    let mut parts = Parts::of(&fitting);
    parts.data.truncate(0);
    for tensor in ["centroids", "answers"] {
        let begin = parts.data.len();
        parts.data.extend([1; 65_537]);
        parts.header.insert(
            tensor.into(),
            json!({"dtype": "I8", "shape": [1, 65_537], "data_offsets": [begin, begin + 65_537]}),
        );
    }
    for (tensor, dtype, size) in
        [("centroid_scales", "F32", 4), ("answer_scales", "F32", 4), ("head_ids", "I64", 8)]
    {
        let begin = parts.data.len();
        parts.data.extend(vec![0; size]);
        parts.header.insert(
            tensor.into(),
            json!({"dtype": dtype, "shape": [1], "data_offsets": [begin, begin + size]}),
        );
    }
    let error = Model::from_bytes(&parts.bytes()).unwrap_err();
    assert!(error.to_string().contains("rows of 65537 bytes"), "{error}");
}

#[test]
fn hostile_files_are_refused_and_the_reason_named() {
    let bf16 = || Parts::of(&model(2, 4, true).with_precision(Precision::Bf16).unwrap());
    let int8 = || Parts::of(&model(2, 4, true).with_precision(Precision::Int8).unwrap());
    let scale = |value: f32| value.to_le_bytes();
    let mut short = int8();
    for (tensor, shape) in [("answer_scales", 1), ("centroid_scales", 3)] {
        let entry = short.header.get_mut(tensor).unwrap();
        entry["shape"] = json!([shape]);
        let begin = entry["data_offsets"][0].as_u64().unwrap();
        let begin = if tensor == "answer_scales" { begin + 4 } else { begin };
        entry["data_offsets"] = json!([begin, begin + 4 * shape]);
    }
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        // Scales of another number than there are heads.
        (short.bytes(), &["'centroid_scales'", "[3]", "[2]"]),
        (int8().with("centroid_scales", "shape", json!([1, 2])), &["'centroid_scales'", "[1, 2]"]),
        (int8().with("centroid_scales", "dtype", json!("I32")), &["centroid_scales", "I32", "F32"]),
        (int8().renamed("centroid_scales"), &["'centroid_scales' is missing"]),
        (int8().renamed("answer_scales"), &["'answer_scales' is missing"]),
        (int8().value("centroid_scales", 4, &scale(f32::NAN)), &["centroids", "not finite", "5"]),
        (int8().value("answer_scales", 0, &scale(f32::INFINITY)), &["'answers'", "not finite"]),
        (int8().value("answer_scales", 0, &scale(f32::MAX)), &["'answers'", "not finite"]),
        (int8().value("answer_scales", 0, &scale(-0.5)), &["scale -0.5", "'answers'", "3"]),
        (int8().value("centroid_scales", 0, &scale(0.0)), &["'centroids'", "length 0"]),
        (int8().value("centroids", 0, &[0; 4]), &["'centroids'", "length 0", "cluster 3"]),
        // Types that are no precision, and two that do not go together.
        (
            int8().with("centroids", "dtype", json!("U8")),
            &["dtype U8, expected F32, F64, BF16 or I8"],
        ),
        (int8().with("answers", "dtype", json!("U8")), &["'answers'", "dtype U8, expected I8"]),
        (
            bf16().with("centroids", "dtype", json!("F16")),
            &["dtype F16, expected F32, F64, BF16 or I8"],
        ),
        (bf16().with("answers", "dtype", json!("F16")), &["'answers'", "expected BF16"]),
        (bf16().with("centroids", "shape", json!([4, 2])), &["'centroids'", "[4, 2]"]),
        (bf16().with("answers", "shape", json!([8])), &["'answers'", "2 axes"]),
        (bf16().value("centroids", 0, &[0xc0, 0x7f]), &["'centroids'", "not finite", "3"]),
        (bf16().value("answers", 6, &[0x80, 0xff]), &["'answers'", "not finite", "3"]),
        (bf16().value("centroids", 0, &[0, 0x42]), &["'centroids'", "length 32"]),
        (bf16().value("answers", 8, &[0, 0x42]), &["'answers'", "not zero beside a matrix"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let mut failures = Vec::new();
    for (number, (bytes, words)) in cases.into_iter().enumerate() {
        fs::write(&path, &bytes).unwrap();
        for result in [Model::from_bytes(&bytes), Model::load_file(&path)] {
            let message = match result {
                Ok(_) => "accepted".to_string(),
                Err(error) => error.to_string(),
            };
            if words.iter().any(|word| !message.contains(word)) {
                failures.push(format!("case {number} {words:?}: {message}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_large_file_with_a_wrong_scale_is_refused_at_its_first_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let large = model(2000, 384, false).with_precision(Precision::Int8).unwrap();
    fs::write(&path, Parts::of(&large).value("centroid_scales", 8, &f32::NAN.to_le_bytes()))
        .unwrap();
    let mapped = Model::load_file(&path).unwrap();
    for _ in 0..2 {
        let error = Projection::project(&mapped, &[1.0; 384]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        for word in ["large.safetensors", "centroids", "cluster 7"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    assert!(mapped.check_values().is_err() && mapped.to_bytes().is_err());
}
