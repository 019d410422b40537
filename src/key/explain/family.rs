//! Judges whether two explanations are of one image for different platforms: only such images are merged.

use std::collections::BTreeSet;

use super::diff::values;
use super::{Explained, Node};
use crate::key::MAIN_CONTEXT;
use crate::key::digest::{EntryKind, Scope};

/// Finds a difference that no platform can explain; `None` if the platforms may explain all.
///
/// A platform may reach other instructions of the Dockerfile, and by them other images, arguments and files. What
/// both name must be the same. Files in folders that an explanation had no room to list are not told apart, unless
/// every platform gets the whole context.
#[must_use]
pub fn no_platforms(one: &Explained, other: &Explained) -> Option<String> {
    if one.format != other.format {
        return Some(EntryKind::Format.to_string());
    }
    let kinds: BTreeSet<EntryKind> = one.entries.iter().chain(&other.entries).map(|item| item.kind).collect();
    for kind in kinds {
        let (mine, theirs) = (values(one, kind), values(other, kind));
        let differs = match kind {
            EntryKind::Platform | EntryKind::Dockerfile => None,
            _ if mine == theirs => None,
            EntryKind::BaseImage
            | EntryKind::BuildArg
            | EntryKind::BuildContext
            | EntryKind::AddSource
            | EntryKind::SecretId
            | EntryKind::Git => {
                // An entry without a name is several in one, which may differ.
                let differs =
                    |name: &&&str| !name.is_empty() && theirs.get(**name).is_some_and(|v| *v != mine[**name]);
                mine.keys().find(differs)
            }
            _ => mine.keys().chain(theirs.keys()).find(|name| mine.get(**name) != theirs.get(**name)),
        };
        if let Some(name) = differs {
            return Some(if name.is_empty() { kind.to_string() } else { format!("{kind} `{name}`") });
        }
    }
    let copied = Scope::Copied.name();
    let is_copied = one.entries.iter().any(|item| item.kind == EntryKind::Scope && item.value == copied);
    one.trees.iter().find_map(|(root, mine)| {
        let path = if root == MAIN_CONTEXT { String::new() } else { format!("{root}: ") };
        files(path, mine, other.trees.get(root)?, is_copied)
    })
}

/// Finds the first path that both have with different content. `some_alone`: each may have paths that the other has not.
fn files(path: String, one: &Node, other: &Node, some_alone: bool) -> Option<String> {
    match (one, other) {
        _ if one == other => None,
        (Node::Folder { entries: Some(mine), .. }, Node::Folder { entries: Some(theirs), .. }) => {
            let both = mine.iter().filter_map(|(name, node)| Some((name, node, theirs.get(name)?)));
            let inner = both.into_iter().find_map(|(name, mine, theirs)| {
                let slash = if matches!(mine, Node::Folder { .. }) { "/" } else { "" };
                files(format!("{path}{name}{slash}"), mine, theirs, some_alone)
            });
            let alone = || {
                mine.keys()
                    .find(|name| !theirs.contains_key(*name))
                    .or_else(|| theirs.keys().find(|name| !mine.contains_key(*name)))
            };
            inner.or_else(|| alone().filter(|_| !some_alone).map(|name| format!("file `{path}{name}`")))
        }
        (Node::Folder { .. }, Node::Folder { .. }) if some_alone => None,
        _ if path.is_empty() => Some("the context".to_owned()),
        _ => Some(format!("file `{path}`")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::key::explain::Item;

    fn folder(digest: &str, entries: &[(&str, Node)]) -> Node {
        let entries = entries.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect();
        Node::Folder { digest: digest.to_owned(), count: 1, entries: Some(entries) }
    }

    fn explained(entries: &[(EntryKind, &str, &str)], context: Node) -> Explained {
        let item = |(kind, name, value): &(EntryKind, &str, &str)| Item {
            kind: *kind,
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let trees = BTreeMap::from([("context".to_owned(), context)]);
        Explained { format: 2, key: String::new(), entries: entries.iter().map(item).collect(), trees }
    }

    /// The difference of two images for different platforms, which reach different instructions.
    fn differs(one: &[(EntryKind, &str, &str)], other: &[(EntryKind, &str, &str)]) -> Option<String> {
        use EntryKind::{Dockerfile, Platform};
        let with = |own: [(EntryKind, &'static str, &'static str); 2], more: &[(EntryKind, &str, &str)]| {
            let all: Vec<_> = own.iter().chain(more).copied().collect();
            explained(&all, folder("1", &[]))
        };
        let one = with([(Platform, "linux/amd64", "asked for"), (Dockerfile, "", "1")], one);
        let other = with([(Platform, "linux/arm64", "asked for"), (Dockerfile, "", "2")], other);
        assert_eq!(no_platforms(&one, &other), no_platforms(&other, &one), "either way");
        no_platforms(&one, &other)
    }

    #[test]
    fn what_both_name_is_the_same() {
        use EntryKind::{AddSource, BaseImage, BuildArg, Label, Setting};
        assert_eq!(differs(&[], &[]), None);
        assert_eq!(differs(&[(BaseImage, "node", "1")], &[(BaseImage, "node", "1")]), None);
        let moved = differs(&[(BaseImage, "node", "1")], &[(BaseImage, "node", "2")]);
        assert_eq!(moved.unwrap(), "base-image `node`");
        assert_eq!(differs(&[(BaseImage, "base-amd64", "1")], &[(BaseImage, "base-arm64", "2")]), None);
        assert_eq!(differs(&[(AddSource, "", "1")], &[(AddSource, "", "2")]), None, "several in one");
        assert_eq!(differs(&[(BuildArg, "A", "1")], &[]), None, "one alone reaches it");
        assert_eq!(differs(&[(BuildArg, "A", "1")], &[(BuildArg, "A", "2")]).unwrap(), "build-arg `A`");
        assert_eq!(differs(&[(Label, "a", "1")], &[]).unwrap(), "label `a`", "no platform decides it");
        assert_eq!(differs(&[(Setting, "network", "none")], &[]).unwrap(), "setting `network`");
    }

    #[test]
    fn files_that_both_have_are_the_same() {
        use EntryKind::Scope;
        let leaf = |digest: &str| Node::Leaf(format!("f{digest}"));
        let closed = |digest: &str| Node::Folder { digest: digest.to_owned(), count: 9, entries: None };
        let bin = |name: &str, digest: &str| {
            folder(digest, &[("bin", folder(digest, &[(name, leaf(digest))])), ("same", leaf("0"))])
        };
        let of = |scope: &str, one: &Node, other: &Node| {
            let with = |tree: &Node| explained(&[(Scope, "", scope)], tree.clone());
            no_platforms(&with(one), &with(other))
        };
        assert_eq!(of("copied", &bin("amd64", "1"), &bin("arm64", "2")), None);
        assert_eq!(of("copied", &bin("app", "1"), &bin("app", "2")).unwrap(), "file `bin/app`");
        assert_eq!(of("context", &bin("amd64", "1"), &bin("arm64", "2")).unwrap(), "file `bin/amd64`");
        assert_eq!(of("copied", &closed("1"), &closed("2")), None);
        assert_eq!(of("context", &closed("1"), &closed("2")).unwrap(), "the context");
    }
}
