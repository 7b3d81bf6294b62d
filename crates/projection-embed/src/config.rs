//! The JSON files of a model folder: what kind of model it is, and its sizes.
//!
//! Everything that this crate cannot compute exactly as sentence-transformers does is
//! refused here, so that no model gives wrong vectors in silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use projection_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::files::{invalid, parse_json, read_json, read_optional_json, stays_inside};

/// What the files of a model folder say, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The sizes of the network.
    pub bert: BertConfig,
    /// The folder of the network's own files: the model folder, or one inside it.
    pub network_dir: PathBuf,
    /// The most tokens of a text, special tokens included.
    pub max_tokens: usize,
    /// Whether texts are lower-cased before they become tokens.
    pub lower_case: bool,
    /// Whether vectors are scaled to unit length.
    pub normalise: bool,
}

/// `config.json`: the sizes of a BERT encoder.
///
/// Sizes are only compared with the shapes of the weights, never allocated from: a made-up
/// size costs nothing.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BertConfig {
    model_type: String,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
}

fn gelu() -> String {
    "gelu".into()
}

fn default_eps() -> f64 {
    1e-12
}

/// One entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

/// `sentence_bert_config.json`.
#[derive(Deserialize, Default)]
struct TransformerConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// The part of `tokenizer_config.json` that limits a text where nothing else does.
#[derive(Deserialize, Default)]
struct TokenizerConfig {
    /// Written as 1e30 where there is no limit, so not an integer.
    model_max_length: Option<f64>,
}

impl Config {
    /// Reads and checks the JSON files of the model folder `dir`.
    pub fn load(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let message = format!(
                "no model folder {}: expected a sentence-transformers model",
                dir.display()
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let steps = Steps::load(&dir.join("modules.json"))?;
        let network_dir = dir.join(steps.network);
        let bert = BertConfig::load(&network_dir.join("config.json"))?;
        check_pooling(&dir.join(steps.pooling).join("config.json"), bert.hidden_size)?;

        let limits_file = network_dir.join("sentence_bert_config.json");
        let limits: TransformerConfig = read_optional_json(&limits_file)?.unwrap_or_default();
        let max_tokens = match limits.max_seq_length {
            Some(0) => return Err(invalid(&limits_file, "max_seq_length: expected > 0, found 0")),
            Some(n) => n,
            None => {
                let config: TokenizerConfig =
                    read_optional_json(&network_dir.join("tokenizer_config.json"))?
                        .unwrap_or_default();
                // A cast from f64 saturates: the 1e30 of "no limit" becomes usize::MAX.
                config.model_max_length.map_or(usize::MAX, |n| n as usize)
            }
        };
        Ok(Self {
            max_tokens: max_tokens.min(bert.max_position_embeddings),
            lower_case: limits.do_lower_case,
            normalise: steps.normalise,
            network_dir,
            bert,
        })
    }
}

impl Config {
    /// Of the bytes of `config.json`, which messages call `path`, and of what the other files
    /// of a folder would say; all positions where `max_tokens` is `None`.
    pub fn of_bytes(
        path: &Path,
        bytes: &[u8],
        max_tokens: Option<usize>,
        lower_case: bool,
        normalise: bool,
    ) -> Result<Self> {
        let bert = BertConfig::of_bytes(path, bytes)?;
        let max_tokens = max_tokens.unwrap_or(usize::MAX).min(bert.max_position_embeddings);
        Ok(Self { bert, network_dir: PathBuf::new(), max_tokens, lower_case, normalise })
    }
}

/// The steps of `modules.json`: network, pooling, perhaps normalisation.
struct Steps {
    network: String,
    pooling: String,
    normalise: bool,
}

impl Steps {
    fn load(path: &Path) -> Result<Self> {
        let modules: Vec<Module> = read_json(path)?;
        // Types are written as Python paths, which differ between versions; names do not.
        let names: Vec<&str> =
            modules.iter().map(|m| m.r#type.rsplit('.').next().unwrap_or_default()).collect();
        let normalise = match names[..] {
            ["Transformer", "Pooling"] => false,
            ["Transformer", "Pooling", "Normalize"] => true,
            _ => {
                return Err(invalid(
                    path,
                    format_args!(
                        "expected the modules Transformer, Pooling and optionally Normalize, \
                         found {names:?}"
                    ),
                ));
            }
        };
        if let Some(module) = modules.iter().find(|m| !stays_inside(&m.path)) {
            return Err(invalid(
                path,
                format_args!("expected a path inside the folder, found {:?}", module.path),
            ));
        }
        let mut paths = modules.into_iter().map(|m| m.path);
        let (network, pooling) =
            (paths.next().unwrap_or_default(), paths.next().unwrap_or_default());
        Ok(Self { network, pooling, normalise })
    }
}

impl BertConfig {
    fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        Self::of_bytes(path, &bytes)
    }

    /// [`load`](Self::load) of the bytes of a file, which messages call `path`.
    fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        // The kind first: other kinds lack other fields, and "missing field" would mislead.
        let whole: Map<String, Value> = parse_json(path, bytes)?;
        match whole.get("model_type").and_then(Value::as_str) {
            Some("bert") => {}
            other => {
                return Err(invalid(
                    path,
                    format_args!(
                        "model_type: expected \"bert\", found {}",
                        other.map_or("none".into(), |kind| format!("{kind:?}"))
                    ),
                ));
            }
        }
        let config: Self = serde_json::from_value(Value::Object(whole))
            .map_err(|e| invalid(path, format_args!("not a BERT configuration: {e}")))?;
        config.check().map_err(|what| invalid(path, what))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        debug_assert_eq!(self.model_type, "bert");
        if self.hidden_act != "gelu" {
            return Err(format!("hidden_act: expected \"gelu\", found {:?}", self.hidden_act));
        }
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|k| *k != "absolute") {
            return Err(format!("position_embedding_type: expected \"absolute\", found {kind:?}"));
        }
        if self.is_decoder {
            return Err("is_decoder: expected false, found true".into());
        }
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name}: expected > 0, found 0"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "hidden_size: expected a multiple of num_attention_heads ({}), found {}",
                self.num_attention_heads, self.hidden_size
            ));
        }
        if !(0.0..1.0).contains(&self.layer_norm_eps) {
            return Err(format!(
                "layer_norm_eps: expected at least 0 and below 1, found {}",
                self.layer_norm_eps
            ));
        }
        Ok(())
    }
}

/// Refuses every pooling but the plain mean over tokens.
fn check_pooling(path: &Path, hidden_size: usize) -> Result<()> {
    const MEAN: &str = "pooling_mode_mean_tokens";
    let config: BTreeMap<String, Value> = read_json(path)?;
    // Modes add up: with two set, sentence-transformers concatenates their vectors.
    let modes: Vec<&str> = config
        .iter()
        .filter(|(key, value)| {
            key.starts_with("pooling_mode_") && !matches!(value, Value::Bool(false) | Value::Null)
        })
        .map(|(key, _)| key.as_str())
        .collect();
    if modes != [MEAN] {
        return Err(invalid(path, format_args!("expected only {MEAN}, found {modes:?}")));
    }
    match config.get("word_embedding_dimension") {
        Some(found) if found.as_u64() != Some(hidden_size as u64) => Err(invalid(
            path,
            format_args!(
                "word_embedding_dimension: expected {hidden_size} (hidden_size of config.json), \
                 found {found}"
            ),
        )),
        _ => Ok(()),
    }
}
