//! Metrics over ranks, their uncertainty, and the comparison of two methods.
//!
//! A rank is that of the right answer among all answers, 1 being the best; there is one
//! right answer a question.

use serde::Serialize;

use crate::error::Result;
use crate::kernel::parallel::Poll;
use crate::kernel::random::Random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;

/// What is measured over the ranks of a set of questions, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Number of questions.
    pub questions: usize,
    /// Share of right answers at rank 1.
    pub recall_at_1: f64,
    /// Share of right answers up to rank 5.
    pub recall_at_5: f64,
    /// Mean of 1/rank, 0 beyond rank 10.
    pub mrr_at_10: f64,
    /// Mean of 1/log₂(rank + 1), 0 beyond rank 10.
    pub ndcg_at_10: f64,
}

impl Metrics {
    /// Measures; all 0 for no questions.
    pub fn of(ranks: &[usize]) -> Self {
        Self {
            questions: ranks.len(),
            recall_at_1: mean(ranks, |rank| Self::recall(rank, 1)),
            recall_at_5: mean(ranks, |rank| Self::recall(rank, 5)),
            mrr_at_10: mean(ranks, Self::reciprocal),
            ndcg_at_10: mean(ranks, Self::gain),
        }
    }

    /// What one rank adds to recall@k before the mean is taken.
    pub fn recall(rank: usize, k: usize) -> f64 {
        f64::from(u8::from(rank <= k))
    }

    /// What one rank adds to MRR@10.
    pub fn reciprocal(rank: usize) -> f64 {
        if rank <= 10 { 1.0 / rank as f64 } else { 0.0 }
    }

    /// What one rank adds to nDCG@10.
    pub fn gain(rank: usize) -> f64 {
        if rank <= 10 { 1.0 / (rank as f64 + 1.0).log2() } else { 0.0 }
    }
}

fn mean(ranks: &[usize], value: impl Fn(usize) -> f64) -> f64 {
    ranks.iter().map(|rank| value(*rank)).sum::<f64>() / ranks.len().max(1) as f64
}

/// The 95% bootstrap interval (percentiles of 1,000 resamples) of the mean of `values`, one
/// a question, such as [`Metrics::reciprocal`] of its rank: its ends, 0 and 0 for no values
/// (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
///
/// # Errors
/// Those of `poll`, which is called before each resample.
pub fn bootstrap(values: &[f64], seed: u64, poll: &mut Poll<'_>) -> Result<(f64, f64)> {
    if values.is_empty() {
        return Ok((0.0, 0.0));
    }
    let mut random = Random::new(seed, 0xb007);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            poll()?;
            let drawn = (0..values.len()).map(|_| values[random.below(values.len())]);
            Ok(drawn.sum::<f64>() / values.len() as f64)
        })
        .collect::<Result<_>>()?;
    means.sort_unstable_by(f64::total_cmp);
    // Linear between neighbours, as NumPy's percentile.
    let percentile = |share: f64| {
        let place = share * (RESAMPLES - 1) as f64;
        let (below, part) = (place as usize, place.fract());
        means[below] + part * (means[(below + 1).min(RESAMPLES - 1)] - means[below])
    };
    Ok((percentile(0.025), percentile(0.975)))
}

/// The exact p of McNemar's paired test (McNemar, Note on the Sampling Error of the Difference
/// between Correlated Proportions or Percentages, 1947): how likely two equally good methods
/// differ as much in the numbers of questions that only the first and only the second gets
/// right.
///
/// Two-sided: twice the smaller tail of the binomial distribution with p = ½.
pub fn mcnemar(only_first: usize, only_second: usize) -> f64 {
    let n = only_first + only_second;
    let log_half = -std::f64::consts::LN_2 * n as f64;
    let (mut log_choose, mut tail) = (0.0f64, 0.0f64);
    for i in 0..=only_first.min(only_second) {
        if i > 0 {
            log_choose += ((n - i + 1) as f64).ln() - (i as f64).ln();
        }
        tail += (log_choose + log_half).exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_worked_by_hand() {
        let metrics = Metrics::of(&[1, 2, 5, 10, 11]);
        assert_eq!(metrics.questions, 5);
        assert!((metrics.recall_at_1 - 0.2).abs() < 1e-12);
        assert!((metrics.recall_at_5 - 0.6).abs() < 1e-12);
        assert!((metrics.mrr_at_10 - (1.0 + 0.5 + 0.2 + 0.1) / 5.0).abs() < 1e-12);
        // 1/log2(2), 1/log2(3), 1/log2(6), 1/log2(11)
        let gains = 1.0 + 0.630_929_753_571 + 0.386_852_807_235 + 0.289_064_826_318;
        assert!((metrics.ndcg_at_10 - gains / 5.0).abs() < 1e-9);
        assert_eq!(Metrics::of(&[]), Metrics::default());
    }

    #[test]
    fn mcnemar_worked_by_hand() {
        assert_eq!(mcnemar(0, 0), 1.0);
        // 2 · (1/2)^5
        assert!((mcnemar(5, 0) - 0.0625).abs() < 1e-12);
        // 2 · (1 + 10) / 2^10
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert_eq!(mcnemar(3, 3), 1.0);
        assert_eq!(mcnemar(9, 1), mcnemar(1, 9));
        let far = mcnemar(3000, 1000);
        assert!(far > 0.0 && far < 1e-200, "{far}");
    }

    #[test]
    fn bootstrap_covers_the_mean_and_follows_the_seed() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let bootstrap = |values: &[f64], seed| bootstrap(values, seed, &mut || Ok(())).unwrap();
        let (low, high) = bootstrap(&values, 1);
        // The normal approximation: 0.25 ± 1.96 · √(0.25 · 0.75 / 400).
        assert!((low - 0.2076).abs() < 0.008, "{low} {high}");
        assert!((high - 0.2924).abs() < 0.008, "{low} {high}");
        assert_eq!((low, high), bootstrap(&values, 1));
        assert_ne!((low, high), bootstrap(&values, 2));
        assert_eq!(bootstrap(&[0.5; 7], 0), (0.5, 0.5));
        assert_eq!(bootstrap(&[], 0), (0.0, 0.0));
    }
}
