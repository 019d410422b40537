//! Explains a miss: compares the key with the nearest earlier image of the same name.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::{ImageFacts, Lookup, LookupResult};
use crate::env;
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::{ANNOTATION_ENTRIES, ANNOTATION_KEY, ImageReference, Repository};
use crate::inputs::extra_args;
use crate::inputs::{ContextSource, ImageRequest};
use crate::key::BuildKey;
use crate::key::EntryKind;
use crate::key::explain::{Change, Clues, Explained, advice, decode, diff};
use crate::key::files::Selector;
use crate::key::names::unescape;
use crate::ports::Ports;
use crate::ports::registry::Probe;
use crate::run::RunContext;
use crate::trust::ImageRun;

/// The explanation of a miss.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Miss {
    /// The earlier image that the key was compared with; `None` if none was found.
    pub compared_with: Option<String>,
    /// The reason that the search for an earlier image failed; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// The differences, the most important first.
    pub changes: Vec<String>,
    /// The inputs that would have made it a hit, if there are any.
    pub advice: Option<String>,
    /// Bytes of the earlier image's packed layers, if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// An earlier image with the entries of its key.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    /// Names the image in a sentence.
    pub name: String,
    pub explained: Explained,
    /// Bytes of its packed layers, if they are known.
    pub bytes: Option<u64>,
}

/// Most earlier images that the registry is asked for.
const MOST_PROBES: usize = crate::ports::git::MOST_PARENTS;
/// Longest wait for earlier images: they serve an explanation only.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// Most bytes of an explanation that stays on this machine.
const WIDE_BYTES: usize = 4 << 20;
/// Most characters of one change, because another image's text comes from outside.
const CHANGE_LENGTH: usize = 200;
/// Most changes in the run's reason, which is one sentence.
const CHANGES_IN_SENTENCE: usize = 3;
/// Most changes in a log.
const CHANGES_IN_LOG: usize = 50;
/// Most changed files that are looked up in git. More than these are not leftovers.
const FILES_LOOKED_UP: usize = 8;

impl Miss {
    /// Words the reason for a build. `verdict` is the sentence's beginning if no image was compared.
    #[must_use]
    pub(crate) fn reason(&self, verdict: &str, image: &str) -> String {
        match &self.compared_with {
            None => match &self.unknown {
                None => format!("{verdict}; there is no earlier image of {image} to compare with"),
                Some(why) => format!("{verdict}; earlier images of {image} were not compared: {why}"),
            },
            Some(with) if self.changes.is_empty() => {
                format!(
                    "miss: {with} has this key, but no name of this key that this run may use leads to it"
                )
            }
            Some(with) => {
                let more = self.changes.len().saturating_sub(CHANGES_IN_SENTENCE);
                let more = if more > 0 { format!(", {more} more") } else { String::new() };
                let shown =
                    self.changes.iter().take(CHANGES_IN_SENTENCE).cloned().collect::<Vec<_>>().join(", ");
                let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
                format!("miss: {shown}{more}; compared with {with}{advice}")
            }
        }
    }
}

/// Lists all changes, if the sentence has no room for them; else the list is empty.
#[must_use]
pub(crate) fn list_for_log(changes: &[String]) -> Vec<String> {
    if changes.len() <= CHANGES_IN_SENTENCE {
        return Vec::new();
    }
    let mut list: Vec<String> = changes.iter().take(CHANGES_IN_LOG).cloned().collect();
    if changes.len() > CHANGES_IN_LOG {
        list.push(format!("{} more", changes.len() - CHANGES_IN_LOG));
    }
    list
}

/// Compares an earlier image with a key. Returns the differences, and advice on inputs that would avoid them.
pub(crate) async fn compare(
    ports: &Ports,
    inputs: &ImageRequest,
    run: &RunContext,
    earlier: &Explained,
    key: &BuildKey,
) -> (Vec<String>, Option<String>) {
    let changes = diff(earlier, &wide(key));
    let advice = advice(&changes, &clues(ports, inputs, run, key, &changes).await);
    (changes.iter().map(|change| shown(&change.text)).collect(), advice)
}

