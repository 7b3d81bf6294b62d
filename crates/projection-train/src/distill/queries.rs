//! Queries to learn from: labels cost nothing, so there are as many as one wants.
//!
//! A few hundred real questions do not fill a space of 384 dimensions, and a network that
//! saw only these agrees with its teacher only there. So it learns from the neighbourhood of
//! the real texts: questions with noise, mixtures of several, and answers. Half of them are
//! moved along the difference of two questions first: texts differ from each other in fewer
//! directions than even noise has, and an unusual question lies far out along these.

use crate::error::Result;
use crate::kernel;
use crate::kernel::parallel;
use crate::kernel::random::Random;

/// Rows that one thread makes at a time.
const ROWS: usize = 32;

/// Largest length of the noise, beside a text of length 1.
const NOISE: f64 = 2.0;

/// Share of the queries that are moved along a difference.
const MOVED: f64 = 0.5;

/// Where queries are made from.
pub(super) struct Source<'a> {
    /// Real questions (n × d) of length 1.
    pub questions: &'a [f32],
    /// Answers (m × d) of length 1.
    pub answers: &'a [f32],
    pub dim: usize,
}

impl Source<'_> {
    /// `count` queries (count × d) of length 1; the real questions come first, where there
    /// is room for them.
    pub fn queries(
        &self,
        count: usize,
        seed: u64,
        epoch: u64,
        threads: usize,
        poll: &mut parallel::Poll<'_>,
    ) -> Result<Vec<f32>> {
        let real = self.questions.len() / self.dim;
        let mut out = vec![0.0; count * self.dim];
        parallel::parallel_chunks_until(
            threads,
            &mut out,
            self.dim,
            ROWS,
            poll,
            |range, out, _| {
                for (row, out) in range.zip(out.chunks_mut(self.dim)) {
                    if row < real.min(count / 4) && real <= count / 4 {
                        out.copy_from_slice(self.question(row));
                        continue;
                    }
                    // A stream of its own for each row, whichever thread makes it.
                    let purpose = (epoch << 32) ^ row as u64 ^ 0xd157_1110_0000_0000;
                    self.query(&mut Random::new(seed, purpose), out);
                }
            },
        )?;
        Ok(out)
    }

    fn question(&self, row: usize) -> &[f32] {
        &self.questions[row * self.dim..][..self.dim]
    }

    fn answer(&self, row: usize) -> &[f32] {
        &self.answers[row * self.dim..][..self.dim]
    }

    /// One query: a mixture of one to three texts, moved or not, and noise.
    fn query(&self, random: &mut Random, out: &mut [f32]) {
        let questions = self.questions.len() / self.dim;
        let answers = self.answers.len() / self.dim;
        loop {
            out.fill(0.0);
            for part in 0..=random.below(3) {
                let share = if part == 0 { 1.0 } else { unit(random) } as f32;
                let text = match random.below(8) {
                    0 if answers > 0 => self.answer(random.below(answers)),
                    _ => self.question(random.below(questions)),
                };
                out.iter_mut().zip(text).for_each(|(out, text)| *out += share * text);
            }
            scale_to_unit(out);
            if unit(random) < MOVED {
                let from = self.question(random.below(questions));
                let to = self.question(random.below(questions));
                // By a length of up to 1. Both have the length 1, so this is their distance.
                let distance = (2.0 - 2.0 * kernel::dot_f64(from, to)).max(0.0).sqrt();
                let share = if distance > 1e-3 { unit(random) / distance } else { 0.0 } as f32;
                let steps = from.iter().zip(to).map(|(from, to)| share * (to - from));
                out.iter_mut().zip(steps).for_each(|(out, step)| *out += step);
                scale_to_unit(out);
            }
            let noise = (unit(random) * NOISE / (self.dim as f64).sqrt()) as f32;
            out.iter_mut().for_each(|out| *out += noise * normal(random));
            if scale_to_unit(out) {
                return;
            }
        }
    }
}

/// Brings a vector to length 1, where it has a direction.
fn scale_to_unit(vector: &mut [f32]) -> bool {
    kernel::norm(vector) >= 1e-6 && kernel::normalize(vector) > 0.0
}

/// A number from 0 to 1.
pub(super) fn unit(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number of about the standard normal distribution: the sum of four even ones, which is
/// near enough for noise and needs no logarithm.
pub(super) fn normal(random: &mut Random) -> f32 {
    let bits = random.next();
    let parts = [bits, bits >> 16, bits >> 32, bits >> 48].map(|bits| (bits & 0xffff) as f32);
    let sum: f32 = parts.iter().sum();
    // Four numbers from 0 to 65,535 have this mean and standard deviation together.
    (sum - 131_070.0) / 37_837.3
}
