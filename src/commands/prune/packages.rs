//! A repository in ghcr.io. The registry deletes nothing; the Packages API deletes a version with all its tags.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::OnceCell;

use super::distribution::{one_by_one, read};
use super::manifests::Manifests;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, Repository};
use crate::ports::Writes;
use crate::ports::github::{GitHub, Package};
use crate::ports::random;
use crate::ports::registry::Registry;
use crate::prune::{Links, Listing, Outcome, Step, Store, Version};

pub(super) struct PackageStore<'a> {
    pub(super) github: &'a GitHub,
    pub(super) registry: &'a Registry,
    pub(super) repository: &'a Repository,
    pub(super) manifests: &'a Manifests,
    pub(super) package: OnceCell<Package>,
    pub(super) writes: &'a Cell<Option<Writes>>,
}

/// The annotation that makes a copy of a manifest another one.
const COPY: &str = "io.github.build-once.untagged";

impl PackageStore<'_> {
    async fn package(&self) -> Result<&Package> {
        self.package.get_or_try_init(|| self.github.package(self.repository.path())).await
    }

    /// Deletes a version with these tags. All its tags go with it, so it is looked at right before: another run may have
    /// given it a further one.
    async fn delete(&self, id: u64, tags: &BTreeSet<String>, writes: Writes) -> Result<Outcome> {
        match self.github.version(self.package().await?, id).await? {
            None => return Ok(Outcome::Absent),
            Some(now) if now.tags.iter().cloned().collect::<BTreeSet<_>>() != *tags => {
                return Ok(Outcome::Changed);
            }
            Some(_) => {}
        }
        let deleted = self.github.delete_version(self.package().await?, id, writes).await;
        match deleted {
            Ok(true) => Ok(Outcome::Done),
            Ok(false) => Ok(Outcome::Absent),
            Err(error) => match kept(&error) {
                Some(why) => Ok(Outcome::Refused(why.to_owned())),
                None => Err(error),
            },
        }
    }

    /// Moves the tag to a copy of the image that nothing else names, and deletes the copy. A kill between the two leaves
    /// the tag on the copy, which the next run removes.
    async fn untag(&self, tag: &str, digest: &Digest, writes: Writes) -> Result<Outcome> {
        let reference = self.repository.tagged(tag);
        match self.registry.tag_digest(&reference).await? {
            None => return Ok(Outcome::Absent),
            Some(now) if now != *digest => return Ok(Outcome::Changed),
            Some(_) => {}
        }
        let (manifest, bytes) = self.registry.document(&self.repository.at(digest.clone())).await?;
        let failed =
            || Error::of(FailureKind::BadAnswer, format!("failed to copy the manifest of {reference}"));
        let mut document: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| failed().because(&error))?;
        if !document["annotations"].is_object() {
            document["annotations"] = serde_json::json!({});
        }
        document["annotations"][COPY] = random::hex_128().unwrap_or_default().into();
        // The copy is about nothing: it would be listed with the subject.
        document.as_object_mut().map(|members| members.remove("subject"));
        let copy = document.to_string().into_bytes();
        let digest = Digest::of(&copy);
        self.registry.put(&reference, manifest.media_type, copy, writes).await?;
        let versions = self.github.newest_versions(self.package().await?).await?;
        let version = versions.iter().find(|version| version.digest == digest.as_str());
        let version = version.ok_or_else(|| {
            Error::of(
                FailureKind::EventualRead,
                format!("GitHub does not list the version that {reference} names"),
            )
            .hint("the tag names a copy of the image now; the next run removes it")
        })?;
        self.delete(version.id, &BTreeSet::from([tag.to_owned()]), writes).await
    }
}

/// Why GitHub keeps a version, if that is one of its rules.
fn kept(error: &Error) -> Option<&'static str> {
    let says = |word: &str| error.causes.iter().any(|cause| cause.to_lowercase().contains(word));
    if says("last tagged version") || says("last version") {
        Some("GitHub does not delete the last version of a package; delete the package instead")
    } else if says("5000 downloads") || says("5,000 downloads") {
        Some("GitHub keeps public versions with more than 5,000 downloads")
    } else {
        None
    }
}

impl Store for PackageStore<'_> {
    async fn listing(&self) -> Result<Listing> {
        let versions = self.github.versions(self.package().await?).await?;
        let clock = self.github.clock();
        let mut listing = Listing { can_untag: true, clock, ..Listing::default() };
        for found in versions {
            let digest: Digest = found.digest.parse().map_err(|error| {
                let what = format!("failed to read the versions of {}", self.repository);
                Error::of(FailureKind::BadAnswer, what).because(&error)
            })?;
            let version: &mut Version = listing.versions.entry(digest).or_default();
            version.tags_seen.extend(found.tags.iter().filter_map(|tag| Some((tag.clone(), found.created?))));
            version.tags.extend(found.tags);
            version.pushed = found.created;
            version.restore = Some(found.id);
        }
        Ok(listing)
    }

    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>> {
        read(self.registry, self.repository, self.manifests, digests).await
    }

    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)> {
        let Some(writes) = self.writes.get() else { return Vec::new() };
        one_by_one(steps, async |step| match step {
            Step::Untag { tag, digest } => self.untag(tag, digest, writes).await,
            Step::Delete { restore: Some(id), tags, .. } => self.delete(*id, tags, writes).await,
            // A manifest that GitHub does not list.
            Step::Delete { restore: None, .. } => Ok(Outcome::Absent),
        })
        .await
    }
}
