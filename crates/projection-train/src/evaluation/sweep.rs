//! A model's quality against each of its parameters, the others kept.

use crate::error::Result;
use crate::evaluation::Metrics;
use crate::projection::Model;

use super::EvaluationQueries;
use super::evaluator::{Evaluator, rank};

/// Values of the temperature τ.
const TEMPERATURES: [f64; 9] = [0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5];

/// Values of k, the nearest training questions of the rotation.
const NEIGHBOURS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

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
    /// The model's place among those that were chosen.
    pub model: usize,
    /// The parameter.
    pub parameter: Parameter,
    /// The model's own value.
    pub own: f64,
    /// Values in ascending order, the model's own among them, and what was measured.
    pub points: Vec<(f64, Metrics)>,
}

/// A model with one parameter changed.
struct Variant {
    parameter: Parameter,
    own: f64,
    value: f64,
    model: Model,
}

/// Ranks at all variants of all models, gathered over the folds.
#[derive(Default)]
pub(super) struct Sweeps {
    /// By model, parameter and value; the same in every fold.
    rows: Vec<(usize, Parameter, f64, f64, Vec<usize>)>,
}

impl Sweeps {
    /// Asks the questions of all variants of `model`, which has this place.
    pub fn add(
        &mut self,
        place: usize,
        model: &Model,
        evaluator: &Evaluator<'_>,
        asked: &EvaluationQueries,
    ) -> Result<()> {
        for Variant { parameter, own, value, model } in variants(model)? {
            let mut ranks = Vec::with_capacity(asked.len());
            for start in (0..asked.len()).step_by(128) {
                let range = start..(start + 128).min(asked.len());
                let queries = asked.queries.slice(ndarray::s![range.clone(), ..]);
                let scores = evaluator.projected(&model, queries)?;
                let rows = scores.chunks(evaluator.corpus.len()).zip(&asked.answers[range]);
                ranks.extend(rows.map(|(scores, row)| rank(scores, &evaluator.corpus.right(*row))));
            }
            let same = |row: &&mut (usize, Parameter, f64, f64, Vec<usize>)| {
                (row.0, row.1) == (place, parameter) && row.3 == value
            };
            match self.rows.iter_mut().find(same) {
                Some(row) => row.4.extend(ranks),
                None => self.rows.push((place, parameter, own, value, ranks)),
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<Sweep> {
        let mut sweeps: Vec<Sweep> = Vec::new();
        for (model, parameter, own, value, ranks) in self.rows {
            let point = (value, Metrics::of(&ranks));
            match sweeps.last_mut() {
                Some(last) if (last.model, last.parameter) == (model, parameter) => {
                    last.points.push(point);
                }
                _ => sweeps.push(Sweep { model, parameter, own, points: vec![point] }),
            }
        }
        sweeps
    }
}

fn variants(model: &Model) -> Result<Vec<Variant>> {
    let with_own = |values: &[f64], own: f64| {
        let mut values = values.to_vec();
        values.push(own);
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    };
    let mut variants = Vec::new();
    if !model.temperature().is_nan() {
        let own = model.temperature();
        for value in with_own(&TEMPERATURES, own) {
            let model = model.with_temperature(value)?;
            variants.push(Variant { parameter: Parameter::Temperature, own, value, model });
        }
    }
    if let Model::Residual(residual) = model {
        let own = residual.neighbours() as f64;
        for value in with_own(&NEIGHBOURS.map(|value| value as f64), own) {
            let model = Model::Residual(residual.with_neighbours(value as usize)?);
            variants.push(Variant { parameter: Parameter::Neighbours, own, value, model });
        }
        let own = residual.gain();
        for value in with_own(&GAINS, own) {
            let model = Model::Residual(residual.with_gain(value)?);
            variants.push(Variant { parameter: Parameter::Gain, own, value, model });
        }
        // Without a rotation, τ and k change nothing.
        if !residual.terms().0 {
            variants.retain(|variant| variant.parameter == Parameter::Gain);
        }
    }
    Ok(variants)
}
