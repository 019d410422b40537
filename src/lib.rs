//! # build-once
//!
//! Builds a CI image once per content and lets every other job pull it. This page is the map.
//!
//! ```text
//! Env ─▶ RawInputs ─▶ Inputs ──────────┐                        inputs/   pure
//! Env + event file ─▶ RunContext{zone} ┤                        run/      pure
//! Inputs + files ─▶ BuildKey{entries} ─┤                        key/      reads files
//! ports ─▶ Facts{repository, probes, local image, toolchain}    facts/    all reads, side by side
//! (Inputs, RunContext, Facts) ─▶ plan() ─▶ Plan                 plan/     pure: no clock, no port
//! Plan ─▶ execute(ports, cancel) ─▶ Journal                     execute/  the only writes
//! (Plan, Journal) ─▶ Report ─▶ outputs, summary, annotations    report/   pure, then one writer
//! ```
//!
//! - [`inputs`]: one clap definition is the source of flags, `action.yml` and the README's table.
//! - [`run`]: which event and commit, and the *zone*: how far the run is trusted.
//! - [`image`]: references, digests, manifests, and the scheme of tags.
//! - [`trust`]: the one place where a zone's rights are decided, and where everything that is shared gets its name.
//! - [`key`]: the *build key*, SHA-256 over everything that decides the image's content.
//! - [`facts`]: what is asked before anything is decided. A *probe* has three answers: present,
//!   absent, unknown; unknown is never read as one of the others.
//! - [`plan`]: the decision and every step it takes, fully known before the first write.
//! - [`guards`]: what keeps the zones apart, by name, for the tests that go without one.
//! - [`execute`]: the steps, one small file each, and the journal of what happened.
//! - [`report`]: outputs, summary and annotations, drawn from the journal on every exit.
//! - [`crash`]: a panic ends a run as a failure does.
//! - [`session`]: one run of the program from signals to exit code.
//! - [`commands`]: what the program does besides `run`.
//! - [`ports`]: the doors to the outside, one module each: processes ([`ports::exec`] is the
//!   only spawner), docker, buildx, registries, AWS, the runner's files, the log, the clock.
//! - [`budget`]: the most that is taken of anything from outside.
//! - [`shown`]: what people see: secrets and the users of URLs are gone before a text is escaped or cut.
//! - [`env`](mod@env), [`error`]: every variable's name; the one error type with its exit codes.
//!
//! The fences are lints: `clippy.toml` names the calls that only one module may make.

// The AWS clients' futures are deep.
#![recursion_limit = "256"]

pub mod budget;
pub mod buildkit;
pub mod coherence;
pub mod commands;
pub mod crash;
pub mod env;
pub mod error;
pub mod execute;
pub mod facts;
pub mod failure;
pub mod guards;
pub mod image;
pub mod inputs;
pub mod key;
mod phase;
pub mod pipeline;
pub mod plan;
pub mod ports;
pub mod report;
pub mod run;
mod secret;
mod secret_name;
pub mod session;
pub mod shown;
pub mod trust;
pub mod zone;

pub use error::{Error, Result};
