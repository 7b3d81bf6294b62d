//! Answers in a file: what is written is found again, and nothing in a file is believed.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};
use projection_core::answer_file::AnswerPrecision;
use projection_core::search::Index;
use projection_core::{ErrorKind, Result};
use serde_json::{Value, json};

const DIM: usize = 96;

/// Vectors whose values have nothing to do with one another.
fn vectors(rows: usize, seed: u64) -> Array2<f32> {
    let mut state = seed;
    Array2::from_shape_fn((rows, DIM), |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn index(rows: usize) -> Index {
    let ids: Vec<i64> = (0..rows as i64).map(|row| 7 * row - 3).collect();
    Index::from_vectors(&ids, vectors(rows, 1).view()).unwrap()
}

fn search(index: &Index, query: &[f32]) -> Vec<(i64, f32)> {
    let hits = index.search(query, None, 10).unwrap();
    hits.iter().map(|hit| (hit.answer_id, hit.score)).collect()
}

#[test]
fn answers_are_found_again() {
    let index = index(500);
    let queries = vectors(50, 2);
    let exact = index.to_bytes(Some("a text model"), AnswerPrecision::F32).unwrap();
    let small = index.to_bytes(None, AnswerPrecision::Int8).unwrap();
    assert!(
        exact.len() > 500 * DIM * 4 && small.len() < 500 * (DIM + 16) + 1024,
        "{}",
        small.len()
    );
    assert_eq!(small, index.to_bytes(None, AnswerPrecision::default()).unwrap());
    let (exact, small) = (Index::from_bytes(&exact).unwrap(), Index::from_bytes(&small).unwrap());
    assert_eq!((exact.ids(), exact.dim()), (index.ids(), DIM));
    assert_eq!((small.ids(), small.dim()), (index.ids(), DIM));
    let mut same = 0;
    for query in queries.rows() {
        let query = query.to_slice().unwrap();
        let expected = search(&index, query);
        let found = search(&exact, query);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-6);
        }
        // Bytes keep a value to 1/254 of the row's largest.
        let found = search(&small, query);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found.1 - expected.1).abs() < 5e-3, "{found:?} {expected:?}");
        }
        same += usize::from(found[0].0 == expected[0].0);
    }
    assert!(same >= 47, "{same} of 50 first answers");
}

/// The vectors of an index, as its file in single precision has them.
fn units(index: &Index) -> Vec<Vec<f64>> {
    let file = index.to_bytes(None, AnswerPrecision::F32).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let begin = start + header["vectors"]["data_offsets"][0].as_u64().unwrap() as usize;
    let bytes = &file[begin..begin + 4 * DIM * index.len()];
    let values: Vec<f64> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
        .collect();
    values.chunks(DIM).map(<[f64]>::to_vec).collect()
}

#[test]
fn rounding_moves_a_score_by_no_more_than_its_vector() {
    let index = index(300);
    let small = index.to_bytes(None, AnswerPrecision::Int8).unwrap();
    let small = Index::from_bytes(&small).unwrap();
    let distance = |(a, b): (&Vec<f64>, &Vec<f64>)| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let bounds: Vec<f64> = units(&index).iter().zip(&units(&small)).map(distance).collect();
    assert!(bounds.iter().all(|bound| (1e-4..1e-2).contains(bound)), "{bounds:?}");
    // Scores are of single precision themselves.
    const ROUNDING: f64 = 1e-6;
    // Of each answer, in the order of their ids.
    let scores = |index: &Index, query: &[f32]| -> Vec<f64> {
        let mut hits = index.search(query, None, index.len()).unwrap();
        hits.sort_by_key(|hit| hit.answer_id);
        hits.iter().map(|hit| f64::from(hit.score)).collect()
    };
    let (mut apart, mut closest) = (0, 0.0f64);
    for query in vectors(20, 3).rows() {
        let query = query.to_slice().unwrap();
        let (exact, rounded) = (scores(&index, query), scores(&small, query));
        for a in 0..exact.len() {
            let moved = (exact[a] - rounded[a]).abs();
            assert!(moved <= bounds[a] + ROUNDING, "answer {a}: {moved} of {}", bounds[a]);
            closest = closest.max(moved / bounds[a]);
            for b in 0..a {
                if exact[a] - exact[b] > bounds[a] + bounds[b] + 2.0 * ROUNDING {
                    assert!(rounded[a] > rounded[b], "answers {a} and {b} changed places");
                    apart += 1;
                }
            }
        }
    }
    // The bound is no bound of everything.
    assert!(apart > 10_000 && closest > 0.2, "{apart} pairs, {closest} of a bound");
}

