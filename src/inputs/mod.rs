//! Inputs: raw strings from `INPUT_*` or flags, turned once into values that no later stage checks again.
//!
//! In: [`RawInputs`], one optional text an input, and the environment. Out: [`Request`], or one error that names every
//! bad input. `build` reads the inputs that are handed to `docker buildx build`, `request` those of the run;
//! `grammar` holds the small languages of single values, `lists` those of lists.

mod attestation;
mod bake;
mod build;
mod builder;
mod caches;
pub(crate) mod chain;
mod command_line;
mod compression;
mod contexts;
mod doctor;
mod ecr;
pub(crate) mod extra_args;
mod grammar;
mod http_login;
mod key;
mod links;
mod lists;
mod logins;
mod merge;
mod outputs;
mod pairs;
mod problems;
mod prune;
pub(crate) mod pulled;
mod raw;
mod request;
mod runners;
mod secrets;
mod settings;
mod store;
mod types;
mod user_tags;

pub(crate) use attestation::Attestation;
pub(crate) use bake::{BakeQuestion, ImageInputs, images as images_of_bake, is_asked as is_bake};
pub use build::Call;
pub(crate) use build::{BuildInputs, lowercase_fallback};
pub use caches::CacheMode;
pub(crate) use caches::{CacheKind, CacheSpec, inline_secret};
pub use command_line::{Command, CommandLine, arguments, parse};
pub(crate) use command_line::{DoctorFlags, KeyFlags, Name, PlanFlags, PrintFlags, PruneFlags, RunFlags};
pub(crate) use compression::Compression;
pub use contexts::ContextSource;
pub(crate) use contexts::{elsewhere_image, linked_image};
pub use doctor::DoctorInputs;
pub(crate) use doctor::DoctorRequest;
pub(crate) use ecr::is_lifecycle_file;
pub use http_login::http_login;
pub(crate) use links::Link;
pub(crate) use lists::quoted_item;
pub use lists::{comma_items, items, pairs};
pub(crate) use merge::Part;
pub use prune::PruneInputs;
pub(crate) use prune::PruneRequest;
pub use raw::RawInputs;
pub use request::ImageRequest;
pub(crate) use request::Request;
pub use runners::RunsOn;
pub(crate) use secrets::{Secret, SecretSource, SecretValues, without_login};
pub(crate) use settings::Settings;
pub use types::Switch;
pub(crate) use types::{
    BuilderInputs, CacheWrite, Driver, Endpoint, KeyScope, LogStyle, Login, Mode, OnMissing, OnOlder,
    RegistryPolicy,
};
pub(crate) use user_tags::LeftOutTag;
pub use user_tags::UserTag;
