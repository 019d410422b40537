//! Makes the plan: what goes, in which order, and why the rest stays.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::graph::Graph;
use super::links::Maker;
use super::listing::{Step, Version};
use super::policy::{Policy, Scope};
use super::reason::{Reason, Stays};
use super::rules::Rules;
use super::survey::Survey;
use crate::image::Digest;

/// One removal of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) step: Step,
    /// It is removed only after these are: an index before its images.
    pub(crate) after: Vec<Digest>,
    /// Bytes that no image needs any more; layers that several removed images share are counted once.
    pub(crate) bytes: u64,
}

/// Removals that belong together: an image with what only it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) reason: Reason,
    pub(crate) steps: Vec<Planned>,
}

/// What goes and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
    /// How many tags stay, by reason.
    pub(crate) stays: BTreeMap<Stays, usize>,
    /// All manifests that are known.
    pub(crate) versions: usize,
    /// Removals that the limit of one run leaves to the next.
    pub(crate) left: usize,
    /// What no run removes while the limit is what it is.
    pub(crate) too_large: TooLarge,
}

/// Groups that no run removes, because each is larger than the limit of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) groups: usize,
    /// The removals in these groups.
    pub(crate) removals: usize,
    /// The removals in the largest of them: the limit that lets all of them go.
    pub(crate) largest: usize,
}

impl Plan {
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Planned> {
        self.groups.iter().flat_map(|group| &group.steps)
    }

    /// How many manifests go.
    pub(crate) fn deletions(&self) -> usize {
        self.steps().filter(|planned| planned.step.deletes()).count()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.steps().map(|planned| planned.bytes).sum()
    }

    /// Tells whether more than half of all manifests would go.
    pub(crate) fn is_drastic(&self) -> bool {
        self.deletions() * 2 > self.versions
    }
}

/// Makes the plan of a survey.
#[must_use]
pub(crate) fn plan(survey: &Survey, policy: &Policy, now: u64) -> Plan {
    let rules = Rules::new(survey, policy, now);
    let graph = Graph::new(survey);
    let judged = judge_all(survey, &rules, &graph);
    // Every tag of the image may go; one without tags has no verdict here.
    let going = |digest: &Digest| judged.get(digest).is_some_and(|tags| tags.values().all(Result::is_ok));
    // What an index lists, and what is about another manifest, goes and stays with that.
    let follows = |digest: &Digest, version: &Version| {
        !graph.parents(digest).is_empty() || !graph.subjects(digest, Some(version)).is_empty()
    };
    let roots = survey.listing.versions.iter().filter(|(digest, version)| {
        if judged.contains_key(digest) {
            !going(digest)
        } else {
            let is_old = version.tags.is_empty() && may_go_untagged(survey, policy, &rules, digest, version);
            !(is_old || follows(digest, version))
        }
    });
    let mut needed = graph.needed(roots.map(|(digest, _)| digest).collect());
    // What nothing leads to stays, and keeps what it needs.
    let mut tops = loop {
        let tops = tops(survey, &graph, &judged, &needed, &follows);
        let goes: HashSet<&Digest> = tops.iter().flat_map(|(_, top)| graph.parts(top, &needed)).collect();
        let mut stays: BTreeSet<&Digest> =
            survey.listing.versions.keys().filter(|digest| !goes.contains(digest)).collect();
        if stays.is_subset(&needed) {
            break tops;
        }
        stays.append(&mut needed);
        needed = graph.needed(stays);
    };

    let mut plan = Plan {
        versions: survey.links.keys().chain(survey.listing.versions.keys()).collect::<BTreeSet<_>>().len(),
        ..Plan::default()
    };
    let mut untag: Vec<Group> = Vec::new();
    for digest in survey.listing.versions.keys() {
        let tags = judged.get(digest).filter(|_| needed.contains(digest));
        // The image stays. If none of its own tags keeps it, an index that stays lists it: then its tags stay too, since
        // some registries remove an image with its last tag.
        let is_a_part = going(digest);
        for (tag, verdict) in tags.into_iter().flatten() {
            match verdict {
                Ok(_) if is_a_part => *plan.stays.entry(Stays::Needed).or_default() += 1,
                Ok(_) if !survey.listing.can_untag => {
                    *plan.stays.entry(Stays::CannotUntag).or_default() += 1;
                }
                Ok(reason) => {
                    let step = Step::Untag { tag: (*tag).to_owned(), digest: digest.clone() };
                    let steps = vec![Planned { step, after: Vec::new(), bytes: 0 }];
                    untag.push(Group { reason: reason.clone(), steps });
                }
                Err(stays) => *plan.stays.entry(*stays).or_default() += 1,
            }
        }
    }
    // The same order each time, whatever the digests are: reasons first, then names.
    tops.sort_by_key(|(reason, digest)| {
        let first = survey.listing.versions.get(*digest).and_then(|version| version.tags.first());
        (reason.clone(), first, (*digest).clone())
    });
    plan.groups = untag;
    plan.groups.extend(groups(survey, &graph, &needed, &tops));
    count_bytes(survey, &mut plan);
    plan
}

/// The verdicts of tags, by image.
type Judged<'a> = BTreeMap<&'a Digest, BTreeMap<&'a str, Result<Reason, Stays>>>;

