//! Cross-validation: every method is trained again on some of the questions and asked the others.

use ndarray::Axis;

use super::evaluator::Evaluator;
use super::results::results;
use super::run::{TEMPERATURE, compare_rounded, methods};
use super::sweep::Sweeps;
use super::{Corpus, EvaluationQueries, Found, Options, Protocol, ProtocolResult};
use crate::error::Result;
use crate::folds::Split;
use crate::projection::{Model, Precision};
use crate::recipe::Recipe as Training;
use crate::search::LexicalIndex;
use crate::{Progress, TrainingData, multi_head};

/// How a chosen model is made of some of the questions.
pub(super) enum Recipe {
    Trained(Training),
    /// From the model with this place, by rounding.
    Rounded(usize, Precision),
}

impl Recipe {
    fn exact(&self) -> Option<usize> {
        match self {
            Self::Trained(_) => None,
            Self::Rounded(place, _) => Some(*place),
        }
    }
}

/// A cross-validation.
pub(super) struct Validation<'a> {
    pub corpus: &'a Corpus,
    pub data: &'a TrainingData,
    pub recipes: &'a [Recipe],
    pub weights: &'a [f64],
    pub lexical: Option<&'a dyn LexicalIndex>,
    pub options: &'a Options,
}

impl Validation<'_> {
    /// The chosen models, trained on these questions only.
    fn train(&self, data: &TrainingData) -> Result<Vec<Model>> {
        let mut models = Vec::<Model>::with_capacity(self.recipes.len());
        for recipe in self.recipes {
            models.push(match recipe {
                Recipe::Trained(recipe) => recipe.train(data, &mut |_| {})?,
                Recipe::Rounded(place, precision) => models[*place].with_precision(*precision)?,
            });
        }
        Ok(models)
    }

    pub fn protocol(
        &self,
        folds: &[Split],
        open: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ProtocolResult> {
        let stage = if open { "open folds" } else { "closed folds" };
        let labels = self.corpus.rows_of_labels(self.data);
        let (mut found, mut seen) = (Vec::<Found>::new(), Vec::new());
        let (mut numbers, mut sweeps) = (Vec::new(), Sweeps::default());
        let (mut seen_answers, mut training_questions) = (0, 0);
        for (number, fold) in folds.iter().enumerate() {
            let step = |step| Progress { stage, step, steps: folds.len(), loss: None };
            progress(step(number));
            let data = self.data.with_questions(&fold.left);
            let asked = EvaluationQueries {
                queries: self.data.questions().select(Axis(0), &fold.out),
                // A label without answers has no questions.
                answers: fold.out.iter().map(|q| labels[self.data.labels()[*q]][0]).collect(),
                texts: fold.out.iter().map(|q| self.corpus.training_texts[*q].clone()).collect(),
            };
            let baseline = Model::MultiHead(multi_head(&data, TEMPERATURE)?);
            let models: Vec<Model> = self.train(&data)?;
            let evaluator = Evaluator {
                corpus: self.corpus,
                training: Some(&data),
                models: methods(Some(&baseline), models.iter()),
                weights: self.weights,
                lexical: self.lexical,
                threads: self.options.threads,
            };
            let mut here = evaluator.ask(&asked, &mut |_| {})?;
            let exact = self.recipes.iter().map(Recipe::exact);
            let exact: Vec<Option<usize>> = exact.collect();
            let references: Vec<&Model> = models.iter().collect();
            compare_rounded(&mut here, &references, &exact, asked.queries.view())?;
            merge(&mut found, here);
            let swept =
                |(place, _): &(usize, &Model)| self.options.sweeps && exact[*place].is_none();
            for (place, model) in models.iter().enumerate().filter(swept) {
                sweeps.add(place, model, &evaluator, &asked)?;
            }
            let has = self.corpus.seen(Some(&data));
            seen.extend(asked.answers.iter().map(|row| has[*row]));
            seen_answers += has.iter().filter(|seen| **seen).count();
            training_questions += fold.left.len();
            numbers.extend(fold.out.iter().copied());
            progress(step(number + 1));
        }
        Ok(ProtocolResult {
            choice: if open { Protocol::Open } else { Protocol::Closed },
            asked: EvaluationQueries {
                queries: self.data.questions().select(Axis(0), &numbers),
                answers: numbers.iter().map(|q| labels[self.data.labels()[*q]][0]).collect(),
                texts: numbers.iter().map(|q| self.corpus.training_texts[*q].clone()).collect(),
            },
            results: results(found, &seen, self.options.seed),
            seen,
            seen_answers: seen_answers / folds.len(),
            training_questions: training_questions / folds.len(),
            sweeps: sweeps.finish(),
        })
    }
}

/// Adds what was found in another fold, where the methods are the same.
fn merge(all: &mut Vec<Found>, fold: Vec<Found>) {
    if all.is_empty() {
        *all = fold;
        return;
    }
    for (all, fold) in all.iter_mut().zip(fold) {
        all.ranks.extend(fold.ranks);
        all.first.extend(fold.first);
        all.cosines_with_exact.extend(fold.cosines_with_exact);
    }
}
