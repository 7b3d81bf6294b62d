//! The comparison of all methods, on given questions or by cross-validation.

use super::folds::{Fold, folds};
use super::methods::{Bench, weight_of};
use super::results::outcomes;
use super::stored::recipe_of;
use super::sweep::Sweeps;
use super::{Asked, Choice, Corpus, Found, Method, Outcome, Part, Regime};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::product;
use crate::projection::{Model, Projection};
use crate::search::Bm25;
use crate::store::{ModelKind, Store};
use crate::train::{Progress, Recipe, TrainingData, multi_head};

/// Temperature of the multi-head projection that is compared with.
const TEMPERATURE: f64 = 0.1;

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
        Self { folds: 4, seed: 0, sweeps: false, threads: product::threads() }
    }
}

/// A stored projection that is compared.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its id.
    pub id: i64,
    /// Its kind.
    pub kind: ModelKind,
    /// The text model that it was trained on.
    pub model_name: String,
    model: Model,
}

impl Chosen {
    /// Opens the projection `id`; the one with the highest id for `None`, or `None` where
    /// the store has none.
    ///
    /// # Errors
    /// As [`Model::open_kind`], and [`ErrorKind::AmbiguousModel`] where two have the id.
    pub fn open(store: &Store, id: Option<i64>) -> Result<Option<Self>> {
        let heads = store.multi_head_projections()?;
        let linear = store.linear_projections()?;
        let newest = heads.iter().map(|row| row.id).chain(linear.iter().map(|row| row.id)).max();
        let kind = match (id, newest) {
            (None, None) => return Ok(None),
            // Of two that share the highest id, the heads.
            (None, Some(newest)) => store.model_kinds(newest)?[0],
            (Some(id), _) => store.model_kind(id)?,
        };
        let id = id.or(newest).expect("one of them is there");
        let model_name = match kind {
            ModelKind::Linear => linear.into_iter().find(|row| row.id == id).map(|r| r.model_name),
            _ => heads.into_iter().find(|row| row.id == id).map(|row| row.model_name),
        };
        let model_name = model_name.unwrap_or_default();
        let model = Model::open_kind(store.path(), kind, id)?;
        Ok(Some(Self { id, kind, model_name, model }))
    }
}

