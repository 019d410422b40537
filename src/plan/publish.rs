//! Plans the names that an image gets once it is stored under one.

use super::actions::{Action, ActionId, Draft, PlatformTag, Source};
use super::context::PlanContext;
use super::order::TagGuard;
use crate::buildkit::{BuildSpec, Feature};
use crate::facts::PlatformFacts;
use crate::image::{ANNOTATION_KEY, ImageReference, Platform};
use crate::key::short;
use crate::trust::Published;

/// Which image the key's tag may have for it to be set: none of the same key, unless the input `rebuild` replaces it.
pub(super) const fn key_tag_guard(given: &PlanContext<'_>) -> TagGuard {
    if given.image.request.rebuild { TagGuard::Any } else { TagGuard::UnlessSameKey }
}

/// The key tags of the platforms that are built together, if their manifests carry their keys.
pub(super) fn platform_tags(given: &PlanContext<'_>, spec: &BuildSpec) -> Vec<PlatformTag> {
    let annotates = given.late.toolchain.as_ref().is_some_and(|tools| tools.buildx.has(Feature::Annotations));
    let home = given.facts.repository.repository().filter(|_| annotates);
    let Some(names) = home.map(|home| given.image.names(home)) else { return Vec::new() };
    let tag = |own: &PlatformFacts| {
        let annotation = format!("manifest[{}]:{ANNOTATION_KEY}", own.platform);
        let carries = spec.build.annotations.iter().any(|(name, key)| *name == annotation && *key == own.key);
        if !carries {
            return None;
        }
        let key_tag = names.written(short(&own.key)).key_tag?;
        Some(PlatformTag { platform: own.platform.clone(), key: own.key.clone(), key_tag })
    };
    given.facts.platforms.iter().filter_map(tag).collect()
}

pub(super) fn pull(
    made: ActionId,
    pushed: &ImageReference,
    platform: Option<Platform>,
    draft: &mut Draft,
) -> ActionId {
    let source = Source::BuiltBy { action: made, name: pushed.clone() };
    draft.add([made], Action::Pull { source, platform })
}

/// Adds what follows once an image is stored under one name: each other name is set. `made`: the action that knows the
/// image's digest. Returns the one that knows the final digest.
pub(super) fn publish(
    published: &Published,
    pushed: &ImageReference,
    tags: Vec<(ImageReference, TagGuard)>,
    guard: TagGuard,
    made: ActionId,
    draft: &mut Draft,
) -> ActionId {
    let mut last = made;
    let made_by = |action| Source::BuiltBy { action, name: pushed.clone() };
    if let Some(key_tag) = published.key_tag.clone() {
        let others = Some(pushed.clone()).filter(|name| *name != key_tag).into_iter().collect();
        last = draft.add([last], Action::SetKeyTag { source: made_by(last), key_tag, others, guard });
    }
    for (target, guard) in tags {
        draft.add([last], Action::Alias { source: made_by(last), target, guard, required: true });
    }
    last
}
