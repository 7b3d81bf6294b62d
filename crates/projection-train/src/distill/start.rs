//! Where training starts: a network that passes the query through.
//!
//! The first matrix is a reflection, the inner parts of the layers add nothing yet, and the
//! output layer is the ridge regression of the teacher's projections on what arrives there.
//! A layer norm takes the mean away, one direction of the space; the reflection puts there
//! the direction in which the queries differ least.

use super::queries::{normal, unit};
use super::student::{Slot, Student};
use crate::error::Result;
use crate::kernel;
use crate::kernel::random::Random;
use crate::linalg::{Ridge, cholesky, product};
use faer::Mat;
use faer::linalg::solvers::Solve;

/// Ridge of the output layer, as a share of the mean variance.
const RIDGE: f64 = 1e-3;

/// Sets the weights of a new network from queries (n × d) and the teacher's projections
/// of them (n × o).
pub(super) fn start(
    student: &mut Student,
    queries: &[f32],
    targets: &[f32],
    seed: u64,
) -> Result<()> {
    let (h, d) = (student.sizes.shape.embed_dim, student.sizes.input);
    let mut random = Random::new(seed, 0x57a7);
    let layers = student.layers.clone();
    for (number, layer) in layers.iter().enumerate() {
        let attend = &mut student.values[layer.attend.weight.clone()];
        if number > 0 {
            (0..h).for_each(|i| attend[i * h + i] = 1.0);
        } else if d == h {
            reflection(attend, &least_direction(queries, d)?);
        } else {
            attend.iter_mut().for_each(|value| *value = normal(&mut random));
        }
        let scale = 1.0 / (h as f32).sqrt();
        let hidden = &mut student.values[layer.hidden.weight.clone()];
        hidden.iter_mut().for_each(|value| *value = scale * normal(&mut random));
        let bias = &mut student.values[layer.hidden.bias.clone()];
        bias.iter_mut().for_each(|value| *value = 0.5 * (unit(&mut random) as f32 - 0.5));
    }
    let hidden = student.hidden(queries);
    let slot = student.output.clone();
    fit(&mut student.values, &slot, &hidden, targets, h)
}

/// √h times the reflection that takes the last of the unit vectors of direction
/// (1, …, 1) to `direction`.
fn reflection(matrix: &mut [f32], direction: &[f64]) {
    let h = direction.len();
    let even = 1.0 / (h as f64).sqrt();
    // The mirror is at a right angle to the difference of the two.
    let mut mirror: Vec<f64> = direction.iter().map(|value| value - even).collect();
    let norm = mirror.iter().map(|value| value * value).sum::<f64>();
    if norm < 1e-12 {
        mirror.fill(0.0);
    }
    let factor = if norm < 1e-12 { 0.0 } else { 2.0 / norm };
    for (i, row) in matrix.chunks_mut(h).enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            let identity = if i == j { 1.0 } else { 0.0 };
            *value = ((h as f64).sqrt() * (identity - factor * mirror[i] * mirror[j])) as f32;
        }
    }
}

/// The direction in which queries differ least: of the smallest eigenvalue of their second
/// moments, by inverse iteration.
fn least_direction(queries: &[f32], dim: usize) -> Result<Vec<f64>> {
    let mut moments = product(queries, dim, queries, dim);
    let trace: f64 = (0..dim).map(|i| moments[(i, i)]).sum();
    (0..dim).for_each(|i| moments[(i, i)] += 1e-6 * trace / dim as f64);
    let factor = cholesky(&moments)?;
    let mut direction = Mat::from_fn(dim, 1, |i, _| if i % 2 == 0 { 1.0 } else { -0.5 });
    for _ in 0..4 {
        factor.solve_in_place(direction.as_mut());
        let norm = direction.norm_l2();
        direction.col_mut(0).iter_mut().for_each(|value| *value /= norm);
    }
    Ok(direction.col(0).iter().copied().collect())
}

/// Ridge regression of `targets` on `rows` (n × h), around their means, into a matrix.
fn fit(values: &mut [f32], slot: &Slot, rows: &[f32], targets: &[f32], h: usize) -> Result<()> {
    let outputs = slot.bias.len();
    let centred = |rows: &[f32], width: usize| -> (Vec<f32>, Vec<f32>) {
        let mut mean = vec![0.0f64; width];
        for row in rows.chunks(width) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
        }
        let count = (rows.len() / width) as f64;
        let mean: Vec<f32> = mean.iter().map(|sum| (sum / count) as f32).collect();
        let centred = rows.chunks(width).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m));
        (centred.collect(), mean)
    };
    let ((x, row_mean), (y, target_mean)) = (centred(rows, h), centred(targets, outputs));
    let trace: f64 = x.iter().map(|value| f64::from(*value).powi(2)).sum();
    let ridge = (RIDGE * trace / h as f64).max(1e-9);
    let matrix = Ridge::new(&x, h, &y, outputs).solve(ridge, false)?;
    let matrix = matrix.as_slice().expect("made row-major");
    values[slot.weight.clone()].copy_from_slice(matrix);
    let biases = values[slot.bias.clone()].iter_mut().zip(matrix.chunks(h)).zip(&target_mean);
    for ((bias, row), target) in biases {
        *bias = target - kernel::dot_f64(row, &row_mean) as f32;
    }
    Ok(())
}
