//! Choosing a model by cross-validation, and reporting what was measured.

use serde_json::{Value, json};

use crate::angle::residual_candidate;
use crate::calibrate::{self, Calibrated};
use crate::error::{ErrorKind, Result};
use crate::kinds::{candidates, measure, projected_by};
use crate::validation::{CLEARLY, Column, Plan, Projected, Validated};
use crate::{Method, OnProgress, Progress, Recipe, TrainingData, TrainingOptions, Tuning};

/// A candidate that was trained and measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// How it is trained.
    pub recipe: Recipe,
    /// What was measured.
    pub validated: Validated,
}

impl Trial {
    fn of((recipe, column): &(Recipe, Column)) -> Self {
        Self { recipe: recipe.clone(), validated: column.validated }
    }
}

/// A recipe with its offset of unseen answers, where such are asked for.
pub(super) struct Candidate {
    recipe: Recipe,
    /// The asked questions of every fold as models of the recipe project them.
    projected: Vec<Projected>,
    pub column: Column,
    unseen_offset: Option<Calibrated>,
}

impl Candidate {
    pub fn new(
        plan: &Plan<'_>,
        recipe: Recipe,
        projected: Vec<Projected>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        let has_heads = !matches!(recipe, Recipe::Linear(_));
        let (unseen_offset, column) = if has_heads && plan.share > 0.0 {
            let (offset, column) = calibrate::unseen_offset(plan, &projected, progress)?;
            (Some(offset), column)
        } else {
            let mut poll = || Progress::new("tuning", 1, 1).send(progress);
            (None, plan.column_of(&projected, 0.0, &mut poll)?)
        };
        Ok(Self { recipe, projected, column, unseen_offset })
    }
}

/// What cross-validation measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Share of questions whose answer has no training questions that was chosen for.
    pub unseen: f64,
    /// The chosen model.
    pub chosen: Validated,
    /// The same without moved answers, which an index has to hold; `None` if none are moved.
    pub query_only: Option<Validated>,
    /// What programs make of a residual projection that know only multi-head ones; `None` for
    /// other kinds.
    pub as_multi_head: Option<Validated>,
    /// Plain cosine.
    pub cosine: Validated,
    /// Where `unseen` is 0: cosine and the chosen model where whole answers lose their
    /// questions too, both sorts of questions weighing the same. It was not chosen by this.
    pub open: Option<(Validated, Validated)>,
    /// All candidates, best first.
    pub trials: Vec<Trial>,
    /// The weight of BM25 in hybrid search, where all questions and any answers have texts.
    pub hybrid_weight: Option<Calibrated>,
    /// The offset of answers without training questions, where questions for such are
    /// expected and the model has heads.
    pub unseen_offset: Option<Calibrated>,
}

impl Validation {
    /// Whether the model finds fewer answers than plain cosine.
    pub fn is_below_cosine(&self) -> bool {
        self.chosen.score < self.cosine.score
    }

    /// Recall@1 at the expected share of questions whose answer has no training questions.
    pub fn recall_at_1(&self, validated: &Validated) -> f64 {
        let Validated { seen, unseen, .. } = validated;
        (1.0 - self.unseen) * seen.recall_at_1 + self.unseen * unseen.recall_at_1
    }

    /// The best candidate of each kind, best first, linear methods counting as kinds.
    pub fn best_of_kinds(&self) -> Vec<&Trial> {
        let kind = |trial: &Trial| match &trial.recipe {
            Recipe::Linear(method) => method.name(),
            other => other.kind().name(),
        };
        let mut best: Vec<&Trial> = Vec::new();
        for tried in &self.trials {
            if best.iter().all(|known| kind(known) != kind(tried)) {
                best.push(tried);
            }
        }
        best
    }

    /// The metrics as they are stored with the model.
    pub fn to_json(&self) -> Value {
        let best = self.best_of_kinds().into_iter().map(|tried| {
            json!({
                "kind": tried.recipe.kind().name(),
                "recipe": tried.recipe.to_json(),
                "validated": tried.validated,
            })
        });
        json!({
            "recall_at_1": self.recall_at_1(&self.chosen),
            "mrr_at_10": self.chosen.score,
            "unseen_share": self.unseen,
            "model": self.chosen,
            "cosine": self.cosine,
            "as_multi_head": self.as_multi_head.map(|validated| json!({
                "recall_at_1": self.recall_at_1(&validated),
                "mrr_at_10": validated.score,
            })),
            "open": self.open.map(|(cosine, model)| json!({"cosine": cosine, "model": model})),
            "query_only": self.query_only.map(|validated| json!({
                "recall_at_1": self.recall_at_1(&validated),
                "mrr_at_10": validated.score,
            })),
            "candidates": self.trials.len(),
            "best_of_kinds": best.collect::<Vec<_>>(),
            "hybrid_weight": self.hybrid_weight,
            "unseen_offset": self.unseen_offset,
        })
    }
}

