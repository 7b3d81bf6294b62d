//! One vector from the states of a text's tokens.

use std::collections::BTreeMap;
use std::path::Path;

use projection_kernel::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::files::{invalid, parse_object};

/// How the last hidden states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Cls,
    LastToken,
    Max,
    Mean,
    /// The sum divided by the square root of the number of tokens.
    MeanSqrtLen,
    /// The mean with weights 1, 2, 3, …: later tokens count more.
    WeightedMean,
}

/// Each mode, its name since version 5 of sentence-transformers, and its flag before.
const MODES: [(Pooling, &str, &str); 6] = [
    (Pooling::Cls, "cls", "pooling_mode_cls_token"),
    (Pooling::LastToken, "lasttoken", "pooling_mode_lasttoken"),
    (Pooling::Max, "max", "pooling_mode_max_tokens"),
    (Pooling::Mean, "mean", "pooling_mode_mean_tokens"),
    (Pooling::MeanSqrtLen, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
    (Pooling::WeightedMean, "weightedmean", "pooling_mode_weightedmean_tokens"),
];

/// `1_Pooling/config.json`: a flag `pooling_mode_…` for each mode, or since version 5 of
/// sentence-transformers the name of one mode.
#[derive(Deserialize)]
struct PoolingConfig {
    include_prompt: Option<bool>,
    pooling_mode: Option<Value>,
    #[serde(alias = "embedding_dimension")]
    word_embedding_dimension: Option<Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Pooling {
    /// Reads the bytes of a pooling module's `config.json`, which messages call `path`.
    /// `prompt` is what stands before every text.
    pub fn parse(path: &Path, bytes: &[u8], hidden_size: usize, prompt: &str) -> Result<Self> {
        let config: PoolingConfig = parse_object(path, bytes)?;
        // Flags add up: with two set, sentence-transformers concatenates their vectors.
        let is_set = |value: &Value| !matches!(value, Value::Bool(false) | Value::Null);
        let flags = config.rest.iter().filter(|(key, _)| key.starts_with("pooling_mode_"));
        let flags: Vec<_> = flags.filter(|(_, value)| is_set(value)).map(|(key, _)| key).collect();
        let mode = MODES.iter().find(|(_, name, flag)| match &config.pooling_mode {
            Some(mode) => mode == name && flags.iter().all(|found| found == flag),
            None => flags == [flag],
        });
        let Some(&(pooling, ..)) = mode else {
            let expected: Vec<_> = MODES.iter().map(|(_, name, _)| name).collect();
            let found = config.pooling_mode.unwrap_or_default();
            let what = format_args!(
                "pooling_mode: expected one of {expected:?}, found {found} and the flags {flags:?}"
            );
            return Err(invalid(path, what));
        };
        if config.include_prompt == Some(false) && !prompt.is_empty() {
            let what =
                "include_prompt: expected true for a model with a default prompt, found false";
            return Err(invalid(path, what));
        }
        match &config.word_embedding_dimension {
            Some(found) if found.as_u64() != Some(hidden_size as u64) => Err(invalid(
                path,
                format_args!(
                    "word_embedding_dimension: expected {hidden_size} (hidden_size of \
                     config.json), found {found}"
                ),
            )),
            _ => Ok(pooling),
        }
    }

    /// The mode's name in `1_Pooling/config.json`.
    pub fn name(self) -> &'static str {
        MODES.iter().find(|(mode, ..)| *mode == self).map_or("", |(_, name, _)| name)
    }

    /// Pools the states of one text, a row for each token and at least one, into `vector`, which
    /// holds zeros.
    pub fn apply(self, states: &[f32], vector: &mut [f32]) {
        let hidden = vector.len();
        let tokens = states.len() / hidden;
        let mut add = |row: &[f32], weight: f32| {
            vector.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        };
        let rows = states.chunks_exact(hidden);
        let divisor = match self {
            Self::Cls => return vector.copy_from_slice(&states[..hidden]),
            Self::LastToken => return vector.copy_from_slice(&states[states.len() - hidden..]),
            Self::Max => {
                vector.copy_from_slice(&states[..hidden]);
                for row in rows.skip(1) {
                    // Not `f32::max`, which drops a NaN.
                    let larger = |(max, &x): (&mut f32, &f32)| {
                        if x > *max || x.is_nan() {
                            *max = x;
                        }
                    };
                    vector.iter_mut().zip(row).for_each(larger);
                }
                return;
            }
            Self::Mean => {
                rows.for_each(|row| add(row, 1.0));
                tokens as f32
            }
            Self::MeanSqrtLen => {
                rows.for_each(|row| add(row, 1.0));
                (tokens as f32).sqrt()
            }
            Self::WeightedMean => {
                rows.zip(1u32..).for_each(|(row, weight)| add(row, weight as f32));
                (tokens * (tokens + 1) / 2) as f32
            }
        };
        vector.iter_mut().for_each(|x| *x /= divisor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let states = [1.0, -8.0, 4.0, -2.0, 1.0, 4.0, 6.0, 2.0];
        let expected = [
            (Pooling::Cls, [1.0, -8.0]),
            (Pooling::LastToken, [6.0, 2.0]),
            (Pooling::Max, [6.0, 4.0]),
            (Pooling::Mean, [3.0, -1.0]),
            (Pooling::MeanSqrtLen, [6.0, -2.0]),
            (Pooling::WeightedMean, [3.6, 0.8]),
        ];
        for (pooling, expected) in expected {
            let mut vector = [0.0; 2];
            pooling.apply(&states, &mut vector);
            assert_eq!(vector, expected, "{pooling:?}");
        }
        let mut vector = [0.0; 2];
        Pooling::Max.apply(&[1.0, f32::NAN, 2.0, 3.0, 4.0, 3.0], &mut vector);
        assert!(vector[0] == 4.0 && vector[1].is_nan(), "{vector:?}");
    }
}
