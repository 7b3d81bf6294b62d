//! How a transformer is distilled.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::parallel;

/// Most queries a step: each 64 of them take memory of the size of the weights.
const LARGEST_BATCH: usize = 1024;

/// How a transformer is distilled.
#[derive(Debug, Clone, PartialEq)]
pub struct Distillation {
    /// Attention heads, a divisor of the queries' dimension. They are written to the file
    /// and change nothing: a sequence of length 1 has nothing to attend to but itself.
    pub heads: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Width of the layers' inner part.
    pub ff_dim: usize,
    /// Share of the inner values that training drops, 0 to below 1. It only slows learning
    /// down where queries are made anew for every epoch.
    pub dropout: f64,
    /// Times that `samples` queries are learnt from.
    pub epochs: usize,
    /// Queries an epoch, made anew for each.
    pub samples: usize,
    /// Queries a step.
    pub batch: usize,
    /// Highest rate of AdamW. It rises to this over the first twentieth of the steps and
    /// then falls along a cosine to 0.
    pub rate: f64,
    /// Weight decay of AdamW, beside the gradient.
    pub decay: f64,
    /// λ of the loss (1 − λ)·MSE + λ·(1 − cosine), 0 to 1.
    pub cosine_weight: f64,
    /// Share of the real questions that [`distill_model`](super::distill_model) keeps out, where there are no
    /// others to test with. Above 0, at most 0.5.
    pub held_out: f64,
    /// Epochs without a better loss on held-out questions after which training stops. The
    /// best weights are kept.
    pub patience: usize,
    /// Seed: the same one gives the same weights on the same kind of processor.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            heads: 4,
            layers: 2,
            ff_dim: 512,
            dropout: 0.0,
            epochs: 200,
            samples: 4096,
            batch: 128,
            rate: 3e-3,
            decay: 0.01,
            cosine_weight: 0.7,
            held_out: 0.2,
            patience: 50,
            seed: 0,
            threads: parallel::threads(),
        }
    }
}

impl Distillation {
    /// Defaults for a teacher with so many heads, over queries of dimension `dim`: heads H
    /// and layers L with H^L ≈ N, from two to four layers. Teachers without heads get H = 4,
    /// L = 2, where 4 divides the dimension.
    pub fn suggested(teacher_heads: usize, dim: usize) -> Self {
        let wanted = if teacher_heads < 2 { 16.0 } else { teacher_heads as f64 };
        let layers: u32 = match wanted {
            n if n <= 64.0 => 2,
            n if n <= 512.0 => 3,
            _ => 4,
        };
        let miss = |heads: &usize| ((*heads as f64).ln() * f64::from(layers) - wanted.ln()).abs();
        let divisors = (1..=dim.min(16)).filter(|heads| dim.is_multiple_of(*heads));
        let heads = divisors.min_by(|a, b| miss(a).total_cmp(&miss(b))).unwrap_or(1);
        Self { heads, layers: layers as usize, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        for (name, value) in [("epochs", self.epochs), ("threads", self.threads)] {
            if value == 0 {
                return refuse(format!("{name} 0, expected a number above zero"));
            }
        }
        if !(1..=LARGEST_BATCH).contains(&self.batch) || self.samples < self.batch {
            return refuse(format!(
                "batch {} of {} samples, expected 1 to {LARGEST_BATCH} and no more than these",
                self.batch, self.samples
            ));
        }
        let share = (0.0..=1.0).contains(&self.cosine_weight);
        let half = self.held_out > 0.0 && self.held_out <= 0.5;
        let rate = self.rate > 0.0 && self.rate <= 1.0;
        for (name, value, fits, expected) in [
            ("cosine weight", self.cosine_weight, share, "0 to 1"),
            ("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "0 to below 1"),
            ("decay", self.decay, (0.0..=1.0).contains(&self.decay), "0 to 1"),
            ("rate", self.rate, rate, "above 0, at most 1"),
            ("held-out share", self.held_out, half, "above 0, at most 0.5"),
        ] {
            if !fits {
                return refuse(format!("{name} {value}, expected {expected}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_layers_follow_from_the_teachers_heads() {
        let suggested = |heads, dim| {
            let options = Distillation::suggested(heads, dim);
            (options.heads, options.layers)
        };
        assert_eq!(suggested(18, 384), (4, 2));
        assert_eq!(suggested(64, 384), (8, 2));
        assert_eq!(suggested(200, 384), (6, 3));
        assert_eq!(suggested(1000, 384), (6, 4));
        assert_eq!(suggested(0, 384), (4, 2));
        assert_eq!(suggested(18, 7), (7, 2));
        assert_eq!(suggested(18, 1), (1, 2));
    }
}
