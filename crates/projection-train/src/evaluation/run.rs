//! The comparison of all methods, on given queries or by cross-validation.

use ndarray::{Array2, Axis};

use super::evaluator::{Evaluator, weight_of};
use super::results::results;
use super::sweep::Sweeps;
use super::{
    Candidate, Corpus, EvaluationQueries, Found, Method, MethodResult, Part, Protocol,
    ProtocolResult,
};
use crate::error::{Error, ErrorKind, Result};
use crate::folds::evaluation_splits;
use crate::kernel::{self, parallel, parallel::Poll};
use crate::projection::{Model, Projection};
use crate::search::LexicalIndex;
use crate::{OnProgress, Progress, TrainingData, multi_head};

/// Temperature of the multi-head projection that is the baseline.
const TEMPERATURE: f64 = 0.1;

/// A difference with a smaller p is called significant.
const SIGNIFICANT: f64 = 0.05;

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

/// The answers, the candidates, and what was measured.
#[derive(Debug)]
pub struct Evaluation {
    /// The answers.
    pub corpus: Corpus,
    /// The projections.
    pub candidates: Vec<Candidate>,
    /// What was measured: on given queries, or closed and open.
    pub protocols: Vec<ProtocolResult>,
    /// What a reader should know about how it was measured.
    pub notes: Vec<String>,
}

impl Evaluation {
    /// Measures all methods on questions that were kept out of training.
    ///
    /// # Errors
    /// [`ErrorKind::DimensionMismatch`] for a model of other dimensions than the answers,
    /// [`ErrorKind::Cancelled`], and the errors of training and projecting.
    pub fn with_questions(
        corpus: Corpus,
        candidates: Vec<Candidate>,
        queries: EvaluationQueries,
        options: &Options,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        check(&corpus, &candidates)?;
        let mut notes = Vec::new();
        let lexical = lexical_or_note(&corpus, &queries.texts, &mut notes);
        let rounds = Rounds { corpus: &corpus, candidates: &candidates, lexical, options };
        let models: Vec<&Model> = candidates.iter().map(|candidate| &candidate.model).collect();
        let (mut all, steps) = (Gathered::default(), queries.len());
        rounds.measure(&mut all, corpus.training(), &models, &queries, &mut |step| {
            Progress::new("evaluating", step, steps).send(progress)
        })?;
        let known = trained_on(&corpus, &queries);
        if known > 0 {
            notes.push(format!(
                "{known} of {steps} test questions are training questions of the store, so that \
                 trained methods look better than they are"
            ));
        }
        let poll = &mut || Progress::new("evaluating", steps, steps).send(progress);
        let protocols = vec![all.finish(Protocol::Test, queries, 1, options.seed, poll)?];
        Ok(Self { corpus, candidates, protocols, notes })
    }

    /// Leaves questions, and then answers, of the store out in turn, trains every method on
    /// the others and measures it on those left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there are too few questions,
    /// [`ErrorKind::InvalidArgument`] for fewer than two folds; otherwise as
    /// [`with_questions`](Self::with_questions).
    pub fn by_cross_validation(
        corpus: Corpus,
        candidates: Vec<Candidate>,
        options: &Options,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        check(&corpus, &candidates)?;
        if options.folds < 2 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{} folds, expected at least 2", options.folds),
            ));
        }
        let data = corpus.training().ok_or_else(|| too_few(0))?;
        let mut notes = Vec::new();
        let lexical = lexical_or_note(&corpus, corpus.training_texts(), &mut notes);
        let candidates = trainable(candidates, &mut notes);
        let rounds = Rounds { corpus: &corpus, candidates: &candidates, lexical, options };
        let protocols = [Protocol::Closed, Protocol::Open].into_iter();
        let protocols = protocols
            .map(|protocol| rounds.cross_validate(data, protocol, progress))
            .collect::<Result<_>>()?;
        Ok(Self { corpus, candidates, protocols, notes })
    }

    /// The name of a method for people.
    pub fn name(&self, method: Method) -> String {
        let candidate = |place: usize| &self.candidates[place];
        match method {
            Method::Cosine => "cosine".into(),
            Method::Bm25 => "BM25".into(),
            Method::NearestQuestion => "nearest question".into(),
            Method::CosineOrQuestion => "max(cosine, nearest question)".into(),
            Method::MultiHead => format!("multi-head, τ = {TEMPERATURE}"),
            Method::Candidate(place) => candidate(place).name(),
            Method::CandidateWithBm25(place) => {
                let weight = weight_of(&candidate(place).model);
                format!("{} + BM25 at {weight}", candidate(place).short_name())
            }
        }
    }

    /// One message for each candidate that finds fewer answers than cosine.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for result in &self.protocols {
            let place = match result.protocol {
                Protocol::Test => "",
                Protocol::Closed => " where questions are left out",
                Protocol::Open => " where answers and questions are left out",
            };
            let cosine = result.cosine();
            let candidate = |own: &&MethodResult| matches!(own.found.method, Method::Candidate(_));
            for own in result.results.iter().filter(candidate) {
                // If all answers are unseen, both parts are the same.
                let all = own.seen.is_some().then_some((own.all, cosine.all));
                for (what, parts) in [
                    ("", all),
                    (", for answers without training questions", own.unseen.zip(cosine.unseen)),
                ] {
                    if let Some(how_much) = parts.and_then(|(own, cosine)| below(&own, &cosine)) {
                        let name = self.name(own.found.method);
                        warnings.push(format!("{name} is below cosine{place}{what}: {how_much}"));
                    }
                }
            }
        }
        warnings
    }
}

