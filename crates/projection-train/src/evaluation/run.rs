//! The comparison of all methods, on given questions or by cross-validation.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::candidate::Candidate;
use super::cross_validation::{Recipe, Validation};
use super::evaluator::{Evaluator, weight_of};
use super::results::results;
use super::sweep::Sweeps;
use super::{
    Corpus, EvaluationQueries, Found, Method, MethodResult, Part, Protocol, ProtocolResult,
};
use crate::error::{Error, ErrorKind, Result};
use crate::folds::evaluation_splits;
use crate::kernel::{self, parallel};
use crate::projection::{Model, Projection};
use crate::search::LexicalIndex;
use crate::{Progress, multi_head};

/// Temperature of the multi-head projection that is compared with.
pub(super) const TEMPERATURE: f64 = 0.1;

/// The least p at which a difference is called one.
const CERTAIN: f64 = 0.05;

/// How to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Folds of a cross-validation.
    pub folds: usize,
    /// Seed of folds and bootstrap intervals.
    pub seed: u64,
    /// Whether to measure the models at other parameters too.
    pub sweeps: bool,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { folds: 4, seed: 0, sweeps: false, threads: parallel::threads() }
    }
}

/// The answers, the models, and what was measured.
#[derive(Debug)]
pub struct Evaluation {
    /// The answers.
    pub corpus: Corpus,
    /// The projections.
    pub chosen: Vec<Candidate>,
    /// What was measured: on given questions, or closed and open.
    pub protocols: Vec<ProtocolResult>,
    /// What a reader should know about how it was measured.
    pub notes: Vec<String>,
}

impl Evaluation {
    /// Asks all methods questions that were kept out of training.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] for a model of other dimensions than the answers,
    /// and whatever training and projecting may give.
    pub fn with_questions(
        corpus: Corpus,
        chosen: Vec<Candidate>,
        asked: EvaluationQueries,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        check(&corpus, &chosen)?;
        let lexical = corpus.lexical();
        let has_texts = asked.texts.iter().all(Option::is_some);
        let mut notes = Vec::new();
        let lexical = lexical_or_note(lexical, has_texts, &mut notes);
        let baseline = corpus.training.as_ref().map(|data| multi_head(data, TEMPERATURE));
        let baseline = baseline.transpose()?.map(Model::MultiHead);
        let evaluator = Evaluator {
            corpus: &corpus,
            training: corpus.training.as_ref(),
            models: methods(baseline.as_ref(), chosen.iter().map(|chosen| &chosen.model)),
            weights: &weights(&chosen),
            lexical,
            threads: options.threads,
        };
        let steps = asked.len();
        let mut found = evaluator.ask(&asked, &mut |step| {
            progress(Progress { stage: "asking", step, steps, loss: None });
        })?;
        let models: Vec<&Model> = chosen.iter().map(|chosen| &chosen.model).collect();
        let exact: Vec<Option<usize>> = chosen.iter().map(|chosen| chosen.exact).collect();
        compare_rounded(&mut found, &models, &exact, asked.queries.view())?;
        let mut sweeps = Sweeps::default();
        // What a rounded model does, its exact one shows.
        let swept = |(_, chosen): &(usize, &Candidate)| options.sweeps && chosen.exact.is_none();
        for (place, chosen) in chosen.iter().enumerate().filter(swept) {
            sweeps.add(place, &chosen.model, &evaluator, &asked)?;
        }
        let seen_answers = corpus.seen(corpus.training.as_ref());
        let seen: Vec<bool> = asked.answers.iter().map(|row| seen_answers[*row]).collect();
        let known = trained_on(&corpus, &asked);
        if known > 0 {
            notes.push(format!(
                "{known} of {} test questions are training questions of the store: what was \
                 trained on them looks better than it is",
                asked.len()
            ));
        }
        let protocol = ProtocolResult {
            choice: Protocol::Test,
            results: results(found, &seen, options.seed),
            seen,
            seen_answers: seen_answers.iter().filter(|seen| **seen).count(),
            training_questions: corpus.training_questions(),
            asked,
            sweeps: sweeps.finish(),
        };
        Ok(Self { corpus, chosen, protocols: vec![protocol], notes })
    }

