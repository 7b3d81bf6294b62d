//! The C ABI of the projection engine.
//!
//! This crate checks arguments, hands over ownership and translates errors. The crates that it
//! calls do all other work. The rules for callers are at the top of `include/projection.h`,
//! which is generated from this crate (see `cbindgen.toml` and `tests/generated.rs`).
//!
//! # Safety
//! Every exported function relies on the header's rules:
//!
//! - A handle is NULL or came from this library and was not freed. `Option<&T>` borrows it for
//!   the call; `Option<Box<T>>` takes it back.
//! - A text is NULL or ends with NUL, and lives until the call returns.
//! - An array is NULL or has as many elements as its length says. `argument::Buffer` checks the
//!   length before it makes a slice.
//! - An output is NULL or may be written.
//!
//! The macros of `boundary` and `argument` contain the `unsafe` blocks that depend on these
//! rules. Functions that take raw pointers are `unsafe`; those that only take handles are not.
//!
//! Every function body is in `ffi_try!` or `panic_boundary!`, which stop panics.

#[macro_use]
mod boundary;
#[macro_use]
mod argument;
#[macro_use]
mod json;
#[macro_use]
mod progress;

mod array;
mod change;
mod distill;
mod embedder;
mod error;
mod evaluate;
mod explain;
mod import;
mod model;
mod model_copy;
mod project;
mod search;
mod searcher;
mod store;
mod store_content;
mod train;

use std::ffi::c_char;

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn projection_version() -> *const c_char {
    panic_boundary!(c"".as_ptr(), concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}
