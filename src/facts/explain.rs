//! Why no image has the key: a comparison with the nearest earlier image of the same name.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

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

/// What there is to say of a miss.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Miss {
    /// The image compared with; none if no earlier image was found.
    pub with: Option<String>,
    /// Why it is not known whether there is an earlier image, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// What differs, most telling first.
    pub changes: Vec<String>,
    /// With which inputs it would have been a hit, if there are such.
    pub advice: Option<String>,
}

/// An earlier image, and what it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    /// In words.
    pub name: String,
    /// Its entries.
    pub explained: Explained,
}

/// Most images that are asked for.
const PROBES: usize = 4;
/// A sentence is not worth more waiting.
const LIMIT: Duration = Duration::from_secs(5);
/// Entries of this many bytes are told in full detail.
const WIDE: usize = 4 << 20;
/// Longest a change may be: texts of another image are not ours.
const CHANGE: usize = 200;

impl Miss {
    /// As the run's reason.
    #[must_use]
    pub(crate) fn reason(&self, otherwise: &str, image: &str) -> String {
        match &self.with {
            None => match &self.unknown {
                None => format!("{otherwise}; there is no earlier image of {image} to compare with"),
                Some(why) => format!("{otherwise}; earlier images of {image} were not compared: {why}"),
            },
            Some(with) if self.changes.is_empty() => {
                format!(
                    "miss: {with} has this key, but no name of this key that this run may use leads to it"
                )
            }
            Some(with) => {
                let more = self.changes.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(", {more} more") } else { String::new() };
                let shown = self.changes.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
                let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
                format!("miss: {shown}{more}; compared with {with}{advice}")
            }
        }
    }
}

/// Changes that fit a sentence.
const SHOWN: usize = 3;
/// Changes that fit a log.
const LISTED: usize = 50;

/// All changes as a list, where the sentence could not hold them.
#[must_use]
pub(crate) fn rest(changes: &[String]) -> Vec<String> {
    if changes.len() <= SHOWN {
        return Vec::new();
    }
    let mut list: Vec<String> = changes.iter().take(LISTED).cloned().collect();
    if changes.len() > LISTED {
        list.push(format!("{} more", changes.len() - LISTED));
    }
    list
}

/// What differs between an earlier image and a key, and with which inputs nothing would.
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

