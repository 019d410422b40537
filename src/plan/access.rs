//! Who may read and write what: the one place where the zone decides (`docs/trust.md`).

use crate::inputs::{CacheWrite, Inputs, Switch};
use crate::run::{RunContext, Zone};

/// What this run may do with shared images and caches.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "one a right")]
pub struct Access {
    /// Zones whose images it may use, its own first. Never one that is trusted less.
    pub read: Vec<Zone>,
    /// Whether it may set its own zone's tags.
    pub write_images: bool,
    /// Whether it may set the references in `tags`, which belong to no zone.
    pub write_tags: bool,
    /// Whether it may write its own zone's layer cache.
    pub write_cache: bool,
    /// Whether a builder it made may outlive it: cache mounts and imported layers in it are
    /// what the next run builds with.
    pub keep_builder: bool,
    /// Whether it may write caches that somebody named by hand.
    pub write_raw_caches: bool,
}

/// The zone table of the design, applied to this run.
#[must_use]
pub fn access(inputs: &Inputs, run: &RunContext) -> Access {
    let own = run.zone.clone();
    let read = match own {
        Zone::Trusted | Zone::Fork => vec![Zone::Trusted],
        Zone::Queue | Zone::PullRequest(_) | Zone::Branch(_) => vec![own.clone(), Zone::Trusted],
    };
    let may_write = own != Zone::Fork && inputs.push != Switch::Off;
    let cache_allowed = match own {
        // A tag can be put on any commit: it reads no cache and writes none.
        Zone::Trusted => !run.is_tag,
        Zone::PullRequest(_) | Zone::Branch(_) => inputs.cache.write == CacheWrite::Always,
        Zone::Queue | Zone::Fork => false,
    };
    Access {
        read,
        write_images: may_write,
        write_tags: may_write && own == Zone::Trusted,
        keep_builder: own == Zone::Trusted,
        write_cache: may_write
            && cache_allowed
            && inputs.cache.write != CacheWrite::Never
            && !inputs.cache.kinds.is_empty(),
        // To name one is to ask for it; where it lies decides the rest (`plan::raw_caches`).
        write_raw_caches: inputs.cache.write != CacheWrite::Never
            && match own {
                Zone::Trusted => !run.is_tag,
                Zone::PullRequest(_) | Zone::Branch(_) => true,
                Zone::Queue | Zone::Fork => false,
            },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::RawInputs;

    fn inputs(cache_write: &str, push: &str) -> Inputs {
        let raw = RawInputs {
            image: Some("app".into()),
            cache_write: Some(cache_write.into()),
            push: Some(push.into()),
            ..RawInputs::default()
        };
        Inputs::read(&raw, &Env::default()).unwrap()
    }

    fn run(zone: Zone, is_tag: bool) -> RunContext {
        RunContext { zone, is_tag, ..RunContext::read(&Env::default(), None).unwrap() }
    }

    #[test]
    fn the_table() {
        let pr = Zone::PullRequest(1);
        let rows = [
            (Zone::Trusted, false, "auto", vec![Zone::Trusted], true, true, true),
            (Zone::Trusted, true, "auto", vec![Zone::Trusted], true, true, false),
            (Zone::Trusted, false, "never", vec![Zone::Trusted], true, true, false),
            (Zone::Queue, false, "always", vec![Zone::Queue, Zone::Trusted], true, false, false),
            (pr.clone(), false, "auto", vec![pr.clone(), Zone::Trusted], true, false, false),
            (pr.clone(), false, "always", vec![pr.clone(), Zone::Trusted], true, false, true),
            (Zone::Fork, false, "always", vec![Zone::Trusted], false, false, false),
        ];
        for (zone, tag, cache_write, read, write_images, write_tags, write_cache) in rows {
            let keep_builder = zone == Zone::Trusted;
            let access = access(&inputs(cache_write, "true"), &run(zone.clone(), tag));
            let write_raw_caches =
                write_cache || (matches!(zone, Zone::PullRequest(_)) && cache_write == "auto");
            assert_eq!(
                access,
                Access { read, write_images, write_tags, write_cache, keep_builder, write_raw_caches },
                "{zone:?} {cache_write}"
            );
        }
    }

    #[test]
    fn push_false_writes_nothing() {
        let access = access(&inputs("always", "false"), &run(Zone::Trusted, false));
        assert!(!(access.write_images || access.write_cache || access.write_tags));
    }
}
