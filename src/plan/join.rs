//! Images of which some platforms are there, each under its own key, and the image as a whole is not: the platforms that are
//! there are not built again.

use super::actions::{Action, ActionId, Draft, ImagePlan, PlannedTag, Source};
use super::context::{PlanContext, bug, decision};
use super::index::{BuiltPart, Index, JoinedIndex};
use super::merge;
use super::order::ordered;
use super::parts::check_platform;
use super::publish::{key_tag_guard, publish};
use super::verdict::{Build, Notes, Outcome, Verdict};
use crate::error::{Error, Result};
use crate::facts::{FoundPart, ImageFacts, Lookup, LookupResult, PlatformFacts};
use crate::failure::FailureKind;
use crate::image::{ANNOTATION_ZONE, ImageReference, Platform};
use crate::inputs::{ImageRequest, Mode, OnMissing};
use crate::key::{BuildKey, explain};
use crate::trust::{Access, ImageRun};

/// The platforms of an image, by whether the run can use an image of the registry.
struct Sorted<'a> {
    there: Vec<&'a FoundPart>,
    missing: Vec<&'a PlatformFacts>,
}

impl<'a> Sorted<'a> {
    fn of(facts: &'a ImageFacts, access: &Access) -> Result<Self> {
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for own in &facts.platforms {
            match usable(own, access)? {
                Some(part) => there.push(part),
                None => missing.push(own),
            }
        }
        Ok(Self { there, missing })
    }
}

/// The image of a platform, if it is there and of a zone that the run may read.
///
/// # Errors
/// If an image with the platform's key is not for that platform.
fn usable<'a>(own: &'a PlatformFacts, access: &Access) -> Result<Option<&'a FoundPart>> {
    let Some((part, image)) = own.part.as_ref().zip(own.found()) else { return Ok(None) };
    if part.annotations.get(ANNOTATION_ZONE).is_some_and(|zone| !access.reads_zone(zone)) {
        return Ok(None);
    }
    let wrong = |why: String| {
        Error::of(FailureKind::BadAnswer, format!("the image {image} has the key of {}: {why}", own.platform))
            .hint("delete its tag, or build it again with rebuild: true")
    };
    check_platform(part, &own.platform).map_err(wrong)?;
    Ok(Some(part))
}

/// The verdict about an image that is not there as a whole, if some of its platforms are there, or if nothing may be
/// built. `None`: all is built.
pub(super) fn verdict(image: ImageRun<'_>, facts: &ImageFacts, build: &Build) -> Option<Verdict> {
    let merges = image.request.settings.mode == Mode::Merge;
    let request = image.request;
    // An image that is built on another one of the run is built with it.
    let whole = facts.platforms.is_empty() || request.rebuild || !request.links.is_empty() || !request.asked;
    if !merges && (whole || !image.access.write_images) {
        return None;
    }
    let sorted = match Sorted::of(facts, image.access) {
        Ok(sorted) => sorted,
        Err(error) => return Some(Verdict::Fail(error)),
    };
    let only = || sorted.missing.iter().map(|own| own.platform.clone()).collect();
    match sorted.missing.first() {
        None if image.request.settings.mode != Mode::Plan => {
            let key = facts.key.as_ref().map(|key| (key.hex.clone(), explain::encode(key)));
            let index = Index::of_parts(&sorted.there, merge::annotations(image, key));
            Some(merge::verdict(image, index, build.load))
        }
        Some(missing) if merges => Some(Verdict::Fail(never_came(image.request, missing))),
        _ if sorted.there.is_empty() => None,
        _ => Some(Verdict::Build(Build { only: Some(only()), ..build.clone() })),
    }
}

/// The error of a merge for a platform that is missing.
fn never_came(inputs: &ImageRequest, missing: &PlatformFacts) -> Error {
    let unknown = missing.lookups.iter().find_map(Lookup::unknown).cloned();
    let platform = &missing.platform;
    let taken = missing.lookups.iter().find(|own| matches!(own.seen, LookupResult::OtherKey { .. }));
    let (kind, cause, hint) = match (inputs.settings.on_missing, taken) {
        // There is no sense in waiting for it.
        (_, Some(lookup)) => (
            FailureKind::NoImage,
            format!("{} names an image of another key than {}", lookup.reference, missing.key),
            "delete that tag, and let the job that builds the platform run again",
        ),
        (OnMissing::Wait, None) => (
            FailureKind::WaitTimeout,
            format!("waited {}s for its key {}", inputs.settings.wait_timeout.as_secs(), missing.key),
            "look at the job that builds it, which needs the same inputs, or raise wait-timeout",
        ),
        (OnMissing::Build | OnMissing::Fail, None) => (
            FailureKind::NoImage,
            format!("no image has its key {}", missing.key),
            "let the job that builds it run first (needs), with the same inputs",
        ),
    };
    unknown.unwrap_or_else(|| {
        Error::of(kind, format!("the platforms are not merged: {platform} is missing"))
            .cause(cause)
            .hint(hint)
    })
}

