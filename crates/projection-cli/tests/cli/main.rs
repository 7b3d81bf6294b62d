//! The `projection` command as users run it: exit codes, output, and stores in trouble.

mod common;
mod damage;
mod distill;
mod edge;
mod embeddings;
mod evaluate;
mod export;
mod faults;
mod feedback;
mod folders;
mod formats;
mod index;
mod kills;
mod precision;
mod project;
mod search;
mod update;
mod usage;
mod whole_way;
