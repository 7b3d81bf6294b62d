//! Residual projections as tensors.

use crate::error::{Error, ErrorKind, Result};
use crate::parameters::ModelParameters;
use crate::projection::list_tensors as lists;
use crate::projection::{ResidualProjection, StoredQuestions, StoredTerms};
use crate::tensors::{NewTensor, TensorFile};

const IDS: &str = "head_ids";
const COUNTS: &str = "question_counts";
const QUESTIONS: &str = "questions";
const SCALES: &str = "question_scales";
const ALIGNMENTS: &str = "question_alignments";
const ANSWERS: &str = "answers";
const ANSWER_SCALES: &str = "answer_scales";
const ADAPTER: &str = "adapter";
const LIFT: &str = "lift";

pub fn parameters(terms: &StoredTerms) -> ModelParameters {
    ModelParameters::Residual {
        gain: terms.gain,
        temperature: terms.temperature,
        neighbours: terms.neighbours,
        rotation: terms.rotation,
        adapter: terms.adapter.is_some(),
        lift: terms.lift.as_ref().map(|(_, factor)| *factor),
    }
}

pub fn tensors(terms: &StoredTerms) -> Vec<NewTensor<'_>> {
    let dim = terms.dim;
    let mut tensors = Vec::new();
    // Small tensors last, see the multi-head ones.
    if let Some(questions) = &terms.questions {
        let shape = [questions.scales.len(), dim];
        tensors.push(NewTensor::new(QUESTIONS, &shape, &questions.vectors));
        let shape = [questions.answer_scales.len(), dim];
        tensors.push(NewTensor::new(ANSWERS, &shape, &questions.answers));
    }
    if let Some(adapter) = &terms.adapter {
        tensors.push(NewTensor::new(ADAPTER, &[dim, dim], adapter));
    }
    if let Some((direction, _)) = &terms.lift {
        tensors.push(NewTensor::new(LIFT, &[dim], direction));
    }
    if let Some(questions) = &terms.questions {
        let counts: Vec<i64> = questions.counts.iter().map(|count| *count as i64).collect();
        tensors.push(NewTensor::vector(SCALES, &questions.scales[..]));
        tensors.push(NewTensor::vector(ALIGNMENTS, &questions.alignments[..]));
        tensors.push(NewTensor::vector(ANSWER_SCALES, &questions.answer_scales[..]));
        tensors.push(NewTensor::vector(IDS, &terms.ids[..]));
        tensors.push(NewTensor::vector(COUNTS, counts));
        tensors.extend(lists::tensors(questions.lists.as_ref()));
    }
    tensors
}

pub fn read(file: &TensorFile<'_>, parameters: &ModelParameters) -> Result<ResidualProjection> {
    let ModelParameters::Residual { gain, temperature, neighbours, rotation, adapter, lift } =
        *parameters
    else {
        return Err(Error::new(ErrorKind::Internal, "parameters of another kind"));
    };
    let dim = if rotation || file.has(QUESTIONS) {
        file.shape::<f32>(QUESTIONS, 2)?[1]
    } else if adapter {
        file.shape::<f32>(ADAPTER, 2)?[0]
    } else if lift.is_some() {
        file.shape::<f32>(LIFT, 1)?[0]
    } else {
        return Err(
            file.invalid(format_args!("tensor '{QUESTIONS}' is missing, adapter and lift too"))
        );
    };
    let (ids, questions) = match rotation || file.has(QUESTIONS) {
        true => {
            let (ids, questions) = read_questions(file, dim)?;
            (ids, Some(questions))
        }
        false => (Vec::new(), None),
    };
    let stored = StoredTerms {
        dim,
        gain,
        temperature,
        neighbours,
        rotation,
        ids,
        questions,
        adapter: adapter.then(|| file.rows(ADAPTER, &[dim, dim])).transpose()?,
        lift: match lift {
            Some(factor) => Some((file.rows(LIFT, &[dim])?.to_vec(), factor)),
            None => None,
        },
    };
    ResidualProjection::from_stored(stored, file.name())
}

fn read_questions(file: &TensorFile<'_>, dim: usize) -> Result<(Vec<i64>, StoredQuestions)> {
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
    let questions = StoredQuestions {
        vectors: file.rows(QUESTIONS, &[n, dim])?,
        scales: file.vector(SCALES, Some(n))?,
        alignments: file.vector(ALIGNMENTS, Some(n))?,
        counts,
        answers: file.rows(ANSWERS, &[ids.len(), dim])?,
        answer_scales: file.vector(ANSWER_SCALES, Some(ids.len()))?,
        lists: lists::read(file, n, dim)?,
    };
    Ok((ids, questions))
}
