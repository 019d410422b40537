//! Inputs: raw strings from `INPUT_*` or flags, turned once into values nobody re-checks.

mod attestation;
mod build;
mod builder;
mod caches;
mod compression;
mod contexts;
pub mod extra_args;
mod grammar;
mod http_login;
mod lists;
mod outputs;
mod pairs;
mod problems;
mod raw;
mod secrets;
mod types;
mod validated;

pub use attestation::Attestation;
pub use build::{BuildInputs, Call, small_letters};
pub use caches::{CacheKind, CacheMode, CacheSpec, inline_secret};
pub use compression::Compression;
pub use contexts::ContextSource;
pub use http_login::http_login;
pub use lists::{comma_items, items, pairs};
pub use raw::{Command, CommandLine, RawInputs, arguments, parse};
pub use secrets::{Secret, SecretSource};
pub use types::{
    CacheWrite, Driver, Endpoint, KeyScope, LogStyle, Login, Mode, OnMissing, RegistryPolicy, Switch,
};
pub use validated::Inputs;
