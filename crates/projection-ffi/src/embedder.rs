//! Text to vectors.

use std::ffi::c_char;

use projection_embed::Embedder;

use crate::argument::{Buffer, Out, handle, path, product, text};
use crate::error::{ErrorHandle, Status};
use crate::guard;

/// A text model. Free it with projection_embedder_free. May be used by many threads at
/// once.
pub struct EmbedderHandle(Embedder);

/// Loads the sentence-transformers model in `folder`, such as all-MiniLM-L6-v2.
///
/// # Safety
/// `folder` is NULL or a text; `embedder` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_load(
    folder: *const c_char,
    embedder: *mut *mut EmbedderHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (folder, out) = unsafe { (path("folder", folder)?, Out::new("embedder", embedder)?) };
        out.give(EmbedderHandle(Embedder::load(folder)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_embedder_load", error, body) }
}

/// Dimension of the vectors; 0 for NULL.
///
/// # Safety
/// `embedder` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_dim(embedder: *const EmbedderHandle) -> usize {
    guard::value("projection_embedder_dim", 0, || {
        // SAFETY: the caller's promise.
        unsafe { handle("embedder", embedder) }.map_or(0, |embedder| embedder.0.dim())
    })
}

/// Embeds a text into `vector`, `vector_len` = dim.
///
/// # Safety
/// `embedder` is NULL or live; `text` is NULL or a text; `vector` is NULL or of the length
/// given; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_embed(
    embedder: *const EmbedderHandle,
    text: *const c_char,
    vector: *mut f32,
    vector_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (embedder, text) =
            unsafe { (&handle("embedder", embedder)?.0, self::text("text", text)?) };
        let vector = Buffer::new("vector", vector, vector_len)?;
        vector.expect_len(embedder.dim())?;
        let embedded = embedder.embed(text)?;
        // SAFETY: the caller's promise.
        unsafe { vector.write() }?.copy_from_slice(&embedded);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_embedder_embed", error, body) }
}

/// Embeds `n` texts into the rows of `vectors`, `vectors_len` = n * dim.
///
/// # Safety
/// `embedder` is NULL or live; `texts` is NULL or has `n` entries that are NULL or texts;
/// `vectors` is NULL or of the length given; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_embed_batch(
    embedder: *const EmbedderHandle,
    texts: *const *const c_char,
    n: usize,
    vectors: *mut f32,
    vectors_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promise.
        let embedder = &unsafe { handle("embedder", embedder) }?.0;
        let texts = Buffer::new("texts", texts, n)?;
        let vectors = Buffer::new("vectors", vectors, vectors_len)?;
        vectors.expect_len(product("vectors", n, embedder.dim())?)?;
        // SAFETY: the caller's promises about the array and its entries.
        let texts = unsafe {
            let texts = texts.read()?.iter().enumerate();
            texts
                .map(|(i, text)| self::text(&format!("texts[{i}]"), *text))
                .collect::<Result<Vec<_>, _>>()?
        };
        let embedded = embedder.embed_batch(&texts)?;
        // SAFETY: the caller's promise; the texts are not used any more.
        for (value, embedded) in unsafe { vectors.write() }?.iter_mut().zip(&embedded) {
            *value = *embedded;
        }
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_embedder_embed_batch", error, body) }
}

/// Frees a text model. NULL is allowed.
///
/// # Safety
/// `embedder` is NULL or live, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_free(embedder: *mut EmbedderHandle) {
    // SAFETY: the caller gives the text model back.
    guard::value("projection_embedder_free", (), || unsafe { guard::free(embedder) })
}
