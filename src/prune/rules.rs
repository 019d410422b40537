//! Judges each tag by itself: whether it may go, and why.

use std::collections::HashSet;

use super::listing::Version;
use super::policy::{Policy, Scope};
use super::reason::{Reason, Stays};
use super::survey::Survey;
use crate::image::{Digest, OwnTag, TagKind, TagZone, branch_prefix, parse_tag};

/// The rules of one survey.
pub(super) struct Rules<'a> {
    survey: &'a Survey,
    policy: &'a Policy,
    now: u64,
    /// The prefixes of the tags of all branches that exist; `None` if those are not known.
    live: Option<HashSet<String>>,
    /// The newest trusted layer caches and images.
    newest: HashSet<&'a str>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(survey: &'a Survey, policy: &'a Policy, now: u64) -> Self {
        let branches = survey.project.branches.as_ref();
        let live = branches.map(|branches| branches.iter().map(|branch| branch_prefix(branch)).collect());
        let mut newest: HashSet<&str> = newest(survey, policy, TagKind::Cache, policy.keep_caches).collect();
        if !survey.listing.knows_pulls {
            newest.extend(self::newest(survey, policy, TagKind::Key, policy.keep_keys));
        }
        Self { survey, policy, now, live, newest }
    }

    /// Tells whether so many seconds have passed since `then`, and `min_age` too. An unknown time is none.
    pub(super) fn passed(&self, then: Option<u64>, age: u64) -> bool {
        then.is_some_and(|then| then.saturating_add(age.max(self.policy.min_age)) <= self.now)
    }

    /// Whether the tag may go, by its own name and the age of its image.
    pub(super) fn judge(&self, tag: &str, version: &Version) -> Result<Reason, Stays> {
        let OwnTag { zone, kind, .. } = parse_tag(tag, &self.policy.mark).ok_or(Stays::Foreign)?;
        match self.policy.scope {
            Scope::PullRequest(own) if zone != TagZone::PullRequest(own) => return Err(Stays::OutOfScope),
            Scope::PullRequest(_) | Scope::Everything => {}
        }
        match zone {
            TagZone::PullRequest(number) => {
                let closed = self.survey.project.closed.get(&number).ok_or(Stays::OpenPullRequest)?;
                // A job that is still running does without its layer cache. Where the registry knows no times, nothing
                // was pushed after the pull request was closed.
                let pushed = closed.at.min(version.seen.unwrap_or(closed.at));
                let old = kind == TagKind::Cache || self.passed(version.recorded().or(Some(pushed)), 0);
                old.then_some(Reason::PullRequestClosed(number)).ok_or(Stays::Young)
            }
            TagZone::Branch(prefixes) => {
                let live = self.live.as_ref().ok_or(Stays::LiveBranch)?;
                if prefixes.iter().any(|prefix| live.contains(*prefix)) {
                    return Err(Stays::LiveBranch);
                }
                let old = kind == TagKind::Cache || self.passed(version.used(), 0);
                let prefix = prefixes.first().copied().unwrap_or_default().to_owned();
                old.then_some(Reason::BranchGone(prefix)).ok_or(Stays::Young)
            }
            TagZone::Queue => self
                .passed(version.pushed.or(version.seen), self.policy.queue)
                .then_some(Reason::QueueOver)
                .ok_or(Stays::Young),
            TagZone::Trusted => self.trusted(tag, kind, version),
        }
    }

    fn trusted(&self, tag: &str, kind: TagKind, version: &Version) -> Result<Reason, Stays> {
        let Policy { unused, commits, .. } = *self.policy;
        let (age, reason) = match kind {
            TagKind::Commit => (commits, Reason::OldCommit),
            TagKind::Key => (unused, Reason::Unused),
            TagKind::Cache => (unused, Reason::OldCache),
        };
        // A tag may be set today on an image of last year: without pull times its own age counts.
        let seen = version.tags_seen.get(tag).copied();
        let set_long_ago =
            kind != TagKind::Commit || self.survey.listing.knows_pulls || self.passed(seen, age);
        let old = self.passed(version.used(), age) && set_long_ago && !self.newest.contains(tag);
        old.then_some(reason).ok_or(Stays::InUse)
    }

    /// The manifest that a tag of the referrers' tag schema is about (OCI distribution specification, "Referrers Tag
    /// Schema"; cosign adds `.sig`, `.att` or `.sbom`).
    pub(super) fn subject(tag: &str) -> Option<Digest> {
        let rest = tag.strip_prefix("sha256-")?;
        let hex = rest.get(..64)?;
        let known = ["", ".sig", ".att", ".sbom"].contains(&&rest[64..]);
        known.then(|| format!("sha256:{hex}").parse().ok())?
    }
}

/// The newest tags of a kind, most recently used first; an unknown time is the newest.
fn newest<'a>(
    survey: &'a Survey,
    policy: &Policy,
    kind: TagKind,
    most: usize,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let mut tags: Vec<(Option<u64>, &str)> = Vec::new();
    for version in survey.listing.versions.values() {
        let of_kind = |tag: &&String| {
            parse_tag(tag, &policy.mark).is_some_and(|own| own.zone == TagZone::Trusted && own.kind == kind)
        };
        tags.extend(version.tags.iter().filter(of_kind).map(|tag| (version.used(), tag.as_str())));
    }
    tags.sort_unstable_by_key(|(used, tag)| (used.map(std::cmp::Reverse), *tag));
    tags.into_iter().take(most).map(|(_, tag)| tag)
}
