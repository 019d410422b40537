//! What an image is called: references, digests, platforms, manifests and the tag scheme.

mod digest;
mod ecr;
mod grammar;
mod hash;
mod host;
mod local;
mod manifest;
mod mark;
mod platform;
mod reference;
mod tags;

pub use digest::Digest;
pub use ecr::EcrHost;
use host::host_of_server;
pub use host::{canonical as canonical_host, is_this_machine};
pub use local::{LocalScheme, is_of, is_private, place};
pub use manifest::{ANNOTATION_ENTRIES, ANNOTATION_KEY, MEDIA_TYPES, Manifest, is_own_label, triggers};
pub use mark::Mark;
pub use platform::Platform;
pub use reference::{ImageReference, InvalidReference, Repository};
pub use tags::{
    ImageName, Owner, TagScheme, branch_prefix, is_less_trusted, names_another_repository, owner, sanitise,
    usable, zone_prefix,
};