/// Gathers what tells an avoidable change from a real one.
async fn clues(
    ports: &Ports,
    inputs: &ImageRequest,
    run: &RunContext,
    key: &BuildKey,
    changes: &[Change],
) -> Clues {
    let extra = extra_args::for_key(inputs, run, &ports.env).unwrap_or_default();
    let build = &inputs.build;
    let given = build.build_args.iter().chain(&build.labels).chain(&extra.build_args).chain(&extra.labels);
    let commits = run.commit.iter().flat_map(|commit| [Some(commit.head.clone()), commit.merge.clone()]);
    let numbers = [env::GITHUB_RUN_ID, env::GITHUB_RUN_NUMBER, env::GITHUB_REF_NAME];
    let numbers = numbers.iter().map(|name| ports.env.get(name).map(str::to_owned));
    let files = changes.iter().filter(|change| change.kind == EntryKind::Files && change.context.is_none());
    // A name with a backslash here is an escaped one, which git does not know in this form.
    let files = files.map(|change| change.name.as_str()).filter(|name| !name.contains('\\'));
    let files: Vec<&str> = files.collect();
    let untaken = key.taken.as_ref().map(|taken| untaken(taken, changes)).unwrap_or_default();
    let untracked = match &build.context {
        // Outside GitHub, a developer has files that git does not know yet.
        ContextSource::Folder(context) if run.event.is_some() && files.len() <= FILES_LOOKED_UP => {
            crate::ports::git::untracked(&ports.exec, context, &files).await
        }
        _ => BTreeSet::new(),
    };
    Clues {
        given: given.cloned().collect(),
        run: commits.chain(numbers).flatten().collect(),
        untracked,
        untaken,
    }
}

/// Finds the changed paths of the main context that no instruction takes. Folders end in a slash.
fn untaken(taken: &Selector, changes: &[Change]) -> BTreeSet<String> {
    let paths =
        changes.iter().filter(|change| change.context.is_none()).filter_map(|change| match change.kind {
            EntryKind::Files => Some(change.name.clone()),
            // `.git commit`: the folder, then which of git's answers.
            EntryKind::Git => Some(format!("{}/", change.name.rsplit_once(' ')?.0)),
            _ => None,
        });
    paths.filter(|path| unescape(path).is_some_and(|path| !taken.reaches(&path))).collect()
}

/// Explains a key in more detail than an image's label can hold.
#[must_use]
pub(crate) fn wide(key: &BuildKey) -> Explained {
    Explained::of(key, WIDE_BYTES)
}

/// Makes the text one short line without control characters.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    crate::shown::cut(&text, CHANGE_LENGTH)
}

/// Explains why the image must be built, by the nearest earlier image. `None` without a key. `effort` as for
/// [`find_nearest`].
pub(crate) async fn explain_miss(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    effort: Effort,
) -> Option<Miss> {
    let key = facts.key.as_ref()?;
    let earlier = match find_nearest(ports, image, facts, effort).await {
        Ok(earlier) => earlier,
        Err(unknown) => return Some(Miss { unknown, ..Miss::default() }),
    };
    let (changes, advice) = compare(ports, image.request, image.run, &earlier.explained, key).await;
    Some(Miss {
        compared_with: Some(earlier.name),
        unknown: None,
        changes,
        advice: advice.as_deref().map(shown),
        bytes: earlier.bytes,
    })
}

/// How the nearest of several images is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// One after the other, until one is there.
    FewRequests,
    /// All at once.
    OneRoundTrip,
}

/// Finds the nearest earlier image: in the repository by commit, own zone first, else on this machine.
///
/// # Errors
/// `None` if there is none; the reason, if the search failed.
pub(crate) async fn find_nearest(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    effort: Effort,
) -> Result<Earlier, Option<String>> {
    let name = image.request.image.local_reference();
    match find_published(ports, image, facts, effort).await {
        Ok(earlier) => Ok(earlier),
        Err(unknown) => read_local(ports, &name).await.ok_or(unknown),
    }
}

async fn find_published(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    effort: Effort,
) -> Result<Earlier, Option<String>> {
    let home = facts.repository.repository().ok_or(None)?;
    // A registry that did not answer is not asked again.
    for lookup in &facts.lookups {
        match &lookup.seen {
            LookupResult::Unknown(_) => return Err(Some("the registry did not answer".to_owned())),
            LookupResult::Absent { no_repository: true } => return Err(None),
            _ => {}
        }
    }
    let parents = ports.first_parents().await;
    let without_git = parents.is_none().then(|| "git does not name the commits before this one".to_owned());
    let candidates = candidates(home, image, facts, parents.unwrap_or_default());
    let at_once = match effort {
        Effort::FewRequests => 1,
        Effort::OneRoundTrip => MOST_PROBES,
    };
    let nearest = async {
        let ask = candidates.into_iter().map(async |(reference, name)| {
            match read_published(ports, &reference).await {
                Ok(Some((explained, bytes))) => Ok(Earlier { name, explained, bytes }),
                Ok(None) => Err(None),
                Err(error) if error.is(FailureKind::NoImage) => Err(None),
                Err(_) => Err(Some(format!("{name} cannot be read"))),
            }
        });
        let mut answers = pin!(stream::iter(ask).buffered(at_once));
        let mut unknown = without_git;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(earlier) => return Ok(earlier),
                Err(why) => unknown = unknown.or(why),
            }
        }
        Err(unknown)
    };
    let late = || Some(format!("the registry did not answer within {}s", PROBE_TIME.as_secs()));
    tokio::time::timeout(PROBE_TIME, nearest).await.unwrap_or_else(|_| Err(late()))
}

