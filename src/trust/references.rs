//! Judges the references that users write in inputs, arguments and Dockerfiles, by the same rights as the names that the
//! program makes. This keeps honest workflows apart; code that runs in the job can call the registry by itself.

use super::rights::Access;
use crate::guards::Guard;
use crate::image::{ImageReference, Owner, Repository, belongs_to, owner};
use crate::run::RunContext;
use crate::zone::Zone;

/// Judges references by the repositories of one run.
#[derive(Clone, Copy)]
pub(crate) struct UserReferences<'a> {
    run: &'a RunContext,
    access: &'a Access,
    shared: Option<&'a Repository>,
    /// The input `pr-repository`, in runs of every zone.
    pr: Option<&'a Repository>,
}

/// The reason that a reference must not be used, as a clause.
type Refusal = String;

impl<'a> UserReferences<'a> {
    /// `shared` is the repository that every zone reads, `pr` that of pull requests.
    #[must_use]
    pub(crate) const fn new(
        run: &'a RunContext,
        access: &'a Access,
        shared: Option<&'a Repository>,
        pr: Option<&'a Repository>,
    ) -> Self {
        Self { run, access, shared, pr }
    }

    /// Tells whether the reference is in a repository of this run.
    pub(crate) fn is_ours(&self, reference: &ImageReference) -> bool {
        lies_in(reference, self.shared) || lies_in(reference, self.pr)
    }

    /// Refuses to read an image or a cache that a run of less trust could have written.
    pub(crate) fn may_read(&self, reference: &ImageReference) -> Result<(), Refusal> {
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        let tag = reference.tag().unwrap_or_default();
        // The run is a pull request's itself, and its own repository is that of the pull requests.
        let writes_there = self.access.own_repository.is_some();
        if lies_in(reference, self.pr) && !lies_in(reference, self.shared) && !writes_there {
            return Err(format!("{reference} is in the repository of the pull requests"));
        }
        // A digest names one content, whoever pushed it.
        if self.is_ours(reference)
            && reference.digest().is_none()
            && owner(tag, &self.run.zone, self.run.mark.as_ref()) == Owner::Other
        {
            return Err(format!("{reference} is another zone's"));
        }
        Ok(())
    }

