//! Makes every shared name that a run looks up or writes, from [`Access`] and the tag scheme. No other code makes one.

use super::caches::{own_cache, readable_caches};
use super::image_run::ImageRun;
use super::rights::Access;
use crate::guards::Guard;
use crate::image::{
    Digest, ImageReference, LocalScheme, Owner, Repository, TagScheme, names_another_repository, owner,
};
use crate::inputs::{CacheKind, Mode};
use crate::zone::Zone;

/// The names of one image in registries, as one run may use them.
#[derive(Clone, Copy)]
pub(crate) struct ZoneNames<'a> {
    image: ImageRun<'a>,
    shared: &'a Repository,
}

impl<'a> ImageRun<'a> {
    /// `shared` is the repository that every zone reads.
    #[must_use]
    pub(crate) const fn names(self, shared: &'a Repository) -> ZoneNames<'a> {
        ZoneNames { image: self, shared }
    }
}

impl<'a> ZoneNames<'a> {
    /// The repository that this run writes to.
    #[must_use]
    pub(crate) fn own_repository(&self) -> &'a Repository {
        self.image.access.own_repository.as_ref().unwrap_or(self.shared)
    }

    /// The repository with the images of this zone, which the run reads. Only its own zone can have one apart.
    fn repository_of(&self, zone: &Zone) -> &'a Repository {
        if *zone == self.image.run.zone { self.own_repository() } else { self.shared }
    }

    /// Every repository that this run reads, its own first.
    #[must_use]
    pub(crate) fn repositories(&self) -> Vec<&'a Repository> {
        let mut repositories = vec![self.own_repository(), self.shared];
        // Most runs have none of their own.
        repositories.dedup();
        repositories
    }

    fn scheme(&self) -> TagScheme<'a> {
        TagScheme::new(&self.image.request.image, self.image.run.mark.as_ref())
    }

    /// This commit's image in the first zone that the run reads.
    #[must_use]
    pub(crate) fn commit(&self) -> Option<ImageReference> {
        self.of_commit(&self.image.run.commit.as_ref()?.head).into_iter().next()
    }

    /// The images of a commit, own zone first. An image for one platform that was asked for has a tag beside that of the
    /// image with all platforms.
    #[must_use]
    pub(crate) fn of_commit(&self, commit: &str) -> Vec<ImageReference> {
        let scheme = self.scheme().of_platform(self.image.request.build.only_platform());
        let tag = |zone| Some(self.repository_of(zone).tagged(scheme.commit_tag(zone, commit)?));
        self.image.access.read.iter().filter_map(tag).collect()
    }

    /// The image of this run's commit with all platforms, in the first zone that the run reads.
    #[must_use]
    pub(crate) fn commit_of_all(&self) -> Option<ImageReference> {
        let (commit, zone) = (self.image.run.commit.as_ref()?, self.image.access.read.first()?);
        Some(self.repository_of(zone).tagged(self.scheme().commit_tag(zone, &commit.head)?))
    }

    /// The images of a key, own zone first.
    #[must_use]
    pub(crate) fn of_key(&self, key_short: &str) -> Vec<ImageReference> {
        let tag = |zone| Some(self.repository_of(zone).tagged(self.scheme().key_tag(zone, key_short)?));
        self.image.access.read.iter().filter_map(tag).collect()
    }

    /// The layer caches in repositories that this run may read, nearest first.
    #[must_use]
    pub(crate) fn caches(&self) -> Vec<ImageReference> {
        if !self.image.request.cache.has(CacheKind::Registry) {
            return Vec::new();
        }
        let names = readable_caches(self.image);
        names.into_iter().map(|name| self.repository_of(&name.zone).tagged(name.tag)).collect()
    }

    /// The name that this run gives this commit's image; `None` if it may not write images.
    #[must_use]
    pub(crate) fn written_commit(&self) -> Option<ImageReference> {
        let commit = self.image.run.commit.as_ref().filter(|_| self.image.access.write_images)?;
        let scheme = self.scheme().of_platform(self.image.request.build.only_platform());
        Some(self.own_repository().tagged(scheme.commit_tag(&self.image.run.zone, &commit.head)?))
    }

    /// The names that this run gives a new image of this key.
    #[must_use]
    pub(crate) fn written(&self, key_short: &str) -> Published {
        self.published(Some(key_short))
    }

    /// As [`Self::written`], also for an image without a known key.
    #[must_use]
    pub(crate) fn published(&self, key_short: Option<&str>) -> Published {
        let key_short = key_short.filter(|_| self.image.access.write_images);
        let tag = key_short.and_then(|key| self.scheme().key_tag(&self.image.run.zone, key));
        let key_tag = tag.map(|tag| self.own_repository().tagged(tag));
        // Without a commit the image is pushed under the key's tag or one of `tags`.
        let own = self.written_commit().or_else(|| key_tag.clone());
        let mut user_tags = self.user_tags();
        let name = own.or_else(|| user_tags.first().cloned());
        user_tags.retain(|tag| Some(tag) != name.as_ref());
        Published { name, commit_tag: self.written_commit(), key_tag, user_tags }
    }

    /// The references in the input `tags` that this run sets. With `mode: pull` and `mode: plan` it sets none.
    #[must_use]
    pub(crate) fn user_tags(&self) -> Vec<ImageReference> {
        if matches!(self.image.request.settings.mode, Mode::Pull | Mode::Plan) {
            return Vec::new();
        }
        self.asked_tags().into_iter().filter(|tag| self.may_set(tag)).collect()
    }

    /// The references in the input `tags`; a short name is a tag of the repository that the run writes to.
    #[must_use]
    pub(crate) fn asked_tags(&self) -> Vec<ImageReference> {
        self.image.request.tags.iter().map(|tag| tag.within(self.own_repository())).collect()
    }

    /// Tells whether the run may set a reference in `tags`. Trusted runs may set any that does not belong to another GitHub
    /// repository, which only tags in the repositories of this run tell. A run with its own registry repository may set those in it that belong to no other
    /// zone.
    fn may_set(&self, reference: &ImageReference) -> bool {
        let Access { write_tags, write_images, own_repository, .. } = self.image.access;
        let (tag, mark) = (reference.tag().unwrap_or_default(), self.image.run.mark.as_ref());
        let own = own_repository.as_ref().is_some_and(|own| own.is(reference.repository()));
        let shared = self.shared.is(reference.repository());
        if (own || shared) && names_another_repository(tag, mark) {
            return false;
        }
        *write_tags || (*write_images && own && owner(tag, &self.image.run.zone, mark) != Owner::Other)
    }

    /// The layer cache that this run may write.
    #[must_use]
    pub(crate) fn written_cache(&self) -> Option<ImageReference> {
        let writes = self.image.access.write_cache && self.image.request.cache.has(CacheKind::Registry);
        let name = own_cache(self.image.request, self.image.run).filter(|_| writes)?;
        Some(self.own_repository().tagged(name.tag))
    }

    /// Lists all names for the printed plan.
    #[must_use]
    pub(crate) fn all(&self, key_short: Option<&str>) -> AllNames {
        let of_key = |key| self.commit().into_iter().chain(self.of_key(key)).collect();
        AllNames {
            reads_images: key_short.map_or_else(Vec::new, of_key),
            reads_caches: self.caches(),
            writes_images: key_short.map_or_else(Vec::new, |key| self.written(key).all()),
            writes_cache: self.written_cache(),
        }
    }
}

