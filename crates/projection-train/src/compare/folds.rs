//! Which questions are asked when the others are trained on.

use crate::kernel::random::Random;
use crate::train::{TrainingData, splits};

/// Numbers of the questions that are trained on, and of those that are asked.
pub(super) struct Fold {
    pub left: Vec<usize>,
    pub asked: Vec<usize>,
}

/// Leaves out a share 1/`count` of the questions in turn; with `open` also the same share of
/// the answers that have questions, with all of theirs.
///
/// Without `open`, each question is asked once at most, and not where its answer would lose
/// its last question. With `open` it is asked where its answer is left out, and once more
/// where it is left out itself.
pub(super) fn folds(data: &TrainingData, count: usize, open: bool, seed: u64) -> Vec<Fold> {
    let labels = data.labels();
    splits(data, count, open, &mut Random::new(seed, 0xc055))
        .into_iter()
        .map(|split| {
            let mut seen = vec![false; split.answers_out.len()];
            split.left.iter().for_each(|number| seen[labels[*number]] = true);
            let mut asked = split.out;
            asked.retain(|number| {
                let answer = labels[*number];
                // A question that is its answer's last makes it one without.
                seen[answer] || split.answers_out[answer]
            });
            Fold { left: split.left, asked }
        })
        .filter(|fold| !fold.left.is_empty() && !fold.asked.is_empty())
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

        let closed = folds(&data, 4, false, 1);
        let mut asked: Vec<usize> = closed.iter().flat_map(|fold| fold.asked.clone()).collect();
        asked.sort_unstable();
        assert_eq!(asked, (0..20).collect::<Vec<_>>());
        for fold in &closed {
            assert!(fold.left.iter().all(|number| !fold.asked.contains(number)));
            let has_others = |q: &usize| fold.left.iter().any(|left| labels[*left] == labels[*q]);
            assert!(fold.asked.iter().all(has_others));
        }

        let mut unseen = [0; 21];
        for fold in folds(&data, 4, true, 1) {
            for q in &fold.asked {
                assert!(!fold.left.contains(q));
                let has_others = fold.left.iter().any(|left| labels[*left] == labels[*q]);
                unseen[*q] += usize::from(!has_others);
            }
        }
        assert_eq!(unseen, [1; 21]);
    }
}
