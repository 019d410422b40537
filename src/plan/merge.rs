//! `mode: merge`: decides if platforms that were built apart become one index, and plans that.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{Action, ActionId, Draft, ImagePlan, PlannedTag, Source};
use super::context::{PlanContext, bug};
use super::index::Index;
use super::order::{TagGuard, ordered};
use super::parts::{check_lines, images};
use super::publish::{publish, pull};
use super::reuse::name_actions;
use super::verdict::{Decision, Merge, Notes, Outcome, Verdict};
use crate::error::{Error, Result};
use crate::facts::{FoundPart, ImageFacts, PartFact, RepositoryFact};
use crate::failure::FailureKind;
use crate::image::{
    ANNOTATION_ENTRIES, ANNOTATION_KEY, ANNOTATION_ZONE, ImageReference, Platform, Repository,
};
use crate::inputs::{ImageRequest, Mode};
use crate::key::{BuildKey, explain};
use crate::shown;
use crate::trust::ImageRun;

/// The index of the images in the input `digests`, or the reason why there is none.
pub(super) fn of_digests(image: ImageRun<'_>, facts: &ImageFacts) -> Verdict {
    index(image, facts).map_or_else(Verdict::Fail, |index| verdict(image, index, false))
}

/// The verdict to store this index. `load`: the image is wanted in the engine's store.
pub(super) fn verdict(image: ImageRun<'_>, index: Index, load: bool) -> Verdict {
    let notices = without_index(image.request).into_iter().collect();
    Verdict::Merge(Merge { index, load, notes: Notes { degraded: None, notices } })
}

/// The repository that an index is stored in.
///
/// # Errors
/// If there is none, or the run may not publish.
pub(super) fn home<'a>(image: ImageRun<'a>, facts: &'a ImageFacts) -> Result<&'a Repository> {
    let Some(home) = facts.repository.repository() else {
        let error = Error::of(FailureKind::NoRepository, "there is no repository to merge in");
        let error = match &*facts.repository {
            RepositoryFact::None(reason) => error.cause(reason.explain()),
            RepositoryFact::Found { .. } => error,
        };
        return Err(error.hint("set the input repository as in the jobs that built the platforms"));
    };
    if !image.access.write_images {
        return Err(Error::of(
            FailureKind::NotPublished,
            "the platforms are not merged: this run may not publish",
        )
        .cause(image.run.zone_reason.clone())
        .hint(
            "skip this job where the jobs before it published nothing: if: needs.JOB.outputs.digest != ''",
        ));
    }
    Ok(image.names(home).own_repository())
}

fn index(image: ImageRun<'_>, facts: &ImageFacts) -> Result<Index> {
    let home = home(image, facts)?;
    let fit = |part| Ok((part, fit(image, home, part)?));
    let parts = facts.parts.iter().map(fit).collect::<Result<Vec<_>>>()?;
    all_that_are_asked_for(image.request, &one_of_each(&parts)?)?;
    one_family(&parts)?;
    let parts: Vec<&FoundPart> = parts.iter().map(|(_, found)| *found).collect();
    Ok(Index::of_parts(&parts, annotations(image, None)))
}

fn refused(part: &PartFact, why: impl std::fmt::Display) -> Error {
    Error::input(format!("input `digests`: {}: {why}", part.part))
}

/// What was found of a part. It must be there, an image of build-once's of a zone that the run reads, and for the platform
/// that its line in `digests` says.
fn fit<'a>(image: ImageRun<'_>, home: &Repository, part: &'a PartFact) -> Result<&'a FoundPart> {
    let Some(found) = &part.found else {
        return Err(Error::of(FailureKind::NoImage, format!("{home} has no image {}", part.part)).hint(
            "check that the job that built it names the same repository, and that no lifecycle rule removed the image",
        ));
    };
    if found.repository != *home {
        let why = format!("it is in {}, and an index names images of its own repository", found.repository);
        return Err(refused(part, why).cause(format!("this run writes in {home}")));
    }
    let (Some(_), Some(zone)) =
        (found.annotations.get(ANNOTATION_KEY), found.annotations.get(ANNOTATION_ZONE))
    else {
        return Err(refused(part, "it is no image of build-once's, or does not say so").hint(
            "an engine with the old image store writes no annotations: build with a docker-container builder (docker/setup-buildx-action)",
        ));
    };
    if !image.access.reads_zone(zone) {
        return Err(refused(part, format!("it was published by a run of the zone {zone}"))
            .cause(format!("this is {}", image.run.zone_reason))
            .hint("merge what jobs of this workflow run have built"));
    }
    check_lines(found).map_err(|why| refused(part, why))?;
    if let Some(named) = &part.part.platform
        && let Some((other, _)) = images(found).find(|(platform, _)| *platform != named)
    {
        return Err(refused(part, format!("it is for {other}")));
    }
    Ok(found)
}