/// A file of tensors: name, dtype, shape and bytes of each.
fn file(metadata: &BTreeMap<&str, &str>, tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!(metadata));
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let place = [begin, data.len()];
        header
            .insert((*name).into(), json!({"dtype": dtype, "shape": shape, "data_offsets": place}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// Two answers of two values; `change` makes something of it wrong.
fn opened(
    change: impl FnOnce(&mut BTreeMap<&str, &str>, &mut Vec<(&str, &str, Vec<usize>, Vec<u8>)>),
) -> Result<Index> {
    let mut metadata = BTreeMap::from([
        ("format", "projection_answers"),
        ("format_version", "1"),
        ("dimension", "2"),
    ]);
    let mut tensors = vec![
        ("vectors", "I8", vec![2, 2], vec![127, 0, 0, 0x81]),
        (
            "scales",
            "F32",
            vec![2],
            [1.0f32 / 127.0; 2].iter().flat_map(|s| s.to_le_bytes()).collect(),
        ),
        ("answer_ids", "I64", vec![2], [5i64, 9].iter().flat_map(|id| id.to_le_bytes()).collect()),
    ];
    change(&mut metadata, &mut tensors);
    Index::from_bytes(&file(&metadata, &tensors))
}

#[test]
fn wrong_files_are_refused() {
    assert_eq!(search(&opened(|_, _| ()).unwrap(), &[0.0, -2.0])[0], (9, 1.0));

    let refused = |result: Result<Index>, kind: ErrorKind, part: &str| {
        let error = result.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(part), "{error:?}");
    };
    let singles = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let integers =
        |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let invalid = ErrorKind::InvalidModel;
    for (key, value, part) in [
        ("format", "projection", "projection_answers"),
        ("format_version", "2", "'format_version' is 2"),
        ("format_version", "-1", "'format_version' is -1"),
        ("dimension", "3", "'dimension' is 3"),
        ("dimension", "two", "'dimension' is two"),
    ] {
        refused(opened(|m, _| m.extend([(key, value)])), invalid, part);
        refused(opened(|m, _| m.retain(|k, _| *k != key)), invalid, "missing");
    }
    for (tensor, part) in [(0, "vectors"), (1, "scales"), (2, "answer_ids")] {
        refused(opened(|_, tensors| drop(tensors.remove(tensor))), invalid, part);
        refused(opened(|_, tensors| tensors[tensor].1 = "F16"), invalid, "");
        // Shapes that do not fit the bytes, up to those whose size no number holds.
        for shape in [vec![], vec![3], vec![usize::MAX, usize::MAX], vec![1 << 40, 2], vec![0]] {
            let result = opened(|_, tensors| tensors[tensor].2 = shape.clone());
            assert!(result.is_err(), "{tensor} {shape:?}");
        }
    }
    refused(opened(|_, t| t[2].3 = integers(&[5, 5])), ErrorKind::InvalidArgument, "id 5");
    for scale in [0.0, 1e-30, -1.0, 1.0, 1e30] {
        refused(
            opened(|_, t| t[1].3 = singles(&[1.0 / 127.0, scale])),
            invalid,
            "answer 9: length",
        );
    }
    for scale in [f32::NAN, f32::INFINITY] {
        let result = opened(|_, t| t[1].3 = singles(&[1.0 / 127.0, scale]));
        refused(result, ErrorKind::NotFinite, "answer 9");
    }
    let exact = |values: [f32; 4]| opened(|_, t| (t[0].1, t[0].3) = ("F32", singles(&values)));
    assert_eq!(search(&exact([1.0, 0.0, 0.0, -1.0]).unwrap(), &[0.0, -2.0])[0], (9, 1.0));
    refused(exact([f32::NAN, 0.0, 0.0, 1.0]), ErrorKind::NotFinite, "answer 5");
    refused(exact([2.0, 0.0, 0.0, 1.0]), invalid, "answer 5: length 2");
    refused(exact([0.0; 4]), invalid, "answer 5: length 0");
    let one = |_: &mut BTreeMap<&str, &str>, t: &mut Vec<(&str, &str, Vec<usize>, Vec<u8>)>| {
        (t[2].2, t[2].3) = (vec![1], integers(&[5]));
    };
    refused(opened(one), ErrorKind::DimensionMismatch, "2 vectors for 1 ids");
    let none = opened(|_, t| {
        t.iter_mut().for_each(|tensor| (tensor.2[0], tensor.3) = (0, Vec::new()));
    });
    refused(none, invalid, "no answers");
}

#[test]
fn damaged_files_never_panic() {
    for precision in [AnswerPrecision::F32, AnswerPrecision::Int8] {
        let bytes = index(3).to_bytes(Some("m"), precision).unwrap();
        for length in 0..bytes.len() {
            assert!(Index::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= bit;
                // Some bits change a vector by too little to be noticed.
                let _ = Index::from_bytes(&damaged);
            }
        }
    }
    let other = Array2::<f32>::eye(2);
    let view: ArrayView2<'_, f32> = other.view();
    let index = Index::from_vectors(&[1, 2], view).unwrap();
    let error = projection_core::projection::Model::from_bytes(
        &index.to_bytes(None, AnswerPrecision::F32).unwrap(),
    );
    assert!(error.unwrap_err().to_string().contains("expected 'projection'"));
}
