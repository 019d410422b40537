//! The plans for an image that is there.

use super::given::{PlanContext, no_repository_notice, warnings};
use super::steps::{Plan, PlannedTag, Step};
use super::verdict::{Decision, Outcome, Reuse, ReuseLocal};
use crate::facts::{Facts, LookupBy, LookupResult};
use crate::image::{Digest, ImageReference, Platform};
use crate::inputs::{Mode, Switch};
use crate::trust::LocalNames;

/// The plan for an image of the registry.
pub(super) fn reuse(given: &PlanContext<'_>, verdict: Reuse) -> Plan {
    let Reuse { found_by, reference, digest, missing_key_tag, key_tag, aliases, pull, have_local, notes } =
        verdict;
    let source = reference.repository().at(digest.clone());
    let there = |reference: &ImageReference| PlannedTag { reference: reference.clone(), there: true };
    let planned = |reference: &ImageReference| PlannedTag { reference: reference.clone(), there: false };
    let (key_tag, commit_tag) = match found_by {
        LookupBy::Digest => (None, None),
        LookupBy::CommitTag => {
            let key_tag = key_tag.as_ref().map(there).or_else(|| missing_key_tag.as_ref().map(planned));
            (key_tag, Some(there(&reference)))
        }
        LookupBy::KeyTag => {
            let commit = aliases.iter().find(|(_, required)| !required);
            (Some(there(&reference)), commit.map(|(tag, _)| planned(tag)))
        }
    };
    let mut steps: Vec<Step> = missing_key_tag
        .into_iter()
        .map(|key_tag| Step::SetKeyTag { key_tag, others: Vec::new(), replace: false })
        .collect();
    steps.extend(aliases.into_iter().map(|(target, required)| Step::Alias {
        source: source.clone(),
        target,
        required,
    }));
    if pull {
        // The engine's own it takes by itself.
        let here = Platform::of_this_machine();
        let platform = given.inputs.build.loaded_platform().filter(|own| !here.covers(own)).cloned();
        steps.push(Step::Pull { reference: source.clone(), platform });
    }
    if pull || have_local {
        let private = LocalNames::new(given.inputs, given.access);
        let private = match &given.facts.key {
            Some(key) => private.own_of_key(key.short()),
            None => private.own_of_digest(&digest),
        };
        steps.extend(name_steps(given, source.to_string(), private));
    }
    let (outcome, reason) = match found_by {
        _ if have_local => (Outcome::ReusedLocal, "the engine has this image already"),
        LookupBy::Digest => (Outcome::ReusedDigest, "this digest was asked for"),
        LookupBy::CommitTag => (Outcome::ReusedTag, "this commit's image is there"),
        LookupBy::KeyTag => (Outcome::ReusedKey, "an image of the same content is there"),
    };
    let repository = Some(reference.repository().clone());
    Plan {
        decision: Decision { outcome, reason: format!("{reason}: {reference}"), changes: Vec::new() },
        steps,
        warnings: if given.inputs.mode == Mode::Build { warnings(given.facts) } else { Vec::new() },
        notices: notes.notices,
        degraded: notes.degraded,
        image_id: Some(image_id(given.facts, &digest)),
        digest: Some(digest),
        repository,
        key_tag,
        commit_tag,
        local_image: None,
    }
}

/// The plan for an image of the engine's.
pub(super) fn reuse_local(given: &PlanContext<'_>, verdict: ReuseLocal) -> Plan {
    let ReuseLocal { image, why, notes } = verdict;
    Plan {
        decision: Decision {
            outcome: Outcome::ReusedLocal,
            reason: format!("{why}, and the engine has an image with this key: {}", image.name),
            changes: Vec::new(),
        },
        // By its id: what is found is what is named.
        steps: if given.inputs.load == Switch::Off {
            Vec::new()
        } else {
            public_names(given, &image.id, false).collect()
        },
        warnings: warnings(given.facts),
        notices: no_repository_notice(given.facts).into_iter().chain(notes.notices).collect(),
        degraded: notes.degraded,
        digest: None,
        image_id: Some(image.id),
        repository: None,
        key_tag: None,
        commit_tag: None,
        local_image: Some(image.name),
    }
}

/// What docker calls the id of an image in the registry.
fn image_id(facts: &Facts, digest: &Digest) -> String {
    let config = facts.lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest: found, config, .. } if found == digest => config.as_ref(),
        _ => None,
    });
    let own = facts.local.of_digest.as_ref().map(|local| local.id.clone());
    config.map(ToString::to_string).or(own).unwrap_or_else(|| digest.to_string())
}

/// Names an image of the engine's: first by the private name, which no run of another zone sets, then
/// from that one as people call it.
pub(super) fn name_steps(given: &PlanContext<'_>, image: String, private: String) -> Vec<Step> {
    let public: Vec<Step> = public_names(given, &private, true).collect();
    let private = Step::Tag { image, name: private, required: true };
    std::iter::once(private).chain(public).collect()
}

/// Names an image of the engine's as people call it; and one that is published nowhere by the tags that are
/// asked for too, where `load` is.
pub(super) fn public_names(
    given: &PlanContext<'_>,
    image: &str,
    published: bool,
) -> impl Iterator<Item = Step> {
    let inputs = given.inputs;
    let here = inputs.load == Switch::On && !published;
    let tags = inputs.tags.iter().map(ToString::to_string).filter(move |_| here);
    let names = std::iter::once(inputs.image.local_reference()).chain(tags);
    names.map(|name| Step::Tag { image: image.to_owned(), name, required: true })
}
