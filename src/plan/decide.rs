//! Decides about an image from its facts: reuse, build, merge or fail.

use super::join;
use super::merge;
use super::order::{SkippedTag, TagGuard, ordered};
use super::set_up::makes;
use super::undone::{refuse_push, with_undone};
use super::verdict::{Build, Notes, Reuse, ReuseLocal, Verdict, WantedAlias};
use crate::buildkit::LocalImage;
use crate::error::Error;
use crate::facts::{ImageFacts, Lookup, LookupBy, LookupResult};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::guards::Guard;
use crate::image::EcrHost;
use crate::image::{Digest, Platform, Repository};
use crate::inputs::{ImageRequest, Mode, OnMissing, RegistryPolicy, Switch};
use crate::trust::ImageRun;

/// The verdict, with what it leaves undone.
#[must_use]
pub(crate) fn decide(image: ImageRun<'_>, facts: &ImageFacts) -> Verdict {
    let verdict = match refuse_push(image.request, image.run, facts) {
        Some(error) => Verdict::Fail(error),
        None => with_undone(verdict_for(image, facts), image, facts),
    };
    // It is known before anything is built.
    let verdict = match set_back(&verdict, image, facts) {
        Err(error) => Verdict::Fail(error),
        Ok(()) => verdict,
    };
    // A pull builds too, with `on-missing: build`.
    let builds = image.request.settings.mode == Mode::Build || matches!(verdict, Verdict::Build(_));
    if builds && image.run.event.as_deref() == Some("pull_request_target") && Guard::TargetEvent.holds() {
        return Verdict::Fail(
            Error::of(FailureKind::UnsafeEvent, "refused to build in a pull_request_target run")
                .cause("it would run a stranger's code with this repository's rights")
                .hint("build in a pull_request run; mode pull works here for an image that is there"),
        );
    }
    verdict
}

/// With `on-older: fail`, the error for a tag that would be set back.
fn set_back(verdict: &Verdict, image: ImageRun<'_>, facts: &ImageFacts) -> Result<(), Error> {
    let own = match verdict {
        Verdict::Reuse(reuse) => Some(&reuse.digest),
        Verdict::Merge(merge) => Some(&merge.index.digest),
        Verdict::Build(Build { publish: true, .. }) => None,
        Verdict::Build(_) | Verdict::ReuseLocal(_) | Verdict::Fail(_) | Verdict::Unneeded => return Ok(()),
    };
    let Some(home) = facts.repository.repository() else { return Ok(()) };
    ordered(image.names(home).user_tags(), facts, own, image.request.settings.on_older).map(drop)
}

fn verdict_for(image: ImageRun<'_>, facts: &ImageFacts) -> Verdict {
    let merges = image.request.settings.mode == Mode::Merge;
    if merges && !image.request.parts.is_empty() {
        return merge::of_digests(image, facts);
    }
    let load = crate::facts::wants_local(image.request, facts.repository.repository().is_some());
    if let Some(hit) = facts.lookups.iter().find_map(|lookup| match &lookup.seen {
        LookupResult::Match { digest, .. } if !image.request.rebuild => Some((lookup, digest)),
        _ => None,
    }) {
        return reuse(image, facts, hit, load);
    }
    if merges && let Err(error) = merge::home(image, facts) {
        return Verdict::Fail(error);
    }
    if !image.request.asked {
        return Verdict::Build(Build {
            reason: "an image that is built needs it".to_owned(),
            shared: facts.repository.repository().is_some(),
            ..Build::default()
        });
    }
    if let Some(digest) = &image.request.digest {
        return engine_copy(digest, facts)
            .unwrap_or_else(|| Verdict::Fail(digest_missing(image.request, facts)));
    }
    match facts.lookups.iter().find_map(Lookup::unknown) {
        Some(error) if merges => Verdict::Fail(error.clone()),
        Some(error) => unknown(image.request, facts, error),
        None => missing(image, facts, load),
    }
}

fn reuse(
    image: ImageRun<'_>,
    facts: &ImageFacts,
    (lookup, digest): (&Lookup, &Digest),
    load: bool,
) -> Verdict {
    let platform = image.request.build.loaded_platform();
    let have_local = facts.local.of_digest.as_ref().is_some_and(|local| {
        // The engine may have another platform of the same index.
        let fits = |wanted: &Platform| local.platform.as_ref().is_none_or(|own| own.covers(wanted));
        platform.is_none_or(fits)
    });
    // The key's tag, if its lookup is as wanted. It was looked up only if this run may set it.
    let key_tag_if = |wanted: &dyn Fn(&LookupResult) -> bool| {
        let of_key = |other: &&Lookup| other.at == LookupBy::KeyTag && wanted(&other.seen);
        let other = facts.lookups.iter().filter(|_| lookup.at == LookupBy::CommitTag).find(of_key)?;
        Some(other.reference.clone())
    };
    let (aliases, skipped) = aliases(image, facts, lookup, digest);
    Verdict::Reuse(Reuse {
        found_by: lookup.at,
        reference: lookup.reference.clone(),
        digest: digest.clone(),
        missing_key_tag: key_tag_if(&|seen| matches!(seen, LookupResult::Absent { .. })),
        key_tag: key_tag_if(
            &|seen| matches!(seen, LookupResult::Match { digest: named, .. } if named == digest),
        ),
        aliases,
        skipped,
        pull: load && !have_local,
        have_local: load && have_local,
        notes: Notes::default(),
    })
}

