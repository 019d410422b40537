//! Reads what tells if a tag that is to be set stands for a later commit or version already.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::budget::LATER_COMMITS;
use crate::error::Error;
use crate::image::{
    ANNOTATION_COMMITTED, ANNOTATION_REVISION, ANNOTATION_VERSION, Digest, ImageReference, Repository,
    Series, version_of,
};
use crate::inputs::Mode;
use crate::ports::Ports;
use crate::ports::clock;
use crate::ports::git;
use crate::ports::github::{GitHub, Slug};
use crate::ports::registry::{Probe, Resolve};
use crate::run::{Ancestry, OnBranch};
use crate::trust::ImageRun;

/// A tag that is to be set, and the image that has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagFact {
    pub tag: ImageReference,
    pub holder: Holder,
}

/// The image that has a tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holder {
    /// None has it.
    Absent,
    /// The registry does not say.
    Unknown(Error),
    Image(Box<Standing>),
}

/// What is known of the image that has a tag, beside this run's. What an earlier field decides is not asked for in the later
/// ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Standing {
    pub digest: Option<Digest>,
    /// The commit that the image was built from.
    pub revision: Option<String>,
    pub version: VersionFact,
    /// How that commit stands to this run's, by the checkout's history, else by GitHub.
    pub ancestry: Option<Ancestry>,
    /// Why it is not known which is newer.
    pub unknown: Option<String>,
    /// A commit after this run's whose tag the image has: it was found there again.
    pub later: Option<String>,
    /// The branch of this run, if its commit is not on it any more.
    pub left_branch: Option<String>,
    /// When the image's commit and this run's were made: seconds since 1970.
    pub committed: Option<[u64; 2]>,
}

/// What versions say. They are text, as tags have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VersionFact {
    /// Nothing: the run or the image has no version.
    #[default]
    None,
    /// A later one than this run's is there, of the series that the tag names, or as the image's own.
    Later(String),
    /// The tag names a series, and this run's version is the last one of it; or the image's own version is an earlier one.
    NotLater,
}

/// Seconds by which the clock of who committed may be ahead of this machine's.
const CLOCK_SLACK: u64 = 600;

/// Reads this of each tag of the input `tags` that the run may set. `own`: the image that is found already, if one is.
pub(crate) async fn gather(
    ports: &Ports,
    image: ImageRun<'_>,
    home: Option<&Repository>,
    own: Option<&Digest>,
) -> Vec<TagFact> {
    let sets_none = matches!(image.request.settings.mode, Mode::Pull | Mode::Plan);
    let Some(home) = home.filter(|_| !sets_none && image.access.write_images) else {
        return Vec::new();
    };
    let names = image.names(home);
    let (tags, home) = (names.user_tags(), names.own_repository());
    join_all(tags.into_iter().map(async |tag| look(ports, image, home, tag, own).await)).await
}

/// Reads it of one tag. `home`: where the tags of commits are.
pub(crate) async fn look(
    ports: &Ports,
    image: ImageRun<'_>,
    home: &Repository,
    tag: ImageReference,
    own: Option<&Digest>,
) -> TagFact {
    let manifest = match ports.registry.probe(&tag).await {
        Probe::Absent { .. } => {
            // Another run may be about to set it to a later version.
            let version = by_versions(ports, image, &tag, None, None).await;
            let standing = Standing { version, ..Standing::default() };
            let holder = match standing.version {
                VersionFact::Later(_) => Holder::Image(Box::new(standing)),
                _ => Holder::Absent,
            };
            return TagFact { tag, holder };
        }
        Probe::Unknown(error) => return TagFact { tag, holder: Holder::Unknown(error) },
        Probe::Present(manifest) => manifest,
    };
    let digest = manifest.digest.clone();
    if own == Some(&digest) {
        let holder = Holder::Image(Box::new(Standing { digest: Some(digest), ..Standing::default() }));
        return TagFact { tag, holder };
    }
    let mut named: BTreeMap<String, String> = manifest
        .annotations()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if [ANNOTATION_REVISION, ANNOTATION_VERSION].iter().any(|name| !named.contains_key(*name)) {
        // Without its labels the image says less.
        let labels = ports.registry.labels(&tag, &manifest).await.unwrap_or_default();
        for (name, value) in labels {
            named.entry(name).or_insert(value);
        }
    }
    let revision = named.get(ANNOTATION_REVISION).filter(|text| is_commit(text)).cloned();
    let version = named.get(ANNOTATION_VERSION).and_then(|text| version_of(text));
    let version = by_versions(ports, image, &tag, Some(&digest), version).await;
    let standing = Standing { digest: Some(digest), revision, version, ..Standing::default() };
    let theirs = named.get(ANNOTATION_COMMITTED).and_then(|text| text.parse().ok());
    let standing = match standing.version {
        VersionFact::None => by_commits(ports, image, home, standing, theirs).await,
        _ => standing,
    };
    TagFact { tag, holder: Holder::Image(Box::new(standing)) }
}

/// Tells whether the text is a full name of a commit, so that it may be an argument or part of an address.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The version that this run publishes: that of its git tag, else the highest of its `tags`.
fn own_version(image: ImageRun<'_>) -> Option<Version> {
    let named = image.request.tags.iter().filter_map(|tag| version_of(tag.name()));
    image.run.version().or_else(|| named.max())
}

