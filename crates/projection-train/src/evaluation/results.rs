//! What methods found, measured.

use serde::Serialize;

use super::metrics::{Metrics, bootstrap, mcnemar};
use super::{EvaluationQueries, Found, Method, Sweep};
use crate::error::Result;
use crate::kernel::parallel::Poll;

/// A mean with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    fn of(
        ranks: &[usize],
        seed: u64,
        value: impl Fn(usize) -> f64,
        poll: &mut Poll<'_>,
    ) -> Result<Self> {
        let values: Vec<f64> = ranks.iter().map(|rank| value(*rank)).collect();
        let (low, high) = bootstrap(&values, seed, poll)?;
        Ok(Self { value: values.iter().sum::<f64>() / values.len().max(1) as f64, low, high })
    }

    /// In percent, with the interval.
    pub fn percent(&self) -> String {
        let [value, low, high] = [self.value, self.low, self.high].map(|v| 100.0 * v);
        format!("{value:.1} [{low:.1}, {high:.1}]")
    }

    /// As a number, with the interval.
    pub fn number(&self) -> String {
        format!("{:.3} [{:.3}, {:.3}]", self.value, self.low, self.high)
    }
}

/// What was measured of a method on some of the questions, and the paired test against cosine
/// on the same questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Part {
    /// Number of questions.
    pub questions: usize,
    /// Share of the questions whose right answer comes first.
    pub recall_at_1: Estimate,
    /// Share of the questions whose right answer is among the first five.
    pub recall_at_5: Estimate,
    /// Mean of 1/rank of the right answer, 0 beyond rank 10.
    pub mrr_at_10: Estimate,
    /// Mean of 1/log₂(rank + 1) of the right answer, 0 beyond rank 10.
    pub ndcg_at_10: Estimate,
    /// Questions whose right answer only the method puts first.
    pub gained: usize,
    /// Questions whose right answer only cosine puts first.
    pub lost: usize,
    /// McNemar's exact p of `gained` and `lost`.
    pub p_against_cosine: f64,
}

impl Part {
    fn of(ranks: &[usize], cosine: &[usize], seed: u64, poll: &mut Poll<'_>) -> Result<Self> {
        let mut estimate = |value: fn(usize) -> f64| Estimate::of(ranks, seed, value, poll);
        let (gained, lost) = (only(ranks, cosine).count(), only(cosine, ranks).count());
        Ok(Self {
            questions: ranks.len(),
            recall_at_1: estimate(|rank| Metrics::recall(rank, 1))?,
            recall_at_5: estimate(|rank| Metrics::recall(rank, 5))?,
            mrr_at_10: estimate(Metrics::reciprocal)?,
            ndcg_at_10: estimate(Metrics::gain)?,
            gained,
            lost,
            p_against_cosine: mcnemar(gained, lost),
        })
    }
}

/// Numbers of the questions whose right answer is first in `a` and not in `b`.
fn only(a: &[usize], b: &[usize]) -> impl Iterator<Item = usize> {
    (0..a.len()).filter(move |number| a[*number] == 1 && b[*number] != 1)
}

/// What was measured of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodResult {
    /// What it found.
    pub found: Found,
    /// All questions.
    pub all: Part,
    /// Questions whose answer has training questions, if there are any.
    pub seen: Option<Part>,
    /// Questions whose answer has none, if there are any.
    pub unseen: Option<Part>,
}

/// How evaluation queries and training questions were divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The queries were given.
    Test,
    /// Each question was left out of training once.
    Closed,
    /// Each answer was left out of training once, and each question.
    Open,
}

/// All methods on the same queries.
#[derive(Debug, Clone)]
pub struct ProtocolResult {
    /// The protocol.
    pub protocol: Protocol,
    /// The queries.
    pub queries: EvaluationQueries,
    /// Whether the answer to each query has training questions.
    pub seen: Vec<bool>,
    /// Answers that have training questions; in a cross-validation the mean of the folds.
    pub seen_answers: usize,
    /// Questions that were trained on; in a cross-validation the mean of the folds.
    pub training_questions: usize,
    /// Cosine first.
    pub results: Vec<MethodResult>,
    /// Sweeps over the candidates' parameters, if they were asked for.
    pub sweeps: Vec<Sweep>,
}

/// Two answers of which one is found in the place of the other.
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
        (only(own, cosine).collect(), only(cosine, own).collect())
    }

    /// Which answers a method puts before right ones, the most frequent pairs first.
    pub fn confusions(&self, result: &MethodResult) -> Vec<Confusion> {
        let mut pairs = std::collections::BTreeMap::new();
        for (number, rank) in result.found.ranks.iter().enumerate() {
            if let (true, Some(found)) = (*rank > 1, result.found.first[number]) {
                let right = self.queries.answers[number];
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
pub(super) fn results(
    found: Vec<Found>,
    seen: &[bool],
    seed: u64,
    poll: &mut Poll<'_>,
) -> Result<Vec<MethodResult>> {
    let cosine = found.iter().find(|found| found.method == Method::Cosine);
    let cosine = cosine.expect("cosine is always measured").ranks.clone();
    let mut part = |ranks: &[usize], wanted: Option<bool>| {
        let of = |ranks: &[usize]| -> Vec<usize> {
            let rows = ranks.iter().zip(seen);
            let rows = rows.filter(|(_, seen)| wanted.is_none_or(|wanted| wanted == **seen));
            rows.map(|(rank, _)| *rank).collect()
        };
        let (own, cosine) = (of(ranks), of(&cosine));
        (!own.is_empty()).then(|| Part::of(&own, &cosine, seed, poll)).transpose()
    };
    let mut results = Vec::with_capacity(found.len());
    for found in found {
        let Some(all) = part(&found.ranks, None)? else { continue };
        let seen = part(&found.ranks, Some(true))?;
        let unseen = part(&found.ranks, Some(false))?;
        results.push(MethodResult { all, seen, unseen, found });
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::super::NOT_FOUND;
    use super::*;

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
        let seen = [true, true, false, true];
        let results = results(vec![cosine, bm25], &seen, 0, &mut || Ok(())).unwrap();
        let (own, all) = (&results[1], results[1].all);
        assert_eq!((all.recall_at_1.value, all.mrr_at_10.value), (0.75, 0.75));
        assert_eq!((all.gained, all.lost, all.p_against_cosine), (2, 1, 1.0));
        let unseen = own.unseen.unwrap();
        assert_eq!((unseen.recall_at_5.value, unseen.gained, unseen.lost), (0.0, 0, 1));
        assert_eq!(own.seen.unwrap().questions, 3);
        let cosine = results[0].all;
        assert_eq!((cosine.gained, cosine.lost, cosine.p_against_cosine), (0, 0, 1.0));
        assert_eq!(cosine.mrr_at_10.value, (1.0 + 0.5 + 1.0 + 0.25) / 4.0);
    }
}
