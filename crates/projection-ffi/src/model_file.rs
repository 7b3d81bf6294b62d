//! Models in one file each.

use std::ffi::c_char;

use crate::argument::{Buffer, Out, handle, path};
use crate::error::{ErrorHandle, Status};
use crate::guard;
use crate::model::ModelHandle;
use crate::text::TextHandle;

/// Opens the model in the .safetensors file `path`, of whatever kind, at the temperature that
/// the file gives. The file is mapped: as long as the model lives, it must not be changed in
/// place, which could change results or, where it is cut short, end the process. Replacing
/// it by renaming another one, as projection_model_save_file does, or removing it is safe.
/// The values of a file of more than 1 MiB are checked when the model is first used.
///
/// # Safety
/// `path` is NULL or a text; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load_file(
    path: *const c_char,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (path, out) = unsafe { (self::path("path", path)?, Out::new("model", model)?) };
        out.give(ModelHandle::new(projection_interop::load_file(path)?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_load_file", error, body) }
}

/// Reads a model from the `len` bytes of such a file. They are copied, and all values are
/// checked.
///
/// # Safety
/// `bytes` is NULL or has `len` bytes; `model` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_from_bytes(
    bytes: *const u8,
    len: usize,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        let bytes = Buffer::new("bytes", bytes, len)?;
        // SAFETY: the caller's promises.
        let (bytes, out) = unsafe { (bytes.read()?, Out::new("model", model)?) };
        out.give(ModelHandle::new(projection_interop::from_bytes(bytes, "model")?));
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_from_bytes", error, body) }
}

/// Writes a model to the file `path`, which projection_model_load_file opens in every
/// language. A file that was there is replaced only by the complete new one.
///
/// # Safety
/// `model` is NULL or live; `path` is NULL or a text; `error` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_save_file(
    model: *const ModelHandle,
    path: *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, path) = unsafe { (handle("model", model)?, self::path("path", path)?) };
        Ok(model.model.save_file(path)?)
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_save_file", error, body) }
}

/// Gives kind and parameters of a model as JSON, as a model file has them: for a transformer
/// embed_dim, num_heads, num_layers, ff_dim and dropout.
///
/// # Safety
/// `model` is NULL or live; `text` and `error` are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_parameters(
    model: *const ModelHandle,
    text: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    let body = || {
        // SAFETY: the caller's promises.
        let (model, out) = unsafe { (handle("model", model)?, Out::new("text", text)?) };
        out.give(TextHandle::json(&model.model.parameters())?);
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { guard::status("projection_model_parameters", error, body) }
}
