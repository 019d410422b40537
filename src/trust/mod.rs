//! How far a run is trusted: its zone's rights, the names of its zone, and the one judge of whose a name is.

mod caches;
mod image_run;
mod names;
mod references;
mod rights;

pub(crate) use caches::{CacheName, cache_home, own_cache, readable_caches};
pub(crate) use image_run::ImageRun;
pub(crate) use names::{AllNames, LocalNames, Published, ZoneNames};
pub(crate) use references::{UserReferences, understood};
pub(crate) use rights::{Access, access};
