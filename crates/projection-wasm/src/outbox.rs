//! Where results of unknown length and errors wait for the caller.
//!
//! An error is two texts: the name of its kind and the message, with a zero byte between.

use std::cell::RefCell;

use projection_core::{Error, Result};

thread_local! {
    // 64-bit words, so that numbers in it are aligned; and how many bytes of them are used.
    static OUTBOX: RefCell<(Vec<u64>, usize)> = const { RefCell::new((Vec::new(), 0)) };
}

/// A boxed result, null for an error, which then is in the outbox.
pub(crate) fn handle<T>(result: Result<T>) -> *mut T {
    match result {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(error) => {
            put_error(&error);
            std::ptr::null_mut()
        }
    }
}

/// Whether it went well; if not, the error is in the outbox.
pub(crate) fn status(result: Result<()>) -> bool {
    result.inspect_err(put_error).is_ok()
}

fn put_error(error: &Error) {
    let mut text = String::from(error.kind().name());
    text.push('\0');
    text.push_str(&error.to_string());
    put_bytes(text.as_bytes());
}

/// Replaces the content by `size` bytes in these words.
pub(crate) fn put(words: Vec<u64>, size: usize) {
    OUTBOX.set((words, size));
}

/// The same of bytes.
pub(crate) fn put_bytes(bytes: &[u8]) {
    let words = bytes.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    });
    put(words.collect(), bytes.len());
}

/// Where the content lies.
#[unsafe(no_mangle)]
pub extern "C" fn outbox() -> *const u8 {
    OUTBOX.with_borrow(|(words, _)| words.as_ptr().cast())
}

/// Bytes of the content.
#[unsafe(no_mangle)]
pub extern "C" fn outbox_length() -> usize {
    OUTBOX.with_borrow(|(_, length)| *length)
}
