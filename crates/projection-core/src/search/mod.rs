//! Exact or approximate nearest answers by cosine, for plain and for projected queries.

mod answer_side;
mod answer_sides;
mod fusion;
mod index;
mod lexical;

pub use answer_side::AnswerSide;
pub use fusion::{DEFAULT_HYBRID_WEIGHT, fuse};
pub use index::{Group, Hit, Index, better_first};
pub use lexical::LexicalIndex;