/// How much a method is below cosine, if it is.
fn below(own: &Part, cosine: &Part) -> Option<String> {
    let measures = |part: &Part| (part.recall_at_1.value, part.mrr_at_10.value);
    let ((recall, mrr), (other_recall, other_mrr)) = (measures(own), measures(cosine));
    (recall < other_recall || mrr < other_mrr).then(|| {
        let p = match own.p_against_cosine {
            p if p < 0.001 => "p < 0.001".to_string(),
            p if p < SIGNIFICANT => format!("p = {p:.3}"),
            p => format!("p = {p:.3}, which may be chance"),
        };
        format!(
            "recall@1 {:.1} % against {:.1} %, MRR@10 {mrr:.3} against {other_mrr:.3} ({p})",
            100.0 * recall,
            100.0 * other_recall,
        )
    })
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

/// Every model has to map vectors of the answers' dimension to the same.
fn check(corpus: &Corpus, candidates: &[Candidate]) -> Result<()> {
    let dims = |model: &Model| (model.input_dim(), model.output_dim());
    match candidates.iter().find(|own| dims(&own.model) != (corpus.dim(), corpus.dim())) {
        None => Ok(()),
        Some(candidate) => Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!(
                "{} takes dimension {} to {}, expected {} as the answers have",
                candidate.short_name(),
                candidate.model.input_dim(),
                candidate.model.output_dim(),
                corpus.dim()
            ),
        )),
    }
}

/// The candidates that can be trained again. A rounded one goes with its exact one.
fn trainable(candidates: Vec<Candidate>, notes: &mut Vec<String>) -> Vec<Candidate> {
    let mut kept = Vec::<Candidate>::new();
    // The place of each candidate among those that are kept.
    let mut places = Vec::<Option<usize>>::with_capacity(candidates.len());
    for mut candidate in candidates {
        let exact = candidate.exact;
        candidate.exact = exact.and_then(|exact| places[exact]);
        if candidate.exact.is_some() || (exact.is_none() && candidate.recipe.is_some()) {
            places.push(Some(kept.len()));
            kept.push(candidate);
        } else {
            places.push(None);
            notes.push(format!(
                "{} is left out: how to train it again is not recorded; test questions would \
                 measure it as it is",
                candidate.name()
            ));
        }
    }
    kept
}

/// The index of the answers' texts, or a note why BM25 is not measured.
fn lexical_or_note<'a>(
    corpus: &'a Corpus,
    texts: &[Option<String>],
    notes: &mut Vec<String>,
) -> Option<&'a dyn LexicalIndex> {
    let what = match (corpus.lexical(), texts.iter().all(Option::is_some)) {
        (Some(lexical), true) => return Some(lexical),
        (Some(_), false) => "the questions' texts are not known",
        (None, _) => "the answers have no texts",
    };
    notes.push(format!("BM25 is left out: {what}"));
    None
}

/// How many of the queries are among the training questions.
fn trained_on(corpus: &Corpus, queries: &EvaluationQueries) -> usize {
    let known: std::collections::HashSet<&str> =
        corpus.training_texts().iter().flatten().map(String::as_str).collect();
    queries.texts.iter().flatten().filter(|text| known.contains(text.as_str())).count()
}

/// What all rounds of a protocol share: one round with given queries, one a fold otherwise.
struct Rounds<'a> {
    corpus: &'a Corpus,
    candidates: &'a [Candidate],
    lexical: Option<&'a dyn LexicalIndex>,
    options: &'a Options,
}

/// What the rounds of a protocol found.
#[derive(Default)]
struct Gathered {
    found: Vec<Found>,
    /// Of each query, whether its answer has training questions.
    seen: Vec<bool>,
    /// Sums over the rounds.
    seen_answers: usize,
    training_questions: usize,
    sweeps: Sweeps,
}

