//! AdamW: Adam with decay apart from the gradient (Loshchilov and Hutter, Decoupled Weight
//! Decay Regularization, 2019).

/// Adam's decays of its two means, and what keeps it from dividing by zero.
const BETA: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// The state of an optimiser.
pub(super) struct AdamW {
    momentum: Vec<f32>,
    scale: Vec<f32>,
    step: i32,
}

impl AdamW {
    pub fn new(count: usize) -> Self {
        Self { momentum: vec![0.0; count], scale: vec![0.0; count], step: 0 }
    }

    /// One step with the sum of the rows of `gradients`, each at least as long as `values`
    /// and `width` after the one before.
    pub fn step(
        &mut self,
        values: &mut [f32],
        gradients: &[f32],
        width: usize,
        rate: f64,
        decay: f64,
    ) {
        self.step += 1;
        let kept = 1.0 - (rate * decay) as f32;
        let corrections = BETA.map(|beta| 1.0 - f64::from(beta).powi(self.step));
        let rate = (rate / corrections[0]) as f32;
        let correction = (1.0 / corrections[1]) as f32;
        let (first, others) = gradients.split_at(width);
        const BLOCK: usize = 4096;
        let mut sum = [0.0f32; BLOCK];
        for start in (0..values.len()).step_by(BLOCK) {
            let range = start..(start + BLOCK).min(values.len());
            let sum = &mut sum[..range.len()];
            sum.copy_from_slice(&first[range.clone()]);
            for other in others.chunks(width) {
                sum.iter_mut().zip(&other[range.clone()]).for_each(|(sum, by)| *sum += by);
            }
            let state = self.momentum[range.clone()].iter_mut().zip(&mut self.scale[range.clone()]);
            for ((value, (momentum, scale)), by) in values[range].iter_mut().zip(state).zip(sum) {
                *momentum = BETA[0] * *momentum + (1.0 - BETA[0]) * *by;
                *scale = BETA[1] * *scale + (1.0 - BETA[1]) * *by * *by;
                *value =
                    kept * *value - rate * *momentum / ((*scale * correction).sqrt() + EPSILON);
            }
        }
    }
}