/// One platform that is built by itself, as a job for it alone would.
struct Part {
    request: ImageRequest,
    facts: ImageFacts,
}

impl Part {
    fn new(given: &PlanContext<'_>, own: &PlatformFacts, key: &BuildKey) -> Self {
        let PlanContext { image, facts, .. } = given;
        let request = image.request.part(&own.platform);
        let key = key.alone(&own.platform, &own.key);
        let facts = ImageFacts {
            key: Some(key),
            bases: facts.bases.clone(),
            pins: facts.pins.clone(),
            set_up: std::sync::Arc::clone(&facts.set_up),
            ..ImageFacts::empty(std::sync::Arc::clone(&facts.repository))
        };
        Self { request, facts }
    }
}

/// The plan for an image of which only these platforms are built: each by itself, side by side, then the index of all.
/// `plan_build` plans the build of one.
pub(super) fn build_missing(
    given: &PlanContext<'_>,
    verdict: Build,
    only: &[Platform],
    draft: &mut Draft,
    mut plan_build: impl FnMut(&PlanContext<'_>, Build, &mut Draft) -> Result<(ImagePlan, Option<Source>)>,
) -> Result<ImagePlan> {
    let PlanContext { image, facts, .. } = given;
    let key = facts.key.as_ref().ok_or_else(|| bug("a build without a key"))?;
    let home = facts.repository.repository().ok_or_else(|| bug("a part without a repository"))?;
    let there = Sorted::of(facts, image.access)?.there;
    let mut plan: Option<ImagePlan> = None;
    let mut built: Vec<BuiltPart> = Vec::new();
    for own in facts.platforms.iter().filter(|own| only.contains(&own.platform)) {
        let part = Part::new(given, own, key);
        let image = ImageRun { request: &part.request, ..*image };
        let own_given = PlanContext { image, facts: &part.facts, ..*given };
        let verdict = Build { load: false, only: None, notes: Notes::default(), ..verdict.clone() };
        draft.platform = Some(own.platform.clone());
        let made = plan_build(&own_given, verdict, draft);
        draft.platform = None;
        let (own_plan, source) = made?;
        let source = source.ok_or_else(|| bug("a part that is not published"))?;
        built.push(BuiltPart { platform: own.platform.clone(), source });
        plan.get_or_insert(own_plan);
    }
    let plan = plan.ok_or_else(|| bug("no platform to build"))?;
    let published = image.names(home).written(key.short());
    let name = published.name.clone().ok_or_else(|| bug("an index without a name"))?;
    let tags = ordered(published.user_tags.clone(), facts, None, image.request.settings.on_older)?;
    let own = Some((key.hex.clone(), explain::encode(key)));
    let annotations = merge::annotations(*image, own);
    let after: Vec<ActionId> = built.iter().filter_map(|part| part.source.action()).collect();
    let joined = JoinedIndex { there: there.into_iter().cloned().collect(), built, annotations };
    let put = draft.add(after, Action::JoinIndex { joined: Box::new(joined), target: name.clone() });
    let last = publish(&published, &name, tags.set, key_tag_guard(given), put, draft);
    if verdict.load {
        merge::pull_index(given, last, &name, draft);
    }
    let planned = |reference: ImageReference| PlannedTag { reference, there: false };
    let mut notices = verdict.notes.notices;
    notices.extend(plan.notices);
    Ok(ImagePlan {
        notices,
        degraded: verdict.notes.degraded.or(plan.degraded),
        key_tag: published.key_tag.map(planned),
        commit_tag: published.commit_tag.map(planned),
        skipped_tags: tags.skipped,
        decision: decision(given, Outcome::Built, verdict.reason),
        ..plan
    })
}
