//! Attention against its definition.

use super::*;

/// With and without weights, and one query alone: the same as the definition.
#[test]
fn attention_in_blocks_is_attention() {
    for (n, heads, dim, out_dim) in [
        (1, 1, 3, 2),
        (3, 64, 20, 16),
        (5, 65, 16, 33),
        (130, 200, 24, 8),
        (2, 2100, 16, 16),
        // Of a size that is read backwards by every other query.
        (3, 18, 384, 384),
        (3, 25, 200, 350),
    ] {
        let queries = values(n * dim, 11);
        // From flat to sharp, so that better scores come late for some.
        let factors: Vec<f32> = (0..n).map(|i| 0.5 + 3.0 * (i % 7) as f32).collect();
        let (centroids, answers) = (values(heads * dim, 12), values(heads * out_dim, 13));
        let mut out = vec![7.0; n * out_dim];
        let mut weights = vec![7.0; n * heads];
        let vectors = (RowsRef::F32(&centroids), RowsRef::F32(&answers));
        attend((&queries, &factors), vectors, Some(&mut weights), &mut out);
        let mut online = vec![7.0; n * out_dim];
        attend((&queries, &factors), vectors, None, &mut online);
        for (i, query) in queries.chunks(dim).enumerate() {
            let scores: Vec<f64> = centroids
                .chunks(dim)
                .map(|centroid| exact_dot(query, centroid) * f64::from(factors[i]))
                .collect();
            let mut exact = vec![0.0; heads];
            softmax_f64(&scores, 1.0, &mut exact);
            let sum = exact_weighted_sum(&exact, &answers, out_dim);
            let (mut one, mut seen) = (vec![7.0; out_dim], vec![7.0; heads]);
            attend_one(query, factors[i], vectors, Some(&mut seen), &mut one);
            let mut unseen = vec![7.0; out_dim];
            attend_one(query, factors[i], vectors, None, &mut unseen);
            assert!(
                one == unseen && out[i * out_dim..][..out_dim] == online[i * out_dim..][..out_dim]
            );
            for found in [&weights[i * heads..][..heads], &seen[..]] {
                for (exact, found) in exact.iter().zip(found) {
                    assert!((exact - found).abs() < 2e-5 * exact.max(1e-3), "{n} × {heads}");
                }
            }
            for (at, exact) in sum.iter().enumerate() {
                let batch = i * out_dim + at;
                for found in [out[batch], one[at]] {
                    assert!((exact - f64::from(found)).abs() < 1e-5, "{n} × {heads}");
                }
            }
        }
    }
}
