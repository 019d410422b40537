//! The gateway in process, before a tiny upstream.
#![forbid(unsafe_code)]

mod control;
mod faults;
mod forward;
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod tls;
