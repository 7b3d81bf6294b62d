//! Validation without a validation set: folds of questions and of answers are left out in
//! turn.

use crate::TrainingData;
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

/// Training questions and evaluation queries when one fold is left out.
#[derive(Debug)]
pub(super) struct Fold {
    /// The questions that are left.
    pub data: TrainingData,
    /// Numbers of the evaluation queries.
    pub queries: Vec<usize>,
    /// Whether the answer of each query still has training questions.
    pub seen: Vec<bool>,
}

/// The [`splits`], with at most `limit` queries of seen and of unseen answers a fold.
///
/// Without `open`, questions whose answer lost all others are no queries.
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
        .map(|Split { left, out: mut queries, .. }| {
            let data = data.with_questions(&left);
            let seen = data.seen();
            random.shuffle(&mut queries);
            let mut taken = [0; 2];
            queries.retain(|number| {
                let seen = seen[labels[*number]];
                let taken = &mut taken[usize::from(seen)];
                *taken += 1;
                (seen || open) && *taken <= limit
            });
            queries.sort_unstable();
            let seen = queries.iter().map(|number| seen[labels[*number]]).collect();
            Fold { data, queries, seen }
        })
        .filter(|fold| !fold.queries.is_empty() && !fold.data.labels().is_empty())
        .collect()
}

/// Leaves out a share 1/`count` of the questions in turn; with `open` also the same share of
/// the answers that have questions, with all of theirs.
///
/// Without `open`, each question is a query at most once, and not if its answer would lose its
/// last question. With `open` it is a query when its answer is left out, and once more when it
/// is left out itself.
pub(crate) fn evaluation_splits(
    data: &TrainingData,
    count: usize,
    open: bool,
    seed: u64,
) -> Vec<Split> {
    let labels = data.labels();
    splits(data, count, open, &mut Random::new(seed, 0xc055))
        .into_iter()
        .map(|mut split| {
            let mut seen = vec![false; split.answers_out.len()];
            split.left.iter().for_each(|number| seen[labels[*number]] = true);
            split.out.retain(|number| {
                let answer = labels[*number];
                // A question that is its answer's last makes it one without.
                seen[answer] || split.answers_out[answer]
            });
            split
        })
        .filter(|split| !split.left.is_empty() && !split.out.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn leave_out_each_question_and_answer_in_turn() {
        let answers = Array2::from_shape_fn((6, 3), |(r, c)| (r * 3 + c + 1) as f32);
        let questions = Array2::from_shape_fn((21, 3), |(r, c)| (r * 3 + c + 1) as f32);
        // Answer 5 has one question only.
        let labels: Vec<usize> = (0..21).map(|i| if i == 20 { 5 } else { i % 5 }).collect();
        let data = TrainingData::new(answers.view(), questions.view(), labels.clone()).unwrap();

        let closed = evaluation_splits(&data, 4, false, 1);
        let mut asked: Vec<usize> = closed.iter().flat_map(|fold| fold.out.clone()).collect();
        asked.sort_unstable();
        assert_eq!(asked, (0..20).collect::<Vec<_>>());
        for fold in &closed {
            assert!(fold.left.iter().all(|number| !fold.out.contains(number)));
            let has_others = |q: &usize| fold.left.iter().any(|left| labels[*left] == labels[*q]);
            assert!(fold.out.iter().all(has_others));
        }

        let mut unseen = [0; 21];
        for fold in evaluation_splits(&data, 4, true, 1) {
            for q in &fold.out {
                assert!(!fold.left.contains(q));
                let has_others = fold.left.iter().any(|left| labels[*left] == labels[*q]);
                unseen[*q] += usize::from(!has_others);
            }
        }
        assert_eq!(unseen, [1; 21]);
    }
}
