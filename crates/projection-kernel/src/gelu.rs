//! GELU, x Φ(x) with Φ the distribution function of the normal distribution, as torch computes it
//! by default: with the error function, not the approximation by tanh.

use crate::dispatch::operations;
use crate::simd::{Simd, exp};

operations! {
    /// Applies GELU to each value.
    pub fn gelu(values: &mut [f32]) = gelu_kernel;
    /// Applies GELU to each value and writes its derivatives, Φ(x) + x φ(x).
    pub fn gelu_with_derivative(values: &mut [f32], derivatives: &mut [f32])
        = derivative_kernel;
}

/// Where the error function is 1 in single precision.
const LIMIT: f32 = 3.92;

/// The density of the normal distribution at 0.
const DENSITY: f32 = 0.398_942_3;

/// erf(x), within 4e-7: x P(x²)/Q(x²), of degree 5 both, fitted to the least relative error
/// on 0…3.92 (2e-8 in exact arithmetic). Without branches, so that the compiler computes
/// several at once.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const P: [f32; 6] = [
        2.050_092_7e-6,
        2.848_816e-4,
        3.765_575_4e-3,
        5.274_86e-2,
        1.904_055_3e-1,
        std::f32::consts::FRAC_2_SQRT_PI,
    ];
    const Q: [f32; 6] =
        [3.809_171e-5, 1.162_525e-3, 1.496_913_5e-2, 1.141_087_2e-1, 5.020_752_5e-1, 1.0];
    let x = x.clamp(-LIMIT, LIMIT);
    let t = x * x;
    let polynomial = |of: &[f32; 6]| of.iter().fold(0.0, |sum, coefficient| sum * t + coefficient);
    x * polynomial(&P) / polynomial(&Q)
}

/// Φ(x).
#[inline(always)]
fn normal(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_kernel<S: Simd<N>, const N: usize>(_: S, values: &mut [f32]) {
    for value in values {
        *value *= normal(*value);
    }
}

#[inline(always)]
fn derivative_kernel<S: Simd<N>, const N: usize>(
    s: S,
    values: &mut [f32],
    derivatives: &mut [f32],
) {
    for (values, derivatives) in values.chunks_mut(N).zip(derivatives.chunks_mut(N)) {
        let mut powers = [0.0; N];
        for (power, value) in powers.iter_mut().zip(&*values) {
            *power = -0.5 * value * value;
        }
        s.store(exp(s, s.load(&powers)), &mut powers);
        for ((value, derivative), power) in values.iter_mut().zip(derivatives).zip(powers) {
            let share = normal(*value);
            *derivative = share + *value * DENSITY * power;
            *value *= share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Level;

    /// erf by its Taylor series, within 1e-9 up to 4.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn every_level_is_accurate() {
        assert!((exact_erf(1.0) - 0.842_700_792_949_714_9).abs() < 1e-12);
        let points: Vec<f32> = (-39_000..=39_000).map(|step| step as f32 * 1e-4).collect();
        for (name, level) in Level::available() {
            let (mut values, mut again) = (points.clone(), points.clone());
            let mut slopes = vec![0.0; points.len()];
            on::gelu_with_derivative(level, &mut values, &mut slopes);
            on::gelu(level, &mut again);
            for (((x, value), slope), again) in points.iter().zip(values).zip(slopes).zip(again) {
                let x = f64::from(*x);
                let share = 0.5 * (1.0 + exact_erf(x * std::f64::consts::FRAC_1_SQRT_2));
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                for found in [value, again] {
                    assert!((f64::from(found) - x * share).abs() < 1e-6, "{name}: gelu({x})");
                }
                assert!((f64::from(slope) - share - x * density).abs() < 1e-6, "{name}: {x}");
            }
            let mut far = [0.0, 50.0, -50.0, 3e38, f32::NAN];
            on::gelu(level, &mut far);
            assert_eq!(far[..2], [0.0, 50.0]);
            assert!(far[2].abs() < 1e-5 && far[3] == 3e38 && far[4].is_nan(), "{name}");
        }
    }
}
