//! Calls of embedders: text to vector.

use projection_core::{Error, ErrorKind};
use projection_embed::{Embedder, EmbedderParts};

use crate::objects::{Object, make, run_on, wrong_handle};

/// Makes an embedder of a model's files, which are the input, one after the other: so many
/// bytes of weights, so many of the tokenizer, and the configuration. A text has at most
/// `max_tokens` tokens; 0 stands for as many as the model has positions.
#[unsafe(no_mangle)]
pub extern "C" fn embedder_from_bytes(
    weights: usize,
    tokenizer: usize,
    max_tokens: usize,
    lower_case: bool,
    normalise: bool,
) -> usize {
    make(|input| {
        let outside = || Error::new(ErrorKind::InvalidArgument, "lengths outside the input");
        let (model, rest) = input.bytes.split_at_checked(weights).ok_or_else(outside)?;
        let (tokenizer, config) = rest.split_at_checked(tokenizer).ok_or_else(outside)?;
        let max_tokens = Some(max_tokens).filter(|max| *max > 0);
        let parts = EmbedderParts { model, tokenizer, config, max_tokens, lower_case, normalise };
        Embedder::from_parts(&parts).map(Object::Embedder)
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
