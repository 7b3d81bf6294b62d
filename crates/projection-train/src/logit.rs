//! A conditional logit: the weights of features by which the right one of several candidates
//! stands out.
//!
//! P(i) ∝ exp(w · x_i), with one vector of features x_i for each candidate answer of a question.
//! The weights w minimise Σ −log P(right) + ½ |w − prior|², which is convex: few questions
//! leave them near the prior, many override it. Newton's method needs a handful of steps.

use faer::Mat;
use faer::linalg::solvers::Solve;

use crate::error::Result;
use crate::kernel::parallel::{self, Poll};
use crate::linalg::cholesky;

/// Features that a candidate has, at most.
const MOST: usize = 4;

/// Loss, gradient and second derivatives of one question.
const TERMS: usize = 1 + MOST + MOST * MOST;

/// Steps of Newton's method, at most.
const STEPS: usize = 25;

/// Questions with their candidates.
pub(crate) struct Choices {
    /// Features of a candidate, 1 to [`MOST`].
    pub features: usize,
    /// Candidates a question, beside the right one.
    pub others: usize,
    /// The features of these less those of the right one (n × others × features).
    pub differences: Vec<f32>,
    /// How much each question counts (n).
    pub weights: Vec<f64>,
}

impl Choices {
    /// The weights of the features. They do not depend on `threads`.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn fit(&self, prior: &[f64], threads: usize, poll: &mut Poll<'_>) -> Result<Vec<f64>> {
        let size = self.features;
        let mut weights = prior.to_vec();
        let mut now = self.derivatives(&weights, prior, threads, poll)?;
        for _ in 0..STEPS {
            let hessian = Mat::from_fn(size, size, |i, j| now[1 + MOST + i * MOST + j]);
            let mut step = Mat::from_fn(size, 1, |i, _| now[1 + i]);
            cholesky(&hessian)?.solve_in_place(step.as_mut());
            let mut length = 1.0;
            let next = loop {
                let moved = weights.iter().enumerate().map(|(i, w)| w - length * step[(i, 0)]);
                let moved: Vec<f64> = moved.collect();
                let there = self.derivatives(&moved, prior, threads, poll)?;
                if there[0] <= now[0] {
                    break Some((moved, there));
                }
                length /= 2.0;
                if length < 1e-4 {
                    break None;
                }
            };
            let Some((moved, there)) = next else { break };
            let gained = now[0] - there[0];
            (weights, now) = (moved, there);
            if gained < 1e-6 * self.weights.len() as f64 {
                break;
            }
        }
        Ok(weights)
    }

    /// Loss, gradient and second derivatives of all questions and the prior.
    fn derivatives(
        &self,
        weights: &[f64],
        prior: &[f64],
        threads: usize,
        poll: &mut Poll<'_>,
    ) -> Result<[f64; TERMS]> {
        let mut rows = vec![[0.0; TERMS]; self.weights.len()];
        parallel::parallel_chunks_until(threads, &mut rows, 1, 64, poll, |range, rows, _| {
            let mut scores = Vec::new();
            for (row, question) in rows.iter_mut().zip(range) {
                self.add(question, weights, &mut scores, row);
            }
        })?;
        // Summed in one order, so that the result is the same on any number of threads.
        let mut sum = [0.0; TERMS];
        for row in &rows {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        for (i, (weight, prior)) in weights.iter().zip(prior).enumerate() {
            sum[0] += 0.5 * (weight - prior).powi(2);
            sum[1 + i] += weight - prior;
            sum[1 + MOST + i * MOST + i] += 1.0;
        }
        Ok(sum)
    }

    /// One question's part of the sums.
    fn add(&self, question: usize, weights: &[f64], scores: &mut Vec<f64>, out: &mut [f64; TERMS]) {
        let (size, width) = (self.features, self.others * self.features);
        let others = &self.differences[question * width..(question + 1) * width];
        scores.clear();
        scores.extend(
            others.chunks_exact(size).map(|other| {
                other.iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>()
            }),
        );
        // The right candidate's score is 0.
        let top = scores.iter().copied().fold(0.0, f64::max);
        let mut total = (-top).exp();
        let (mut mean, mut square) = ([0.0; MOST], [[0.0; MOST]; MOST]);
        for (score, other) in scores.iter().zip(others.chunks_exact(size)) {
            let share = (score - top).exp();
            total += share;
            for (i, x) in other.iter().enumerate() {
                let x = share * f64::from(*x);
                mean[i] += x;
                for (j, y) in other[..=i].iter().enumerate() {
                    square[i][j] += x * f64::from(*y);
                }
            }
        }
        let weight = self.weights[question];
        out[0] = weight * (top + total.ln());
        for i in 0..size {
            out[1 + i] = weight * mean[i] / total;
            for j in 0..=i {
                let value = weight * (square[i][j] / total - mean[i] * mean[j] / (total * total));
                out[1 + MOST + i * MOST + j] = value;
                out[1 + MOST + j * MOST + i] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(choices: &Choices, prior: &[f64], threads: usize) -> Vec<f64> {
        choices.fit(prior, threads, &mut || Ok(())).unwrap()
    }

    #[test]
    fn one_feature_by_hand() {
        // Of four questions whose other candidate is one higher or lower, one is answered
        // wrongly: without a prior w = ln 3. The prior's pull is w − prior.
        let mut choices = Choices {
            features: 1,
            others: 1,
            differences: [-1.0, -1.0, -1.0, 1.0].repeat(1000),
            weights: vec![1.0; 4000],
        };
        assert!((fit(&choices, &[0.0], 1)[0] - 3f64.ln()).abs() < 2e-3);
        choices.differences.truncate(4);
        choices.weights = vec![0.5; 4];
        let w = fit(&choices, &[2.0], 1)[0];
        let slope = 0.5 * (-3.0 / (1.0 + w.exp()) + 1.0 / (1.0 + (-w).exp())) + w - 2.0;
        assert!(slope.abs() < 1e-3, "{w}: {slope}");
        // Nothing to choose from leaves the prior.
        let none = Choices { features: 1, others: 0, differences: vec![], weights: vec![1.0; 3] };
        assert_eq!(fit(&none, &[7.0], 1), [7.0]);
    }

    #[test]
    fn the_gradient_vanishes_and_threads_make_no_difference() {
        let value = |i: usize| ((i as f32 * 12.9898).sin() * 43_758.547).fract();
        let choices = Choices {
            features: 4,
            others: 9,
            differences: (0..300 * 36).map(|i| value(i) - 0.3).collect(),
            weights: (0..300).map(|i| if i % 3 == 0 { 2.0 } else { 0.5 }).collect(),
        };
        let prior = [1.0, -2.0, 0.5, 0.0];
        let found = fit(&choices, &prior, 1);
        assert_eq!(found, fit(&choices, &prior, 3));
        let there = choices.derivatives(&found, &prior, 1, &mut || Ok(())).unwrap();
        let start = choices.derivatives(&prior, &prior, 1, &mut || Ok(())).unwrap();
        for (i, slope) in there[1..=4].iter().enumerate() {
            assert!(slope.abs() < 0.05, "{slope} along {i}");
            assert!(start[1 + i].abs() > 0.5, "the prior is no minimum");
        }
    }
}
