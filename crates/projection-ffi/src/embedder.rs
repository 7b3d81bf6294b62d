//! Text to vectors.

use std::ffi::{c_char, c_void};

use projection_embed::Embedder;
use projection_engine::check_embedder;

use crate::argument::{Buffer, product};
use crate::error::{ErrorHandle, Status};
use crate::progress::ProgressC;
use crate::store::StoreHandle;

/// An embedding model. Free it with projection_embedder_free. Any number of threads may use it at
/// once.
pub struct EmbedderHandle(Embedder);

/// Loads the sentence-transformers model in `folder`, such as all-MiniLM-L6-v2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_load(
    folder: *const c_char,
    embedder: *mut *mut EmbedderHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (folder, out) = (path!(folder), out!(embedder));
        out.give(EmbedderHandle(Embedder::load(folder)?));
    })
}

/// Dimension of the vectors; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_embedder_dim(embedder: Option<&EmbedderHandle>) -> usize {
    panic_boundary!(0, embedder.map_or(0, |embedder| embedder.0.dim()))
}

/// Counts the tokens of a text that the model reads: special tokens and the prompt included, and
/// nothing beyond its limit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_count_tokens(
    embedder: Option<&EmbedderHandle>,
    text: *const c_char,
    tokens: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (EmbedderHandle(embedder), text, out) = (handle!(embedder), text!(text), out!(tokens));
        out.set(embedder.count_tokens(text)?);
    })
}

/// Embeds a text into `vector`, `vector_len` = dim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_embed(
    embedder: Option<&EmbedderHandle>,
    text: *const c_char,
    vector: *mut f32,
    vector_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (EmbedderHandle(embedder), text) = (handle!(embedder), text!(text));
        let vector = Buffer::new("vector", vector, vector_len)?;
        vector.expect_len(embedder.dim())?;
        let embedded = embedder.embed(text)?;
        // SAFETY: the header requires an array of this length.
        unsafe { vector.write() }?.copy_from_slice(&embedded);
    })
}

/// Embeds `n` texts into the rows of `vectors`, `vectors_len` = n * dim. A step of `progress`, which
/// may be NULL, is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_embedder_embed_batch(
    embedder: Option<&EmbedderHandle>,
    texts: *const *const c_char,
    n: usize,
    progress: ProgressC,
    context: *mut c_void,
    vectors: *mut f32,
    vectors_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let EmbedderHandle(embedder) = handle!(embedder);
        let vectors = Buffer::new("vectors", vectors, vectors_len)?;
        vectors.expect_len(product("vectors", n, embedder.dim())?)?;
        let mut progress = reporter!(progress, context).progress();
        let embedded = embedder.embed_batch_with(&texts!(texts, n), &mut progress)?;
        // SAFETY: the header requires an array of this length; the texts are not used any more.
        let vectors = unsafe { vectors.write() }?;
        vectors.iter_mut().zip(&embedded).for_each(|(value, embedded)| *value = *embedded);
    })
}

/// Refuses an embedding model that did not make the vectors of a store: its vectors may have the
/// same dimension and yet nothing in common with them. `model_name` is the embedding model in the
/// store; NULL stands for the only one there is. The store records a fingerprint of the model that
/// embedded it; if it has none, a few stored texts are embedded and compared with their vectors.
///
/// It is PROJECTION_STATUS_DIMENSION_MISMATCH for another dimension and
/// PROJECTION_STATUS_INVALID_EMBEDDER for another model. Whoever knows better does not call this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_store_check_embedder(
    store: Option<&StoreHandle>,
    model_name: *const c_char,
    embedder: Option<&EmbedderHandle>,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (store, model_name) = (handle!(store).lock(), optional_text!(model_name));
        let EmbedderHandle(embedder) = handle!(embedder);
        let model = store.embedding_model(model_name)?;
        check_embedder(&store, &model, embedder, false)?;
    })
}

/// Frees an embedding model. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_embedder_free(embedder: Option<Box<EmbedderHandle>>) {
    panic_boundary!((), drop(embedder))
}
