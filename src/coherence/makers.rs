//! Who has built with an engine's own builder.
//!
//! On a runner that outlives its jobs, all jobs build with the engine's one BuildKit. What a run of less
//! trust leaves there (a layer made with its own secret, a cache mount) would be taken by a trusted run,
//! because BuildKit's keys name no one. So each run on such a runner notes itself in the engine, as a
//! volume without data, and a trusted run does not build with layers that others may have made.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::key::names::hex;

/// What the names of such volumes begin with.
pub const PREFIX: &str = "build-once-built-";

/// The volume that notes a run: its GitHub repository and its zone, both hashed.
#[must_use]
pub fn note(place: &str, zone: &str) -> String {
    let digest = Sha256::new().chain_update(place).chain_update([0]).chain_update(zone).finalize();
    format!("{PREFIX}{}", hex(&digest).chars().take(16).collect::<String>())
}

/// The notes of one engine, and this run's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Makers {
    /// The volume of this run.
    pub own: String,
    /// The volumes that are there.
    pub noted: BTreeSet<String>,
}

impl Makers {
    /// Whether a run of another repository or zone has built there.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.noted.iter().any(|name| *name != self.own)
    }

    /// The volume to make, unless it is there.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        Some(self.own.as_str()).filter(|own| !self.noted.contains(*own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_those_of_another_repository_or_zone() {
        let own = note("o/r", "trusted");
        let makers = |noted: &[&str]| Makers {
            own: own.clone(),
            noted: noted.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!((makers(&[]).has_others(), makers(&[]).missing()), (false, Some(own.as_str())));
        assert_eq!((makers(&[&own]).has_others(), makers(&[&own]).missing()), (false, None));
        for other in [note("o/r", "pr-12"), note("else/where", "trusted"), note("o", "r\0trusted")] {
            assert!(makers(&[&own, &other]).has_others(), "{other}");
        }
    }
}