/// The private names of the image in the engine's store.
impl<'a> ImageRun<'a> {
    fn local_scheme(self) -> LocalScheme<'a> {
        LocalScheme::new(&self.access.place, &self.request.image)
    }

    /// The images of a key that this run may use, own zone first.
    #[must_use]
    pub(crate) fn private_names(self, key_short: &str) -> Vec<String> {
        let name = |zone: &String| self.local_scheme().key_name(zone, key_short);
        let private = self.access.local_zones.iter().map(name);
        // Only with that guard off, in tests: the name for people, which any build can set.
        let shared = (!Guard::LocalRecord.holds()).then(|| self.request.image.local_reference());
        shared.into_iter().chain(private).collect()
    }

    /// The name that this run gives an image of this key that it built or pulled.
    #[must_use]
    pub(crate) fn private_name(self, key_short: &str) -> String {
        self.local_scheme().key_name(self.local_zone(), key_short)
    }

    /// The name that this run gives an image that it pulled by digest.
    #[must_use]
    pub(crate) fn private_name_of_digest(self, digest: &Digest) -> String {
        self.local_scheme().digest_name(self.local_zone(), digest)
    }

    /// The zone as private names spell it; every run has one.
    fn local_zone(self) -> &'a str {
        self.access.local_zones.first().map_or("none", String::as_str)
    }
}

/// The names under which a build is published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    /// The one name of the push itself; a push under several could fail between them.
    pub name: Option<ImageReference>,
    pub commit_tag: Option<ImageReference>,
    /// The key's tag. It is set after the push, because another run may have set it meanwhile. In a run without a
    /// commit it is `name`, which the push itself sets.
    pub key_tag: Option<ImageReference>,
    /// The references in the input `tags`, which are set last, each by itself.
    pub user_tags: Vec<ImageReference>,
}

impl Published {
    /// Every name once.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<ImageReference> {
        let mut all: Vec<_> = self.name.iter().chain(&self.user_tags).cloned().collect();
        if let Some(tag) = self.key_tag.as_ref().filter(|tag| !all.contains(tag)) {
            all.push(tag.clone());
        }
        all
    }
}

/// All names that a run reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct AllNames {
    /// Images that it looks for, in this order.
    pub reads_images: Vec<ImageReference>,
    /// Layer caches that it reads if they exist.
    pub reads_caches: Vec<ImageReference>,
    /// Names that it gives a new image.
    pub writes_images: Vec<ImageReference>,
    /// The layer cache that it writes.
    pub writes_cache: Option<ImageReference>,
}
