//! Whether a new model may take the place of another one.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::kinds::{measure, projected};
use crate::projection::{Model, Projection};
use crate::validation::{Plan, Validated};
use crate::{OnProgress, Progress, Recipe, TrainingData, Tuning};

/// The model that is in use.
#[derive(Debug, Clone, Copy)]
pub enum Incumbent<'a> {
    /// How it was trained, and its offset of unseen answers: it is trained again without the
    /// questions that are left out.
    Recipe(&'a Recipe, Option<f64>),
    /// The model as it is, where how it was trained is not known. It may know the questions that
    /// are left out, which is to its advantage.
    Model(&'a Model),
}

/// A new model and the one in use, measured on the same questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The new model.
    pub new: Validated,
    /// The one in use.
    pub incumbent: Validated,
    /// The standard error of the difference of their scores.
    pub standard_error: f64,
}

impl Comparison {
    /// Whether the new model is worse by more than the standard error of the difference.
    pub fn is_worse(&self) -> bool {
        self.incumbent.score - self.new.score > self.standard_error
    }
}

/// Measures how `recipe`, with its offset of unseen answers, and the model in use answer
/// questions that are left out in turn.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] if there are too few questions to
/// leave any out, [`ErrorKind::DimensionMismatch`] for a
/// model of other dimensions; as [`Recipe::train`].
pub fn compare(
    data: &TrainingData,
    (recipe, offset): (&Recipe, Option<f64>),
    incumbent: Incumbent<'_>,
    tuning: &Tuning,
    progress: &mut OnProgress<'_>,
) -> Result<Comparison> {
    let plan = Plan::new(data, tuning)?;
    let mut recipes = vec![(recipe.clone(), offset)];
    if let Incumbent::Recipe(recipe, offset) = incumbent {
        recipes.push((recipe.clone(), offset));
    }
    let mut columns = measure(&plan, recipes, progress)?.into_iter().map(|(_, column)| column);
    let new = columns.next().expect("one column a recipe");
    let of_incumbent = match (incumbent, columns.next()) {
        (Incumbent::Model(model), _) => {
            if model.output_dim() != data.dim() {
                let what =
                    format!("a model to dimension {}, expected {}", model.output_dim(), data.dim());
                return Err(Error::new(ErrorKind::DimensionMismatch, what));
            }
            let heads: HashSet<i64> = model.head_ids().iter().copied().collect();
            let has_head = |cluster: &Option<i64>| cluster.is_some_and(|id| heads.contains(&id));
            let seen: Vec<bool> = data.clusters().iter().map(has_head).collect();
            let offset = model.unseen_offset().unwrap_or_default();
            let steps = plan.folds.len();
            let ranks = plan.folds.iter().enumerate().map(|(number, fold)| {
                let poll = &mut || Progress::new("other kinds", number, steps).send(progress);
                let projected = projected(model, plan.queries(fold), data, poll)?;
                plan.ranks(fold, &projected, &seen, offset, poll)
            });
            plan.column(ranks.collect::<Result<Vec<_>>>()?.into_iter().flatten())
        }
        (_, column) => column.expect("one column a recipe"),
    };
    Ok(Comparison {
        new: new.validated,
        incumbent: of_incumbent.validated,
        standard_error: plan.standard_error(&new, &of_incumbent),
    })
}