/// Lists the images that may be nearest, in order, each with its name for a sentence: this commit's own, then those of
/// earlier commits, in every zone that this run may read.
fn candidates(
    home: &Repository,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    parents: &[String],
) -> Vec<(ImageReference, String)> {
    let mut found: Vec<(ImageReference, String)> = Vec::new();
    let exists =
        |lookup: &&Lookup| matches!(lookup.seen, LookupResult::OtherKey { .. } | LookupResult::Match { .. });
    for lookup in facts.lookups.iter().filter(exists) {
        let name = format!("this commit's image {}", lookup.reference.identifier());
        found.push((lookup.reference.clone(), name));
    }
    let names = image.names(home);
    for commit in image.run.earlier.iter().chain(parents) {
        for reference in names.of_commit(commit) {
            if !found.iter().any(|(known, _)| *known == reference) {
                let short = commit.get(..12).unwrap_or(commit);
                found.push((reference, format!("the image of commit {short}")));
            }
        }
    }
    found.truncate(MOST_PROBES);
    found
}

/// Reads the entries of a published image, and its bytes; `None` if it has no entries that can be decoded.
///
/// # Errors
/// If the image does not exist, or the registry does not answer.
pub(crate) async fn read_published(
    ports: &Ports,
    reference: &ImageReference,
) -> Result<Option<(Explained, Option<u64>)>> {
    let manifest = match ports.registry.probe(reference).await {
        Probe::Present(manifest) => manifest,
        Probe::Absent { .. } => {
            let what = format!("{reference} is not there");
            return Err(Error { class: FailureClass::Input, ..Error::of(FailureKind::NoImage, what) }
                .hint("check its name and tag"));
        }
        Probe::Unknown(error) => return Err(error),
    };
    if let Some(text) = manifest.annotation(ANNOTATION_ENTRIES) {
        return Ok(decode(text).ok().map(|explained| (explained, manifest.size())));
    }
    if manifest.annotation(ANNOTATION_KEY).is_some() {
        return Ok(None);
    }
    // An engine without containerd's store writes no annotations.
    let labels = ports.registry.labels(reference, &manifest).await?;
    let explained = labels.get(ANNOTATION_ENTRIES).and_then(|text| decode(text).ok());
    Ok(explained.map(|explained| (explained, manifest.size())))
}

/// Reads the entries of an image on the engine.
pub(crate) async fn read_local(ports: &Ports, name: &str) -> Option<Earlier> {
    let text = ports.docker().ok()?.label(name, ANNOTATION_ENTRIES).await.ok()??;
    let explained = decode(&text).ok()?;
    Some(Earlier { name: format!("{name} on this machine"), explained, bytes: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    // D75, D85: each sentence has its own cause.
    #[test]
    fn the_reason_says_what_is_known() {
        let reason = |miss: Miss| miss.reason("no image has this key", "ci");
        let with = Some("the image of commit 0a".to_owned());
        assert_eq!(
            reason(Miss::default()),
            "no image has this key; there is no earlier image of ci to compare with"
        );
        assert_eq!(
            reason(Miss {
                unknown: Some("git does not name the commits before this one".into()),
                ..Miss::default()
            }),
            "no image has this key; earlier images of ci were not compared: git does not name the commits before this one"
        );
        assert_eq!(
            reason(Miss { compared_with: with.clone(), ..Miss::default() }),
            "miss: the image of commit 0a has this key, but no name of this key that this run may use leads to it"
        );
        assert_eq!(
            reason(Miss { compared_with: with, changes: vec!["`a` changed".into()], ..Miss::default() }),
            "miss: `a` changed; compared with the image of commit 0a"
        );
    }
}