/// Chooses a recipe by cross-validation.
///
/// Another kind than the residual one is chosen only where it is better by more than two
/// standard errors of the difference.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options outside their range,
/// [`ErrorKind::InvalidModel`] if there are too few questions to leave any out.
pub(super) fn choose(
    data: &TrainingData,
    options: &TrainingOptions,
    progress: &mut OnProgress<'_>,
) -> Result<(Recipe, Validation)> {
    let (method, tuning) = (options.method, &options.tuning);
    let plan = Plan::new(data, tuning)?;
    let tune = options.tune || method == Method::Auto;
    let (residual, query_only) = match method {
        Method::Auto | Method::Residual => {
            let (own, still) = residual_candidate(&plan, options, progress)?;
            (Some(own), still)
        }
        _ => (None, None),
    };
    let others = candidates(method, options.temperature, tune);
    let others = others.into_iter().map(|recipe| (recipe, None)).collect();
    let others = measure(&plan, others, progress)?;
    let by_score = |a: &&(Recipe, Column), b: &&(Recipe, Column)| {
        a.1.validated.score.total_cmp(&b.1.validated.score)
    };
    let best_other = others.iter().rev().max_by(by_score);
    let own = residual.as_ref().map(|own| (own.recipe.clone(), own.column.clone()));
    let mut trials: Vec<Trial> = own.iter().chain(&others).map(Trial::of).collect();
    trials.sort_by(|a, b| b.validated.score.total_cmp(&a.validated.score));
    let is_clearly_behind = |own: &Candidate| {
        best_other.is_some_and(|(_, other)| {
            let ahead = other.validated.score - own.column.validated.score;
            ahead > CLEARLY * plan.standard_error(&own.column, other)
        })
    };
    let (chosen, query_only) = match (residual.filter(|own| !is_clearly_behind(own)), best_other) {
        (Some(own), _) => (own, query_only),
        (None, Some((recipe, _))) => {
            let projected = projected_by(&plan, recipe, progress)?;
            (Candidate::new(&plan, recipe.clone(), projected, progress)?, None)
        }
        (None, None) => unreachable!("every method has candidates"),
    };
    let Candidate { recipe, projected, column, unseen_offset } = chosen;
    let as_multi_head = match &recipe {
        Recipe::Residual(training) => {
            let temperature = training.temperature;
            let recipe = Recipe::MultiHead { temperature, top_k: None };
            let tried = others.iter().find(|(other, _)| *other == recipe);
            Some(match tried {
                Some((_, column)) => column.validated,
                None => measure(&plan, vec![(recipe, None)], progress)?[0].1.validated,
            })
        }
        _ => None,
    };
    Progress::new("weight of words", 0, 1).send(progress)?;
    let texts = data.texts();
    let hybrid_weight = texts
        .map(|texts| calibrate::hybrid_weight(&plan, &projected, texts, progress))
        .transpose()?;
    let poll = &mut || Progress::new("weight of words", 0, 1).send(progress);
    let cosine = plan.cosine(poll)?.validated;
    let mut validation = Validation {
        unseen: plan.share,
        chosen: column.validated,
        query_only,
        as_multi_head,
        cosine,
        open: None,
        trials,
        hybrid_weight,
        unseen_offset,
    };
    if plan.share == 0.0 {
        validation.open = open(data, tuning, &recipe, progress)?;
    }
    Ok((recipe, validation))
}

/// Cosine and a recipe where answers are left out too; `None` if there are too few.
fn open(
    data: &TrainingData,
    tuning: &Tuning,
    recipe: &Recipe,
    progress: &mut OnProgress<'_>,
) -> Result<Option<(Validated, Validated)>> {
    let tuning = Tuning { unseen: Some(0.5), ..tuning.clone() };
    let plan = match Plan::new(data, &tuning) {
        Ok(plan) => plan,
        Err(error) if error.kind() == ErrorKind::InvalidModel => return Ok(None),
        Err(error) => return Err(error),
    };
    let steps = plan.folds.len();
    Progress::new("answers left out", 0, steps).send(progress)?;
    let measured = measure(&plan, vec![(recipe.clone(), None)], progress)?;
    let poll = &mut || Progress::new("answers left out", steps, steps).send(progress);
    Ok(Some((plan.cosine(poll)?.validated, measured[0].1.validated)))
}
