//! Records which runs have built with a builder that outlives them.
//!
//! On a runner that outlives its jobs, all jobs build with one BuildKit. A trusted run would use the layers and cache
//! mounts that a run of less trust left there, because BuildKit's keys do not name the run. So each run on such a runner
//! records itself in the engine, as a volume without data, and a trusted run does not use layers that others may have
//! made.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::image::hex;

/// The names of such volumes begin with this.
pub(crate) const PREFIX: &str = "build-once-built-";

/// A builder that outlives the runs that build with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lasting<'a> {
    /// The engine's own BuildKit.
    Engine,
    /// A builder that buildx made on the engine, by its name.
    Named(&'a str),
}

impl Lasting<'_> {
    fn prefix(self) -> String {
        match self {
            Self::Engine => format!("{PREFIX}engine-"),
            Self::Named(name) => format!("{PREFIX}{}-", short_hash(name)),
        }
    }
}

fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text)).chars().take(16).collect()
}

/// The records of one engine. A volume's name has the builder and the run's repository and zone, such as
/// `build-once-built-engine-0123456789abcdef`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Makers {
    /// This run's repository and zone, hashed.
    own: String,
    /// The names of the engine's volumes that begin with [`PREFIX`].
    volumes: BTreeSet<String>,
}

impl Makers {
    /// `place` and `zone` are this run's GitHub repository and zone ([`crate::image::place`]), `volumes` the names of the
    /// engine's volumes that begin with [`PREFIX`].
    #[must_use]
    pub(crate) fn new(place: &str, zone: &str, volumes: BTreeSet<String>) -> Self {
        Self { own: short_hash(&format!("{place}\0{zone}")), volumes }
    }

    /// This run's repository and zone, hashed.
    #[must_use]
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// The volume that records this run.
    #[must_use]
    pub(crate) fn volume(&self, builder: Lasting<'_>) -> String {
        builder.prefix() + &self.own
    }

    /// Tells whether a run of another repository or zone has built with this builder.
    #[must_use]
    pub(crate) fn has_others(&self, builder: Lasting<'_>) -> bool {
        let (prefix, own) = (builder.prefix(), self.volume(builder));
        self.volumes.iter().any(|name| name.starts_with(&prefix) && *name != own)
    }

    /// The volume that records this run, if it must be made.
    #[must_use]
    pub(crate) fn missing(&self, builder: Lasting<'_>) -> Option<String> {
        Some(self.volume(builder)).filter(|own| !self.volumes.contains(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_those_of_another_repository_or_zone_on_the_same_builder() {
        let makers = |place: &str, zone: &str, noted: &[String]| {
            Makers::new(place, zone, noted.iter().cloned().collect())
        };
        let builders = [Lasting::Engine, Lasting::Named("a"), Lasting::Named("engine")];
        for builder in builders {
            let own = makers("o/r", "trusted", &[]).volume(builder);
            let alone = makers("o/r", "trusted", std::slice::from_ref(&own));
            assert_eq!((alone.has_others(builder), alone.missing(builder)), (false, None));
            assert_eq!(makers("o/r", "trusted", &[]).missing(builder), Some(own.clone()));
            for (place, zone) in [("o/r", "pr-12"), ("else/where", "trusted"), ("o", "r\0trusted")] {
                let both = makers("o/r", "trusted", &[own.clone(), makers(place, zone, &[]).volume(builder)]);
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