/// The answers, the models, and what was measured.
#[derive(Debug)]
pub struct Evaluation {
    /// The answers.
    pub corpus: Corpus,
    /// The projections.
    pub chosen: Vec<Chosen>,
    /// What was measured: on given questions, or closed and open.
    pub regimes: Vec<Regime>,
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
        chosen: Vec<Chosen>,
        asked: Asked,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        check(&corpus, &chosen)?;
        let lexical = corpus.lexical()?;
        let has_texts = asked.texts.iter().all(Option::is_some);
        let mut notes = Vec::new();
        let lexical = lexical_or_note(lexical.as_ref(), has_texts, &mut notes);
        let baseline = corpus.training.as_ref().map(|data| multi_head(data, TEMPERATURE));
        let baseline = baseline.transpose()?.map(Model::MultiHead);
        let bench = Bench {
            corpus: &corpus,
            training: corpus.training.as_ref(),
            models: methods(baseline.as_ref(), chosen.iter().map(|chosen| &chosen.model)),
            weights: &weights(&chosen),
            lexical,
            threads: options.threads,
        };
        let steps = asked.len();
        let found = bench.ask(&asked, &mut |step| {
            progress(Progress { stage: "asking", step, steps, loss: None });
        })?;
        let mut sweeps = Sweeps::default();
        for (place, chosen) in chosen.iter().enumerate().filter(|_| options.sweeps) {
            sweeps.add(place, &chosen.model, &bench, &asked)?;
        }
        let headed_answers = corpus.headed(corpus.training.as_ref());
        let headed: Vec<bool> = asked.answers.iter().map(|row| headed_answers[*row]).collect();
        let known = trained_on(&corpus, &asked);
        if known > 0 {
            notes.push(format!(
                "{known} of {} test questions are training questions of the store: what was \
                 trained on them looks better than it is",
                asked.len()
            ));
        }
        let regime = Regime {
            choice: Choice::Test,
            outcomes: outcomes(found, &headed, options.seed),
            headed,
            headed_answers: headed_answers.iter().filter(|headed| **headed).count(),
            training_questions: corpus.training_questions(),
            asked,
            sweeps: sweeps.finish(),
        };
        Ok(Self { corpus, chosen, regimes: vec![regime], notes })
    }

    /// Leaves questions, and then answers, of the store out in turn, trains every method on
    /// the others and asks what was left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where there are too few questions,
    /// [`ErrorKind::InvalidArgument`] for fewer than two folds; otherwise as
    /// [`with_questions`](Self::with_questions).
    pub fn by_cross_validation(
        store: &Store,
        corpus: Corpus,
        chosen: Vec<Chosen>,
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
            return Err(too_few(store, 0));
        };
        let mut notes = Vec::new();
        let lexical = corpus.lexical()?;
        let has_texts = corpus.training_texts.iter().all(Option::is_some);
        let lexical = lexical_or_note(lexical.as_ref(), has_texts, &mut notes);
        let mut kept = Vec::new();
        let mut recipes = Vec::new();
        for chosen in chosen {
            match recipe_of(store, chosen.kind, chosen.id, data)? {
                Some(recipe) => {
                    recipes.push(recipe);
                    kept.push(chosen);
                }
                None => notes.push(format!(
                    "projection {} ({}) is left out: how to train it again is not recorded. \
                     Test questions would measure it as it is",
                    chosen.id,
                    chosen.kind.name()
                )),
            }
        }
        let mut regimes = Vec::new();
        for open in [false, true] {
            let folds = folds(data, options.folds, open, options.seed);
            if folds.is_empty() {
                return Err(too_few(store, data.labels().len()));
            }
            let (recipes, weights) = (&recipes[..], &weights(&kept)[..]);
            let work = Validation { corpus: &corpus, data, recipes, weights, lexical, options };
            regimes.push(work.regime(&folds, open, progress)?);
        }
        Ok(Self { corpus, chosen: kept, regimes, notes })
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
            Method::Chosen(place) => {
                format!("projection {} ({})", chosen(place).id, chosen(place).kind.name())
            }
            Method::ChosenWithBm25(place) => {
                let weight = weight_of(&chosen(place).model);
                format!("projection {} + BM25 at {weight}", chosen(place).id)
            }
        }
    }

    /// Where a chosen projection finds fewer answers than cosine.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for regime in &self.regimes {
            let place = match regime.choice {
                Choice::Test => "",
                Choice::Closed => " where questions are left out",
                Choice::Open => " where answers and questions are left out",
            };
            for outcome in &regime.outcomes {
                let Method::Chosen(_) = outcome.found.method else { continue };
                let cosine = regime.cosine();
                let both = |part: fn(&Outcome) -> Option<Part>| part(outcome).zip(part(cosine));
                for (what, parts) in [
                    ("", both(|outcome| Some(outcome.all))),
                    (", for answers without training questions", both(|outcome| outcome.unheaded)),
                ] {
                    let Some((own, cosine)) = parts else { continue };
                    // Said once where all answers are such.
                    if what.is_empty() && outcome.headed.is_none() {
                        continue;
                    }
                    if let Some(how_much) = below(&own, &cosine) {
                        let name = self.name(outcome.found.method);
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
fn weights(chosen: &[Chosen]) -> Vec<f64> {
    chosen.iter().map(|chosen| weight_of(&chosen.model)).collect()
}

fn too_few(store: &Store, found: usize) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "{}: {found} embedded questions with answers are too few to leave some out; give \
             test questions",
            store.path().display()
        ),
    )
}

/// Every model has to take questions and give answers as the store has them.
fn check(corpus: &Corpus, chosen: &[Chosen]) -> Result<()> {
    let dims = |chosen: &&Chosen| (chosen.model.input_dim(), chosen.model.output_dim());
    match chosen.iter().find(|chosen| dims(chosen) != (corpus.dim, corpus.dim)) {
        None => Ok(()),
        Some(chosen) => Err(Error::new(
            ErrorKind::DimensionMismatch,
            format!(
                "projection {} takes dimension {} to {}, expected {} as the answers have",
                chosen.id,
                chosen.model.input_dim(),
                chosen.model.output_dim(),
                corpus.dim
            ),
        )),
    }
}

