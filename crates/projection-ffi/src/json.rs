//! Options and reports as JSON, and options as structures that begin with their size.

use std::ffi::{CString, c_char};

use projection_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::argument::{Out, invalid, required};

/// Options as JSON; NULL stands for the defaults. Options are types that refuse unknown keys.
macro_rules! json_options {
    ($options:ident) => {
        match optional_text!($options) {
            None => Default::default(),
            Some(json) => $crate::json::parse(stringify!($options), json)?,
        }
    };
}

/// Reads JSON of the caller.
pub fn parse<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| invalid(name, error))
}

/// A text returned by a call, UTF-8. Free it with projection_text_free. Any number of threads
/// may read it at once.
pub struct TextHandle(CString);

/// Returns a report as JSON. JSON escapes control characters, so it holds no NUL.
pub fn give_json(out: Out<*mut TextHandle>, report: &impl Serialize) -> Result<()> {
    let failed = |error: String| Error::new(ErrorKind::Internal, error);
    let json = serde_json::to_string(report).map_err(|error| failed(error.to_string()))?;
    out.give(TextHandle(CString::new(json).map_err(|error| failed(error.to_string()))?));
    Ok(())
}

/// The text, which ends with NUL, valid until it is freed; "" for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_text_data(text: Option<&TextHandle>) -> *const c_char {
    panic_boundary!(c"".as_ptr(), text.map_or(c"".as_ptr(), |text| text.0.as_ptr()))
}

/// The length of the text in bytes, without the NUL; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_text_len(text: Option<&TextHandle>) -> usize {
    panic_boundary!(0, text.map_or(0, |text| text.0.as_bytes().len()))
}

/// Frees a text. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_text_free(text: Option<Box<TextHandle>>) {
    panic_boundary!((), drop(text))
}

/// A structure of options, to which later versions may add fields at the end.
///
/// # Safety
/// `#[repr(C)]`; the first field is `size: usize`; all bytes may be 0, which stands for the
/// defaults.
pub unsafe trait SizedOptions: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// Its size in version 1.
    const MINIMUM: usize;
}

/// The largest structure that a later version may have.
const LARGEST: usize = 4096;

/// The options of a caller, whose structure may be older or newer than this version's; NULL
/// stands for the defaults.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its first field says.
pub unsafe fn sized_options<T: SizedOptions>(name: &str, options: *const T) -> Result<T> {
    // SAFETY: all bytes of the structure may be 0.
    let mut found: T = unsafe { std::mem::zeroed() };
    if options.is_null() {
        return Ok(found);
    }
    // SAFETY: the caller promises that the structure begins with its size.
    let size = *required(name, unsafe { options.cast::<usize>().as_ref() })?;
    let known = size_of::<T>();
    if !(T::MINIMUM..=LARGEST).contains(&size) {
        let what = format!(
            "has the size {size}, expected {} to {LARGEST}: set options.size to sizeof({})",
            T::MINIMUM,
            T::NAME
        );
        return Err(invalid(name, what));
    }
    // SAFETY: the caller promises `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    let (bytes, rest) = bytes.split_at(size.min(known));
    if rest.iter().any(|byte| *byte != 0) {
        return Err(invalid(name, "has fields that this version does not know"));
    }
    // SAFETY: `found` has at least as many bytes, and the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut found).cast(), bytes.len()) };
    Ok(found)
}
