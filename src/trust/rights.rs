//! Derives a run's rights from its zone (`docs/trust.md`). No other code does.

use crate::guards::Guard;
use crate::image::{Repository, place};
use crate::inputs::{CacheWrite, ImageRequest, Switch};
use crate::run::RunContext;
use crate::zone::Zone;

/// The rights of a run on shared images and caches.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "one a right")]
pub(crate) struct Access {
    /// Zones whose images the run may use, none trusted less than its own. Its own is first; a fork has no images.
    pub read: Vec<Zone>,
    /// Zones whose layer caches the run may read. Its own is first; a fork and a queue have no caches.
    pub read_caches: Vec<Zone>,
    /// The run may set its own zone's tags.
    pub write_images: bool,
    /// The run may set the references in the input `tags`, which belong to no zone.
    pub write_tags: bool,
    /// The run may write its own zone's layer cache.
    pub write_cache: bool,
    /// The run's builder may outlive it. The next run builds with the cache mounts and layers in it.
    pub keep_builder: bool,
    /// The run may write caches whose names the user chose (raw caches), where [`crate::trust::UserReferences`] allows
    /// their location.
    pub write_raw_caches: bool,
    /// The repository of its own zone's images, if that is not the one that all zones read: the input `pr-repository` in
    /// runs of pull requests and of branches without protection.
    pub own_repository: Option<Repository>,
    /// The run may make repositories, and change their settings.
    pub set_up: bool,
    /// The run has no right to push to the shared repository, and warns if its credentials could.
    pub warn_if_writable: bool,
    /// The GitHub repository in private names of the engine's store ([`crate::image::place`]).
    pub place: String,
    /// Zones whose images in the engine's store the run may use, its own first, as private names spell them.
    pub local_zones: Vec<String>,
}

impl Access {
    /// Tells whether the run may use images of a zone with this name. The name keeps images of pull requests from trusted
    /// runs; it does not tell one pull request from another, which the tags do.
    #[must_use]
    pub(crate) fn reads_zone(&self, name: &str) -> bool {
        self.read.iter().any(|zone| zone.name() == name) || !Guard::MergedZones.holds()
    }

    /// Tells whether the run uses no zone but the trusted one.
    #[must_use]
    pub(crate) fn is_trusted(&self) -> bool {
        self.local_zones.iter().all(|zone| zone == Zone::Trusted.name())
    }
}

/// Applies the table of `docs/trust.md` to this run.
#[must_use]
pub(crate) fn access(inputs: &ImageRequest, run: &RunContext) -> Access {
    let own = run.zone.clone();
    let is_unprotected = matches!(own, Zone::PullRequest(_) | Zone::Branch(_));
    let read = match own {
        Zone::Trusted | Zone::Fork => vec![Zone::Trusted],
        Zone::Queue | Zone::PullRequest(_) | Zone::Branch(_) => vec![own.clone(), Zone::Trusted],
    };
    let read_caches = match own {
        _ if inputs.cache.kinds.is_empty() => Vec::new(),
        Zone::Trusted | Zone::Queue | Zone::Fork => vec![Zone::Trusted],
        Zone::PullRequest(_) | Zone::Branch(_) => vec![own.clone(), Zone::Trusted],
    };
    let may_write = (own != Zone::Fork || !Guard::ForkWrites.holds())
        && inputs.push != Switch::Off
        // Without a mark, shared names have no GitHub repository in them.
        && run.mark.is_some();
    let mut local_zones = vec![local_zone(run), Zone::Trusted.name().to_owned()];
    local_zones.dedup();
    Access {
        read,
        read_caches,
        write_images: may_write,
        write_tags: may_write && (own == Zone::Trusted || !Guard::AskedTags.holds()),
        write_cache: may_write && !inputs.cache.kinds.is_empty() && may_write_cache(inputs.cache.write, run),
        // A builder's cache mounts and layers are a cache too.
        keep_builder: own == Zone::Trusted && !run.is_tag,
        write_raw_caches: may_write_raw_caches(inputs.cache.write, run),
        set_up: may_write && (own == Zone::Trusted || !Guard::SetUp.holds()),
        warn_if_writable: run.event.is_some()
            && (own == Zone::Fork
                || (is_unprotected
                    && (inputs.settings.pr_repository.is_some() || inputs.push == Switch::Off))),
        own_repository: inputs.settings.pr_repository.clone().filter(|_| is_unprotected),
        place: place(run.server.as_deref(), run.repository.as_deref().filter(|_| run.event.is_some())),
        local_zones,
    }
}

/// Tells whether the zone has a cache that the input `cache-write` lets the run write.
fn may_write_cache(input: CacheWrite, run: &RunContext) -> bool {
    match (&run.zone, input) {
        (_, CacheWrite::Never) | (Zone::Queue | Zone::Fork, _) => false,
        // A git tag can stand on any commit. Layers are reused under many keys, an image under its own alone.
        (Zone::Trusted, _) => !run.is_tag,
        (Zone::PullRequest(_) | Zone::Branch(_), write) => write == CacheWrite::Always,
    }
}

