//! Which manifest needs which.

use std::collections::{BTreeMap, BTreeSet};

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
                if let Some((subject, _)) = survey.listing.versions.get_key_value(&subject) {
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
