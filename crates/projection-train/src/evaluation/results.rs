//! What was found, measured.

use crate::evaluation::metrics::{Interval, Metrics, bootstrap, mcnemar};

use super::{EvaluationQueries, Found, Method, Sweep};

/// Metrics with their 95% bootstrap intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The metrics.
    pub metrics: Metrics,
    /// Interval of recall@1.
    pub recall_at_1: Interval,
    /// Interval of recall@5.
    pub recall_at_5: Interval,
    /// Interval of MRR@10.
    pub mrr_at_10: Interval,
    /// Interval of nDCG@10.
    pub ndcg_at_10: Interval,
}

impl Measured {
    fn of(ranks: &[usize], seed: u64) -> Self {
        let interval = |value: fn(usize) -> f64| {
            let values: Vec<f64> = ranks.iter().map(|rank| value(*rank)).collect();
            bootstrap(&values, seed)
        };
        Self {
            metrics: Metrics::of(ranks),
            recall_at_1: interval(|rank| Metrics::recall(rank, 1)),
            recall_at_5: interval(|rank| Metrics::recall(rank, 5)),
            mrr_at_10: interval(Metrics::reciprocal),
            ndcg_at_10: interval(Metrics::gain),
        }
    }
}

/// A method on the same questions as cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// Questions whose right answer only the method puts first.
    pub gained: usize,
    /// Questions whose right answer only cosine puts first.
    pub lost: usize,
    /// McNemar's exact p of these two numbers.
    pub p: f64,
}

impl PairedTest {
    fn of(ranks: &[usize], cosine: &[usize]) -> Self {
        let only = |a: &[usize], b: &[usize]| {
            a.iter().zip(b).filter(|(a, b)| **a == 1 && **b != 1).count()
        };
        let (gained, lost) = (only(ranks, cosine), only(cosine, ranks));
        Self { gained, lost, p: mcnemar(gained, lost) }
    }
}

/// Some of the questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// What was measured.
    pub measured: Measured,
    /// The same questions by cosine.
    pub against_cosine: PairedTest,
}

/// What was measured of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodResult {
    /// What it found.
    pub found: Found,
    /// All questions.
    pub all: Part,
    /// Those whose answer has training questions, where there are any.
    pub seen: Option<Part>,
    /// Those whose answer has none, where there are any.
    pub unseen: Option<Part>,
}

/// How the questions were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// They were given.
    Test,
    /// Each question was left out of training once.
    Closed,
    /// Each answer was left out of training once, and each question.
    Open,
}

/// All methods on the same questions.
#[derive(Debug, Clone)]
pub struct ProtocolResult {
    /// How they were chosen.
    pub choice: Protocol,
    /// The questions.
    pub asked: EvaluationQueries,
    /// Whether the answer to each question has training questions.
    pub seen: Vec<bool>,
    /// Answers that have training questions; in a cross-validation the mean of the folds.
    pub seen_answers: usize,
    /// Questions that were trained on; in a cross-validation the mean of the folds.
    pub training_questions: usize,
    /// Cosine first.
    pub results: Vec<MethodResult>,
    /// Where they were wanted.
    pub sweeps: Vec<Sweep>,
}

/// Answers that are found in another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confusion {
    /// Row of the right answer.
    pub right: usize,
    /// Row of the answer that came first.
    pub found: usize,
    /// How often.
    pub count: usize,
    /// Number of one question.
    pub question: usize,
}

impl ProtocolResult {
    /// What was measured of a method.
    pub fn result(&self, method: Method) -> Option<&MethodResult> {
        self.results.iter().find(|result| result.found.method == method)
    }

    /// What was measured of plain cosine.
    pub fn cosine(&self) -> &MethodResult {
        &self.results[0]
    }

    /// Numbers of the questions whose right answer only `result` puts first, and of those
    /// whose right answer only cosine does.
    pub fn gained_and_lost(&self, result: &MethodResult) -> (Vec<usize>, Vec<usize>) {
        let (own, cosine) = (&result.found.ranks, &self.cosine().found.ranks);
        let only = |a: &[usize], b: &[usize]| -> Vec<usize> {
            (0..a.len()).filter(|number| a[*number] == 1 && b[*number] != 1).collect()
        };
        (only(own, cosine), only(cosine, own))
    }

    /// Which answers a method puts before right ones, the most frequent pairs first.
    pub fn confusions(&self, result: &MethodResult) -> Vec<Confusion> {
        let mut pairs = std::collections::BTreeMap::new();
        for (number, rank) in result.found.ranks.iter().enumerate() {
            if let (true, Some(found)) = (*rank > 1, result.found.first[number]) {
                let right = self.asked.answers[number];
                let new = Confusion { right, found, count: 0, question: number };
                pairs.entry((right, found)).or_insert(new).count += 1;
            }
        }
        let mut confusions: Vec<Confusion> = pairs.into_values().collect();
        confusions.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        confusions
    }
}

/// Measures what methods found, cosine among them.
pub(super) fn results(found: Vec<Found>, seen: &[bool], seed: u64) -> Vec<MethodResult> {
    let cosine = found.iter().find(|found| found.method == Method::Cosine);
    let cosine = cosine.expect("cosine is always asked").ranks.clone();
    let part = |ranks: &[usize], wanted: Option<bool>| {
        let of = |ranks: &[usize]| -> Vec<usize> {
            let rows = ranks.iter().zip(seen);
            rows.filter(|(_, h)| wanted.is_none_or(|wanted| wanted == **h))
                .map(|(r, _)| *r)
                .collect()
        };
        let (own, cosine) = (of(ranks), of(&cosine));
        (!own.is_empty()).then(|| Part {
            measured: Measured::of(&own, seed),
            against_cosine: PairedTest::of(&own, &cosine),
        })
    };
    found
        .into_iter()
        .filter_map(|found| {
            Some(MethodResult {
                all: part(&found.ranks, None)?,
                seen: part(&found.ranks, Some(true)),
                unseen: part(&found.ranks, Some(false)),
                found,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::NOT_FOUND;

    #[test]
    fn measures_parts_and_compares_with_cosine_by_hand() {
        let found = |method, ranks: &[usize]| Found {
            method,
            ranks: ranks.to_vec(),
            first: vec![None; ranks.len()],
            cosines_with_exact: Vec::new(),
        };
        let cosine = found(Method::Cosine, &[1, 2, 1, 4]);
        let bm25 = found(Method::Bm25, &[1, 1, NOT_FOUND, 1]);
        let results = results(vec![cosine, bm25], &[true, true, false, true], 0);
        let all = results[1].all;
        assert_eq!(all.measured.metrics.recall_at_1, 0.75);
        assert_eq!(all.measured.metrics.mrr_at_10, 0.75);
        assert_eq!(all.against_cosine, PairedTest { gained: 2, lost: 1, p: 1.0 });
        let unseen = results[1].unseen.unwrap();
        assert_eq!(unseen.measured.metrics.recall_at_5, 0.0);
        assert_eq!(unseen.against_cosine, PairedTest { gained: 0, lost: 1, p: 1.0 });
        assert_eq!(results[1].seen.unwrap().measured.metrics.questions, 3);
        assert_eq!(results[0].all.against_cosine, PairedTest { gained: 0, lost: 0, p: 1.0 });
        assert_eq!(results[0].all.measured.metrics.mrr_at_10, (1.0 + 0.5 + 1.0 + 0.25) / 4.0);
    }
}