/// The same for raw caches. `cache-write: auto` speaks of the zone's own cache; whether a raw cache lies where a run of more
/// trust reads it, `plan::user_caches` judges. The input `push` is about images, as docker/build-push-action's is, and the
/// user chose the names, so they need no mark.
fn may_write_raw_caches(input: CacheWrite, run: &RunContext) -> bool {
    match (&run.zone, input) {
        (_, CacheWrite::Never) => false,
        (Zone::Trusted, _) => !run.is_tag,
        (Zone::PullRequest(_) | Zone::Branch(_), _) => true,
        (Zone::Queue | Zone::Fork, _) => !Guard::WrittenReferences.holds(),
    }
}

/// Names the zone in private names, with the number of the pull request or the branch.
fn local_zone(run: &RunContext) -> String {
    let number = run.pull_request.as_ref().map(|request| request.number);
    match (&run.zone, number) {
        (Zone::Trusted | Zone::Queue, _) | (Zone::Fork, None) => run.zone.name().to_owned(),
        (Zone::Fork, Some(number)) => format!("fork-{number}"),
        (Zone::PullRequest(number), _) => format!("pr-{number}"),
        (Zone::Branch(branch), _) => crate::image::branch_prefix(branch).trim_end_matches('-').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::image::Mark;
    use crate::inputs::RawInputs;

    fn inputs(cache_write: &str, push: &str) -> ImageRequest {
        let raw = RawInputs {
            image: Some("app".into()),
            pr_repository: Some("h.example/ci/pr".into()),
            cache_write: Some(cache_write.into()),
            push: Some(push.into()),
            ..RawInputs::default()
        };
        ImageRequest::read(&raw, &Env::default()).unwrap()
    }

    fn run(zone: Zone, is_tag: bool) -> RunContext {
        let mark = Mark::of(None, Some("1"), None);
        RunContext { mark, zone, is_tag, ..RunContext::read(&Env::default(), None).unwrap() }
    }

    #[test]
    fn the_table() {
        let (pr, fix, trusted) = (Zone::PullRequest(1), Zone::Branch("fix".into()), Zone::Trusted);
        let own = |zone: &Zone| vec![zone.clone(), Zone::Trusted];
        let only = || vec![Zone::Trusted];
        // The zone, whether the run is a git tag's, `cache-write`; the zones whose images and caches it reads; whether it
        // writes images, tags and its cache.
        let rows = [
            (trusted.clone(), false, "auto", only(), only(), [true, true, true]),
            // D58: the run of a git tag writes no cache.
            (trusted.clone(), true, "auto", only(), only(), [true, true, false]),
            (trusted, false, "never", only(), only(), [true, true, false]),
            (Zone::Queue, false, "always", own(&Zone::Queue), only(), [true, false, false]),
            (pr.clone(), false, "auto", own(&pr), own(&pr), [true, false, false]),
            (pr.clone(), false, "always", own(&pr), own(&pr), [true, false, true]),
            (fix.clone(), false, "always", own(&fix), own(&fix), [true, false, true]),
            (Zone::Fork, false, "always", only(), only(), [false, false, false]),
        ];
        for (zone, tag, cache_write, images, caches, writes) in rows {
            let got = access(&inputs(cache_write, "true"), &run(zone.clone(), tag));
            let what = format!("{zone:?} {cache_write}");
            assert_eq!((got.read, got.read_caches), (images, caches), "{what}");
            assert_eq!([got.write_images, got.write_tags, got.write_cache], writes, "{what}");
            let is_unprotected = matches!(zone, Zone::PullRequest(_) | Zone::Branch(_));
            assert_eq!(got.keep_builder, zone == Zone::Trusted && !tag, "{what}");
            assert_eq!(
                got.write_raw_caches,
                writes[2] || (is_unprotected && cache_write == "auto"),
                "{what}"
            );
            assert_eq!(got.own_repository.is_some(), is_unprotected, "{what}");
            assert_eq!(got.set_up, zone == Zone::Trusted, "{what}");
        }
    }

    #[test]
    fn push_false_writes_nothing() {
        let access = access(&inputs("always", "false"), &run(Zone::Trusted, false));
        assert!(!(access.write_images || access.write_cache || access.write_tags || access.set_up));
    }

    #[test]
    fn d91_a_run_without_a_mark_writes_nothing() {
        let run = RunContext { mark: None, ..run(Zone::Trusted, false) };
        let access = access(&inputs("always", "true"), &run);
        assert!(!(access.write_images || access.write_cache || access.write_tags));
    }

    #[test]
    fn images_in_the_engine_are_for_their_zone_and_trusted_ones_for_all() {
        let zones = [Zone::Trusted, Zone::Queue, Zone::PullRequest(1), Zone::PullRequest(12), Zone::Fork];
        let rights: Vec<_> =
            zones.iter().map(|zone| access(&inputs("auto", "true"), &run(zone.clone(), false))).collect();
        for (maker, of) in rights.iter().enumerate() {
            for (user, access) in rights.iter().enumerate() {
                assert_eq!(access.local_zones.contains(&of.local_zones[0]), maker == user || maker == 0);
            }
        }
    }

    #[test]
    fn outside_github_is_a_place_of_its_own() {
        let place = |event: Option<&str>| {
            let env = [("GITHUB_REPOSITORY", "o/r")];
            let run = RunContext::read(&Env::from(env), None).unwrap();
            access(&inputs("auto", "true"), &RunContext { event: event.map(str::to_owned), ..run }).place
        };
        assert_eq!((place(Some("push")), place(None)), ("o/r".to_owned(), "local".to_owned()));
    }
}
