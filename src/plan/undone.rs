//! Tells what the inputs say and the run leaves undone: tags that are not set, an image that is not published. The
//! same rule holds for reused and for built images.

use super::verdict::{Build, Reuse, Verdict};
use crate::error::Error;
use crate::facts::{ImageFacts, LookupResult, RepositoryFact};
use crate::failure::FailureKind;
use crate::inputs::{ImageRequest, Mode, RegistryPolicy, Switch};
use crate::key::digest::RUN_LABELS;
use crate::run::RunContext;
use crate::shown;
use crate::trust::ImageRun;

/// One thing that the run leaves undone.
struct Undone {
    /// The whole sentence.
    why: String,
    /// The kind of failure under `registry-policy: required`. `None` for a mere notice.
    degrades: Option<FailureKind>,
}

/// The error of a run that cannot publish at all, though `push: true` says it must.
pub(super) fn refuse_push(inputs: &ImageRequest, run: &RunContext, facts: &ImageFacts) -> Option<Error> {
    if inputs.push != Switch::On || matches!(inputs.settings.mode, Mode::Pull | Mode::Plan) {
        return None;
    }
    if let RepositoryFact::None(reason) = &*facts.repository {
        let error = Error::of(reason.kind(), "failed to publish the image, as push: true asks");
        return Some(error.cause(reason.explain()).hint("set the input repository, or leave push out"));
    }
    // Outside GitHub nothing would ever be published. A zone without the right, such as a fork's, is no mistake of the
    // workflow's, so it only degrades the run (`not_published`); what the registry refuses is found when it is asked.
    run.event.is_none().then(|| {
        Error::of(FailureKind::NotPublished, "failed to publish the image, as push: true asks")
            .cause(run.zone_reason.clone())
            .hint("leave push out; images are published by runs on GitHub")
    })
}

/// Adds what the run leaves undone to the verdict's notes.
pub(super) fn with_undone(verdict: Verdict, image: ImageRun<'_>, facts: &ImageFacts) -> Verdict {
    let is_plan = image.request.settings.mode == Mode::Plan;
    let undone = [
        repository_source_failed(facts),
        shared_not_looked_for(image.request, image.run, facts),
        not_published(&verdict, image),
        if is_plan { tags_not_moved(&verdict, image.request) } else { tags_not_set(image, facts) },
        annotations_not_set(&verdict, image.request, facts),
    ];
    undone.into_iter().flatten().fold(verdict, |verdict, undone| with_note(verdict, undone, image.request))
}

fn with_note(mut verdict: Verdict, undone: Undone, inputs: &ImageRequest) -> Verdict {
    let Some(notes) = verdict.notes_mut() else { return verdict };
    let Some(kind) = undone.degrades else {
        notes.notices.push(undone.why);
        return verdict;
    };
    if inputs.settings.reliability.policy == RegistryPolicy::Required {
        return Verdict::Fail(
            Error::of(kind, undone.why)
                .hint("registry-policy: required makes this a failure; auto goes on without"),
        );
    }
    notes.degraded = shown::clauses(notes.degraded.take().into_iter().chain([undone.why]));
    verdict
}

/// A source of the repository's name failed; that is more than its absence.
fn repository_source_failed(facts: &ImageFacts) -> Option<Undone> {
    match &*facts.repository {
        RepositoryFact::None(reason) if reason.is_failure() => {
            Some(Undone { why: reason.explain(), degrades: Some(reason.kind()) })
        }
        _ => None,
    }
}

/// A plan sets no tags, and a job that it spares sets none either.
fn tags_not_moved(verdict: &Verdict, inputs: &ImageRequest) -> Option<Undone> {
    let tags = shown::list(&inputs.tags);
    (matches!(verdict, Verdict::Reuse(_)) && !tags.is_empty()).then(|| Undone {
        why: format!(
            "tags are not set by mode plan: a job with mode build sets {tags} where the image is there already"
        ),
        degrades: None,
    })
}

/// Outside GitHub it may be unknown which GitHub repository the run belongs to.
fn shared_not_looked_for(inputs: &ImageRequest, run: &RunContext, facts: &ImageFacts) -> Option<Undone> {
    facts.repository.repository().filter(|_| run.mark.is_none() && inputs.digest.is_none())?;
    let why = "shared images and caches are not looked for: it is not known which GitHub repository's they would \
               be; set GITHUB_REPOSITORY_ID to its number (gh api repos/OWNER/NAME --jq .id)";
    Some(Undone { why: why.to_owned(), degrades: None })
}

/// An image that stays on this machine although the run was to publish it. Of a build that is not shared because the
/// registry did not answer, another note tells.
fn not_published(verdict: &Verdict, image: ImageRun<'_>) -> Option<Undone> {
    let only_here = matches!(verdict, Verdict::Build(Build { shared: true, .. }) | Verdict::ReuseLocal(_));
    (only_here
        && image.request.settings.mode == Mode::Build
        && image.request.push == Switch::On
        && !image.access.write_images)
        .then(|| Undone {
            why: format!("the image is not published: {}", image.run.zone_reason),
            degrades: Some(FailureKind::NotPublished),
        })
}

/// A reused image keeps the annotations it was built with. Those that name the run need not agree.
fn annotations_not_set(verdict: &Verdict, inputs: &ImageRequest, facts: &ImageFacts) -> Option<Undone> {
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
    (inputs.settings.mode == Mode::Build && !names.is_empty()).then(|| Undone {
        why: format!(
            "annotations not set: {}; the image that is there keeps its own (rebuild: true makes a new one)",
            names.join(", ")
        ),
        degrades: None,
    })
}

fn tags_not_set(image: ImageRun<'_>, facts: &ImageFacts) -> Option<Undone> {
    let undone = |names: &str, why: &str, degrades| {
        Some(Undone { why: format!("tags not set: {names}; {why}"), degrades })
    };
    let all = || shown::list(&image.request.tags);
    if image.request.tags.is_empty() {
        return None;
    }
    if image.request.settings.mode == Mode::Pull {
        return undone(&all(), "mode pull sets none, the build job does", None);
    }
    if image.request.push == Switch::Off {
        return undone(&all(), "the input push is false", None);
    }
    let Some(home) = facts.repository.repository() else {
        let short = shown::list(image.request.tags.iter().filter(|tag| tag.repository().is_none()));
        let why = "they are short names within the repository, and there is none";
        return if short.is_empty() { None } else { undone(&short, why, None) };
    };
    let (set, asked) = (image.names(home).user_tags(), image.names(home).asked_tags());
    let missing = shown::list(asked.iter().filter(|tag| !set.contains(tag)));
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
    undone(&missing, &why, Some(FailureKind::NotPublished))
}
