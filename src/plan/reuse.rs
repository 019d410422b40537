//! Plans the reuse of an image of the registry or of the engine.

use super::actions::{Action, ActionId, Draft, ImagePlan, PlannedTag, Source};
use super::context::{PlanContext, no_repository_notice, warnings};
use super::order::TagGuard;
use super::verdict::{Decision, Outcome, Reuse, ReuseLocal, WantedAlias};
use crate::facts::{ImageFacts, LookupBy, LookupResult};
use crate::image::{Digest, ImageReference, Platform};
use crate::inputs::{Mode, Switch, UserTag};

/// The plan for an image of the registry.
pub(super) fn reuse(given: &PlanContext<'_>, verdict: Reuse, draft: &mut Draft) -> ImagePlan {
    let (key_tag, commit_tag) = shown_tags(&verdict);
    let local_image = add_actions(given, &verdict, draft);
    let Reuse { found_by, reference, digest, have_local, skipped, notes, .. } = verdict;
    let (outcome, reason) = match found_by {
        _ if have_local => (Outcome::ReusedLocal, "the engine has this image already"),
        LookupBy::Digest => (Outcome::ReusedDigest, "this digest was asked for"),
        LookupBy::CommitTag => (Outcome::ReusedTag, "this commit's image is there"),
        LookupBy::KeyTag => (Outcome::ReusedKey, "an image of the same content is there"),
    };
    let reason = format!("{reason}: {reference}");
    // A job that only pulls does not repeat what the job that builds reports.
    let is_build = given.image.request.settings.mode == Mode::Build;
    ImagePlan {
        warnings: if is_build { warnings(given.facts) } else { Vec::new() },
        notices: notes.notices,
        degraded: notes.degraded,
        image_id: Some(image_id(given.facts, &digest)),
        size: size(given.facts, &digest),
        digest: Some(digest),
        repository: Some(reference.repository().clone()),
        key_tag,
        commit_tag,
        local_image,
        skipped_tags: skipped,
        ..ImagePlan::from_decision(Decision { outcome, reason, changes: Vec::new() })
    }
}

/// The key's tag and the commit's, as the report shows them: those that are there, and those that the run sets.
fn shown_tags(verdict: &Reuse) -> (Option<PlannedTag>, Option<PlannedTag>) {
    let there = |reference: &ImageReference| PlannedTag { reference: reference.clone(), there: true };
    let planned = |reference: &ImageReference| PlannedTag { reference: reference.clone(), there: false };
    let Reuse { found_by, reference, key_tag, missing_key_tag, aliases, .. } = verdict;
    match found_by {
        LookupBy::Digest => (None, None),
        LookupBy::CommitTag => {
            let key_tag = key_tag.as_ref().map(there).or_else(|| missing_key_tag.as_ref().map(planned));
            (key_tag, Some(there(reference)))
        }
        LookupBy::KeyTag => {
            // Of the aliases, the commit's tag alone is not required.
            let commit = aliases.iter().find(|alias| !alias.required);
            (Some(there(reference)), commit.map(|alias| planned(&alias.tag)))
        }
    }
}

/// Adds the actions that set tags in the registry, pull the image, and name it in the engine. Returns the private name if
/// the engine's image has it already.
fn add_actions(given: &PlanContext<'_>, verdict: &Reuse, draft: &mut Draft) -> Option<String> {
    let Reuse { reference, digest, missing_key_tag, aliases, pull, have_local, .. } = verdict;
    let source = reference.repository().at(digest.clone());
    let known = || Source::Known(source.clone());
    if let Some(key_tag) = missing_key_tag.clone() {
        let (others, guard) = (Vec::new(), TagGuard::UnlessSameKey);
        draft.add([], Action::SetKeyTag { source: known(), key_tag, others, guard });
    }
    for WantedAlias { tag, guard, required } in aliases {
        let (target, guard, required) = (tag.clone(), guard.clone(), *required);
        draft.add([], Action::Alias { source: known(), target, guard, required });
    }
    let mut pulled = None;
    if *pull {
        // The engine takes its own platform by itself.
        let here = Platform::of_this_machine();
        let platform = given.image.request.build.loaded_platform().filter(|own| !here.covers(own)).cloned();
        pulled = Some(draft.add([], Action::Pull { source: known(), platform }));
    }
    if !*pull && !*have_local {
        return None;
    }
    let private = match &given.facts.key {
        Some(key) => given.image.private_name(key.short()),
        None => given.image.private_name_of_digest(digest),
    };
    let has =
        given.facts.local.of_digest.as_ref().filter(|_| *have_local).map_or(&[][..], |local| &local.tags);
    if !has.contains(&private) {
        name_actions(given, &Source::Known(source.to_string()), private, pulled.as_slice(), draft);
        return None;
    }
    public_names(given, &private, PublicNames { published: true, has }, &[], draft);
    Some(private)
}