    /// Leaves questions, and then answers, of the store out in turn, trains every method on
    /// the others and asks what was left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where there are too few questions,
    /// [`ErrorKind::InvalidArgument`] for fewer than two folds; otherwise as
    /// [`with_questions`](Self::with_questions).
    pub fn by_cross_validation(
        corpus: Corpus,
        chosen: Vec<Candidate>,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        check(&corpus, &chosen)?;
        if options.folds < 2 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{} folds, expected at least 2", options.folds),
            ));
        }
        let Some(data) = corpus.training.as_ref() else {
            return Err(too_few(0));
        };
        let mut notes = Vec::new();
        let lexical = corpus.lexical();
        let has_texts = corpus.training_texts.iter().all(Option::is_some);
        let lexical = lexical_or_note(lexical, has_texts, &mut notes);
        let mut kept = Vec::<Candidate>::new();
        let mut recipes = Vec::new();
        // Where each of the chosen is among those that are kept.
        let mut places = Vec::with_capacity(chosen.len());
        for mut chosen in chosen {
            let recipe = match chosen.exact {
                Some(exact) => {
                    chosen.exact = places[exact];
                    places[exact].map(|place| Recipe::Rounded(place, chosen.precision()))
                }
                None => chosen.recipe.clone().map(Recipe::Trained),
            };
            places.push(recipe.is_some().then_some(kept.len()));
            match recipe {
                Some(recipe) => {
                    recipes.push(recipe);
                    kept.push(chosen);
                }
                None => notes.push(format!(
                    "{} is left out: how to train it again is not recorded. Test questions would \
                     measure it as it is",
                    chosen.name()
                )),
            }
        }
        let mut protocols = Vec::new();
        for open in [false, true] {
            let folds = evaluation_splits(data, options.folds, open, options.seed);
            if folds.is_empty() {
                return Err(too_few(data.labels().len()));
            }
            let (recipes, weights) = (&recipes[..], &weights(&kept)[..]);
            let work = Validation { corpus: &corpus, data, recipes, weights, lexical, options };
            protocols.push(work.protocol(&folds, open, progress)?);
        }
        Ok(Self { corpus, chosen: kept, protocols, notes })
    }

    /// The name of a method for people.
    pub fn name(&self, method: Method) -> String {
        let chosen = |place: usize| &self.chosen[place];
        match method {
            Method::Cosine => "cosine".into(),
            Method::Bm25 => "BM25".into(),
            Method::NearestQuestion => "nearest question".into(),
            Method::CosineOrQuestion => "max(cosine, nearest question)".into(),
            Method::MultiHead => format!("multi-head, τ = {TEMPERATURE}"),
            Method::Candidate(place) => chosen(place).name(),
            Method::CandidateWithBm25(place) => {
                let weight = weight_of(&chosen(place).model);
                format!("{} + BM25 at {weight}", chosen(place).short_name())
            }
        }
    }

    /// Where a chosen projection finds fewer answers than cosine.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for protocol in &self.protocols {
            let place = match protocol.choice {
                Protocol::Test => "",
                Protocol::Closed => " where questions are left out",
                Protocol::Open => " where answers and questions are left out",
            };
            for result in &protocol.results {
                let Method::Candidate(_) = result.found.method else { continue };
                let cosine = protocol.cosine();
                let both = |part: fn(&MethodResult) -> Option<Part>| part(result).zip(part(cosine));
                for (what, parts) in [
                    ("", both(|result| Some(result.all))),
                    (", for answers without training questions", both(|result| result.unseen)),
                ] {
                    let Some((own, cosine)) = parts else { continue };
                    // Said once where all answers are such.
                    if what.is_empty() && result.seen.is_none() {
                        continue;
                    }
                    if let Some(how_much) = below(&own, &cosine) {
                        let name = self.name(result.found.method);
                        warnings.push(format!("{name} is below cosine{place}{what}: {how_much}"));
                    }
                }
            }
        }
        warnings
    }
}

