//! The C ABI of the projection engine.
//!
//! This crate checks arguments, hands ownership over and translates errors; everything else
//! is done by the crates it calls. The rules that callers rely on stand at the top of the
//! header, which is generated from here (see `cbindgen.toml`).
//!
//! Every exported function goes through `guard`, which turns panics into errors.

mod argument;
mod array;
mod distill;
mod embedder;
mod error;
mod evaluate;
mod explanation;
mod guard;
mod import;
mod index;
mod index_change;
mod lists;
mod model;
mod model_file;
mod options;
mod precision;
mod progress;
mod search;
mod store;
mod text;
mod train;

use std::ffi::c_char;

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn projection_version() -> *const c_char {
    guard::value("projection_version", c"".as_ptr(), || {
        concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
    })
}
