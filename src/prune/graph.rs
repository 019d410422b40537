//! Which manifest needs which.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::listing::Version;
use super::rules::Rules;
use super::survey::Survey;
use crate::image::Digest;

/// The references of a survey, from both sides.
pub(super) struct Graph<'a> {
    survey: &'a Survey,
    parents: BTreeMap<&'a Digest, Vec<&'a Digest>>,
    /// Manifests about this one: by `subject`, or by a tag of the referrers' tag schema.
    referrers: BTreeMap<&'a Digest, Vec<&'a Digest>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(survey: &'a Survey) -> Self {
        let mut graph = Self { survey, parents: BTreeMap::new(), referrers: BTreeMap::new() };
        for (digest, links) in &survey.links {
            for child in &links.children {
                graph.parents.entry(child).or_default().push(digest);
            }
            if let Some(subject) = &links.subject {
                graph.referrers.entry(subject).or_default().push(digest);
            }
        }
        for (digest, version) in &survey.listing.versions {
            for subject in version.tags.iter().filter_map(|tag| Rules::subject(tag)) {
                // A registry may not list what has no tag: an index's image, for example.
                if let Some((subject, _)) = survey.links.get_key_value(&subject) {
                    graph.referrers.entry(subject).or_default().push(digest);
                }
            }
        }
        graph
    }

    pub(super) fn children(&self, digest: &Digest) -> &'a [Digest] {
        self.survey.links.get(digest).map_or(&[], |links| &links.children)
    }

    pub(super) fn parents(&self, digest: &Digest) -> &[&'a Digest] {
        self.parents.get(digest).map_or(&[], Vec::as_slice)
    }

    pub(super) fn referrers(&self, digest: &Digest) -> &[&'a Digest] {
        self.referrers.get(digest).map_or(&[], Vec::as_slice)
    }

    /// The manifests that this one is about, of those that are there.
    pub(super) fn subjects(&self, digest: &Digest, version: Option<&Version>) -> BTreeSet<&'a Digest> {
        let stored = self.survey.links.get(digest).and_then(|links| links.subject.as_ref());
        let named =
            version.into_iter().flat_map(|version| &version.tags).filter_map(|tag| Rules::subject(tag));
        let known = |digest: &Digest| self.survey.links.get_key_value(digest).map(|(digest, _)| digest);
        stored.into_iter().filter_map(known).chain(named.filter_map(|digest| known(&digest))).collect()
    }

    /// A manifest with everything that goes with it: what it lists and what is about it, but for what is needed.
    pub(super) fn parts(&self, top: &'a Digest, needed: &BTreeSet<&'a Digest>) -> HashSet<&'a Digest> {
        let mut open = vec![top];
        let mut found = HashSet::new();
        while let Some(digest) = open.pop() {
            let is_known = self.survey.links.contains_key(digest);
            if is_known && !needed.contains(digest) && found.insert(digest) {
                open.extend(self.children(digest).iter().chain(self.referrers(digest).iter().copied()));
            }
        }
        found
    }

    /// Everything that these need: their children, what they are about, and what is about them.
    pub(super) fn needed(&self, roots: BTreeSet<&'a Digest>) -> BTreeSet<&'a Digest> {
        let mut open: Vec<&Digest> = roots.iter().copied().collect();
        let mut found = roots;
        while let Some(digest) = open.pop() {
            let subject = self.survey.links.get(digest).and_then(|links| links.subject.as_ref());
            let near =
                self.children(digest).iter().chain(subject).chain(self.referrers(digest).iter().copied());
            for next in near {
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }
}
