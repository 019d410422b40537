//! End to end: the program against a real engine, real registries and the AWS emulator of the
//! lab. `tests/lab/up` first, then `cargo test --test lab`.
//!
//! Every test has an image name, a git repository and, where it shares anything, a registry
//! repository of its own, so that all can run side by side. What the program says is checked
//! against what the registry and the engine hold.

#![allow(clippy::disallowed_methods, reason = "the fences are the program's")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod bake;
mod bases;
mod builders;
mod caches;
mod canaries;
mod cancel;
mod copies;
mod credentials;
mod doctor;
mod engines;
mod failures;
mod faults;
mod harness;
mod keys;
mod kills;
mod local;
mod matrix;
mod old_buildx;
mod outcomes;
mod plain;
mod plan_job;
mod platform_jobs;
mod platforms;
mod pr_repository;
mod prune;
mod pull;
mod race;
mod reactions;
mod repositories;
mod secrets;
mod set_up;
mod tags;
mod zones;
