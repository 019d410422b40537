//! What was asked for and is not done: tags that are not set, an image that is not published. One
//! rule for images that are there and for those that are built.

use super::verdict::{Build, Reuse, Verdict};
use crate::error::Error;
use crate::facts::{ImageFacts, LookupResult, RepositoryFact};
use crate::failure::FailureKind;
use crate::inputs::{ImageRequest, Mode, RegistryPolicy, Switch};
use crate::key::digest::RUN_LABELS;
use crate::run::RunContext;
use crate::trust::ImageRun;

/// What is left undone.
struct Left {
    /// The whole sentence.
    why: String,
    /// The kind of the failure under `registry-policy: required`, where this is less than was asked
    /// for.
    degrades: Option<FailureKind>,
}

/// Why the run cannot publish at all, where `push: true` says it must.
pub(super) fn refuse_push(inputs: &ImageRequest, run: &RunContext, facts: &ImageFacts) -> Option<Error> {
    if inputs.push != Switch::On || inputs.settings.mode == Mode::Pull {
        return None;
    }
    if let RepositoryFact::None(reason) = &*facts.repository {
        let error = Error::of(reason.kind(), "failed to publish the image, as push: true asks");
        return Some(error.cause(reason.explain()).hint("set the input repository, or leave push out"));
    }
    // The registry's own refusals and faults are those of the question.
    run.event.is_none().then(|| {
        Error::of(FailureKind::NotPublished, "failed to publish the image, as push: true asks")
            .cause(run.zone_reason.clone())
            .hint("leave push out; images are published by runs on GitHub")
    })
}

/// The verdict, with what it leaves undone.
pub(super) fn with_rest(verdict: Verdict, image: ImageRun<'_>, facts: &ImageFacts) -> Verdict {
    let rest = [
        source_failed(facts),
        not_looked_for(image.request, image.run, facts),
        not_published(&verdict, image),
        tags_left(image, facts),
        annotations_left(&verdict, image.request, facts),
    ];
    rest.into_iter().flatten().fold(verdict, |verdict, left| add(verdict, left, image.request))
}

fn add(mut verdict: Verdict, left: Left, inputs: &ImageRequest) -> Verdict {
    let Some(notes) = verdict.notes_mut() else { return verdict };
    let Some(kind) = left.degrades else {
        notes.notices.push(left.why);
        return verdict;
    };
    if inputs.settings.reliability.policy == RegistryPolicy::Required {
        return Verdict::Fail(
            Error::of(kind, left.why)
                .hint("registry-policy: required makes this a failure; auto goes on without"),
        );
    }
    let said = notes.degraded.take().map(|said| format!("{said}; ")).unwrap_or_default();
    notes.degraded = Some(format!("{said}{}", left.why));
    verdict
}

/// A source of the repository's name that failed is not one that is absent.
fn source_failed(facts: &ImageFacts) -> Option<Left> {
    match &*facts.repository {
        RepositoryFact::None(reason) if reason.is_failure() => {
            Some(Left { why: reason.explain(), degrades: Some(reason.kind()) })
        }
        _ => None,
    }
}

/// Outside GitHub nothing may say which GitHub repository it is.
fn not_looked_for(inputs: &ImageRequest, run: &RunContext, facts: &ImageFacts) -> Option<Left> {
    facts.repository.repository().filter(|_| run.mark.is_none() && inputs.digest.is_none())?;
    let why = "shared images and caches are not looked for: it is not known which GitHub repository's they would \
               be; set GITHUB_REPOSITORY_ID to its number (gh api repos/OWNER/NAME --jq .id)";
    Some(Left { why: why.to_owned(), degrades: None })
}

fn not_published(verdict: &Verdict, image: ImageRun<'_>) -> Option<Left> {
    let local = matches!(verdict, Verdict::Build(Build { shared: true, .. }) | Verdict::ReuseLocal(_));
    (local
        && image.request.settings.mode == Mode::Build
        && image.request.push == Switch::On
        && !image.access.write_images)
        .then(|| Left {
            why: format!("the image is not published: {}", image.run.zone_reason),
            degrades: Some(FailureKind::NotPublished),
        })
}

/// An image that is there keeps the annotations it was built with. Those that name the run are not missed.
fn annotations_left(verdict: &Verdict, inputs: &ImageRequest, facts: &ImageFacts) -> Option<Left> {
    let Verdict::Reuse(Reuse { digest, .. }) = verdict else { return None };
    let has = facts.lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest: found, annotations, .. } if found == digest => Some(annotations),
        _ => None,
    })?;
    let missing = |(name, value): &&(String, String)| {
        let name = name.split_once(':').map_or(name.as_str(), |(_, name)| name);
        !RUN_LABELS.contains(&name) && has.get(name) != Some(value)
    };
    let names: Vec<&str> =
        inputs.build.annotations.iter().filter(missing).map(|(name, _)| name.as_str()).collect();
    (inputs.settings.mode == Mode::Build && !names.is_empty()).then(|| Left {
        why: format!(
            "annotations not set: {}; the image that is there keeps its own (rebuild: true makes a new one)",
            names.join(", ")
        ),
        degrades: None,
    })
}

fn tags_left(image: ImageRun<'_>, facts: &ImageFacts) -> Option<Left> {
    let left = |names: &str, why: &str, degrades| {
        Some(Left { why: format!("tags not set: {names}; {why}"), degrades })
    };
    let all = || image.request.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if image.request.tags.is_empty() {
        return None;
    }
    if image.request.settings.mode == Mode::Pull {
        return left(&all(), "mode pull sets none, the build job does", None);
    }
    if image.request.push == Switch::Off {
        return left(&all(), "the input push is false", None);
    }
    let home = facts.repository.repository()?;
    let set = image.names(home).user_tags();
    let missing: Vec<String> =
        image.request.tags.iter().filter(|tag| !set.contains(tag)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return None;
    }
    let why = if image.access.write_tags {
        "their names are another GitHub repository's".to_owned()
    } else if image.access.own_repository.is_some() {
        format!("outside pr-repository only trusted runs set tags, and this is {}", image.run.zone_reason)
    } else {
        format!("only trusted runs set them, and this is {}", image.run.zone_reason)
    };
    left(&missing.join(", "), &why, Some(FailureKind::NotPublished))
}
