//! Candidates of the kinds that are made in one step: multi-head and linear projections.

use std::sync::Arc;

use ndarray::Array2;

use crate::error::Result;
use crate::kernel::parallel::Poll;
use crate::linalg::Ridge;
use crate::linear::check;
use crate::projection::{LinearProjection, Model, Projection};
use crate::recipe::multi_head;
use crate::validation::{Column, Plan, Projected, to_unit_rows};
use crate::{LinearMethod, Method, OnProgress, Progress, Recipe, TrainingData};

/// Temperatures of multi-head projections that are tried.
const TEMPERATURES: [f64; 4] = [0.02, 0.05, 0.1, 0.2];

/// μ of linear projections that are tried, for questions of length 1.
const RIDGES: [f64; 4] = [1.0, 3.0, 10.0, 30.0];

/// μ of LDA that are tried beside the usual one.
const LDA_RIDGES: [f64; 2] = [0.1, 1.0];

/// The candidates of a method; with `tune`, further parameters than the usual ones.
pub(super) fn candidates(method: Method, temperature: f64, tune: bool) -> Vec<Recipe> {
    let multi_head = |temperature| Recipe::MultiHead { temperature, top_k: None };
    let to_identity = |ridge| Recipe::Linear(LinearMethod::RidgeToIdentity { ridge });
    let lda = Recipe::Linear(LinearMethod::lda());
    let all_ridges = || {
        let plain = RIDGES.map(|ridge| Recipe::Linear(LinearMethod::Ridge { ridge }));
        RIDGES.map(to_identity).into_iter().chain(plain)
    };
    match (method, tune) {
        (Method::Residual, _) => Vec::new(),
        (Method::MultiHead, false) => vec![multi_head(temperature)],
        (Method::MultiHead, true) => TEMPERATURES.map(multi_head).to_vec(),
        (Method::Lda, false) => vec![lda],
        (Method::Lda, true) => {
            let spread = LinearMethod::lda().regularisation().0;
            let more = LDA_RIDGES.map(|ridge| Recipe::Linear(LinearMethod::Lda { spread, ridge }));
            [lda].into_iter().chain(more).collect()
        }
        (Method::Ridge, false) => vec![to_identity(RIDGES[0])],
        (Method::Ridge, true) => all_ridges().collect(),
        (Method::Auto, _) => {
            [multi_head(temperature), lda].into_iter().chain(all_ridges()).collect()
        }
    }
}

/// What is measured of each candidate, with its offset of unseen answers if it has one.
///
/// # Errors
/// As [`train_linear`](crate::train_linear) and
/// [`weighted_centroid`](crate::weighted_centroid).
pub(super) fn measure(
    plan: &Plan<'_>,
    recipes: Vec<(Recipe, Option<f64>)>,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<(Recipe, Column)>> {
    let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); recipes.len()];
    let steps = plan.folds.len();
    for (number, fold) in plan.folds.iter().enumerate() {
        let data = &fold.data;
        let mut problems: Vec<(LinearMethod, Ridge)> = Vec::new();
        for ((recipe, offset), ranks) in recipes.iter().zip(&mut ranks) {
            Progress::new("other kinds", number, steps).send(progress)?;
            let model = match recipe {
                Recipe::Linear(method) => {
                    let known = problems.iter().position(|(of, _)| of.shares_problem_with(*method));
                    let known = match known {
                        Some(known) => known,
                        None => {
                            let (questions, answers) = (data.questions(), data.answers());
                            check(questions, answers, data.labels(), *method)?;
                            let problem = method.problem(questions, answers, data.labels())?;
                            problems.push((*method, problem));
                            problems.len() - 1
                        }
                    };
                    let matrix = method.solve(&problems[known].1)?;
                    Model::Linear(LinearProjection::new(matrix)?)
                }
                Recipe::MultiHead { temperature, .. } => {
                    Model::MultiHead(multi_head(data, *temperature)?)
                }
                Recipe::Residual(_) => recipe.train(data, progress)?,
            };
            let poll = &mut || Progress::new("other kinds", number, steps).send(progress);
            let projected = projected(&model, plan.queries(fold), data, poll)?;
            let offset = offset.unwrap_or_default();
            ranks.extend(plan.ranks(fold, &projected, &data.seen(), offset, poll)?);
        }
    }
    let columns = ranks.into_iter().map(|ranks| plan.column(ranks.into_iter()));
    Ok(recipes.into_iter().map(|(recipe, _)| recipe).zip(columns).collect())
}

/// The asked questions of every fold as a model of the recipe projects them.
pub(super) fn projected_by(
    plan: &Plan<'_>,
    recipe: &Recipe,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<Projected>> {
    let of_fold = |fold: &crate::folds::Fold| {
        let model = recipe.train(&fold.data, progress)?;
        let poll = &mut || Progress::new("other kinds", 0, plan.folds.len()).send(progress);
        projected(&model, plan.queries(fold), &fold.data, poll)
    };
    plan.folds.iter().map(of_fold).collect()
}

/// `queries` as a model projects them, and the answers of `data` where it moves them.
pub(super) fn projected(
    model: &Model,
    queries: Array2<f32>,
    data: &TrainingData,
    poll: &mut Poll<'_>,
) -> Result<Projected> {
    let mut projected = Array2::zeros((queries.nrows(), model.output_dim()));
    model.project_batch_on(1, queries.view(), projected.view_mut(), None, poll)?;
    to_unit_rows(&mut projected);
    let mut answers = data.shared_answers();
    if let Some(residual) = model.as_residual().filter(|residual| residual.moves_answers()) {
        let answers = Arc::make_mut(&mut answers);
        for (mut answer, cluster) in answers.rows_mut().into_iter().zip(data.clusters()) {
            let head = cluster.and_then(|id| residual.cluster_ids().binary_search(&id).ok());
            if let Some(head) = head {
                let moved = residual.moved_answer(head, answer.as_slice().expect("row-major"))?;
                answer.assign(&ndarray::aview1(&moved));
            }
        }
    }
    Ok(Projected { queries: projected, answers })
}
