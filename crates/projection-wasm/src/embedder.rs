//! Text to vector.

use std::slice;

use projection_core::{Error, ErrorKind, Result};
use projection_embed::{Embedder, EmbedderParts};

use crate::outbox;

/// An embedder of the files of a model. `most` tokens are 0 for as many as it has positions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedder_from_bytes(
    model: *const u8,
    model_length: usize,
    tokenizer: *const u8,
    tokenizer_length: usize,
    config: *const u8,
    config_length: usize,
    most: usize,
    lower_case: bool,
    normalise: bool,
) -> *mut Embedder {
    let parts = unsafe {
        EmbedderParts {
            model: slice::from_raw_parts(model, model_length),
            tokenizer: slice::from_raw_parts(tokenizer, tokenizer_length),
            config: slice::from_raw_parts(config, config_length),
            max_tokens: Some(most).filter(|most| *most > 0),
            lower_case,
            normalise,
        }
    };
    outbox::handle(Embedder::from_parts(&parts))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedder_free(embedder: *mut Embedder) {
    drop(unsafe { Box::from_raw(embedder) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedder_dim(embedder: &Embedder) -> usize {
    embedder.dim()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedder_max_tokens(embedder: &Embedder) -> usize {
    embedder.max_tokens()
}

/// Puts the vector of a text into the outbox.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedder_embed(
    embedder: &Embedder,
    text: *const u8,
    length: usize,
) -> bool {
    let embed = || -> Result<()> {
        let text = std::str::from_utf8(unsafe { slice::from_raw_parts(text, length) })
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "a text that is not UTF-8"))?;
        let vector: Vec<u8> =
            embedder.embed(text)?.iter().flat_map(|value| value.to_le_bytes()).collect();
        outbox::put_bytes(&vector);
        Ok(())
    };
    outbox::status(embed())
}

/// What hash maps are seeded with. Nothing here is secret and nothing is sampled, and so the
/// engine needs no random numbers of its host.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    to: *mut u8,
    length: usize,
) -> std::result::Result<(), getrandom::Error> {
    let mut state = 0u64;
    for byte in unsafe { slice::from_raw_parts_mut(to, length) } {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    Ok(())
}