/// The platforms of the parts.
///
/// # Errors
/// If two images are for one.
fn one_of_each<'a>(parts: &[(&PartFact, &'a FoundPart)]) -> Result<BTreeSet<&'a Platform>> {
    let mut seen: BTreeMap<&Platform, &PartFact> = BTreeMap::new();
    for (part, found) in parts {
        for (platform, _) in images(found) {
            if let Some(first) = seen.insert(platform, part) {
                return Err(refused(part, format!("{platform} is there already, in {}", first.part)));
            }
        }
    }
    Ok(seen.into_keys().collect())
}

/// The input `platforms`, where it is given, names what must be there.
fn all_that_are_asked_for(inputs: &ImageRequest, have: &BTreeSet<&Platform>) -> Result<()> {
    let asked: BTreeSet<&Platform> = inputs.build.platforms.iter().collect();
    if inputs.build.implied_platform || asked == *have {
        return Ok(());
    }
    let (have, asked) = (shown::list(have), shown::list(asked));
    let why = format!("it has {have}, and the input platforms names {asked}");
    Err(Error::input(format!("input `digests`: {why}"))
        .hint("name in digests what platforms names, or leave platforms out"))
}

/// Parts that were made from different inputs are different images. Where a part does not say what it was made from
/// there is nothing to compare.
fn one_family(parts: &[(&PartFact, &FoundPart)]) -> Result<()> {
    let told: Vec<_> = parts
        .iter()
        .filter_map(|(part, found)| {
            Some((*part, explain::decode(found.annotations.get(ANNOTATION_ENTRIES)?).ok()?))
        })
        .collect();
    let Some(((first, entries), rest)) = told.split_first() else { return Ok(()) };
    for (part, others) in rest {
        if let Some(differs) = explain::no_platforms(entries, others) {
            return Err(refused(part, format!("it was made from other inputs than {}: {differs}", first.part))
                .hint("build every platform of one commit with the same inputs; a Dockerfile tells platforms apart by TARGETARCH"));
        }
    }
    Ok(())
}

