//! Reads how much room a disk has.

use std::path::Path;

use crate::buildkit::Space;

/// The room on the disk with this folder; `None` if the system does not tell it.
#[must_use]
pub(crate) fn space(folder: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
}
