//! Types for images and their names: references, digests, platforms, manifests, the tag scheme.

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
mod series;
mod tags;

pub use digest::{Digest, hex};
pub use ecr::EcrHost;
pub(crate) use host::canonical as canonical_host;
use host::host_of_server;
pub use host::is_this_machine;
pub(crate) use local::{LocalScheme, belongs_to, image_of_private_name, is_private, place, private_names_of};
pub(crate) use manifest::{
    ANNOTATION_COMMITTED, ANNOTATION_ENTRIES, ANNOTATION_MERGE_REVISION, ANNOTATION_REVISION,
    ANNOTATION_VERSION, ANNOTATION_ZONE, is_own_label, triggers,
};
pub use manifest::{ANNOTATION_KEY, MEDIA_TYPES, Manifest};
pub(crate) use manifest::{DOCKER_MANIFEST, OCI_INDEX};
pub(crate) use mark::Mark;
pub use platform::Platform;
pub use reference::ImageReference;
pub(crate) use reference::{InvalidReference, Repository};
pub(crate) use series::{Series, version_of};
pub use tags::{ImageName, sanitise};
pub(crate) use tags::{
    OwnTag, Owner, TagKind, TagScheme, TagZone, branch_prefix, is_less_trusted, names_another_repository,
    owner, parse as parse_tag, usable, zone_prefix,
};
