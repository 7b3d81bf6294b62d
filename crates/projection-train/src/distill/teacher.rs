//! Whom a student learns from.

use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::error::Result;
use crate::kernel::{self, parallel, parallel::Poll};
use crate::projection::{Model, Projection};
use crate::ranks::map_scores;

/// Whom a student learns from: a [`Model`], or anything that projects queries.
pub trait Teacher {
    /// Dimensions of queries and of projected queries.
    fn dims(&self) -> (usize, usize);

    /// Projects row-major queries, on up to `threads` threads. `poll` is to be called several
    /// times a second.
    ///
    /// # Errors
    /// The teacher's and those of `poll`.
    fn teach(&self, queries: &[f32], threads: usize, poll: &mut Poll<'_>) -> Result<Vec<f32>>;

    /// The teacher without what it knows by heart of these questions; `None` if it does not keep
    /// single questions.
    ///
    /// # Errors
    /// The teacher's and those of `poll`.
    fn without(&self, _questions: &Array2<f32>, _poll: &mut Poll<'_>) -> Result<Option<Model>> {
        Ok(None)
    }
}

impl Teacher for Model {
    fn dims(&self) -> (usize, usize) {
        (self.input_dim(), self.output_dim())
    }

    fn teach(&self, queries: &[f32], threads: usize, poll: &mut Poll<'_>) -> Result<Vec<f32>> {
        let (input, output) = self.dims();
        let mut targets = vec![0.0; queries.len() / input * output];
        let failed = Mutex::new(None);
        // In blocks, so that the result does not depend on the number of threads.
        let rows = parallel::BLOCK_ROWS;
        parallel::parallel_chunks_until(
            threads,
            &mut targets,
            output,
            rows,
            poll,
            |rows, out, _| {
                let queries = &queries[rows.start * input..rows.end * input];
                let queries = ArrayView2::from_shape((rows.len(), input), queries);
                let out = ArrayViewMut2::from_shape((rows.len(), output), out);
                let (queries, out) = (queries.expect("whole rows"), out.expect("whole rows"));
                if let Err(error) = self.project_batch_into(queries, out, None) {
                    *failed.lock().expect("no thread panics while it holds it") = Some(error);
                }
            },
        )?;
        match failed.into_inner().expect("no thread panicked") {
            Some(error) => Err(error.context("teacher")),
            None => Ok(targets),
        }
    }

    fn without(&self, questions: &Array2<f32>, poll: &mut Poll<'_>) -> Result<Option<Model>> {
        let Model::Residual(residual) = self else { return Ok(None) };
        let known = &residual.parts().questions;
        let (dim, held_out) = (known.dim(), super::values(questions));
        let threads = parallel::threads();
        let gone =
            map_scores(known.vectors(), held_out, dim, threads, 1, poll, |row, dots, gone| {
                let same =
                    (kernel::norm(&known.vectors()[row * dim..][..dim]) * (1.0 - 1e-5)) as f32;
                gone[0] = dots.iter().any(|dot| *dot > same);
            })?;
        Ok(Some(Model::Residual(residual.without_questions(&gone)?)))
    }
}