fn methods<'a>(
    baseline: Option<&'a Model>,
    chosen: impl Iterator<Item = &'a Model>,
) -> Vec<(Method, &'a Model)> {
    let chosen = chosen.enumerate().map(|(place, model)| (Method::Chosen(place), model));
    baseline.map(|model| (Method::MultiHead, model)).into_iter().chain(chosen).collect()
}

fn lexical_or_note<'a>(
    lexical: Option<&'a Bm25>,
    has_texts: bool,
    notes: &mut Vec<String>,
) -> Option<&'a Bm25> {
    let what = match (lexical, has_texts) {
        (Some(_), true) => return lexical,
        (Some(_), false) => "the questions' texts are not known",
        (None, _) => "the answers have no texts",
    };
    notes.push(format!("BM25 is left out: {what}"));
    None
}

/// How many of the questions are among the training questions.
fn trained_on(corpus: &Corpus, asked: &Asked) -> usize {
    let known: std::collections::HashSet<&str> =
        corpus.training_texts.iter().flatten().map(String::as_str).collect();
    asked.texts.iter().flatten().filter(|text| known.contains(text.as_str())).count()
}

/// A cross-validation.
struct Validation<'a> {
    corpus: &'a Corpus,
    data: &'a TrainingData,
    recipes: &'a [Recipe],
    weights: &'a [f64],
    lexical: Option<&'a Bm25>,
    options: &'a Options,
}

impl Validation<'_> {
    /// The chosen models, trained on these questions only.
    fn train(&self, data: &TrainingData) -> Result<Vec<Model>> {
        self.recipes.iter().map(|recipe| recipe.train(data, &mut |_| {})).collect()
    }

    fn regime(
        &self,
        folds: &[Fold],
        open: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Regime> {
        let stage = if open { "open folds" } else { "closed folds" };
        let labels = self.corpus.rows_of_labels(self.data);
        let (mut found, mut headed) = (Vec::<Found>::new(), Vec::new());
        let (mut numbers, mut sweeps) = (Vec::new(), Sweeps::default());
        let (mut headed_answers, mut training_questions) = (0, 0);
        for (number, fold) in folds.iter().enumerate() {
            let step = |step| Progress { stage, step, steps: folds.len(), loss: None };
            progress(step(number));
            let data = self.data.with_questions(&fold.left);
            let asked = Asked {
                queries: self.data.questions().select(ndarray::Axis(0), &fold.asked),
                // A label without answers has no questions.
                answers: fold.asked.iter().map(|q| labels[self.data.labels()[*q]][0]).collect(),
                texts: fold.asked.iter().map(|q| self.corpus.training_texts[*q].clone()).collect(),
            };
            let baseline = Model::MultiHead(multi_head(&data, TEMPERATURE)?);
            let models: Vec<Model> = self.train(&data)?;
            let bench = Bench {
                corpus: self.corpus,
                training: Some(&data),
                models: methods(Some(&baseline), models.iter()),
                weights: self.weights,
                lexical: self.lexical,
                threads: self.options.threads,
            };
            merge(&mut found, bench.ask(&asked, &mut |_| {})?);
            for (place, model) in models.iter().enumerate().filter(|_| self.options.sweeps) {
                sweeps.add(place, model, &bench, &asked)?;
            }
            let has = self.corpus.headed(Some(&data));
            headed.extend(asked.answers.iter().map(|row| has[*row]));
            headed_answers += has.iter().filter(|headed| **headed).count();
            training_questions += fold.left.len();
            numbers.extend(fold.asked.iter().copied());
            progress(step(number + 1));
        }
        Ok(Regime {
            choice: if open { Choice::Open } else { Choice::Closed },
            asked: Asked {
                queries: self.data.questions().select(ndarray::Axis(0), &numbers),
                answers: numbers.iter().map(|q| labels[self.data.labels()[*q]][0]).collect(),
                texts: numbers.iter().map(|q| self.corpus.training_texts[*q].clone()).collect(),
            },
            outcomes: outcomes(found, &headed, self.options.seed),
            headed,
            headed_answers: headed_answers / folds.len(),
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
    }
}