/// The plan for an image of the engine's.
pub(super) fn reuse_local(given: &PlanContext<'_>, verdict: ReuseLocal, draft: &mut Draft) -> ImagePlan {
    let ReuseLocal { image, why, notes } = verdict;
    if given.image.request.load != Switch::Off {
        // By its id, so that the image that was found is the one that gets the names.
        public_names(given, &image.id, PublicNames { published: false, has: &image.tags }, &[], draft);
    }
    let reason = format!("{why}, and the engine has an image with this key: {}", image.name);
    ImagePlan {
        warnings: warnings(given.facts),
        notices: no_repository_notice(given.facts).into_iter().chain(notes.notices).collect(),
        degraded: notes.degraded,
        image_id: Some(image.id),
        local_image: Some(image.name),
        ..ImagePlan::from_decision(Decision { outcome: Outcome::ReusedLocal, reason, changes: Vec::new() })
    }
}

/// Bytes of the registry's image; `None` for an index.
pub(super) fn size(facts: &ImageFacts, digest: &Digest) -> Option<u64> {
    facts.lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest: found, size, .. } if found == digest => *size,
        _ => None,
    })
}

/// What docker calls the id of the registry's image: the digest of its configuration, else the image's own.
fn image_id(facts: &ImageFacts, digest: &Digest) -> String {
    let config = facts.lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest: found, config, .. } if found == digest => config.as_ref(),
        _ => None,
    });
    let own = facts.local.of_digest.as_ref().map(|local| local.id.clone());
    config.map(ToString::to_string).or(own).unwrap_or_else(|| digest.to_string())
}

/// Adds the actions that name an image of the engine's that the registry has too: first with the private name, which no run of another zone sets,
/// then, from that one, with the public names.
pub(super) fn name_actions(
    given: &PlanContext<'_>,
    image: &Source<String>,
    private: String,
    after: &[ActionId],
    draft: &mut Draft,
) {
    let after = after.iter().copied();
    let tag = Action::Tag { source: image.clone(), name: private.clone(), required: true };
    let named = draft.add(after, tag);
    public_names(given, &private, PublicNames { published: true, has: &[] }, &[named], draft);
}

/// What decides which public names an image of the engine's still needs.
pub(super) struct PublicNames<'a> {
    /// The registry has the image.
    pub published: bool,
    /// The names that the engine's image has already.
    pub has: &'a [String],
}

/// Adds the actions that give an image of the engine's its local name, and, if it is not published and `load` is true,
/// the references of the input `tags`. The names for the engine alone (`request.local_names`) it gets in any case. One name
/// is given after the other: after one that the engine refuses, no other is tried.
pub(super) fn public_names(
    given: &PlanContext<'_>,
    image: &str,
    PublicNames { published, has }: PublicNames<'_>,
    after: &[ActionId],
    draft: &mut Draft,
) {
    let request = given.image.request;
    let here = request.load == Switch::On && !published;
    // A short name is a tag of a repository, and here is none.
    let tags = request.tags.iter().filter_map(UserTag::reference).filter(|_| here);
    let tags = tags.map(|reference| reference.to_string());
    let mut after = after.to_vec();
    let names =
        std::iter::once(request.image.local_reference()).chain(request.local_names.clone()).chain(tags);
    for name in names.filter(|name| !has.contains(name)) {
        let source = Source::Known(image.to_owned());
        after = vec![draft.add(after, Action::Tag { source, name, required: true })];
    }
}
