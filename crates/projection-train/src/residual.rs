//! Training a residual projection with given parameters.

use ndarray::Axis;

use crate::adapter::train_adapter;
use crate::error::Result;
use crate::kernel::{self, Rows, gemm, parallel};
use crate::projection::{Near, Questions, ResidualParts, ResidualProjection};
use crate::{AdapterTraining, OnProgress, TrainingData, TrainingOptions};

/// Terms and parameters of a residual projection, as [`ResidualParts`] explains them.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualTraining {
    /// Factor of the rotation, or 0 for none.
    pub rotation: f64,
    /// Factor of the adapter, or 0 for none.
    pub adapter: f64,
    /// Temperature of the rotation.
    pub temperature: f64,
    /// Nearest training questions of the rotation.
    pub neighbours: usize,
    /// The greatest angle by which answers are turned towards the mean of their questions, in
    /// radians; 0 leaves them in place.
    pub answer_angle: f64,
    /// How the adapter is trained.
    pub adapter_training: AdapterTraining,
}

impl ResidualTraining {
    /// Fixed parameters that do well where every answer has questions.
    pub fn closed() -> Self {
        Self {
            rotation: 0.5,
            adapter: 0.5,
            temperature: 0.1,
            neighbours: 32,
            answer_angle: 0.0,
            adapter_training: AdapterTraining::default(),
        }
    }

    /// Fixed parameters that do well where some answers have none.
    pub fn open() -> Self {
        Self { rotation: 0.35, adapter: 0.35, ..Self::closed() }
    }

    /// The fixed parameters for these answers.
    pub fn fixed(data: &TrainingData) -> Self {
        if data.seen().iter().all(|seen| *seen) { Self::closed() } else { Self::open() }
    }

    /// The fixed parameters, with the temperature, seed and threads of `options`.
    pub(super) fn with_options(data: &TrainingData, options: &TrainingOptions) -> Self {
        let mut training = Self { temperature: options.temperature, ..Self::fixed(data) };
        training.adapter_training.seed = options.tuning.seed;
        training.adapter_training.threads = options.tuning.threads;
        training
    }
}

/// Trains the terms that `training` names. The parts make a [`ResidualProjection`] and can
/// be stored.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for parameters outside their
/// range.
pub fn train_residual(
    data: &TrainingData,
    training: &ResidualTraining,
    progress: &mut OnProgress<'_>,
) -> Result<ResidualParts> {
    let dim = data.dim();
    let mut parts = ResidualParts {
        // One gain for both terms: where they differ, the adapter takes up the difference.
        gain: if training.rotation != 0.0 { training.rotation } else { training.adapter },
        temperature: training.temperature,
        neighbours: training.neighbours,
        rotation: training.rotation != 0.0,
        questions: questions(data)?.with_answer_angle(training.answer_angle)?,
        ..ResidualParts::new(dim)
    };
    if training.adapter != 0.0 {
        let moved = data.with_moved_answers(training.answer_angle);
        let mut adapter = train_adapter(&moved, &training.adapter_training, progress)?;
        let factor = (training.adapter / parts.gain) as f32;
        adapter.iter_mut().for_each(|value| *value *= factor);
        parts.adapter = Some(Rows::from_values(dim, &adapter));
    }
    // Made once: parts that would not open are not given.
    ResidualProjection::new(parts.clone())?;
    Ok(parts)
}

/// The training questions with their answers, by cluster. Answers that are in no cluster have none.
fn questions(data: &TrainingData) -> Result<Questions> {
    let mut heads: Vec<_> = data
        .numbers_by_answer()
        .into_iter()
        .filter_map(|(row, numbers)| Some((data.clusters()[row]?, row, numbers)))
        .collect();
    heads.sort_by_key(|(cluster, ..)| *cluster);
    let mut questions = Questions::new(data.dim());
    for (cluster, row, numbers) in heads {
        push(&mut questions, data, cluster, row, &numbers)?;
    }
    Ok(questions)
}

fn push(
    questions: &mut Questions,
    data: &TrainingData,
    cluster: i64,
    row: usize,
    numbers: &[usize],
) -> Result<()> {
    let rows = data.questions().select(Axis(0), numbers);
    questions.push(cluster, &data.answers().row(row).to_vec(), rows.view())
}

/// The training questions nearest to each of some queries.
pub(super) struct Neighbours {
    questions: Questions,
    of_queries: Vec<Vec<Near>>,
}

impl Neighbours {
    /// Finds the questions of `data` that are nearest to unit queries (n × d).
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn find(
        data: &TrainingData,
        queries: &[f32],
        training: &ResidualTraining,
        threads: usize,
        poll: &mut parallel::Poll<'_>,
    ) -> Result<Self> {
        let dim = data.dim();
        let mut questions = Questions::new(dim);
        for (row, numbers) in data.numbers_by_answer() {
            push(&mut questions, data, row as i64, row, &numbers)
                .expect("training data is finite and of length 1");
        }
        let count = questions.len();
        let rows = (1usize << 20).checked_div(count).unwrap_or(1).clamp(1, 64);
        let mut of_queries = vec![Vec::new(); queries.len() / dim];
        parallel::parallel_chunks_until(
            threads,
            &mut of_queries,
            1,
            rows,
            poll,
            |range, out, _| {
                let queries = &queries[range.start * dim..range.end * dim];
                let mut dots = vec![0.0; range.len() * count];
                gemm::matmul_nt(queries, questions.vectors(), dim, &mut dots);
                let rows = queries.chunks(dim).zip(dots.chunks_mut(count));
                for ((query, dots), out) in rows.zip(out) {
                    let (k, temperature) = (training.neighbours, training.temperature);
                    let norm = kernel::norm(query);
                    *out = questions.nearest(query, norm, dots, k, temperature).to_vec();
                }
            },
        )?;
        Ok(Self { questions, of_queries })
    }

    /// Δ (n × d) of the same queries, towards answers that are moved by `angle`.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn rotations(
        &self,
        queries: &[f32],
        angle: f64,
        threads: usize,
        poll: &mut parallel::Poll<'_>,
    ) -> Result<Vec<f32>> {
        let questions = self.questions.clone().with_answer_angle(angle)?;
        let dim = questions.dim();
        let mut out = vec![0.0; queries.len()];
        parallel::parallel_chunks_until(threads, &mut out, dim, 64, poll, |range, out, _| {
            let mut sum = vec![0.0f64; dim];
            for (row, out) in range.zip(out.chunks_mut(dim)) {
                let query = &queries[row * dim..(row + 1) * dim];
                sum.fill(0.0);
                let (norm, nearest) = (kernel::norm(query), &self.of_queries[row]);
                questions.add_rotation(query, norm, nearest, 1.0, &mut sum);
                out.iter_mut().zip(&sum).for_each(|(out, sum)| *out = *sum as f32);
            }
        })?;
        Ok(out)
    }
}
