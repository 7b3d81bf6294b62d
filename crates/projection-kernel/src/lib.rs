//! The computations of the projection engine: dot products, weighted sums, softmax attention,
//! matrix products, quantized rows, and the search for the nearest of many rows.
//!
//! # Dispatch
//! Every kernel is written once, generic over a vector type, and compiled for each
//! instruction set of the architecture. A call detects the best one that the CPU has at first use
//! and runs that compilation, see `dispatch`. Nothing needs to be chosen or initialised.
//!
//! # Accuracy
//! Sums are accurate to a few units in the last place of their largest term. Their last bits
//! differ between instruction sets; on one machine, equal inputs give equal results. Functions
//! that end in `_f64` compute in double precision, as does [`norm`].
//!
//! # Errors
//! Lengths of slices must fit together as documented; functions panic if they do not. Callers
//! check what comes from users or files first, and report it as an [`Error`].
//!
//! # Threads
//! Nothing here starts a thread by itself. [`parallel`] shares work among as many as the caller
//! allows, and [`Scratch`] buffers belong to one thread each, so that a warm thread computes
//! without allocating.

// Loops over registers index several arrays at once, and the compiler unrolls them.
#![allow(clippy::needless_range_loop)]

mod attention;
mod batch;
mod dispatch;
mod dot;
pub mod error;
pub mod files;
pub mod gelu;
pub mod gemm;
pub mod ivf;
mod normalize;
pub mod parallel;
pub mod peak;
mod prefetch;
pub mod progress;
mod quantized;
pub mod random;
mod rows;
mod scratch;
mod simd;
mod softmax;
pub mod top_k;
mod weighted_sum;

pub use attention::{RowsRef, attend, attend_one};
pub use batch::{dots_batch, weighted_sum_batch};
pub use dot::{add_difference, dot_f64, dots, dots_hinted, norm, norm_f32};
pub use error::{Error, ErrorKind, Result};
pub use files::Mapping;
pub use normalize::{cosine, norm_of_f64, normalize, normalized, scale_and_round};
pub use prefetch::{PrefetchHint, prefetch};
pub use quantized::{MAX_INT8_DIM, QuantizedParts, QuantizedQuery, QuantizedRows, RowFormat};
pub use rows::{Plain, Rows, StableBytes};
pub use scratch::Scratch;
pub use softmax::{largest, softmax, softmax_f64};
pub use weighted_sum::{scale, weighted_sum};

#[cfg(test)]
mod tests;
