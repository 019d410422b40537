//! Decides the rights of a run's zone, makes all shared names, and judges the references that users write.

mod aws_rights;
mod caches;
mod image_run;
mod names;
mod references;
mod rights;

pub use aws_rights::{Purpose, RIGHTS, Resource, Right};
pub(crate) use aws_rights::{actions as aws_actions, arn as aws_arn};
pub(crate) use caches::{CacheName, cache_home, own_cache, readable_caches};
pub(crate) use image_run::ImageRun;
pub(crate) use names::{AllNames, Published, ZoneNames};
pub(crate) use references::{UserReferences, parse_reference};
pub(crate) use rights::{Access, access};
