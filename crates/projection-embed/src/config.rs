//! The JSON files of a model folder: what kind of model it is, and its sizes.
//!
//! Everything that this crate cannot compute exactly as sentence-transformers does is
//! refused here, so that no model silently returns wrong vectors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use projection_kernel::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::embedder::EmbedderParts;
use crate::files::{invalid, parse_json, parse_object, read, read_optional, stays_inside};
use crate::pooling::Pooling;

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
    /// How the states of a text's tokens become one vector.
    pub pooling: Pooling,
    /// Whether vectors are scaled to unit length.
    pub normalise: bool,
    /// What stands before every text.
    pub prompt: String,
    /// The number of components of a vector, after truncation.
    pub dim: usize,
    /// How the tokenizer normalises texts in place of what its own file says.
    pub normaliser: Option<NormaliserConfig>,
}

/// `config.json`: the sizes of a BERT encoder.
///
/// Sizes are only compared with the shapes of the weights, never allocated from: a made-up
/// size costs nothing.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BertConfig {
    #[serde(default = "gelu")]
    hidden_act: String,
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

/// The part of `config.json` that every kind of model has.
#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
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
    transformer_task: Option<String>,
    processing_kwargs: Option<Value>,
}

/// `tokenizer_config.json`.
#[derive(Deserialize, Default)]
struct TokenizerConfig {
    /// Limits a text if nothing else does. 1e30 stands for no limit, so not an integer.
    model_max_length: Option<f64>,
    tokenizer_class: Option<String>,
    #[serde(flatten)]
    normaliser: NormaliserConfig,
}

/// The part of `tokenizer_config.json` by which transformers overrides the normaliser in
/// `tokenizer.json` of a BERT tokenizer, also where it is missing.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct NormaliserConfig {
    pub do_lower_case: bool,
    pub strip_accents: Option<bool>,
    pub tokenize_chinese_chars: bool,
}

impl Default for NormaliserConfig {
    fn default() -> Self {
        Self { do_lower_case: true, strip_accents: None, tokenize_chinese_chars: true }
    }
}

impl TokenizerConfig {
    /// Other classes take their `tokenizer.json` as it is.
    fn normaliser(self) -> Option<NormaliserConfig> {
        let class = self.tokenizer_class.as_deref();
        matches!(class, None | Some("BertTokenizer" | "BertTokenizerFast"))
            .then_some(self.normaliser)
    }
}

/// `config_sentence_transformers.json`.
#[derive(Deserialize, Default)]
struct EncodeConfig {
    prompts: Option<BTreeMap<String, Option<String>>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
}

impl EncodeConfig {
    /// The prompt before every text, and the number of components that are kept.
    fn check(self, path: &Path, hidden_size: usize) -> Result<(String, usize)> {
        let dim = self.truncate_dim.unwrap_or(hidden_size).min(hidden_size);
        if dim == 0 {
            return Err(invalid(path, "truncate_dim: expected > 0, found 0"));
        }
        let mut prompts = self.prompts.unwrap_or_default();
        let prompt = match self.default_prompt_name.as_deref() {
            None => None,
            Some(name) => match prompts.remove(name) {
                // Two that sentence-transformers always has.
                None if !["query", "document"].contains(&name) => {
                    let what = format_args!(
                        "default_prompt_name: expected a name in prompts, found {name:?}"
                    );
                    return Err(invalid(path, what));
                }
                prompt => prompt.flatten(),
            },
        };
        Ok((prompt.unwrap_or_default(), dim))
    }
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
        let path = network_dir.join("config.json");
        let bert = BertConfig::parse(&path, &read(&path)?)?;
        let path = dir.join("config_sentence_transformers.json");
        let encode: EncodeConfig = read_optional(&path)?;
        let (prompt, dim) = encode.check(&path, bert.hidden_size)?;
        let pooling = dir.join(steps.pooling).join("config.json");
        let pooling = Pooling::parse(&pooling, &read(&pooling)?, bert.hidden_size, &prompt)?;

