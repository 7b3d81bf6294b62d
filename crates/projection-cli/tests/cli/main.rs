//! The `projection` command as users run it: exit codes, output, and stores in trouble.

mod common;
mod damage;
mod evaluate;
mod faults;
mod project;
mod update;
mod usage;
mod whole_way;
