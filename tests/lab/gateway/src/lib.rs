//! The lab's front door: a reverse proxy before an OCI registry or an AWS emulator that
//! adds TLS and Basic credentials, injects faults by script and keeps a journal.
//!
//! ```text
//! client ─▶ server (connection, TLS) ─▶ proxy ─▶ upstream ─▶ registry
//!                                         │ rules: which fault, if any
//!                                         │ faults: what it does
//!                                         └ journal: what happened
//! control ─▶ rules, journal
//! ```
//!
//! Bodies are streamed both ways and never held. Every request gets an upstream connection
//! of its own, so that cutting one never disturbs another.
#![forbid(unsafe_code)]
#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auth;
mod body;
mod compiled;
mod config;
mod control;
mod exchange;
mod handle;
mod headers;
mod journal;
mod limit;
mod pace;
mod proxy;
mod rules;
mod server;
mod tls;
mod upstream;

pub use auth::Basic;
pub use config::{Config, TlsFiles};
pub use handle::{Gateway, Handle};
pub use journal::Entry;
pub use rules::{Fault, Rule, RuleState};