        let path = network_dir.join("sentence_bert_config.json");
        let limits: TransformerConfig = read_optional(&path)?;
        limits.check().map_err(|what| invalid(&path, what))?;
        let tokenizer: TokenizerConfig = read_optional(&network_dir.join("tokenizer_config.json"))?;
        let max_tokens = match limits.max_seq_length {
            Some(0) => return Err(invalid(&path, "max_seq_length: expected > 0, found 0")),
            Some(n) => n,
            // A cast from f64 saturates: the 1e30 of "no limit" becomes usize::MAX.
            None => tokenizer.model_max_length.map_or(usize::MAX, |n| n as usize),
        };
        Ok(Self {
            max_tokens: max_tokens.min(bert.max_position_embeddings),
            lower_case: limits.do_lower_case,
            pooling,
            normalise: steps.normalise,
            network_dir,
            prompt,
            dim,
            normaliser: tokenizer.normaliser(),
            bert,
        })
    }

    /// As [`load`](Self::load), of the contents of the files. Without `tokenizer_config.json`
    /// the tokenizer is what its own file says.
    pub fn from_parts(parts: &EmbedderParts<'_>) -> Result<Self> {
        let bert = BertConfig::parse(Path::new("config.json"), parts.config)?;
        let path = Path::new("config_sentence_transformers.json");
        let encode = parts.sentence_transformers_config.map(|bytes| parse_object(path, bytes));
        let encode: EncodeConfig = encode.transpose()?.unwrap_or_default();
        let (prompt, dim) = encode.check(path, bert.hidden_size)?;
        let path = Path::new("tokenizer_config.json");
        let tokenizer = parts.tokenizer_config.map(|bytes| parse_object(path, bytes));
        let tokenizer: Option<TokenizerConfig> = tokenizer.transpose()?;
        let max_tokens = parts.max_tokens.unwrap_or(usize::MAX);
        Ok(Self {
            max_tokens: max_tokens.min(bert.max_position_embeddings),
            lower_case: parts.lower_case,
            pooling: Pooling::Mean,
            normalise: parts.normalise,
            network_dir: PathBuf::new(),
            prompt,
            dim,
            normaliser: tokenizer.and_then(TokenizerConfig::normaliser),
            bert,
        })
    }
}

impl TransformerConfig {
    /// Refuses what other kinds of model have since version 5 of sentence-transformers.
    fn check(&self) -> Result<(), String> {
        if let Some(task) = self.transformer_task.as_deref().filter(|t| *t != "feature-extraction")
        {
            return Err(format!(
                "transformer_task: expected \"feature-extraction\", found {task:?}"
            ));
        }
        match &self.processing_kwargs {
            Some(Value::Object(settings)) if settings.is_empty() => Ok(()),
            None | Some(Value::Null) => Ok(()),
            Some(found) => Err(format!("processing_kwargs: expected none, found {found}")),
        }
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
        let modules: Vec<Module> = parse_json(path, &read(path)?)?;
        // Types are Python paths, whose packages differ between versions; class names do not.
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
            let found = &module.path;
            let what = format_args!("expected a path inside the folder, found {found:?}");
            return Err(invalid(path, what));
        }
        let mut paths = modules.into_iter().map(|m| m.path);
        let mut next = || paths.next().unwrap_or_default();
        Ok(Self { network: next(), pooling: next(), normalise })
    }
}

impl BertConfig {
    /// Parses the bytes of `config.json`, which messages call `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        // The kind first: other kinds lack other fields, and "missing field" would mislead.
        let kind: Kind = parse_object(path, bytes)?;
        match kind.model_type.as_deref() {
            Some("bert") => {}
            None => return Err(invalid(path, "model_type: expected \"bert\", found none")),
            Some(other) => {
                let what = format_args!("model_type: expected \"bert\", found {other:?}");
                return Err(invalid(path, what));
            }
        }
        let config: Self = parse_object(path, bytes)?;
        config.check().map_err(|what| invalid(path, what))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
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