impl Rounds<'_> {
    /// Measures `models`, one a candidate, and the other methods with the training questions
    /// in `training`.
    fn measure(
        &self,
        all: &mut Gathered,
        training: Option<&TrainingData>,
        models: &[&Model],
        queries: &EvaluationQueries,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let baseline = training.map(|data| multi_head(data, TEMPERATURE)).transpose()?;
        let baseline = baseline.map(Model::MultiHead);
        let baseline = baseline.as_ref().map(|model| (Method::MultiHead, model));
        let candidates = models.iter().enumerate();
        let candidates = candidates.map(|(place, model)| (Method::Candidate(place), *model));
        let evaluator = Evaluator {
            corpus: self.corpus,
            training,
            models: baseline.into_iter().chain(candidates).collect(),
            weights: self.candidates.iter().map(|own| weight_of(&own.model)).collect(),
            lexical: self.lexical,
            threads: self.options.threads,
        };
        let mut found = evaluator.measure(queries, progress)?;
        let poll = &mut || progress(queries.len());
        for found in &mut found {
            let Method::Candidate(place) = found.method else { continue };
            let Some(exact) = self.candidates[place].exact else { continue };
            found.cosines_with_exact = cosines(models[place], models[exact], queries, poll)?;
        }
        all.add(found);
        // A rounded model's sweeps would repeat those of its exact one.
        let swept = |place: &usize| self.options.sweeps && self.candidates[*place].exact.is_none();
        for place in (0..models.len()).filter(swept) {
            all.sweeps.add(place, models[place], &evaluator, queries, poll)?;
        }
        let seen = self.corpus.seen(training);
        all.seen.extend(queries.answers.iter().map(|row| seen[*row]));
        all.seen_answers += seen.iter().filter(|seen| **seen).count();
        all.training_questions += training.map_or(0, |data| data.labels().len());
        Ok(())
    }

    fn cross_validate(
        &self,
        data: &TrainingData,
        protocol: Protocol,
        progress: &mut OnProgress<'_>,
    ) -> Result<ProtocolResult> {
        let open = protocol == Protocol::Open;
        let stage = if open { "open folds" } else { "closed folds" };
        let splits = evaluation_splits(data, self.options.folds, open, self.options.seed);
        if splits.is_empty() {
            return Err(too_few(data.labels().len()));
        }
        let rows = self.corpus.rows_of_labels(data);
        let right = |number: &usize| &rows[data.labels()[*number]];
        let queries = |numbers: &[usize]| EvaluationQueries {
            queries: data.questions().select(Axis(0), numbers),
            // A label without answers has no questions.
            answers: numbers.iter().map(|number| right(number)[0]).collect(),
            right: numbers.iter().map(|number| right(number).clone()).collect(),
            texts: numbers.iter().map(|n| self.corpus.training_texts()[*n].clone()).collect(),
        };
        let mut all = Gathered::default();
        for (number, split) in splits.iter().enumerate() {
            Progress::new(stage, number, splits.len()).send(progress)?;
            let data = data.with_questions(&split.left);
            let mut models = Vec::<Model>::with_capacity(self.candidates.len());
            for candidate in self.candidates {
                models.push(match (candidate.exact, &candidate.recipe) {
                    (Some(exact), _) => models[exact].with_precision(candidate.precision())?,
                    (None, recipe) => {
                        let recipe = recipe.as_ref().expect("only trainable candidates are kept");
                        let offset = candidate.model.unseen_offset();
                        recipe.train(&data, progress)?.with_unseen_offset(offset)?
                    }
                });
            }
            let models: Vec<&Model> = models.iter().collect();
            let queries = queries(&split.out);
            self.measure(&mut all, Some(&data), &models, &queries, &mut |_| {
                Progress::new(stage, number, splits.len()).send(progress)
            })?;
        }
        let poll = &mut || Progress::new(stage, splits.len(), splits.len()).send(progress);
        let numbers: Vec<usize> = splits.iter().flat_map(|split| &split.out).copied().collect();
        all.finish(protocol, queries(&numbers), splits.len(), self.options.seed, poll)
    }
}

impl Gathered {
    /// Adds what was found in another round, in which the methods are the same.
    fn add(&mut self, round: Vec<Found>) {
        if self.found.is_empty() {
            self.found = round;
            return;
        }
        for (all, round) in self.found.iter_mut().zip(round) {
            all.ranks.extend(round.ranks);
            all.first.extend(round.first);
            all.cosines_with_exact.extend(round.cosines_with_exact);
        }
    }

    fn finish(
        self,
        protocol: Protocol,
        queries: EvaluationQueries,
        rounds: usize,
        seed: u64,
        poll: &mut Poll<'_>,
    ) -> Result<ProtocolResult> {
        Ok(ProtocolResult {
            protocol,
            queries,
            results: results(self.found, &self.seen, seed, poll)?,
            seen: self.seen,
            seen_answers: self.seen_answers / rounds,
            training_questions: self.training_questions / rounds,
            sweeps: self.sweeps.finish(),
        })
    }
}

/// The cosine of each query as the two models project it.
fn cosines(
    own: &Model,
    exact: &Model,
    queries: &EvaluationQueries,
    poll: &mut Poll<'_>,
) -> Result<Vec<f64>> {
    let mut project = |model: &Model| -> Result<Array2<f32>> {
        let mut projected = Array2::zeros((queries.len(), model.output_dim()));
        model.project_batch_on(1, queries.queries.view(), projected.view_mut(), None, poll)?;
        Ok(projected)
    };
    let (own, exact) = (project(own)?, project(exact)?);
    let cosine = |(own, exact): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f32>)| {
        let [a, b] = [own, exact].map(|row| row.to_slice().expect("rows are contiguous"));
        // Two zero vectors agree, which have no cosine.
        if a == b { 1.0 } else { kernel::cosine(a, b) }
    };
    Ok(own.rows().into_iter().zip(exact.rows()).map(cosine).collect())
}