    /// Refuses to build on an image of the engine if all its private names are of other repositories or of zones with
    /// less trust.
    pub(crate) fn may_read_engine(&self, private: &[String]) -> Result<(), Refusal> {
        let Access { place, local_zones, .. } = self.access;
        let is_own = |name: &String| belongs_to(name, place, local_zones);
        match private.first() {
            Some(other) if Guard::LocalBase.holds() && !private.iter().any(is_own) => {
                Err(format!("the engine has it from a run of another repository or of less trust ({other})"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to write a cache outside this run's zone.
    pub(crate) fn may_write(&self, reference: &ImageReference) -> Result<(), Refusal> {
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        let (shared, pr) = (lies_in(reference, self.shared), lies_in(reference, self.pr));
        if !(shared || pr) {
            return Ok(());
        }
        // A run of a git tag writes no cache, as in `Access::write_cache`.
        if !self.access.write_images || (self.run.zone == Zone::Trusted && self.run.is_tag) {
            return Err(format!("this run writes no cache in {}", reference.repository()));
        }
        let owner = owner(reference.tag().unwrap_or_default(), &self.run.zone, self.run.mark.as_ref());
        let may = match self.run.zone {
            Zone::Trusted => shared && owner == Owner::Trusted,
            Zone::PullRequest(_) | Zone::Branch(_) => {
                owner == Owner::Own && (pr || self.access.own_repository.is_none())
            }
            Zone::Queue | Zone::Fork => false,
        };
        if may { Ok(()) } else { Err(format!("{reference} is not this zone's")) }
    }

    /// As [`Self::may_read`], for a build context. Only one that is an image is judged.
    pub(crate) fn may_read_context(&self, value: &str) -> Result<(), Refusal> {
        match value.strip_prefix("docker-image://").filter(|_| Guard::WrittenReferences.holds()) {
            Some(image) => self.may_read(&parse_reference(image)?),
            None => Ok(()),
        }
    }
}

/// Tells whether a reference is in this repository, in any spelling of the host.
fn lies_in(reference: &ImageReference, repository: Option<&Repository>) -> bool {
    repository.is_some_and(|ours| ours.is(reference.repository()))
}

/// Parses a reference. A text that is not one is refused, not taken to be harmless.
pub(crate) fn parse_reference(text: &str) -> Result<ImageReference, Refusal> {
    text.parse().map_err(|_| format!("`{text}` is not an image reference"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::CacheEntry;
    use crate::env::Env;
    use crate::image::Mark;
    use crate::inputs::{ImageRequest, RawInputs};
    use crate::trust::access;

    /// Whether the zone may read and whether it may write this cache or context, as a user writes it. The shared repository
    /// is `h.example/ci`.
    fn rights(zone: &Zone, pr: Option<&str>, written: &str) -> (bool, bool) {
        let raw = RawInputs {
            image: Some("app".into()),
            repository: Some("h.example/ci".into()),
            pr_repository: pr.map(str::to_owned),
            ..RawInputs::default()
        };
        let inputs = ImageRequest::read(&raw, &Env::default()).unwrap();
        let mark = Mark::of(None, Some("1"), None);
        let run = RunContext { zone: zone.clone(), mark, ..RunContext::read(&Env::default(), None).unwrap() };
        let access = access(&inputs, &run);
        let judge = UserReferences::new(
            &run,
            &access,
            inputs.settings.repository.as_ref(),
            inputs.settings.pr_repository.as_ref(),
        );
        if written.starts_with("docker-image://") {
            return (judge.may_read_context(written).is_ok(), false);
        }
        let entry: CacheEntry = written.parse().unwrap();
        match entry.get("ref").map(parse_reference) {
            None => (true, true),
            Some(Err(_)) => (false, false),
            Some(Ok(reference)) => (judge.may_read(&reference).is_ok(), judge.may_write(&reference).is_ok()),
        }
    }

    #[test]
    fn one_repository() {
        let (main, pr, fork) = (Zone::Trusted, Zone::PullRequest(12), Zone::Fork);
        let fix = Zone::Branch("fix".into());
        for (zone, tag, expected) in [
            (&main, "cache-rf9d832d9-app-main", (true, true)),
            (&main, "mine", (true, true)),
            (&main, "pr-12-cache-rf9d832d9-app", (false, false)),
            (&main, "br-x-cache-rf9d832d9-app", (false, false)),
            (&main, "queue-key-rf9d832d9-app", (false, false)),
            (&pr, "cache-rf9d832d9-app-main", (true, false)),
            (&pr, "pr-12-cache-rf9d832d9-app", (true, true)),
            (&pr, "pr-1-cache-rf9d832d9-app", (false, false)),
            (&pr, "pr-121-cache-rf9d832d9-app", (false, false)),
            // D23
            (&fix, "br-fix-cache-rf9d832d9-app", (true, true)),
            (&fix, "br-fix-it-cache-rf9d832d9-app", (false, false)),
            (&fix, "br-fix-it-key-rf9d832d9-app", (false, false)),
            (&pr, "mine", (true, false)),
            (&Zone::Queue, "queue-cache-rf9d832d9-app", (true, false)),
            (&Zone::Queue, "pr-12-cache-rf9d832d9-app", (false, false)),
            // D91
            (&main, "cache-rd4b3670a-app-main", (true, false)),
            (&pr, "cache-rd4b3670a-app-main", (true, false)),
            (&pr, "pr-12-cache-rd4b3670a-app", (false, false)),
            (&fix, "br-fix-cache-rd4b3670a-app", (false, false)),
            (&Zone::Queue, "queue-key-rd4b3670a-app", (false, false)),
            (&fork, "cache-rf9d832d9-app-main", (true, false)),
            (&fork, "pr-12-cache-rf9d832d9-app", (false, false)),
        ] {
            for spelled in
                ["type=registry,ref=h.example/ci:", "type=registry,\"REF=H.example:443/ci:", "H.EXAMPLE/ci:"]
            {
                let end = if spelled.contains('"') { "\"" } else { "" };
                let written = format!("{spelled}{tag}{end}");
                assert_eq!(rights(zone, None, &written), expected, "{zone:?} {written}");
            }
        }
        for elsewhere in ["type=registry,ref=other.example/ci:pr-1-x", "type=local,dest=/x", "type=gha"] {
            assert_eq!(rights(&main, None, elsewhere), (true, true));
        }
        assert_eq!(
            rights(&main, None, "type=registry,ref=h.example./ci:pr-1"),
            (false, false),
            "no reference"
        );
        assert_eq!(
            rights(&main, None, "docker-image://h.example/ci:pr-12-sha-rf9d832d9-app"),
            (false, false)
        );
        assert_eq!(
            rights(&main, None, "docker-image://h.example./ci:pr-12-sha-rf9d832d9-app"),
            (false, false)
        );
        assert!(rights(&main, None, "docker-image://h.example/ci:mine").0);
    }

    #[test]
    fn pull_requests_with_a_repository_of_their_own() {
        let pr = Some("h.example/ci/pr");
        for (zone, written, expected) in [
            (Zone::Trusted, "h.example/ci/pr:latest", (false, false)),
            (Zone::PullRequest(12), "h.example/ci/pr:pr-12-cache-rf9d832d9-app", (true, true)),
            (Zone::PullRequest(12), "h.example/ci/pr:pr-1-cache-rf9d832d9-app", (false, false)),
            (Zone::PullRequest(12), "h.example/ci:pr-12-cache-rf9d832d9-app", (true, false)),
            (Zone::Fork, "h.example/ci/pr:pr-12-cache-rf9d832d9-app", (false, false)),
        ] {
            assert_eq!(rights(&zone, pr, written), expected, "{zone:?} {written}");
        }
    }
}