/// The further names that an image gets which `lookup` found, and those of `tags` that stay where they are. Pulling is
/// reading: only the build job sets names.
fn aliases(
    image: ImageRun<'_>,
    facts: &ImageFacts,
    lookup: &Lookup,
    digest: &Digest,
) -> (Vec<WantedAlias>, Vec<SkippedTag>) {
    let mode = image.request.settings.mode;
    let names = matches!(mode, Mode::Build | Mode::Merge) && image.request.asked;
    let Some(repository) = facts.repository.repository().filter(|_| names) else {
        return (Vec::new(), Vec::new());
    };
    let names = image.names(repository);
    // In another repository the commit's tag would need a copy of the whole image. Nothing is lost without it: the next
    // run finds the image by its key.
    let commit = names.written_commit().filter(|commit| {
        lookup.at == LookupBy::KeyTag && commit.repository() == lookup.reference.repository()
    });
    let commit = commit.map(|tag| WantedAlias { tag, guard: TagGuard::Any, required: false });
    // `on-older: fail` has its error already.
    let on_older = image.request.settings.on_older;
    let tags = ordered(names.user_tags(), facts, Some(digest), on_older).unwrap_or_default();
    let of_user = tags.set.into_iter().map(|(tag, guard)| WantedAlias { tag, guard, required: true });
    (commit.into_iter().chain(of_user).collect(), tags.skipped)
}

/// Reuses the engine's image if it has exactly the digest of the input `digest`, whatever the registry says.
fn engine_copy(digest: &Digest, facts: &ImageFacts) -> Option<Verdict> {
    Some(Verdict::Reuse(Reuse {
        found_by: LookupBy::Digest,
        reference: facts.local.of_digest.as_ref()?.name.parse().ok()?,
        digest: digest.clone(),
        missing_key_tag: None,
        key_tag: None,
        aliases: Vec::new(),
        skipped: Vec::new(),
        pull: false,
        have_local: true,
        notes: Notes::default(),
    }))
}

/// The registry's answer is unknown: build for this machine, or fail; never guess.
fn unknown(inputs: &ImageRequest, facts: &ImageFacts, error: &Error) -> Verdict {
    let may_degrade = inputs.settings.reliability.policy == RegistryPolicy::Auto
        && matches!(error.class, FailureClass::Unavailable | FailureClass::Access);
    let may_build = inputs.settings.mode != Mode::Pull || inputs.settings.on_missing == OnMissing::Build;
    // push: true has to publish; an image of this machine is not enough.
    let must_publish = inputs.settings.mode == Mode::Build && inputs.push == Switch::On;
    if !may_degrade || must_publish || !(may_build || engine_image(inputs, facts).is_some()) {
        return Verdict::Fail(error.clone());
    }
    let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let is_plan = inputs.settings.mode == Mode::Plan;
    let so = if is_plan { "the image counts as missing" } else { "the image stays on this machine" };
    let degraded = format!("the registry cannot be used ({}); {so}{hint}", error.headline());
    match engine_image(inputs, facts) {
        Some(image) => Verdict::ReuseLocal(ReuseLocal {
            image: image.clone(),
            why: "the registry cannot be asked".to_owned(),
            notes: Notes { degraded: Some(degraded), notices: Vec::new() },
        }),
        None => Verdict::Build(Build {
            reason: match inputs.settings.mode {
                _ if inputs.rebuild => format!("the registry cannot be asked, and {REBUILD}"),
                Mode::Plan => "the registry cannot be asked".to_owned(),
                _ => format!("the registry cannot be asked, and {NONE_HERE}"),
            },
            load: inputs.load != Switch::Off,
            notes: Notes { degraded: Some(degraded), notices: Vec::new() },
            ..Build::default()
        }),
    }
}

/// Every registry was asked, and has no image with the key.
fn missing(image: ImageRun<'_>, facts: &ImageFacts, load: bool) -> Verdict {
    let Some(repository) = facts.repository.repository() else {
        return without_repository(image.request, facts);
    };
    let repository = image.names(repository).own_repository();
    let publish = image.access.write_images;
    if publish && is_missing_in_ecr(repository, facts) && !makes(image, repository) {
        let name = repository.path();
        return Verdict::Fail(
            Error::of(FailureKind::NotFoundRepo, format!("the repository {repository} does not exist")).hint(
                format!(
                    "create it (aws ecr create-repository --repository-name {name}; in a trusted run create-repository: true does it), or correct its name"
                ),
            ),
        );
    }
    let is_pull = image.request.settings.mode == Mode::Pull;
    // The engine's image serves a pull, which need not publish, and a build that may not.
    if let Some(own) = engine_image(image.request, facts).filter(|_| is_pull || !publish) {
        let why = miss_reason(image, facts);
        return Verdict::ReuseLocal(ReuseLocal { image: own.clone(), why, notes: Notes::default() });
    }
    if let Some(error) = missing_to_a_pull(image.request, repository).filter(|_| is_pull) {
        return Verdict::Fail(error);
    }
    let degraded = is_pull.then(|| built_by_a_pull(publish));
    let build = Build {
        reason: miss_reason(image, facts),
        publish,
        shared: true,
        // An image that is not published can be used only here.
        load: load || (!publish && image.request.load != Switch::Off),
        only: None,
        notes: Notes { degraded, notices: Vec::new() },
    };
    join::verdict(image, facts, &build).unwrap_or(Verdict::Build(build))
}

