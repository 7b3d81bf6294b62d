//! Exact or approximate nearest answers by cosine, for plain and for projected queries.

mod fusion;
mod index;
mod lexical;

pub use fusion::{DEFAULT_HYBRID_WEIGHT, fuse};
pub use index::{Group, Hit, Index, better_first};
pub use lexical::LexicalIndex;
