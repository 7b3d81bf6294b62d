//! Fusing the scores of vectors with those of words (hybrid search).

/// The weight of BM25 if neither the caller nor training chose one.
pub const DEFAULT_HYBRID_WEIGHT: f64 = 0.2;

/// Replaces the scores by vectors with their weighted mean with BM25 scores, both scaled to at
/// most 1. `words` are 0 for answers that share no word with the query.
pub fn fuse(scores: &mut [f32], words: &[f64], weight: f64) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = f64::from(largest) + 1.0;
    let most = words.iter().copied().fold(0.0, f64::max);
    for (score, words) in scores.iter_mut().zip(words) {
        let by_vector = if range > 0.0 { (f64::from(*score) + 1.0) / range } else { 0.0 };
        let by_words = if most > 0.0 { words / most } else { 0.0 };
        *score = ((1.0 - weight) * by_vector + weight * by_words) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fusion_is_the_formula() {
        let mut scores = [0.6, -1.0, 0.2];
        fuse(&mut scores, &[0.0, 2.0, 4.0], 0.25);
        let expected = [0.75, 0.125, 0.75 * 1.2 / 1.6 + 0.25];
        for (score, expected) in scores.iter().zip(expected) {
            assert!((f64::from(*score) - expected).abs() < 1e-6, "{scores:?}");
        }
        // No word in common: the order is that of the vectors.
        let mut scores = [0.6, -1.0, 0.2];
        fuse(&mut scores, &[0.0; 3], 0.25);
        assert!(scores[0] > scores[2] && scores[2] > scores[1] && scores[1] == 0.0);
        let mut scores = [-1.0, -1.0];
        fuse(&mut scores, &[0.0, 1.0], 0.25);
        assert_eq!(scores, [0.0, 0.25]);
    }
}