/// Compares the run's version with those in the repository. `version`: the one in the image that has the tag.
async fn by_versions(
    ports: &Ports,
    image: ImageRun<'_>,
    tag: &ImageReference,
    holder: Option<&Digest>,
    version: Option<Version>,
) -> VersionFact {
    let Some((own, name)) = own_version(image).zip(tag.tag()) else { return VersionFact::None };
    if version_of(name).is_some() {
        return VersionFact::None;
    }
    let series = Series::of(name, &own);
    if series.is_none() && holder.is_none() {
        return VersionFact::None;
    }
    let by_label = match &version {
        Some(version) if *version > own => VersionFact::Later(version.to_string()),
        Some(_) => VersionFact::NotLater,
        None => VersionFact::None,
    };
    // Without a list, the image's own version counts.
    let Ok(tags) = ports.registry.tags(tag.repository()).await else { return by_label };
    if let Some(series) = series {
        let last = tags.iter().filter_map(|tag| series.member(tag)).max();
        return match last {
            Some(last) if last > own => VersionFact::Later(last.to_string()),
            Some(_) => VersionFact::NotLater,
            None => by_label,
        };
    }
    // Such as `latest`: which version is it?
    let mut versions: Vec<(Version, &String)> = tags
        .iter()
        .filter_map(|tag| Some((version_of(tag)?, tag)))
        .filter(|(version, _)| version.pre.is_empty())
        .collect();
    versions.sort();
    for (version, name) in versions.iter().rev().take(LATER_COMMITS) {
        let sibling = tag.repository().tagged(name.as_str());
        match ports.registry.resolve(&sibling).await {
            Ok(digest) if Some(&digest) == holder => {
                return if *version > own {
                    VersionFact::Later(version.to_string())
                } else {
                    VersionFact::NotLater
                };
            }
            Ok(_) | Err(Resolve::Absent) => {}
            Err(Resolve::Failed(_)) => break,
        }
    }
    by_label
}

/// Compares the commits.
async fn by_commits(
    ports: &Ports,
    image: ImageRun<'_>,
    home: &Repository,
    mut standing: Standing,
    committed: Option<u64>,
) -> Standing {
    let Some(ours) = image.run.commit.as_ref().map(|commit| commit.head.as_str()) else {
        standing.unknown = Some("it is not known which commit this run is of".to_owned());
        return standing;
    };
    let Some(theirs) = standing.revision.clone() else {
        standing.unknown = Some("the image that has the tag does not name its commit".to_owned());
        return standing;
    };
    standing.ancestry = git::ancestry(&ports.exec, &theirs, ours).await;
    if standing.ancestry == Some(Ancestry::After) {
        return standing;
    }
    if standing.ancestry.is_none() {
        match on_github(ports, image, async |github, slug| github.ancestry(slug, &theirs, ours).await).await {
            Ok(Ancestry::After) => {
                standing.ancestry = Some(Ancestry::After);
                return standing;
            }
            Ok(known) => standing.ancestry = Some(known),
            Err(why) => {
                let history = "the checkout's history does not reach it (fetch-depth: 0 fetches all of it)";
                standing.unknown = Some(format!("it named the commit {theirs}: {history}, and {why}"));
            }
        }
    }
    let branch = image.run.tag_branch();
    if let Some(branch) = branch {
        let place = match git::on_branch(&ports.exec, ours, branch, LATER_COMMITS).await {
            Some(place) => Some(place),
            // Without an answer no later commit is known.
            None => on_github(ports, image, async |github, slug| {
                github.on_branch(slug, ours, branch, LATER_COMMITS).await
            })
            .await
            .ok(),
        };
        let after = match place {
            Some(OnBranch::Before(after)) => after,
            Some(OnBranch::Left) => {
                standing.left_branch = Some(branch.to_owned());
                Vec::new()
            }
            None => Vec::new(),
        };
        standing.later = later(ports, image, home, &standing, after).await;
    }
    if standing.ancestry.is_none() && standing.later.is_none() {
        let ours = match image.run.commit_time {
            Some(time) => Some(time),
            None => git::commit_time(&ports.exec, ours).await,
        };
        let theirs = match committed {
            Some(time) => Some(time),
            None => git::commit_time(&ports.exec, &theirs).await,
        };
        // A clock that is ahead would hold the tag against every later commit.
        let theirs = theirs.filter(|time| *time <= clock::unix_seconds().saturating_add(CLOCK_SLACK));
        standing.committed = theirs.zip(ours).map(|(theirs, ours)| [theirs, ours]);
    }
    standing
}

/// The newest of these commits whose own tag the image has.
async fn later(
    ports: &Ports,
    image: ImageRun<'_>,
    home: &Repository,
    standing: &Standing,
    commits: Vec<String>,
) -> Option<String> {
    let names = image.names(home);
    let tags: Vec<(&String, ImageReference)> = commits
        .iter()
        .filter_map(|commit| Some((commit, names.of_commit(commit).into_iter().next()?)))
        .collect();
    let found = join_all(tags.iter().map(async |(_, tag)| ports.registry.resolve(tag).await.ok())).await;
    let has_it = |digest: &Option<Digest>| digest.is_some() && *digest == standing.digest;
    tags.iter().zip(&found).find(|(_, digest)| has_it(digest)).map(|((commit, _), _)| (*commit).clone())
}

/// GitHub's answer, or why it gives none, as a clause.
async fn on_github<T>(
    ports: &Ports,
    image: ImageRun<'_>,
    ask: impl AsyncFnOnce(&GitHub, &Slug) -> Result<T, Error>,
) -> Result<T, String> {
    let slug = image.run.repository.as_deref().and_then(Slug::parse);
    let slug = slug.ok_or_else(|| "it is not known which GitHub repository this is".to_owned())?;
    let github = ports.github().ok_or_else(|| "there is no github-token to ask GitHub with".to_owned())?;
    let answer = async { ask(github?, &slug).await };
    answer.await.map_err(|error: Error| format!("GitHub does not tell ({})", error.headline()))
}
