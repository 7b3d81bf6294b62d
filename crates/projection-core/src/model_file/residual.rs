//! Residual projections as tensors.

use crate::error::{Error, ErrorKind, Result};
use crate::parameters::ModelParameters;
use crate::projection::{Questions, ResidualParts, ResidualProjection};
use crate::projection::{index_tensors, read_index};
use crate::tensors::{NewTensor, TensorFile};

const IDS: &str = "head_ids";
const COUNTS: &str = "question_counts";
const QUESTIONS: &str = "questions";
const ANSWERS: &str = "answers";
const ADAPTER: &str = "adapter";

pub fn tensors(model: &ResidualProjection) -> Vec<NewTensor<'_>> {
    let ResidualParts { questions, adapter, .. } = model.parts();
    let dim = questions.dim();
    let mut tensors = Vec::new();
    // Small tensors last, see the multi-head ones.
    if !questions.is_empty() {
        let (vectors, answers) = (questions.vectors(), questions.answers());
        tensors.push(NewTensor::new(QUESTIONS, &[vectors.count(), dim], vectors));
        tensors.push(NewTensor::new(ANSWERS, &[answers.count(), dim], answers));
    }
    if let Some(adapter) = adapter {
        tensors.push(NewTensor::new(ADAPTER, &[dim, dim], adapter));
    }
    if !questions.is_empty() {
        let counts: Vec<i64> = questions.counts().iter().map(|count| *count as i64).collect();
        tensors.push(NewTensor::vector(IDS, questions.cluster_ids()));
        tensors.push(NewTensor::vector(COUNTS, counts));
        tensors.extend(index_tensors(model.index()));
    }
    tensors
}

pub fn read(file: &TensorFile<'_>, parameters: &ModelParameters) -> Result<ResidualProjection> {
    let ModelParameters::Residual {
        gain,
        temperature,
        neighbours,
        rotation,
        adapter,
        answer_angle,
    } = *parameters
    else {
        return Err(Error::new(ErrorKind::Internal, "parameters of another kind"));
    };
    let dim = if rotation || file.has(QUESTIONS) {
        file.shape::<f32>(QUESTIONS, 2)?[1]
    } else if adapter {
        file.shape::<f32>(ADAPTER, 2)?[0]
    } else {
        return Err(file.invalid(format_args!("tensor '{QUESTIONS}' is missing, and no adapter")));
    };
    let (mut questions, mut index) = (Questions::new(dim), None);
    if rotation || file.has(QUESTIONS) {
        questions = read_questions(file, dim)?;
        index = read_index(file, questions.len(), dim)?;
    }
    let questions = questions.with_answer_angle(answer_angle)?;
    let adapter = adapter.then(|| file.rows(ADAPTER, &[dim, dim])).transpose()?;
    let parts = ResidualParts { gain, temperature, neighbours, rotation, questions, adapter };
    ResidualProjection::from_parts(parts, index, file.name())
}

fn read_questions(file: &TensorFile<'_>, dim: usize) -> Result<Questions> {
    let ids = file.vector::<i64>(IDS, None)?;
    let n = file.shape::<f32>(QUESTIONS, 2)?[0];
    let counts = file.vector::<i64>(COUNTS, Some(ids.len()))?;
    let counts: Option<Vec<usize>> =
        counts.iter().map(|count| usize::try_from(*count).ok()).collect();
    let sum = |counts: &Vec<usize>| counts.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
    let Some(counts) = counts.filter(|counts| sum(counts) == Some(n)) else {
        return Err(file.invalid(format_args!(
            "tensor '{COUNTS}': expected numbers from 0 that sum to {n}, the number of questions"
        )));
    };
    let answers = file.rows(ANSWERS, &[ids.len(), dim])?;
    Questions::from_rows(ids, counts, file.rows(QUESTIONS, &[n, dim])?, answers)
}
