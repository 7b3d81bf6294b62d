//! What `bindings/js` calls. Everything that users see is there; here are plain functions
//! over numbers and memory, so that one small JavaScript module drives every build (with and
//! without SIMD, with and without the embedder) without generated code.
//!
//! # Conventions
//! The caller owns all memory that it passes, from [`allocate`](memory::allocate). A
//! function that can fail gives 0 (a null handle, or false) and leaves the error in the
//! outbox, see [`outbox`]; results without a known length lie there too. The outbox is good
//! until the next call. Handles are freed once, by their own function, and used no more.
//!
//! # Safety
//! Of every function: pointers are those of live memory of the said lengths, aligned for
//! their type, and handles are live ones of their type. Only our own JavaScript calls them,
//! and it keeps handles and pointers to itself.

// The condition is the same for all, see above.
#![allow(clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks)]

#[cfg(feature = "embed")]
mod embedder;
#[cfg(any(target_family = "wasm", test))]
mod heap;
mod index;
mod memory;
mod model;
mod outbox;
