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
use crate::train::solve::{gram, solve, weighted_product};

/// Ridge of the output layer, as a share of the mean variance.
const RIDGE: f64 = 1e-3;

/// Sets the weights of a new network from queries (n × d) and the teacher's projections
/// of them (n × o).
pub(super) fn start(
    student: &mut Student,
    queries: &[f32],
    targets: &[f32],
    seed: u64,
    threads: usize,
) -> Result<()> {
    let (h, f, d) =
        (student.sizes.shape.embed_dim, student.sizes.shape.ff_dim, student.sizes.input);
    let mut random = Random::new(seed, 0x57a7);
    let layers = student.layers.clone();
    for (number, layer) in layers.iter().enumerate() {
        let attend = &mut student.values[layer.attend.weight.clone()];
        if number > 0 {
            (0..h).for_each(|i| attend[i * h + i] = 1.0);
        } else if d == h {
            reflection(attend, &least_direction(queries, d, threads)?);
        } else {
            attend.iter_mut().for_each(|value| *value = normal(&mut random));
        }
        let scale = 1.0 / (h as f32).sqrt();
        let hidden = &mut student.values[layer.hidden.weight.clone()];
        hidden.iter_mut().for_each(|value| *value = scale * normal(&mut random));
        let bias = &mut student.values[layer.hidden.bias.clone()];
        bias.iter_mut().for_each(|value| *value = 0.5 * (unit(&mut random) as f32 - 0.5));
        let _ = f;
    }
    let hidden = student.hidden(queries);
    let slot = student.output.clone();
    fit(&mut student.values, &slot, &hidden, targets, h, threads)
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
fn least_direction(queries: &[f32], dim: usize, threads: usize) -> Result<Vec<f64>> {
    let mut moments = gram(queries, dim, threads);
    let trace: f64 = (0..dim).map(|i| moments[i * dim + i]).sum();
    (0..dim).for_each(|i| moments[i * dim + i] += 1e-6 * trace / dim as f64);
    let mut direction: Vec<f64> = (0..dim).map(|i| if i % 2 == 0 { 1.0 } else { -0.5 }).collect();
    for _ in 0..4 {
        solve(&mut moments.clone(), &mut direction, dim)?;
        let norm = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|value| *value /= norm);
    }
    Ok(direction)
}

/// Ridge regression of `targets` on `rows` (n × h), around their means, into a matrix.
fn fit(
    values: &mut [f32],
    slot: &Slot,
    rows: &[f32],
    targets: &[f32],
    h: usize,
    threads: usize,
) -> Result<()> {
    let o = slot.bias.len();
    let count = rows.len() / h;
    let mean = |rows: &[f32], width: usize| -> Vec<f32> {
        let mut mean = vec![0.0f64; width];
        for row in rows.chunks(width) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
        }
        mean.iter().map(|sum| (sum / count as f64) as f32).collect()
    };
    let centred = |rows: &[f32], mean: &[f32]| -> Vec<f32> {
        rows.chunks(mean.len())
            .flat_map(|row| row.iter().zip(mean).map(|(value, mean)| value - mean))
            .collect()
    };
    let (row_mean, target_mean) = (mean(rows, h), mean(targets, o));
    let (x, y) = (centred(rows, &row_mean), centred(targets, &target_mean));
    let mut matrix = gram(&x, h, threads);
    let trace: f64 = (0..h).map(|i| matrix[i * h + i]).sum();
    (0..h).for_each(|i| matrix[i * h + i] += (RIDGE * trace / h as f64).max(1e-9));
    let mut right = weighted_product(&y, &x, None, o, h, threads);
    solve(&mut matrix, &mut right, h)?;
    for (value, found) in values[slot.weight.clone()].iter_mut().zip(&right) {
        *value = *found as f32;
    }
    for ((bias, row), target) in
        values[slot.bias.clone()].iter_mut().zip(right.chunks(h)).zip(&target_mean)
    {
        let row: Vec<f32> = row.iter().map(|value| *value as f32).collect();
        *bias = target - kernel::dot_f64(&row, &row_mean) as f32;
    }
    Ok(())
}
