//! How far a run is trusted: its zone's rights, the names of its zone, and the one judge of whose a name is.

mod caches;
mod names;
mod references;
mod rights;

pub use caches::{CacheName, cache_home, own_cache, readable_caches};
pub use names::{AllNames, LocalNames, Published, ZoneNames};
pub use references::{UserReferences, understood};
pub use rights::{Access, access};
