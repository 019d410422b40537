//! A repository in ECR. A tag is removed with the digest that it must have; with its last tag the image goes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::manifests::Manifests;
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, Repository};
use crate::ports::Writes;
use crate::ports::ecr::{Ecr, EcrFailure, EcrImage, EcrImageId, IDS};
use crate::prune::{Links, Listing, Outcome, Step, Store, Version};

pub(super) struct EcrStore<'a> {
    pub(super) ecr: Ecr,
    pub(super) repository: &'a Repository,
    pub(super) manifests: &'a Manifests,
    pub(super) described: RefCell<BTreeMap<Digest, EcrImage>>,
    pub(super) writes: &'a Cell<Option<Writes>>,
}

impl EcrStore<'_> {
    /// What ECR's description alone tells of a single image. To read its manifest may count as a pull, so that is done
    /// only where it is kept, and for those without a tag, whose maker must be known.
    fn described(&self, digest: &Digest) -> Option<Links> {
        let described = self.described.borrow();
        let image = described.get(digest)?;
        let is_single = image.media_type.as_deref().is_some_and(|kind| {
            kind.contains("image.manifest.") || kind.contains("distribution.manifest.v2")
        });
        if !is_single || image.tags.is_empty() || self.manifests.lasts() {
            return None;
        }
        let blobs = vec![(digest.clone(), image.bytes)];
        Some(Links { subject: image.subject.clone(), blobs, ..Links::default() })
    }
}

impl Store for EcrStore<'_> {
    async fn listing(&self) -> Result<Listing> {
        let images = self.ecr.images().await?;
        let mut listing = Listing { knows_pulls: true, can_untag: true, ..Listing::default() };
        for image in &images {
            let version: &mut Version = listing.versions.entry(image.digest.clone()).or_default();
            version.tags.extend(image.tags.iter().cloned());
            version.pushed = version.pushed.max(image.pushed);
            version.pulled = version.pulled.max(image.pulled);
        }
        *self.described.borrow_mut() =
            images.into_iter().map(|image| (image.digest.clone(), image)).collect();
        Ok(listing)
    }

    async fn links(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Links>> {
        let mut found = BTreeMap::new();
        let mut unread = Vec::new();
        for digest in digests {
            match self.manifests.get(digest).or_else(|| self.described(digest)) {
                Some(links) => {
                    found.insert(digest.clone(), links);
                }
                None => unread.push(digest.clone()),
            }
        }
        for chunk in unread.chunks(IDS) {
            for bytes in self.ecr.manifests(chunk).await? {
                let digest = Digest::of(&bytes);
                if !chunk.contains(&digest) {
                    let what = format!("ECR sent wrong content for a manifest of {}", self.repository);
                    return Err(Error::of(FailureKind::DigestMismatch, what));
                }
                let links = self.manifests.add(self.repository, &digest, &bytes)?;
                found.insert(digest, links);
            }
        }
        Ok(found)
    }

    async fn remove(&self, steps: &[Step]) -> Vec<(Step, Outcome)> {
        let mut tried = Vec::new();
        let Some(writes) = self.writes.get() else { return tried };
        let mut rest = steps;
        while !rest.is_empty() {
            let mut ids: Vec<EcrImageId> = Vec::new();
            let mut count = 0;
            for step in rest {
                let next = ids_of(step);
                if count > 0 && ids.len() + next.len() > IDS {
                    break;
                }
                ids.extend(next);
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            let mut failed = Vec::new();
            // An image with more tags than that takes several requests.
            for chunk in ids.chunks(IDS) {
                match self.ecr.delete(chunk, writes).await {
                    Ok(failures) => failed.extend(failures),
                    Err(error) => {
                        let is_last = error.class == FailureClass::Access || error.is(FailureKind::Throttled);
                        tried.extend(now.iter().map(|step| (step.clone(), Outcome::Failed(error.clone()))));
                        if is_last {
                            return tried;
                        }
                        failed.clear();
                        break;
                    }
                }
            }
            let is_new = |step: &&Step| !tried.iter().any(|(known, _): &(Step, Outcome)| known == *step);
            let outcomes: Vec<_> =
                now.iter().filter(is_new).map(|step| (step.clone(), outcome(step, &failed))).collect();
            tried.extend(outcomes);
        }
        tried
    }
}

/// Each tag with its digest, so that one which names another image by now is refused; without tags the digest.
fn ids_of(step: &Step) -> Vec<EcrImageId> {
    match step {
        Step::Untag { tag, digest } => vec![EcrImageId { digest: digest.clone(), tag: Some(tag.clone()) }],
        Step::Delete { digest, tags, .. } if tags.is_empty() => {
            vec![EcrImageId { digest: digest.clone(), tag: None }]
        }
        Step::Delete { digest, tags, .. } => {
            tags.iter().map(|tag| EcrImageId { digest: digest.clone(), tag: Some(tag.clone()) }).collect()
        }
    }
}

fn outcome(step: &Step, failed: &[(EcrImageId, EcrFailure)]) -> Outcome {
    let ids = ids_of(step);
    let of_step: Vec<&EcrFailure> =
        failed.iter().filter(|(id, _)| ids.contains(id)).map(|(_, failure)| failure).collect();
    for failure in &of_step {
        match failure {
            EcrFailure::Moved => return Outcome::Changed,
            EcrFailure::InIndex => return Outcome::Refused("an index lists it".to_owned()),
            EcrFailure::Other(why) => {
                return Outcome::Failed(
                    Error::of(FailureKind::BadAnswer, format!("ECR did not remove {}", step.digest()))
                        .cause(why),
                );
            }
            EcrFailure::NotFound => {}
        }
    }
    if of_step.len() == ids.len() { Outcome::Absent } else { Outcome::Done }
}
