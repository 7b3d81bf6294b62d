//! Models with many training questions or heads, in lists: what they find, and their files.

mod clustered;

use clustered::clustered;
use ndarray::Array2;
use projection_core::kernel::progress::ignore_progress;
use projection_core::projection::{
    Head, Model, MultiHeadProjection, Projection, ResidualParts, ResidualProjection,
};

const DIM: usize = 32;
const COUNT: usize = 16_400;

/// Rows that are in clusters, others for another seed.
fn rows(count: usize, seed: u64) -> Array2<f32> {
    clustered(count, DIM, 0.7, seed)
}

fn residual() -> ResidualProjection {
    let questions = rows(COUNT, 5);
    let mut parts = ResidualParts::new(DIM);
    for head in 0..COUNT / 10 {
        let answer = questions.row(head * 10 + 3).to_vec();
        let rows = questions.slice(ndarray::s![head * 10..(head + 1) * 10, ..]);
        parts.questions.push(head as i64, &answer, rows).unwrap();
    }
    ResidualProjection::new(parts).unwrap()
}

fn top_k() -> MultiHeadProjection {
    let vectors = rows(COUNT, 5);
    let head = |number: usize| Head {
        cluster_id: number as i64,
        centroid: vectors.row(number).iter().copied().map(f64::from).collect(),
        answer: vectors.row((number + 1) % COUNT).to_vec(),
        matrix: (number == 700).then(|| Array2::eye(DIM)),
    };
    let heads = (0..COUNT).map(head).collect();
    MultiHeadProjection::from_heads(heads, 0.1).unwrap().with_top_k(Some(10)).unwrap()
}

/// Of each query, which heads take part in the model with lists, of those without.
fn recall(plain: &Model, lists: &Model, queries: &Array2<f32>) -> f64 {
    let taking_part = |model: &Model, query: &[f32]| {
        let mut projected = vec![0.0; DIM];
        let mut weights = vec![0.0; model.head_ids().len()];
        model.project_into(query, &mut projected, Some(&mut weights)).unwrap();
        (0..weights.len()).filter(|head| weights[*head] > 0.0).collect::<Vec<_>>()
    };
    let (mut found, mut all) = (0, 0);
    for query in queries.rows() {
        let query = query.to_slice().unwrap();
        let (expected, heads) = (taking_part(plain, query), taking_part(lists, query));
        all += expected.len();
        found += expected.iter().filter(|head| heads.contains(head)).count();
    }
    f64::from(found as u32) / f64::from(all as u32)
}

fn check(plain: Model) {
    let lists = plain.with_approximate_index(2, &mut ignore_progress).unwrap();
    let known = lists.index_stats().unwrap();
    assert!(known.recall >= 0.99 && known.read < 0.25 && known.lists > 100, "{known:?}");
    assert!(plain.index_stats().is_none());
    let queries = rows(60, 9);
    let share = recall(&plain, &lists, &queries);
    assert!(share > 0.97, "{share}, {known:?}");
    // A batch gives what single queries give, from memory, bytes and a mapped file.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    lists.save_file(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mapped = Model::load_file(&path).unwrap();
    let read = Model::from_bytes(&bytes).unwrap();
    let heads = lists.head_ids().len();
    let (mut projected, mut weights) = (Array2::zeros((60, DIM)), Array2::zeros((60, heads)));
    lists
        .project_batch_into(queries.view(), projected.view_mut(), Some(weights.view_mut()))
        .unwrap();
    for threads in [0, 2, 7] {
        let (mut shared, mut routed) = (Array2::zeros((60, DIM)), Array2::zeros((60, heads)));
        let outputs = (shared.view_mut(), Some(routed.view_mut()));
        lists
            .project_batch_on(threads, queries.view(), outputs.0, outputs.1, &mut || Ok(()))
            .unwrap();
        assert!(shared == projected && routed == weights, "{threads} threads");
    }
    for model in [&lists, &mapped, &read] {
        assert_eq!(model.index_stats(), Some(known));
        for (row, query) in queries.rows().into_iter().enumerate() {
            let (mut one, mut routed) = (vec![0.0; DIM], vec![0.0; heads]);
            model.project_into(query.to_slice().unwrap(), &mut one, Some(&mut routed)).unwrap();
            assert_eq!(one, projected.row(row).to_vec());
            assert_eq!(routed, weights.row(row).to_vec());
        }
    }
    assert_eq!(
        lists.with_approximate_index(1, &mut ignore_progress).unwrap().index_stats(),
        Some(known)
    );
    damaged(&bytes);
}

/// Files whose lists are wrong are refused.
fn damaged(bytes: &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let place =
        |name: &str| 8 + length + header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    let cases: [(&str, usize, &[u8]); 12] = [
        ("index_rows", 0, &i64::MAX.to_le_bytes()),
        ("index_rows", 8, &(-1i64).to_le_bytes()),
        ("index_offsets", 8, &(1i64 << 40).to_le_bytes()),
        ("index_offsets", 0, &1i64.to_le_bytes()),
        ("index_stats", 8, &f64::NAN.to_le_bytes()),
        ("index_radii", 0, &f32::NAN.to_le_bytes()),
        ("index_code_scales", 0, &f32::NAN.to_le_bytes()),
        // Finite, but of no vectors of length 1.
        ("index_stats", 0, &1e300f64.to_le_bytes()),
        ("index_stats", 24, &(-1e300f64).to_le_bytes()),
        ("index_radii", 0, &1e30f32.to_le_bytes()),
        ("index_code_scales", 0, &1f32.to_le_bytes()),
        ("index_centroid_scales", 0, &2.6e36f32.to_le_bytes()),
    ];
    for (name, at, value) in cases {
        let mut bytes = bytes.to_vec();
        let at = place(name) + at;
        bytes[at..at + value.len()].copy_from_slice(value);
        let error = Model::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("of the index"), "{name}: {error}");
    }
}

#[test]
fn many_training_questions() {
    check(Model::Residual(residual()));
}

#[test]
fn many_heads() {
    check(Model::MultiHead(top_k()));
}

#[test]
fn few_heads_stay_as_they_are() {
    let vectors = rows(50, 5);
    let head = |number: usize| Head {
        cluster_id: number as i64,
        centroid: vectors.row(number).iter().copied().map(f64::from).collect(),
        answer: vectors.row(number).to_vec(),
        matrix: None,
    };
    let model = MultiHeadProjection::from_heads((0..50).map(head).collect(), 0.1).unwrap();
    let model = Model::MultiHead(model.with_top_k(Some(5)).unwrap());
    assert!(model.with_approximate_index(1, &mut ignore_progress).unwrap().index_stats().is_none());
}
