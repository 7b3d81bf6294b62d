//! Text to token numbers, as sentence-transformers makes them.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use projection_kernel::Result;
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{PostProcessor, TruncationParams};
use twox_hash::XxHash3_64;

use crate::beginning::Beginning;
use crate::config::Config;
use crate::files::invalid;

/// The tokenizer of a model folder.
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    lower_case: bool,
    vocab_size: usize,
    max_tokens: usize,
    prompt: String,
    beginning: Option<Beginning>,
    hash: String,
    path: PathBuf,
}

impl Tokenizer {
    /// Reads the bytes of `tokenizer.json`, which messages call `path`. The limit and the
    /// padding that the file may ask for are replaced: sentence-transformers does the same
    /// with its own settings.
    pub fn new(path: &Path, bytes: &[u8], config: &Config) -> Result<Self> {
        let (max_tokens, vocab_size) = (config.max_tokens, config.bert.vocab_size);
        // First as plain JSON: on a file cut off in the wrong place the library panics.
        let text = std::str::from_utf8(bytes).map_err(|e| invalid(path, e).with_source(e))?;
        let mut json: Value = serde_json::from_str(text)
            .map_err(|e| invalid(path, format_args!("not JSON: {e}")).with_source(e))?;
        let mut inner = guarded(path, || tokenizers::Tokenizer::from_bytes(bytes))?;
        if let Some(NormalizerWrapper::BertNormalizer(found)) = inner.get_normalizer() {
            let mut normaliser = *found;
            if let Some(set) = &config.normaliser {
                normaliser.handle_chinese_chars = set.tokenize_chinese_chars;
                normaliser.strip_accents = set.strip_accents;
                normaliser.lowercase = set.do_lower_case;
            }
            json["normalizer"] = serde_json::to_value(normaliser)
                .map_err(|e| invalid(path, format_args!("normaliser: {e}")).with_source(e))?;
            guarded(path, || inner.with_normalizer(Some(normaliser)).map(drop))?;
        }
        for replaced in ["truncation", "padding"] {
            json[replaced] = Value::Null;
        }
        // Keys are in alphabetical order.
        let hash = format!("{:016x}", XxHash3_64::oneshot(json.to_string().as_bytes()));

        let special = inner.get_post_processor().map_or(0, |p| p.added_tokens(false));
        if max_tokens <= special {
            return Err(invalid(
                path,
                format_args!(
                    "expected room for text besides the {special} special tokens, found a limit \
                     of {max_tokens} tokens"
                ),
            ));
        }
        let truncation = TruncationParams { max_length: max_tokens, ..Default::default() };
        inner.with_padding(None);
        inner
            .with_truncation(Some(truncation))
            .map_err(|e| invalid(path, format_args!("limit of {max_tokens} tokens: {e}")))?;

        let highest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        let lower_case = config.lower_case;
        let (prompt, path) = (config.prompt.clone(), path.to_owned());
        let beginning = Beginning::new(&inner, lower_case);
        let tokenizer =
            Self { inner, lower_case, vocab_size, max_tokens, prompt, beginning, hash, path };
        // A damaged file is reported here rather than at the first text.
        tokenizer.check(&[highest])?;
        tokenizer.tokens("")?;
        Ok(tokenizer)
    }

    /// A hash, in hexadecimal, of all that decides the tokens but for the limit.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The token numbers of `text`, special tokens included: no more than the limit, each
    /// below the vocabulary's size.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let mut text = Cow::Borrowed(text);
        if !self.prompt.is_empty() {
            text.to_mut().insert_str(0, &self.prompt);
        }
        // Of a long text the beginning is enough, unless it has few tokens for its length.
        let mut bytes = self.max_tokens.saturating_mul(16);
        if let Some(beginning) = &self.beginning {
            while bytes < text.len() {
                let (start, complete) = beginning.of(&text, bytes);
                let tokens = self.encode(&start)?;
                if complete || tokens.len() == self.max_tokens {
                    return Ok(tokens);
                }
                bytes = bytes.saturating_mul(4);
            }
        }
        if self.lower_case {
            text = Cow::Owned(text.to_lowercase());
        }
        self.encode(&text)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = guarded(&self.path, || self.inner.encode_fast(text, true))?;
        self.check(encoding.get_ids())?;
        Ok(encoding.get_ids().to_vec())
    }

    fn check(&self, tokens: &[u32]) -> Result<()> {
        match tokens.iter().find(|&&token| token as usize >= self.vocab_size) {
            None => Ok(()),
            Some(found) => Err(invalid(
                &self.path,
                format_args!(
                    "expected token numbers below {} (vocab_size of config.json), found {found}",
                    self.vocab_size
                ),
            )),
        }
    }
}

/// Calls into the tokenizer library, which panics on some damaged files, such as one whose
/// template names a token that is missing.
fn guarded<T>(path: &Path, call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    // Nothing half-changed can be seen afterwards: calls of the library go through `&self`, or
    // make a new value.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => {
            Err(invalid(path, format_args!("not a usable tokenizer: {e}")).with_source(e))
        }
        Err(_) => Err(invalid(path, "not a usable tokenizer: its parts do not fit together")),
    }
}