/// The levels of an annotation, and its name.
fn levels(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// The annotations of the index that do not depend on its parts: those of the input `annotations`, the run's zone, and the
/// key and entries if these are known.
pub(super) fn annotations(image: ImageRun<'_>, key: Option<(String, String)>) -> BTreeMap<String, String> {
    let asked = image.request.build.annotations.iter().filter_map(|(name, value)| {
        let (of, name) = levels(name);
        of.split(',').any(|level| level == "index").then(|| (name.to_owned(), value.clone()))
    });
    let zone = (ANNOTATION_ZONE.to_owned(), image.run.zone.name().to_owned());
    let key = key.into_iter().flat_map(|(key, entries)| {
        [(ANNOTATION_KEY.to_owned(), key), (ANNOTATION_ENTRIES.to_owned(), entries)]
    });
    asked.chain([zone]).chain(key).collect()
}

/// Annotations that are none of an index.
fn without_index(inputs: &ImageRequest) -> Option<String> {
    let is_other = |name: &&str| !levels(name).0.split(',').any(|level| level == "index");
    let names = inputs.build.annotations.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = names.filter(is_other).collect();
    (!names.is_empty()).then(|| {
        format!(
            "annotations not set: {}; an index gets those that begin with index:, the images keep their own",
            names.join(", ")
        )
    })
}

/// The plan for an index of images that are there.
pub(super) fn plan(given: &PlanContext<'_>, verdict: Merge, draft: &mut Draft) -> Result<ImagePlan> {
    let Merge { index, load, notes } = verdict;
    let home = given.facts.repository.repository().ok_or_else(|| bug("a merge without a repository"))?;
    let key = given.facts.key.as_ref().map(BuildKey::short);
    let published = given.image.names(home).published(key);
    let name = published.name.clone().ok_or_else(|| {
        Error::of(FailureKind::NotPublished, "the platforms are not merged: the index has no name")
            .cause("the run has no commit")
            .hint("name it in the input tags")
    })?;
    let (outcome, why) = match given.image.request.settings.mode {
        Mode::Merge => (Outcome::Merged, "the platforms that were built apart are one image"),
        Mode::Build | Mode::Pull | Mode::Plan => (Outcome::ReusedKey, "every platform is there"),
    };
    let reason = format!("{why}: {}", index.platforms());
    let on_older = given.image.request.settings.on_older;
    let tags = ordered(published.user_tags.clone(), given.facts, Some(&index.digest), on_older)?;
    let put = draft.add([], Action::PutIndex { index, target: name.clone(), guard: TagGuard::Any });
    let guard = if given.image.request.rebuild { TagGuard::Any } else { TagGuard::UnlessSameIndex };
    let last = publish(&published, &name, tags.set, guard, put, draft);
    if load {
        pull_index(given, last, &name, draft);
    }
    let planned = |reference| PlannedTag { reference, there: false };
    Ok(ImagePlan {
        notices: notes.notices,
        degraded: notes.degraded,
        repository: Some(name.repository().clone()),
        key_tag: published.key_tag.map(planned),
        commit_tag: published.commit_tag.map(planned),
        skipped_tags: tags.skipped,
        ..ImagePlan::from_decision(Decision { outcome, reason, changes: Vec::new() })
    })
}

/// Adds the actions that pull an index which an earlier action stores, and name it in the engine.
pub(super) fn pull_index(given: &PlanContext<'_>, made: ActionId, name: &ImageReference, draft: &mut Draft) {
    let Some(key) = given.facts.key.as_ref() else { return };
    let here = Platform::of_this_machine();
    let platform = given.image.request.build.loaded_platform().filter(|own| !here.covers(own)).cloned();
    let pulled = pull(made, name, platform, draft);
    let image = Source::BuiltBy { action: made, name: name.clone() };
    let private = given.image.private_name(key.short());
    name_actions(given, &image, private, &[pulled], draft);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::facts::{Line, LineKind};
    use crate::image::{ANNOTATION_REVISION, Digest};
    use crate::inputs::{Part, RawInputs};
    use crate::run::RunContext;
    use serde_json::json;

    fn part(platform: &str, annotations: &[(&str, &str)]) -> PartFact {
        let digest = Digest::of(platform.as_bytes());
        let line = Line {
            kind: LineKind::Image(platform.parse().unwrap()),
            digest: digest.to_string(),
            descriptor: json!({"digest": digest}),
        };
        let own = [(ANNOTATION_KEY, "1"), (ANNOTATION_ZONE, "trusted")];
        let annotations =
            own.iter().chain(annotations).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let found = FoundPart {
            repository: "h.example/ci".parse().unwrap(),
            annotations: annotations.collect(),
            lines: vec![line],
            size: None,
        };
        PartFact { part: Part { platform: None, digest }, found: Some(found) }
    }

    fn inputs(annotations: &str) -> ImageRequest {
        let raw = RawInputs {
            image: Some("app".into()),
            mode: Some("merge".into()),
            digests: Some(Digest::of(b"x").to_string()),
            annotations: Some(annotations.into()),
            ..RawInputs::default()
        };
        ImageRequest::read(&raw, &Env::default()).unwrap()
    }

    fn pairs(parts: &[PartFact]) -> Vec<(&PartFact, &FoundPart)> {
        parts.iter().map(|part| (part, part.found.as_ref().unwrap())).collect()
    }

    #[test]
    fn the_commit_is_named_where_all_parts_are_of_one() {
        let run = RunContext::read(&Env::default(), None).unwrap();
        let of = |first: &str, second: &str| {
            let revision = |commit: &str| part("linux/amd64", &[(ANNOTATION_REVISION, commit)]);
            let parts = [revision(first), revision(second)];
            let request = inputs("index:a=1\nmanifest,index:b=2\nmanifest:c=3\nd=4");
            let access = crate::trust::access(&request, &run);
            let image = ImageRun { request: &request, run: &run, access: &access };
            let parts = parts.each_ref().map(|part| part.found.as_ref().unwrap());
            let index = Index::of_parts(&parts, annotations(image, None));
            let mut document: serde_json::Value = serde_json::from_str(&index.text).unwrap();
            serde_json::from_value::<BTreeMap<String, String>>(document["annotations"].take()).unwrap()
        };
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let all = [("a", "1"), ("b", "2"), (ANNOTATION_ZONE, run.zone.name())];
            let all = all.iter().chain(pairs);
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(of("1", "1"), own(&[(ANNOTATION_REVISION, "1")]));
        assert_eq!(of("1", "2"), own(&[]));
        let left = without_index(&inputs("index:a=1\nmanifest:c=3\nd=4")).unwrap();
        assert!(left.starts_with("annotations not set: manifest:c, d;"), "{left}");
    }

    #[test]
    fn a_platform_is_there_once() {
        let two = [part("linux/amd64", &[]), part("linux/arm64", &[])];
        assert!(one_of_each(&pairs(&two)).is_ok());
        let twice = [part("linux/arm64", &[]), part("linux/aarch64", &[])];
        assert!(
            one_of_each(&pairs(&twice)).unwrap_err().to_string().contains("linux/arm64 is there already")
        );
    }

    #[test]
    fn a_part_that_says_nothing_of_its_inputs_is_not_compared() {
        let silent = [part("linux/amd64", &[]), part("linux/arm64", &[(ANNOTATION_ENTRIES, "no JSON")])];
        assert!(one_family(&pairs(&silent)).is_ok());
    }
}