/// How much a method is below cosine, where it is.
fn below(own: &Part, cosine: &Part) -> Option<String> {
    let (first, other) = (own.measured.metrics, cosine.measured.metrics);
    let is_below = first.recall_at_1 < other.recall_at_1 || first.mrr_at_10 < other.mrr_at_10;
    is_below.then(|| {
        let p = match own.against_cosine.p {
            p if p < 0.001 => "p < 0.001".to_string(),
            p if p < CERTAIN => format!("p = {p:.3}"),
            p => format!("p = {p:.3}, which may be chance"),
        };
        format!(
            "recall@1 {:.1} % against {:.1} %, MRR@10 {:.3} against {:.3} ({p})",
            100.0 * first.recall_at_1,
            100.0 * other.recall_at_1,
            first.mrr_at_10,
            other.mrr_at_10,
        )
    })
}

/// The weights of BM25 that the projections are fused with.
fn weights(chosen: &[Candidate]) -> Vec<f64> {
    chosen.iter().map(|chosen| weight_of(&chosen.model)).collect()
}

fn too_few(found: usize) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "{found} embedded questions with answers are too few to leave some out; give test \
             questions"
        ),
    )
}

/// Every model has to take questions and give answers as the store has them.
fn check(corpus: &Corpus, chosen: &[Candidate]) -> Result<()> {
    let dims = |chosen: &&Candidate| (chosen.model.input_dim(), chosen.model.output_dim());
    match chosen.iter().find(|chosen| dims(chosen) != (corpus.dim, corpus.dim)) {
        None => Ok(()),
        Some(chosen) => Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!(
                "{} takes dimension {} to {}, expected {} as the answers have",
                chosen.short_name(),
                chosen.model.input_dim(),
                chosen.model.output_dim(),
                corpus.dim
            ),
        )),
    }
}

pub(super) fn methods<'a>(
    baseline: Option<&'a Model>,
    chosen: impl Iterator<Item = &'a Model>,
) -> Vec<(Method, &'a Model)> {
    let chosen = chosen.enumerate().map(|(place, model)| (Method::Candidate(place), model));
    baseline.map(|model| (Method::MultiHead, model)).into_iter().chain(chosen).collect()
}

fn lexical_or_note<'a>(
    lexical: Option<&'a dyn LexicalIndex>,
    has_texts: bool,
    notes: &mut Vec<String>,
) -> Option<&'a dyn LexicalIndex> {
    let what = match (lexical, has_texts) {
        (Some(_), true) => return lexical,
        (Some(_), false) => "the questions' texts are not known",
        (None, _) => "the answers have no texts",
    };
    notes.push(format!("BM25 is left out: {what}"));
    None
}

/// How many of the questions are among the training questions.
fn trained_on(corpus: &Corpus, asked: &EvaluationQueries) -> usize {
    let known: std::collections::HashSet<&str> =
        corpus.training_texts.iter().flatten().map(String::as_str).collect();
    asked.texts.iter().flatten().filter(|text| known.contains(text.as_str())).count()
}

/// Adds to what rounded models found how near what they project is to what the exact ones do.
/// There is an exact model's place for each of `models` that is rounded.
pub(super) fn compare_rounded(
    found: &mut [Found],
    models: &[&Model],
    exact: &[Option<usize>],
    queries: ArrayView2<'_, f32>,
) -> Result<()> {
    let project = |model: &Model| -> Result<Array2<f32>> {
        let mut projected = Array2::zeros((queries.nrows(), model.output_dim()));
        model.project_batch_into(queries, projected.view_mut(), None)?;
        Ok(projected)
    };
    for found in found {
        let Method::Candidate(place) = found.method else { continue };
        let Some(exact) = exact[place] else { continue };
        let (own, other) = (project(models[place])?, project(models[exact])?);
        found.cosines_with_exact = own.rows().into_iter().zip(other.rows()).map(cosine).collect();
    }
    Ok(())
}

fn cosine((a, b): (ArrayView1<'_, f32>, ArrayView1<'_, f32>)) -> f64 {
    let (a, b) = (a.to_slice().expect("row-major"), b.to_slice().expect("row-major"));
    let norms = kernel::norm(a) * kernel::norm(b);
    // Both are zero, or one is nowhere near the other.
    if norms == 0.0 {
        return if a == b { 1.0 } else { 0.0 };
    }
    (kernel::dot_f64(a, b) / norms).clamp(-1.0, 1.0)
}
