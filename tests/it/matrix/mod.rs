//! The fault matrix: what happens when what breaks. `rows.toml` is its one source: each row
//! names the tests that break it, or says why none can. `docs/faults.md` is made from it
//! (`BUILD_ONCE_UPDATE=1` writes it anew).

mod access;
mod codes;
mod inputs;
mod page;
mod runner;
pub(crate) mod table;
