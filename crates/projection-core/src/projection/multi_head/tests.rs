//! Tests of multi-head projections on random heads.

use ndarray::Array2;

use super::*;
use crate::kernel::{self, cosine, random::Random};
use crate::projection::Projection;

fn random_model(heads: usize, dim: usize) -> MultiHeadProjection {
    let mut random = Random::new(3, 0);
    let mut value = || random.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5;
    let heads = (0..heads).map(|head| Head {
        cluster_id: head as i64,
        centroid: (0..dim).map(|_| value()).collect(),
        answer: (0..dim).map(|_| value() as f32).collect(),
        matrix: None,
    });
    MultiHeadProjection::from_heads(heads.collect(), 0.1).unwrap()
}

/// Heads that lie close together, of which many take part even then.
#[test]
fn weights_are_exact_at_low_temperatures() {
    let (count, dim) = (60, 384);
    let mut random = Random::new(9, 0);
    let mut value = || random.below(1 << 40) as f64 / 2f64.powi(39) - 1.0;
    let middle: Vec<f64> = (0..dim).map(|_| value()).collect();
    let near = |scale: f64, value: &mut dyn FnMut() -> f64| -> Vec<f64> {
        middle.iter().map(|middle| middle + scale * value()).collect()
    };
    let centroids: Vec<Vec<f64>> = (0..count).map(|_| near(2e-3, &mut value)).collect();
    let query: Vec<f32> = near(0.5, &mut value).iter().map(|value| *value as f32).collect();
    let head = |(number, centroid): (usize, &Vec<f64>)| Head {
        cluster_id: number as i64,
        centroid: centroid.clone(),
        answer: vec![0.5; dim],
        matrix: None,
    };
    let heads = centroids.iter().enumerate().map(head).collect();
    let model = MultiHeadProjection::from_heads(heads, 0.1).unwrap();
    let dot = |a: &mut dyn Iterator<Item = (f64, f64)>| -> f64 { a.map(|(a, b)| a * b).sum() };
    let doubles = || query.iter().copied().map(f64::from);
    let norm = dot(&mut doubles().zip(doubles())).sqrt();
    let cosines = centroids.iter().map(|centroid| {
        let length = centroid.iter().map(|value| value * value).sum::<f64>().sqrt();
        dot(&mut doubles().zip(centroid.iter().copied())) / (norm * length)
    });
    let cosines: Vec<f64> = cosines.collect();
    let top = cosines.iter().copied().fold(f64::MIN, f64::max);
    // In single precision alone, the last would be off by more.
    for temperature in [1e-3, 5e-4, 5e-5] {
        let exact: Vec<f64> = cosines.iter().map(|c| ((c - top) / temperature).exp()).collect();
        let sum: f64 = exact.iter().sum();
        let (_, weights) = model.with_temperature(temperature).unwrap().project(&query).unwrap();
        for (weight, exact) in weights.iter().zip(&exact) {
            let error = (f64::from(*weight) - exact / sum).abs();
            assert!(error < 1e-5 * exact / sum + 1e-12, "{temperature}: {weight}, {error}");
        }
    }
}

/// Queries of 24 values with their cosines with all heads of a model.
fn queries_and_cosines(model: &MultiHeadProjection) -> impl Iterator<Item = (Vec<f32>, Vec<f64>)> {
    (0..20).map(|row| {
        let query: Vec<f32> = (0..24).map(|at| ((row * 31 + at) as f32).sin()).collect();
        let cosines = model.parts().cosines(&query, kernel::norm(&query), 0..1500).collect();
        (query, cosines)
    })
}

#[test]
fn heads_that_are_left_out_have_no_weight() {
    let model = random_model(1500, 24);
    for temperature in [2.8e-3, 1e-3, 1e-4] {
        let cold = model.with_temperature(temperature).unwrap();
        for (query, cosines) in queries_and_cosines(&model) {
            let mut expected = vec![0.0; 1500];
            kernel::softmax_f64(&cosines, temperature, &mut expected);
            assert_eq!(cold.project(&query).unwrap().1, expected, "{temperature}");
        }
    }
}