/// Whether AWS says that there is no such repository. Other registries say it of one without an image, too, and create it
/// with the first push.
fn is_missing_in_ecr(repository: &Repository, facts: &ImageFacts) -> bool {
    EcrHost::parse(repository.registry()).is_some()
        && facts.lookups.iter().any(|lookup| {
            lookup.seen == LookupResult::Absent { no_repository: true }
                && lookup.reference.repository() == repository
        })
}

/// The error of a pull that finds no image; `None` if it may build one.
fn missing_to_a_pull(inputs: &ImageRequest, repository: &Repository) -> Option<Error> {
    match inputs.settings.on_missing {
        OnMissing::Build => None,
        OnMissing::Wait => Some(
            Error::of(FailureKind::WaitTimeout, format!("no image with this key appeared in {repository}"))
                .cause(format!("waited up to {}s", inputs.settings.wait_timeout.as_secs()))
                .hint("look at the job that builds it, or raise wait-timeout"),
        ),
        OnMissing::Fail => Some(
            Error::of(FailureKind::NoImage, format!("no image with this key is in {repository}"))
                .hint("let the job that builds it run first (needs), with the same inputs"),
        ),
    }
}

/// Says what a job with mode pull does if it finds no image and may build one.
fn built_by_a_pull(publish: bool) -> String {
    let does = if publish {
        "builds and publishes it"
    } else {
        "builds it for itself, as every job that finds none does"
    };
    format!("no image with this key is published: this job {does}")
}

fn without_repository(inputs: &ImageRequest, facts: &ImageFacts) -> Verdict {
    if let Some(image) = engine_image(inputs, facts) {
        let why = "there is no repository".to_owned();
        return Verdict::ReuseLocal(ReuseLocal { image: image.clone(), why, notes: Notes::default() });
    }
    if inputs.settings.mode == Mode::Pull && inputs.settings.on_missing != OnMissing::Build {
        return Verdict::Fail(
            Error::of(
                FailureKind::NoRepository,
                "no image with this key is on this machine, and there is no repository",
            )
            .hint("name the repository that the build job publishes to"),
        );
    }
    Verdict::Build(Build {
        reason: match inputs.settings.mode {
            _ if inputs.rebuild => REBUILD,
            Mode::Plan => "there is no repository that other jobs could find it in",
            _ => NONE_HERE,
        }
        .to_owned(),
        load: inputs.load != Switch::Off,
        ..Build::default()
    })
}

/// The reason of a build without a registry. The engine was asked only for private names that the run may use.
const NONE_HERE: &str = "this machine has no image with this key of a run that this one may trust";

/// The reason of a build with the input `rebuild`.
const REBUILD: &str = "rebuild was asked for";

/// The engine's image with the key, unless the input `rebuild` asks for a new one.
fn engine_image<'a>(inputs: &ImageRequest, facts: &'a ImageFacts) -> Option<&'a LocalImage> {
    facts.local.of_key.as_ref().filter(|_| !inputs.rebuild)
}

fn miss_reason(image: ImageRun<'_>, facts: &ImageFacts) -> String {
    if image.request.rebuild {
        return REBUILD.to_owned();
    }
    match facts.lookups.iter().find(|lookup| matches!(lookup.seen, LookupResult::OtherKey { .. })) {
        Some(lookup) => format!("{} was made from other inputs", lookup.reference.tag().unwrap_or_default()),
        // No registry was asked, because the tags of shared images hold the mark of the GitHub repository.
        None if image.run.mark.is_none() => "this machine has no image with this key".to_owned(),
        None => "no image has this key".to_owned(),
    }
}

fn digest_missing(inputs: &ImageRequest, facts: &ImageFacts) -> Error {
    let Some(home) = facts.repository.repository() else {
        return Error::of(FailureKind::NoRepository, "there is no repository to pull the digest from")
            .hint("set the input repository as in the job that built the image");
    };
    let unknown = facts.lookups.iter().find_map(Lookup::unknown).cloned();
    unknown.unwrap_or_else(|| {
        let digest = inputs.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        Error::of(FailureKind::NoImage, format!("{home} has no image {digest}")).hint(
            "check that both jobs name the same repository, and that no lifecycle rule removed the image",
        )
    })
}