/// What goes by itself, with the reason; what follows it goes with it.
fn tops<'a>(
    survey: &'a Survey,
    graph: &Graph<'a>,
    judged: &Judged<'a>,
    needed: &BTreeSet<&'a Digest>,
    follows: &impl Fn(&Digest, &Version) -> bool,
) -> Vec<(Reason, &'a Digest)> {
    let mut tops: Vec<(Reason, &Digest)> = Vec::new();
    let mut followers: Vec<(Reason, &Digest)> = Vec::new();
    for (digest, version) in survey.listing.versions.iter().filter(|(digest, _)| !needed.contains(digest)) {
        let reason =
            judged.get(digest).and_then(|tags| tags.values().find_map(|verdict| verdict.clone().ok()));
        match reason {
            Some(reason) if follows(digest, version) => followers.push((reason, digest)),
            reason if !follows(digest, version) => tops.push((reason.unwrap_or(Reason::Untagged), digest)),
            _ => {}
        }
    }
    // What an image with tags follows may be one that the registry does not list: nothing else would lead to it.
    let led_to: HashSet<&Digest> = tops.iter().flat_map(|(_, top)| graph.parts(top, needed)).collect();
    tops.extend(followers.into_iter().filter(|(_, digest)| !led_to.contains(digest)));
    tops
}

/// The verdict of each tag of each image. A tag of the referrers' tag schema goes with its subject, so it has none.
fn judge_all<'a>(survey: &'a Survey, rules: &Rules<'_>, graph: &Graph<'_>) -> Judged<'a> {
    let mut judged = BTreeMap::new();
    for (digest, version) in &survey.listing.versions {
        if is_only_about_another(version) && !graph.subjects(digest, Some(version)).is_empty() {
            continue;
        }
        let mut tags: BTreeMap<&str, Result<Reason, Stays>> =
            version.tags.iter().map(|tag| (tag.as_str(), rules.judge(tag, version))).collect();
        // While another name keeps the image, to take its key away saves nothing, and costs a build.
        if tags.values().any(Result::is_err) {
            for verdict in tags.values_mut().filter(|verdict| **verdict == Ok(Reason::Unused)) {
                *verdict = Err(Stays::InUse);
            }
        }
        if !tags.is_empty() {
            judged.insert(digest, tags);
        }
    }
    judged
}

fn is_only_about_another(version: &Version) -> bool {
    !version.tags.is_empty() && version.tags.iter().all(|tag| Rules::subject(tag).is_some())
}

/// Tells whether a manifest without a tag, that nothing refers to, may go: it is build-once's or BuildKit's own, and
/// old.
fn may_go_untagged(
    survey: &Survey,
    policy: &Policy,
    rules: &Rules<'_>,
    digest: &Digest,
    version: &Version,
) -> bool {
    let Some(age) = policy.untagged.filter(|_| policy.scope == Scope::Everything) else { return false };
    let Some(links) = survey.links.get(digest) else { return false };
    // An index that another tool joined carries no build key. It is taken for build-once's if every child is known, and
    // one of them is an image of build-once: attestations and layer caches alone do not make it so.
    let maker = |digest: &Digest| survey.links.get(digest).map_or(Maker::Unknown, |links| links.maker);
    let of_children: Vec<Maker> = links.children.iter().map(maker).collect();
    let is_joined = of_children.contains(&Maker::BuildOnce) && !of_children.contains(&Maker::Unknown);
    (links.maker != Maker::Unknown || is_joined) && rules.passed(version.used(), age)
}

/// Each image that goes, with what only images that go need. What several of them need is in the last one's group.
fn groups(
    survey: &Survey,
    graph: &Graph<'_>,
    needed: &BTreeSet<&Digest>,
    tops: &[(Reason, &Digest)],
) -> Vec<Group> {
    let mut place: BTreeMap<&Digest, usize> = BTreeMap::new();
    for (at, (_, top)) in tops.iter().enumerate() {
        place.extend(graph.parts(top, needed).into_iter().map(|digest| (digest, at)));
    }
    let mut groups: Vec<Group> =
        tops.iter().map(|(reason, _)| Group { reason: reason.clone(), steps: Vec::new() }).collect();
    for (digest, at) in place {
        let version = survey.listing.versions.get(digest);
        let step = Step::Delete {
            digest: digest.clone(),
            tags: version.map(|version| version.tags.clone()).unwrap_or_default(),
            restore: version.and_then(|version| version.restore),
        };
        let subjects = graph.subjects(digest, version);
        let after = graph.parents(digest).iter().copied().chain(subjects).cloned().collect();
        let planned = Planned { step, after, bytes: 0 };
        if digest == tops[at].1 {
            groups[at].steps.insert(0, planned);
        } else {
            groups[at].steps.push(planned);
        }
    }
    groups.retain(|group| !group.steps.is_empty());
    groups
}

/// Sets the bytes that each removal frees.
pub(super) fn count_bytes(survey: &Survey, plan: &mut Plan) {
    let going: HashSet<Digest> = plan
        .steps()
        .filter(|planned| planned.step.deletes())
        .map(|planned| planned.step.digest().clone())
        .collect();
    let stays = survey.links.iter().filter(|(digest, _)| !going.contains(*digest));
    let mut counted: HashSet<&Digest> =
        stays.flat_map(|(_, links)| links.blobs.iter().map(|(digest, _)| digest)).collect();
    for planned in
        plan.groups.iter_mut().flat_map(|group| &mut group.steps).filter(|planned| planned.step.deletes())
    {
        let Some(links) = survey.links.get(planned.step.digest()) else { continue };
        let blobs = links.blobs.iter().filter(|(digest, _)| counted.insert(digest));
        planned.bytes = blobs.map(|(_, size)| size).fold(links.length, |sum, size| sum.saturating_add(*size));
    }
}