#[test]
fn the_nearest_heads_are_those_of_double_precision() {
    let model = random_model(1500, 24);
    for k in [1, 7, 100] {
        let nearest = model.with_top_k(Some(k)).unwrap();
        for (query, cosines) in queries_and_cosines(&model) {
            let mut order: Vec<usize> = (0..1500).collect();
            order.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]));
            let (_, weights) = nearest.project(&query).unwrap();
            for (rank, head) in order.into_iter().enumerate() {
                assert_eq!(weights[head] > 0.0, rank < k, "rank {rank} of {k}");
            }
        }
    }
}

#[test]
fn quantized_heads_project_almost_as_exact_ones_do() {
    for (count, dim) in [(18, 384), (3, 20), (1500, 100)] {
        let model = random_model(count, dim);
        let HeadRows::F32(centroids) = &model.parts().centroids else { panic!() };
        let queries = Array2::from_shape_fn((20, dim), |(row, at)| {
            centroids.row(row % count)[at] + 0.02 * ((row + at) as f32).sin()
        });
        for (precision, bound) in [(Precision::Bf16, 1e-5), (Precision::Int8, 5e-4)] {
            let compact = model.with_precision(precision).unwrap();
            assert_eq!((compact.precision(), model.precision()), (precision, Precision::F32));
            let (batch, batch_weights) = compact.project_batch(queries.view()).unwrap();
            let top_k = compact.with_top_k(Some(2)).unwrap();
            for (row, query) in queries.rows().into_iter().enumerate() {
                let query = query.to_slice().unwrap();
                let (exact, weights) = model.project(query).unwrap();
                let (projected, compact_weights) = compact.project(query).unwrap();
                assert!(1.0 - cosine(&projected, &exact) < bound, "{precision:?}");
                let best =
                    |weights: &[f32]| (0..count).max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
                assert_eq!(best(&compact_weights), best(&weights));
                // A batch decodes rows that a single query uses as they are.
                let batch = batch.row(row);
                assert!(1.0 - cosine(batch.to_slice().unwrap(), &projected) < 1e-6);
                assert_eq!(best(&batch_weights.row(row).to_vec()), best(&weights));
                let (_, two) = top_k.project(query).unwrap();
                assert_eq!(two.iter().filter(|weight| **weight > 0.0).count(), 2.min(count));
                assert_eq!(best(&two), best(&weights));
            }
            let other = match precision {
                Precision::Bf16 => Precision::Int8,
                _ => Precision::F32,
            };
            let error = compact.with_precision(other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(compact.with_precision(precision).is_ok());
        }
    }
}

#[test]
fn threads_share_a_batch() {
    let model = random_model(100, 20);
    let mut queries = Array2::from_shape_fn((37, 20), |(row, at)| ((row * 7 + at) as f32).cos());
    let (exact, exact_weights) = model.project_batch(queries.view()).unwrap();
    for threads in [0, 1, 2, 5, 99] {
        let mut projected = Array2::zeros((37, 20));
        let mut weights = Array2::zeros((37, 100));
        let model: &dyn Projection = &model;
        let (out, seen) = (projected.view_mut(), Some(weights.view_mut()));
        model.project_batch_on(threads, queries.view(), out, seen, &mut || Ok(())).unwrap();
        let near = |a: &Array2<f32>, b: &Array2<f32>| (a - b).iter().all(|d| d.abs() < 1e-6);
        assert!(near(&projected, &exact) && near(&weights, &exact_weights));
    }
    queries[[30, 3]] = f32::NAN;
    let mut projected = Array2::from_elem((37, 20), 7.0);
    let error = model
        .project_batch_on(3, queries.view(), projected.view_mut(), None, &mut || Ok(()))
        .unwrap_err();
    assert!(error.to_string().contains("row 30"), "{error}");
    assert!(projected.iter().all(|value| *value == 7.0));
    // Of 1,000 queries, 128 at a time are projected on one thread before it is asked again.
    let queries = Array2::from_shape_fn((1000, 20), |(row, at)| ((row * 7 + at) as f32).cos());
    for last in 1..=8 {
        let mut polls = 0;
        let mut poll = || {
            polls += 1;
            if polls < last { Ok(()) } else { Err(Error::new(ErrorKind::Cancelled, "enough")) }
        };
        let mut projected = Array2::zeros((1000, 20));
        let stopped =
            model.project_batch_on(1, queries.view(), projected.view_mut(), None, &mut poll);
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
        let done = projected.rows().into_iter().filter(|row| row[0] != 0.0).count();
        assert_eq!((polls, done), (last, 128 * (last - 1)));
    }
}
