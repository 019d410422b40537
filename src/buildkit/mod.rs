//! The vocabulary of docker, buildx and BuildKit: arguments, caches, builders, versions, features, progress and failures.
//! Pure: nothing here reads a file but the metadata file, or starts a process.

mod args;
mod bake_file;
pub(crate) mod builder;
mod cache;
pub mod checks;
mod engine;
pub(crate) mod failure;
mod features;
mod metadata;
pub(crate) mod owner;
pub(crate) mod policy;
mod progress;
mod secret_args;
mod stored;
mod usage;
mod version;
mod without;

pub(crate) use args::{BuildSpec, LinkedBuild, OutputTarget};
pub(crate) use bake_file::BakeFile;
pub use builder::Builder;
pub(crate) use builder::{NewBuilder, builder_of, container_of};
pub(crate) use cache::registry_cache_from;
pub use cache::{CacheEntry, LocalCaches};
pub(crate) use checks::Finding;
pub use engine::{Engine, LocalImage};
pub(crate) use features::{Feature, Lack, Versions, lacks_of_buildkit, lacks_of_buildx};
pub use metadata::BuildMetadata;
pub(crate) use policy::{Hold, ImagePin, SourcePin};
pub use progress::Progress;
pub(crate) use progress::ProgressSummary;
pub(crate) use stored::{Space, StoreRoot, StoredImage};
pub(crate) use usage::Usage;
pub use version::BuildxVersion;
