//! Choosing how far a residual projection moves the answers that it is trained on.
//!
//! Angles are tried on the folds, all with the same adapters, one a fold, which are trained towards
//! the answers in place: adapters of their own take as long again for each angle and find no more.
//! The smallest angle is taken that is not worse than the best by more than half a standard error of
//! the paired difference in MRR@10: moved answers have to earn their place, since indexes that hold
//! the original ones can't use them.

use crate::choose::Candidate;
use crate::error::Result;
use crate::factors::{FoldTerms, fit_residual, fold_terms};
use crate::validation::{Column, Plan, Validated};
use crate::{OnProgress, Recipe, TrainingOptions};

/// Angles that are tried beside 0, in degrees.
const DEGREES: [f64; 4] = [18.0, 32.0, 46.0, 60.0];

/// Standard errors by which a smaller angle may be worse than the best.
const WORSE: f64 = 0.5;

/// The best residual projection, and what was measured of the one that leaves answers in place
/// if this one moves them.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
pub(super) fn residual_candidate(
    plan: &Plan<'_>,
    options: &TrainingOptions,
    progress: &mut OnProgress<'_>,
) -> Result<(Candidate, Option<Validated>)> {
    let fit = |angle: f64, terms: &[FoldTerms], progress: &mut OnProgress<'_>| {
        let fit = fit_residual(plan, options, angle, terms, progress)?;
        let recipe = Recipe::Residual(fit.training.into());
        Candidate::new(plan, recipe, fit.projected, progress)
    };
    let terms = fold_terms(plan, options, progress)?;
    let still = fit(0.0, &terms, progress)?;
    if options.query_only {
        return Ok((still, None));
    }
    let mut tried = vec![(0.0, still.column.clone())];
    for degrees in DEGREES {
        let angle = degrees.to_radians();
        tried.push((angle, fit(angle, &terms, progress)?.column));
    }
    let score = |column: &Column| column.validated.score;
    let by_score = |a: &&(f64, Column), b: &&(f64, Column)| score(&a.1).total_cmp(&score(&b.1));
    let (_, best) = tried.iter().rev().max_by(by_score).expect("0 is tried");
    let good = |(_, own): &&(f64, Column)| {
        score(best) - score(own) <= WORSE * plan.standard_error(own, best)
    };
    let (angle, _) = tried.iter().find(good).expect("the best is not worse than itself");
    if *angle == 0.0 {
        return Ok((still, None));
    }
    Ok((fit(*angle, &terms, progress)?, Some(still.column.validated)))
}
