//! Validation without a validation set: folds of questions and of answers are left out in
//! turn.

use super::TrainingData;
use crate::kernel::random::Random;

/// Numbers of questions when one fold is left out.
#[derive(Debug)]
pub(crate) struct Split {
    /// Those that are left.
    pub left: Vec<usize>,
    /// The others.
    pub out: Vec<usize>,
    /// Whether each answer is left out itself, with all of its questions.
    pub answers_out: Vec<bool>,
}

/// Leaves out a share 1/`count` of the questions in turn, and with `open` the same share of
/// the answers that have questions, with all of theirs.
pub(crate) fn splits(
    data: &TrainingData,
    count: usize,
    open: bool,
    random: &mut Random,
) -> Vec<Split> {
    let labels = data.labels();
    let mut fold_of_question: Vec<usize> = (0..labels.len()).map(|i| i % count).collect();
    random.shuffle(&mut fold_of_question);
    // `None` for answers that have no questions anyway.
    let mut fold_of_answer = vec![None; data.answers().nrows()];
    if open {
        let seen = data.seen();
        let mut answers: Vec<usize> = (0..seen.len()).filter(|row| seen[*row]).collect();
        random.shuffle(&mut answers);
        answers.iter().enumerate().for_each(|(i, row)| fold_of_answer[*row] = Some(i % count));
    }
    let split = |fold: usize| {
        let is_left = |number: &usize| {
            fold_of_question[*number] != fold && fold_of_answer[labels[*number]] != Some(fold)
        };
        let (left, out) = (0..labels.len()).partition(is_left);
        let answers_out = fold_of_answer.iter().map(|own| *own == Some(fold)).collect();
        Split { left, out, answers_out }
    };
    (0..count).map(split).collect()
}

/// What is trained on and what is asked when one fold is left out.
#[derive(Debug)]
pub(super) struct Fold {
    /// The questions that are left.
    pub data: TrainingData,
    /// Numbers of the questions that are asked.
    pub asked: Vec<usize>,
    /// Whether the answer of each asked question still has questions.
    pub seen: Vec<bool>,
}

/// The [`splits`], of which at most `limit` questions are asked a fold and side.
///
/// Without `open`, questions whose answer lost all others are not asked.
pub(super) fn folds(
    data: &TrainingData,
    folds: usize,
    open: bool,
    limit: usize,
    seed: u64,
) -> Vec<Fold> {
    let mut random = Random::new(seed, 0xf01d);
    let labels = data.labels();
    splits(data, folds, open, &mut random)
        .into_iter()
        .map(|Split { left, out: mut asked, .. }| {
            let data = data.with_questions(&left);
            let seen = data.seen();
            random.shuffle(&mut asked);
            let mut taken = [0; 2];
            asked.retain(|number| {
                let seen = seen[labels[*number]];
                let taken = &mut taken[usize::from(seen)];
                *taken += 1;
                (seen || open) && *taken <= limit
            });
            asked.sort_unstable();
            let seen = asked.iter().map(|number| seen[labels[*number]]).collect();
            Fold { data, asked, seen }
        })
        .filter(|fold| !fold.asked.is_empty() && !fold.data.labels().is_empty())
        .collect()
}
