//! What docker, buildx and BuildKit call things: a build's arguments, caches, builders, versions, features, progress, and
//! what they say when they fail. Nothing here asks or starts anything.

mod args;
pub mod builder;
mod cache;
pub mod checks;
mod engine;
pub mod failure;
mod features;
mod metadata;
pub mod owner;
pub mod policy;
mod progress;
mod version;

pub use args::{BuildSpec, OutputTarget};
pub use builder::{Builder, NewBuilder, builder_of, container_of};
pub use cache::{CacheEntry, LocalCaches, registry_cache_from};
pub use checks::Finding;
pub use engine::{Engine, LocalImage};
pub use features::{Feature, Lack, Versions};
pub use metadata::BuildMetadata;
pub use policy::{Hold, ImagePin, SourcePin};
pub use progress::{Progress, ProgressSummary};
pub use version::BuildxVersion;
