//! A repository in a registry of the OCI distribution specification. It lists tags alone, and knows no times: when
//! something was first seen is remembered between runs, where a folder for that is given.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};

use super::manifests::{Manifests, Remembered};
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, Mark, Repository, TagKind, parse_tag};
use crate::ports::Writes;
use crate::ports::clock::unix_seconds;
use crate::ports::registry::{Deleted, Registry};
use crate::prune::{Links, Listing, Outcome, Step, Store, Version};

/// Requests that are made ready at once; of these the registry's client sends as many as its own limit allows.
pub(super) const AT_ONCE: usize = 32;

pub(super) struct DistributionStore<'a> {
    pub(super) registry: &'a Registry,
    pub(super) repository: &'a Repository,
    pub(super) manifests: &'a Manifests,
    pub(super) mark: &'a Mark,
    pub(super) writes: &'a Cell<Option<Writes>>,
    /// What is known of the repository; `None` before the first look.
    pub(super) seen: RefCell<Option<Remembered>>,
    /// Whether the registry has the API of referrers, once that is known.
    pub(super) lists_referrers: Cell<Option<bool>>,
    pub(super) cannot_untag: Cell<bool>,
    /// The registry kept an image whose tag was removed.
    pub(super) untags_well: Cell<bool>,
}

impl DistributionStore<'_> {
    /// What the tags name. The first look believes what an earlier run saw of images by key and by commit, which are
    /// set once; before anything is removed all are asked for.
    async fn resolve(
        &self,
        tags: &BTreeSet<String>,
        before: &Remembered,
    ) -> Result<BTreeMap<String, Digest>> {
        let is_first = self.seen.borrow().is_none();
        let is_set_once = |tag: &str| parse_tag(tag, self.mark).is_some_and(|own| own.kind != TagKind::Cache);
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        for tag in tags {
            match before.tags.get(tag).filter(|_| is_first && is_set_once(tag)) {
                Some((digest, _)) => {
                    found.insert(tag.clone(), digest.clone());
                }
                None => unknown.push(tag),
            }
        }
        for chunk in unknown.chunks(AT_ONCE) {
            let asked = chunk.iter().map(|tag| async {
                let digest = self.registry.tag_digest(&self.repository.tagged(tag.as_str())).await?;
                Ok::<_, Error>(digest.map(|digest| ((*tag).clone(), digest)))
            });
            found.extend(try_join_all(asked).await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn untag(&self, tag: &str, digest: &Digest, writes: Writes) -> Result<Outcome> {
        let refused = || Outcome::Refused("it removes no tag without the image".to_owned());
        if self.cannot_untag.get() {
            return Ok(refused());
        }
        let reference = self.repository.tagged(tag);
        match self.registry.tag_digest(&reference).await? {
            None => return Ok(Outcome::Absent),
            Some(now) if now != *digest => return Ok(Outcome::Changed),
            Some(_) => {}
        }
        match self.registry.delete(&reference, writes).await? {
            Deleted::Absent => Ok(Outcome::Absent),
            Deleted::Unsupported(_) => {
                self.cannot_untag.set(true);
                Ok(refused())
            }
            Deleted::Done if self.untags_well.get() => Ok(Outcome::Done),
            Deleted::Done => {
                // A registry that takes the image away with the tag must not get a second one.
                if self.registry.manifest_bytes(self.repository, digest).await?.is_none() {
                    let what =
                        format!("{} removed an image with one of its tags", self.repository.registry());
                    return Err(Error::of(FailureKind::DeleteOff, what)
                        .cause(format!("{} is gone with {tag}", self.repository.at(digest.clone()))));
                }
                self.untags_well.set(true);
                Ok(Outcome::Done)
            }
        }
    }

    async fn delete(&self, digest: &Digest, writes: Writes) -> Result<Outcome> {
        match self.registry.delete(&self.repository.at(digest.clone()), writes).await? {
            Deleted::Done => Ok(Outcome::Done),
            Deleted::Absent => Ok(Outcome::Absent),
            Deleted::Unsupported(error) => Err(error),
        }
    }
}

impl Store for DistributionStore<'_> {
    async fn listing(&self) -> Result<Listing> {
        let before = match &*self.seen.borrow() {
            Some(seen) => seen.clone(),
            None => self.manifests.recall(self.repository),
        };
        let tags: BTreeSet<String> = self.registry.tags(self.repository).await?.into_iter().collect();
        let named = self.resolve(&tags, &before).await?;
        let now = unix_seconds();
        let mut seen = Remembered::default();
        // Trusted images alone ask nothing of GitHub, whose clock would tell too.
        let clock = self.registry.ping(self.repository.registry()).await?.clocks.map(|(theirs, _)| theirs);
        let mut listing = Listing { can_untag: !self.cannot_untag.get(), clock, ..Listing::default() };
        for (tag, digest) in named {
            let first = before.versions.get(&digest).copied().unwrap_or(now);
            let since = before.tags.get(&tag).filter(|(known, _)| *known == digest);
            let since = since.map_or(now, |(_, since)| *since);
            seen.versions.insert(digest.clone(), first);
            seen.tags.insert(tag.clone(), (digest.clone(), since));
            let version: &mut Version = listing.versions.entry(digest).or_default();
            if self.manifests.lasts() {
                version.seen = Some(first);
                version.tags_seen.insert(tag.clone(), since);
            }
            version.tags.insert(tag);
        }
        self.manifests.remember(self.repository, &seen);
        *self.seen.borrow_mut() = Some(seen);
        Ok(listing)
    }

    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>> {
        read(self.registry, self.repository, self.manifests, digests).await
    }

    async fn referrers(&self, about: &[Digest]) -> Result<BTreeSet<Digest>> {
        let mut found = BTreeSet::new();
        // A registry that does not have the API is asked once.
        let first = usize::from(self.lists_referrers.get().is_none());
        let (first, rest) = about.split_at(first.min(about.len()));
        for chunk in std::iter::once(first).chain(rest.chunks(AT_ONCE)) {
            if self.lists_referrers.get() == Some(false) {
                break;
            }
            let asked = chunk.iter().map(|digest| self.registry.referrers(self.repository, digest));
            for answer in try_join_all(asked).await? {
                self.lists_referrers.set(Some(answer.is_some() || self.lists_referrers.get() == Some(true)));
                found.extend(answer.into_iter().flatten());
            }
        }
        Ok(found)
    }

    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)> {
        let Some(writes) = self.writes.get() else { return Vec::new() };
        one_by_one(steps, async |step| match step {
            Step::Untag { tag, digest } => self.untag(tag, digest, writes).await,
            Step::Delete { digest, .. } => self.delete(digest, writes).await,
        })
        .await
    }
}

