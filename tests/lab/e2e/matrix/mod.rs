//! Rows of the fault matrix (`tests/it/matrix/rows.toml`) that need a real engine or registry
//! and that no other test breaks.

mod bases;
mod disk;
mod memory;
mod registry;
mod steps;
