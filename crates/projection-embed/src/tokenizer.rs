//! Text to token numbers, as sentence-transformers makes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use projection_kernel::Result;
use serde::de::IgnoredAny;
use tokenizers::{PostProcessor, TruncationParams};

use crate::config::Config;
use crate::files::invalid;

/// The tokenizer of a model folder.
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    lower_case: bool,
    vocab_size: usize,
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
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|e| invalid(path, format_args!("not JSON: {e}")).with_source(e))?;
        let mut inner = guarded(path, || tokenizers::Tokenizer::from_bytes(bytes))?;

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
        let tokenizer = Self { inner, lower_case, vocab_size, path: path.to_owned() };
        // A damaged file is reported here rather than at the first text.
        tokenizer.check(&[highest])?;
        tokenizer.tokens("")?;
        Ok(tokenizer)
    }

    /// The token numbers of `text`, special tokens included: no more than the limit, each
    /// below the vocabulary's size.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let lower;
        let text = if self.lower_case {
            lower = text.to_lowercase();
            &lower
        } else {
            text
        };
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
