//! Options and reports as JSON.

use std::ffi::{CString, c_char};

use projection_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::argument::{Out, invalid};

/// Options as JSON; NULL stands for the defaults. Options are types that refuse unknown keys.
macro_rules! json_options {
    ($options:ident) => {
        match optional_text!($options) {
            None => Default::default(),
            Some(json) => $crate::json::options(stringify!($options), json)?,
        }
    };
}

/// Reads options, which are an object: serde would take an array of values for a structure too.
pub fn options<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    let object: serde_json::Map<String, serde_json::Value> = parse(name, json)?;
    serde_json::from_value(object.into()).map_err(|error| invalid(name, error))
}

/// Reads JSON of the caller.
pub fn parse<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| invalid(name, error))
}

/// A text returned by a call, UTF-8. Free it with projection_text_free. Any number of threads
/// may read it at once.
pub struct TextHandle(CString);

impl TextHandle {
    pub fn new(text: CString) -> Self {
        Self(text)
    }
}

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
