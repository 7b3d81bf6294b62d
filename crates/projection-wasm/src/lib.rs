//! What `bindings/js` calls. The interface that users see is there; this crate has plain
//! functions over numbers, so that one small JavaScript module drives every build (with and
//! without SIMD, with and without the embedder) without generated code.
//!
//! A call has three steps, see [`exchange`]:
//! 1. The caller makes room for its input ([`exchange::input_floats`] and the like) and writes
//!    the values there.
//! 2. It calls a function of [`model`], [`index`] or [`embedder`]. A function that can fail
//!    returns 0 (no handle, or false) and leaves the error as the output's text.
//! 3. It reads the output, which is valid until the next call.
//!
//! Models, indexes and embedders stay in a table of this crate, see [`objects`]; the caller has
//! their numbers and frees each of them once. A wrong number is an error, as any other wrong
//! argument is.

#[cfg(feature = "embed")]
pub mod embedder;
pub mod exchange;
pub mod index;
pub mod model;
pub mod objects;