/// Files whose place in git is looked up; more are no accident.
const LOOKED_UP: usize = 8;

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
    let files: Vec<&str> = files.map(|change| change.name.as_str()).collect();
    let untaken = key.taken.as_ref().map(|taken| untaken(taken, changes)).unwrap_or_default();
    let untracked = match &build.context {
        // Whoever works on the files has some that git does not know yet.
        ContextSource::Folder(context) if run.event.is_some() && files.len() <= LOOKED_UP => {
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

/// Changed paths of the context that no instruction takes; folders end in a slash.
fn untaken(taken: &Selector, changes: &[Change]) -> BTreeSet<String> {
    let paths =
        changes.iter().filter(|change| change.context.is_none()).filter_map(|change| match change.kind {
            EntryKind::Files => Some(change.name.clone()),
            EntryKind::Git => Some(format!("{}/", change.name.rsplit_once(' ')?.0)),
            _ => None,
        });
    paths.filter(|path| unescape(path).is_some_and(|path| !taken.reaches(&path))).collect()
}

/// A key's entries in more detail than travels with an image.
#[must_use]
pub(crate) fn wide(key: &BuildKey) -> Explained {
    Explained::of(key, WIDE)
}

/// On one line, without what could steer a terminal.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    crate::shown::cut(&text, CHANGE)
}

/// Compares with the nearest earlier image, when the image must be built. Never an error.
pub(crate) async fn miss(ports: &Ports, image: ImageRun<'_>, facts: &ImageFacts) -> Option<Miss> {
    let key = facts.key.as_ref()?;
    let earlier = match nearest(ports, image, facts).await {
        Ok(earlier) => earlier,
        Err(unknown) => return Some(Miss { unknown, ..Miss::default() }),
    };
    let (changes, advice) = compare(ports, image.request, image.run, &earlier.explained, key).await;
    Some(Miss { with: Some(earlier.name), unknown: None, changes, advice: advice.as_deref().map(shown) })
}

/// The nearest earlier image: in the repository by commit, own zone first, else on this machine.
///
/// # Errors
/// `None` if there is none; why that is not known, if something kept it from being asked.
pub(crate) async fn nearest(
    ports: &Ports,
    image: ImageRun<'_>,
    facts: &ImageFacts,
) -> Result<Earlier, Option<String>> {
    let name = image.request.image.local_reference();
    match shared(ports, image, facts).await {
        Ok(earlier) => Ok(earlier),
        Err(unknown) => local(ports, &name).await.ok_or(unknown),
    }
}

async fn shared(ports: &Ports, image: ImageRun<'_>, facts: &ImageFacts) -> Result<Earlier, Option<String>> {
    let home = facts.repository.repository().ok_or(None)?;
    // A registry that did not answer is not asked more.
    for lookup in &facts.lookups {
        match &lookup.seen {
            LookupResult::Unknown(_) => return Err(Some("the registry did not answer".to_owned())),
            LookupResult::Absent { no_repository: true } => return Err(None),
            _ => {}
        }
    }
    let parents = crate::ports::git::first_parents(&ports.exec, PROBES).await;
    let without_git = parents.is_none().then(|| "git does not name the commits before this one".to_owned());
    let asked = candidates(home, image, facts, &parents.unwrap_or_default());
    let answers =
        join_all(asked.iter().map(async |(reference, name)| match published(ports, reference).await {
            Ok(Some(explained)) => Ok(Earlier { name: name.clone(), explained }),
            Ok(None) => Err(None),
            Err(error) if error.is(FailureKind::NoImage) => Err(None),
            Err(_) => Err(Some(format!("{name} cannot be read"))),
        }));
    let answers = tokio::time::timeout(LIMIT, answers).await;
    let answers =
        answers.map_err(|_| Some(format!("the registry did not answer within {}s", LIMIT.as_secs())))?;
    let mut unknown = without_git;
    for answer in answers {
        match answer {
            Ok(earlier) => return Ok(earlier),
            Err(why) => unknown = unknown.or(why),
        }
    }
    Err(unknown)
}

/// Images that may be nearest, in order, each with its name in words: this commit's own,
/// then those of the commits before it, each in every zone this run may read.
fn candidates(
    home: &Repository,
    image: ImageRun<'_>,
    facts: &ImageFacts,
    parents: &[String],
) -> Vec<(ImageReference, String)> {
    let mut found: Vec<(ImageReference, String)> = Vec::new();
    let there =
        |lookup: &&Lookup| matches!(lookup.seen, LookupResult::OtherKey { .. } | LookupResult::Match { .. });
    for lookup in facts.lookups.iter().filter(there) {
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
    found.truncate(PROBES);
    found
}

/// What a published image says it was made from; nothing if it says nothing that can be read.
///
/// # Errors
/// If it is not there, or the registry does not say.
pub(crate) async fn published(ports: &Ports, reference: &ImageReference) -> Result<Option<Explained>> {
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
        return Ok(decode(text).ok());
    }
    if manifest.annotation(ANNOTATION_KEY).is_some() {
        return Ok(None);
    }
    // An engine without containerd's store writes no annotations.
    let labels = ports.registry.labels(reference, &manifest).await?;
    Ok(labels.get(ANNOTATION_ENTRIES).and_then(|text| decode(text).ok()))
}

/// What an image of the engine's says it was made from.
pub(crate) async fn local(ports: &Ports, name: &str) -> Option<Earlier> {
    let text = ports.docker().ok()?.label(name, ANNOTATION_ENTRIES).await.ok()??;
    Some(Earlier { name: format!("{name} on this machine"), explained: decode(&text).ok()? })
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
            reason(Miss { with: with.clone(), ..Miss::default() }),
            "miss: the image of commit 0a has this key, but no name of this key that this run may use leads to it"
        );
        assert_eq!(
            reason(Miss { with, changes: vec!["`a` changed".into()], ..Miss::default() }),
            "miss: `a` changed; compared with the image of commit 0a"
        );
    }
}