/// Carries out the steps one after the other, until one fails as all others would.
pub(super) async fn one_by_one(
    steps: &[Step],
    remove: impl AsyncFn(&Step) -> Result<Outcome>,
) -> Vec<(Step, Outcome)> {
    let mut tried = Vec::new();
    for step in steps {
        let outcome = remove(step).await.unwrap_or_else(Outcome::Failed);
        let is_last = matches!(&outcome, Outcome::Failed(error) if is_of_all(error));
        tried.push((step.clone(), outcome));
        if is_last {
            break;
        }
    }
    tried
}

/// Tells whether the next removal would fail in the same way.
fn is_of_all(error: &Error) -> bool {
    matches!(error.class, FailureClass::Access | FailureClass::Unsupported)
        || error.is(FailureKind::Throttled)
        || error.is_stopped()
}

/// The references of manifests, through the registry's own API.
pub(super) async fn read(
    registry: &Registry,
    repository: &Repository,
    manifests: &Manifests,
    digests: &[Digest],
) -> Result<BTreeMap<Digest, Links>> {
    let mut found = BTreeMap::new();
    let mut unread = Vec::new();
    for digest in digests {
        match manifests.get(digest) {
            Some(links) => {
                found.insert(digest.clone(), links);
            }
            None => unread.push(digest),
        }
    }
    for chunk in unread.chunks(AT_ONCE) {
        let asked = chunk.iter().map(|digest| registry.manifest_bytes(repository, digest));
        for (digest, bytes) in chunk.iter().zip(join_all(asked).await) {
            if let Some(bytes) = bytes? {
                found.insert((*digest).clone(), manifests.add(repository, digest, &bytes)?);
            }
        }
    }
    Ok(found)
}
