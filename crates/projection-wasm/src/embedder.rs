//! Calls of embedders: text to vector.

use projection_core::{Error, ErrorKind};
use projection_embed::{Embedder, EmbedderParts};
use serde_json::Value;

use crate::objects::{Object, make, run_on, wrong_handle};

/// Makes an embedder of a model's files, which are the input, one after the other: so many
/// bytes of weights, so many of the tokenizer, so many of the configuration, and then the options
/// as JSON, whose keys are those of `EmbedderOptions` in `bindings/js`.
#[unsafe(no_mangle)]
pub extern "C" fn embedder_from_bytes(weights: usize, tokenizer: usize, config: usize) -> usize {
    make(|input| {
        let invalid = |what: String| Error::new(ErrorKind::InvalidArgument, what);
        let outside = || invalid("lengths outside the input".into());
        let (model, rest) = input.bytes.split_at_checked(weights).ok_or_else(outside)?;
        let (tokenizer, rest) = rest.split_at_checked(tokenizer).ok_or_else(outside)?;
        let (config, options) = rest.split_at_checked(config).ok_or_else(outside)?;
        let options: Value =
            serde_json::from_slice(options).map_err(|e| invalid(format!("options: {e}")))?;
        let file = |key: &str| Some(&options[key]).filter(|v| !v.is_null()).map(Value::to_string);
        let (words, sentences) = (file("tokenizerConfig"), file("sentenceTransformersConfig"));
        let embedder = Embedder::from_parts(&EmbedderParts {
            model,
            tokenizer,
            config,
            max_tokens: options["maxTokens"].as_u64().filter(|n| *n > 0).map(|n| n as usize),
            lower_case: options["lowerCase"].as_bool().unwrap_or(false),
            normalise: options["normalise"].as_bool().unwrap_or(true),
            tokenizer_config: words.as_ref().map(String::as_bytes),
            sentence_transformers_config: sentences.as_ref().map(String::as_bytes),
        })?;
        let recorded = file("fingerprint").map(|text| text.parse()).transpose()?;
        let difference = recorded.and_then(|recorded| embedder.fingerprint().difference(&recorded));
        if let Some(difference) = difference {
            let what = "not the embedding model that made the vectors with this fingerprint";
            return Err(Error::new(ErrorKind::InvalidEmbedder, format!("{what}: {difference}")));
        }
        Ok(Object::Embedder(Box::new(embedder)))
    })
}

/// Embeds the text whose bytes are the input. The output is its vector.
#[unsafe(no_mangle)]
pub extern "C" fn embedder_embed(handle: usize) -> bool {
    run_on(handle, |object, input, output| {
        let Object::Embedder(embedder) = object else { return Err(wrong_handle()) };
        let text = std::str::from_utf8(&input.bytes)
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "a text that is not UTF-8"))?;
        output.floats = embedder.embed(text)?;
        Ok(())
    })
}

/// Seeds hash maps, without random numbers from the host: nothing here is secret and nothing
/// is sampled.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    to: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: `getrandom` passes the start and the length of a buffer that it owns.
    let bytes = unsafe { std::slice::from_raw_parts_mut(to, length) };
    let mut state = 0u64;
    for byte in bytes {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    Ok(())
}
