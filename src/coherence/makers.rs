//! Who has built with a builder that outlives its runs: the engine's own, or one that is named or current.
//!
//! On a runner that outlives its jobs, all jobs build with one BuildKit. What a run of less trust leaves there (a layer made with its own secret, a cache mount) would be taken by a trusted run,
//! because BuildKit's keys name no one. So each run on such a runner notes itself in the engine, as a
//! volume without data, and a trusted run does not build with layers that others may have made.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::image::hex;

/// What the names of such volumes begin with.
pub(crate) const PREFIX: &str = "build-once-built-";

/// A builder that outlives the runs that build with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lasting<'a> {
    /// The engine's own.
    Engine,
    /// One that buildx made on the engine, by its name.
    Named(&'a str),
}

impl Lasting<'_> {
    fn prefix(self) -> String {
        match self {
            Self::Engine => format!("{PREFIX}engine-"),
            Self::Named(name) => format!("{PREFIX}{}-", short(name)),
        }
    }
}

fn short(text: &str) -> String {
    hex(&Sha256::digest(text)).chars().take(16).collect()
}

/// The notes of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Makers {
    own: String,
    noted: BTreeSet<String>,
}

impl Makers {
    /// `place` and `zone`: this run's GitHub repository and zone. `noted`: the volumes that are there.
    #[must_use]
    pub(crate) fn new(place: &str, zone: &str, noted: BTreeSet<String>) -> Self {
        Self { own: short(&format!("{place}\0{zone}")), noted }
    }

    /// This run's repository and zone, hashed.
    #[must_use]
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// The volume that notes this run.
    #[must_use]
    pub(crate) fn note(&self, builder: Lasting<'_>) -> String {
        builder.prefix() + &self.own
    }

    /// Whether a run of another repository or zone has built there.
    #[must_use]
    pub(crate) fn has_others(&self, builder: Lasting<'_>) -> bool {
        let (prefix, own) = (builder.prefix(), self.note(builder));
        self.noted.iter().any(|name| name.starts_with(&prefix) && *name != own)
    }

    /// The volume to make, unless it is there.
    #[must_use]
    pub(crate) fn missing(&self, builder: Lasting<'_>) -> Option<String> {
        Some(self.note(builder)).filter(|own| !self.noted.contains(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_those_of_another_repository_or_zone_on_the_same_builder() {
        let of = |place: &str, zone: &str, noted: &[String]| {
            Makers::new(place, zone, noted.iter().cloned().collect())
        };
        let builders = [Lasting::Engine, Lasting::Named("a"), Lasting::Named("engine")];
        for builder in builders {
            let own = of("o/r", "trusted", &[]).note(builder);
            let alone = of("o/r", "trusted", std::slice::from_ref(&own));
            assert_eq!((alone.has_others(builder), alone.missing(builder)), (false, None));
            assert_eq!(of("o/r", "trusted", &[]).missing(builder), Some(own.clone()));
            for (place, zone) in [("o/r", "pr-12"), ("else/where", "trusted"), ("o", "r\0trusted")] {
                let both = of("o/r", "trusted", &[own.clone(), of(place, zone, &[]).note(builder)]);
                for other in builders {
                    assert_eq!(
                        both.has_others(other),
                        other == builder,
                        "{place} {zone} {builder:?} {other:?}"
                    );
                }
            }
        }
    }
}
