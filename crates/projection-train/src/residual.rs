//! Training a residual projection with given parameters.

use ndarray::Axis;

use crate::adapter::train_adapter;
use crate::error::Result;
use crate::kernel::{self, Rows, gemm, parallel};
use crate::lift::lift_direction;
use crate::projection::{Questions, ResidualParts, ResidualProjection};
use crate::{AdapterTraining, OnProgress, Progress, TrainingData};

/// Terms and parameters of a residual projection, as [`ResidualParts`] explains them.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualTraining {
    /// Factor of the rotation, or 0 for none.
    pub rotation: f64,
    /// Factor of the adapter, or 0 for none.
    pub adapter: f64,
    /// Factor of the lift, or 0 for none.
    pub lift: f64,
    /// Temperature of the rotation.
    pub temperature: f64,
    /// Nearest training questions of the rotation.
    pub neighbours: usize,
    /// How the adapter is trained.
    pub adapter_training: AdapterTraining,
}

impl ResidualTraining {
    /// Fixed parameters that do well where every answer has questions.
    pub fn closed() -> Self {
        Self {
            rotation: 0.5,
            adapter: 0.5,
            lift: 0.0,
            temperature: 0.1,
            neighbours: 32,
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
}

/// Trains the terms that `training` names. The parts make a [`ResidualProjection`] and can
/// be stored.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the answers do
/// not determine the lift.
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
        questions: questions(data)?,
        ..ResidualParts::new(dim)
    };
    if training.adapter != 0.0 {
        let base = base_of(data, training, progress)?;
        let mut adapter = train_adapter(data, &training.adapter_training, base, progress)?;
        let factor = (training.adapter / parts.gain) as f32;
        adapter.iter_mut().for_each(|value| *value *= factor);
        parts.adapter = Some(Rows::from_values(dim, &adapter));
    }
    if training.lift != 0.0 {
        parts.lift = Some((lift_direction(data)?, training.lift));
    }
    // Made once: parts that would not open are not given.
    ResidualProjection::new(parts.clone())?;
    Ok(parts)
}

/// What the adapter's term is added to while it is trained: the questions, or these with a
/// rotation by the other questions.
pub(super) fn base_of(
    data: &TrainingData,
    training: &ResidualTraining,
    progress: &mut OnProgress<'_>,
) -> Result<Option<Vec<f32>>> {
    let factor = training.adapter_training.rotation as f32;
    if factor == 0.0 {
        return Ok(None);
    }
    let AdapterTraining { threads, steps, .. } = training.adapter_training;
    let (temperature, neighbours) = (training.temperature, training.neighbours);
    let poll = &mut || Progress::new("adapter", 0, steps).send(progress);
    let mut base = rotations(data, None, temperature, neighbours, threads, poll)?;
    let values = base.iter_mut().zip(data.question_values());
    values.for_each(|(base, question)| *base = question + factor * *base);
    Ok(Some(base))
}

/// The training questions with their answers, by cluster. Answers that are in no cluster have none.
fn questions(data: &TrainingData) -> Result<Questions> {
    let mut heads: Vec<_> = numbers_by_answer(data)
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

/// Rows of the answers that have questions, with the numbers of these.
fn numbers_by_answer(data: &TrainingData) -> Vec<(usize, Vec<usize>)> {
    let mut numbers = vec![Vec::new(); data.answers().nrows()];
    for (number, label) in data.labels().iter().enumerate() {
        numbers[*label].push(number);
    }
    let rows = numbers.into_iter().enumerate();
    rows.filter(|(_, numbers)| !numbers.is_empty()).collect()
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

/// Δ (n × d) of unit queries (n × d) by the training questions of `data`; for `None`, of
/// these questions themselves, each by the others only.
pub(super) fn rotations(
    data: &TrainingData,
    queries: Option<&[f32]>,
    temperature: f64,
    neighbours: usize,
    threads: usize,
    poll: &mut parallel::Poll<'_>,
) -> Result<Vec<f32>> {
    let dim = data.dim();
    let mut questions = Questions::new(dim);
    for (row, numbers) in numbers_by_answer(data) {
        push(&mut questions, data, row as i64, row, &numbers)
            .expect("training data is finite and of length 1");
    }
    let count = questions.len();
    // Questions are grouped by their answers; this is where each one went.
    let mut order: Vec<usize> = (0..data.labels().len()).collect();
    order.sort_by_key(|number| data.labels()[*number]);
    let mut place = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, number)| place[*number] = at);

    let others_only = queries.is_none();
    let queries = queries.unwrap_or(data.question_values());
    let rows = (1usize << 20).checked_div(count).unwrap_or(1).clamp(1, 64);
    let mut out = vec![0.0; queries.len()];
    parallel::parallel_chunks_until(threads, &mut out, dim, rows, poll, |range, out, _| {
        let queries = &queries[range.start * dim..range.end * dim];
        let mut dots = vec![0.0; range.len() * count];
        gemm::matmul_nt(queries, questions.vectors(), dim, &mut dots);
        let mut sum = vec![0.0f64; dim];
        let rows = queries.chunks(dim).zip(dots.chunks_mut(count));
        for (((query, dots), out), number) in rows.zip(out.chunks_mut(dim)).zip(range) {
            if others_only {
                dots[place[number]] = f32::NEG_INFINITY;
            }
            let norm = kernel::norm(query);
            let nearest = questions.nearest(query, norm, dots, neighbours, temperature);
            sum.fill(0.0);
            questions.add_rotation(query, norm, &nearest, 1.0, &mut sum);
            out.iter_mut().zip(&sum).for_each(|(out, sum)| *out = *sum as f32);
        }
    })?;
    Ok(out)
}
