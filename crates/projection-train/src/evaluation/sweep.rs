//! A model's quality against each of its parameters, the others kept.

use super::evaluator::{Evaluator, rank};
use super::{EvaluationQueries, Metrics};
use crate::error::Result;
use crate::kernel::parallel::Poll;
use crate::projection::Model;

/// Values of the temperature τ.
const TEMPERATURES: [f64; 9] = [0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5];

/// Values of k, the nearest training questions of the rotation.
const NEIGHBOURS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Values of s, the gain.
const GAINS: [f64; 9] = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0];

/// A parameter that can be changed after training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// τ.
    Temperature,
    /// k.
    Neighbours,
    /// s.
    Gain,
}

/// What a model finds at several values of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The candidate's place.
    pub candidate: usize,
    /// The parameter.
    pub parameter: Parameter,
    /// The model's own value.
    pub own: f64,
    /// Values in ascending order, the model's own among them, and what was measured.
    pub points: Vec<(f64, Metrics)>,
}

/// Sweeps with the ranks of all rounds.
#[derive(Default)]
pub(super) struct Sweeps(Vec<(Sweep, Vec<Vec<usize>>)>);

impl Sweeps {
    /// Measures all variants of `model`, the candidate with this place, on `queries`.
    pub fn add(
        &mut self,
        place: usize,
        model: &Model,
        evaluator: &Evaluator<'_>,
        queries: &EvaluationQueries,
        poll: &mut Poll<'_>,
    ) -> Result<()> {
        // No parameter that is swept changes where answers are.
        let answers = evaluator.corpus.moved_by(model)?;
        for (parameter, own, values) in parameters(model) {
            let same =
                |(known, _): &(Sweep, _)| (known.candidate, known.parameter) == (place, parameter);
            let at = self.0.iter().position(same).unwrap_or_else(|| {
                let points = values.iter().map(|value| (*value, Metrics::default())).collect();
                let sweep = Sweep { candidate: place, parameter, own, points };
                self.0.push((sweep, vec![Vec::new(); values.len()]));
                self.0.len() - 1
            });
            for (value, ranks) in values.into_iter().zip(&mut self.0[at].1) {
                let variant = variant(model, parameter, value)?;
                for start in (0..queries.len()).step_by(128) {
                    let range = start..(start + 128).min(queries.len());
                    let block = queries.queries.slice(ndarray::s![range.clone(), ..]);
                    let scores = evaluator.projected(&variant, &answers, block, poll)?;
                    let rows = scores.chunks(evaluator.corpus.len()).zip(&queries.right[range]);
                    ranks.extend(rows.map(|(scores, right)| rank(scores, right)));
                }
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<Sweep> {
        let measured = |(mut sweep, ranks): (Sweep, Vec<Vec<usize>>)| {
            let points = sweep.points.iter_mut().zip(&ranks);
            points.for_each(|((_, metrics), ranks)| *metrics = Metrics::of(ranks));
            sweep
        };
        self.0.into_iter().map(measured).collect()
    }
}

/// The parameters of a model, each with the model's own value and the values to measure.
fn parameters(model: &Model) -> Vec<(Parameter, f64, Vec<f64>)> {
    let mut parameters = Vec::new();
    let mut add = |parameter, own: f64, values: &[f64]| {
        let mut values = values.to_vec();
        values.push(own);
        values.sort_by(f64::total_cmp);
        values.dedup();
        parameters.push((parameter, own, values));
    };
    let residual = match model {
        Model::Residual(residual) => Some(residual),
        _ => None,
    };
    // Without a rotation, τ and k change nothing.
    let has_rotation = residual.is_none_or(|residual| residual.parts().rotation);
    if !model.temperature().is_nan() && has_rotation {
        add(Parameter::Temperature, model.temperature(), &TEMPERATURES);
    }
    if let Some(residual) = residual {
        if has_rotation {
            add(Parameter::Neighbours, residual.parts().neighbours as f64, &NEIGHBOURS);
        }
        add(Parameter::Gain, residual.parts().gain, &GAINS);
    }
    parameters
}

fn variant(model: &Model, parameter: Parameter, value: f64) -> Result<Model> {
    match (parameter, model) {
        (Parameter::Neighbours, Model::Residual(model)) => {
            model.with_neighbours(value as usize).map(Model::Residual)
        }
        (Parameter::Gain, Model::Residual(model)) => model.with_gain(value).map(Model::Residual),
        _ => model.with_temperature(value),
    }
}
