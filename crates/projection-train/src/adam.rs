//! Adam (Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015) with decay apart from
//! the gradient (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019).

use std::ops::Range;

use crate::kernel::parallel::parallel_for_each;

/// Adam's decays of its two means, and what keeps it from dividing by zero.
const BETA: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// Rows that a thread does at a time.
const ROWS: usize = 128;

/// The state of an optimiser.
pub(crate) struct Adam {
    momentum: Vec<f32>,
    scale: Vec<f32>,
    step: i32,
}

impl Adam {
    /// An optimiser of `count` values.
    pub fn new(count: usize) -> Self {
        Self { momentum: vec![0.0; count], scale: vec![0.0; count], step: 0 }
    }

    /// One step. `values` have rows of `width`; `gradient` computes the gradient of some rows.
    /// The result does not depend on `threads`.
    pub fn step(
        &mut self,
        values: &mut [f32],
        width: usize,
        rate: f64,
        decay: f64,
        threads: usize,
        gradient: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        self.step += 1;
        let kept = 1.0 - (rate * decay) as f32;
        // The decays as they are in float64, so that the corrections are exact.
        let rate = (rate / (1.0 - 0.9f64.powi(self.step))) as f32;
        let correction = (1.0 - 0.999f64.powi(self.step)) as f32;
        let size = ROWS * width;
        let state = self.momentum.chunks_mut(size).zip(self.scale.chunks_mut(size));
        let chunks = values.chunks_mut(size).zip(state).enumerate();
        parallel_for_each(threads, chunks, |(number, (values, (momentum, scale)))| {
            let mut by = vec![0.0; values.len()];
            let start = number * ROWS;
            gradient(start..start + values.len().div_ceil(width), &mut by);
            for (((value, momentum), scale), by) in
                values.iter_mut().zip(momentum).zip(scale).zip(&by)
            {
                *momentum = BETA[0] * *momentum + 0.1 * by;
                *scale = BETA[1] * *scale + 0.001 * by * by;
                *value =
                    kept * *value - rate * *momentum / ((*scale / correction).sqrt() + EPSILON);
            }
        });
    }
}
