//! Room on the disks that a build needs.

use super::{Check, Known};
use crate::buildkit::{Space, Usage};
use crate::shown;

const GIB: u64 = 1024 * 1024 * 1024;
/// With less than this a build of nearly any image fails.
const TOO_LITTLE: u64 = GIB;
/// With less than this, and less than [`SHARE`] of the disk, a large image fails.
const LITTLE: u64 = 20 * GIB;
/// In percent.
const SHARE: u64 = 15;

/// A file system.
pub(crate) struct Disk {
    /// What is on it: `temporary files`, `docker's data`.
    pub what: &'static str,
    pub path: String,
    pub room: Known<Space>,
}

pub(crate) fn check(disk: &Disk) -> Check {
    let name = &format!("disk of {}", disk.what);
    let (free, all) = match &disk.room {
        Ok(room) => (room.free, room.total),
        Err(error) => return Check::unknown(name, error),
    };
    let why = format!("{} of {} are free at {}", shown::bytes(free), shown::bytes(all), disk.path);
    let fix = "docker system df; docker builder prune; docker image prune; or a larger runner";
    if free < TOO_LITTLE {
        Check::fail(name, why, fix)
    } else if free < LITTLE && free < all / 100 * SHARE {
        Check::warn(name, why, fix)
    } else {
        Check::ok(name, why)
    }
}

/// What docker says of its own images and caches, `docker system df`.
pub(crate) fn store(rows: &Known<Vec<Usage>>) -> Check {
    let name = "engine's images and caches";
    match rows {
        Ok(rows) if !rows.is_empty() => {
            let row = |row: &Usage| format!("{} {} ({} can go)", row.kind, row.size, row.reclaimable);
            Check::ok(name, shown::list(rows.iter().map(row)))
        }
        Ok(_) => Check::warn(name, "could not be checked: docker lists nothing", "docker system df"),
        Err(error) => Check::unknown(name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::error::Error;
    use crate::failure::FailureKind;

    #[test]
    fn room_on_a_disk() {
        let of = |room| check(&Disk { what: "x", path: "/".into(), room }).verdict;
        for (free, all, wanted) in [
            (500 * GIB, 1000 * GIB, Verdict::Ok),
            // Little of a large disk is much.
            (50 * GIB, 1000 * GIB, Verdict::Ok),
            (10 * GIB, 14 * GIB, Verdict::Ok),
            (10 * GIB, 100 * GIB, Verdict::Warn),
            (GIB / 2, 100 * GIB, Verdict::Fail),
            (0, 0, Verdict::Fail),
        ] {
            assert_eq!(of(Ok(Space { free, total: all })), wanted, "{free} of {all}");
        }
        assert_eq!(of(Err(Error::of(FailureKind::Machine, "no"))), Verdict::Warn);
    }

    #[test]
    fn what_docker_says_of_its_store() {
        let row = r#"{"Type":"Images","TotalCount":"3","Size":"1.2GB","Reclaimable":"800MB (66%)"}"#;
        let rows = Usage::parse(row).into_iter().collect();
        assert_eq!(store(&Ok(rows)).why, "Images 1.2GB (800MB (66%) can go)");
        assert_eq!(store(&Ok(Vec::new())).verdict, Verdict::Warn);
        assert_eq!(store(&Err(Error::of(FailureKind::ToolMissing, "no"))).verdict, Verdict::Warn);
    }
}
