//! Words the differences between two keys, such as "base `python:3.12` replaced by `python:3.13`".

use std::collections::{BTreeMap, BTreeSet};

use super::{Explained, Item, Node};
use crate::key::MAIN_CONTEXT;
use crate::key::digest::{EntryKind, USES};
use crate::key::platforms::of_platform;

/// A difference between two keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: EntryKind,
    /// The entry's name, or the path; folders end in a slash.
    pub name: String,
    /// The build context that the path is in; `None` for the main context, and if `name` is no path.
    pub context: Option<String>,
    /// A clause such as "`requirements.txt` changed".
    pub text: String,
}

/// The most changed files that are named one by one; more are told by folder.
const FILES_BY_NAME: usize = 5;

/// Lists the differences of `new` from `old`, the most important first. Empty if and only if the keys are equal.
#[must_use]
pub fn diff(old: &Explained, new: &Explained) -> Vec<Change> {
    if old.key == new.key {
        return Vec::new();
    }
    let mut out = Vec::new();
    if old.format != new.format {
        out.push(change(
            EntryKind::Format,
            "",
            format!("key format moved from {} to {}", old.format, new.format),
        ));
    }
    let kinds: BTreeSet<EntryKind> = old.entries.iter().chain(&new.entries).map(|item| item.kind).collect();
    for kind in kinds {
        compare(kind, &values(old, kind), &values(new, kind), &mut out);
    }
    let roots: BTreeSet<&String> = old.trees.keys().chain(new.trees.keys()).collect();
    for root in roots {
        let mut files = Vec::new();
        nodes(String::new(), old.trees.get(root), new.trees.get(root), &mut files);
        tell(if root == MAIN_CONTEXT { "" } else { root }, files, &mut out);
    }
    // Changed images are told by themselves. If nothing else changed, only their order did.
    if out.len() > 1 {
        out.retain(|change| !is_uses(change));
    }
    // Another target or platform reaches other instructions of the same file.
    if out.iter().any(|change| matches!(change.kind, EntryKind::Target | EntryKind::Platform)) {
        let reached = |change: &&mut Change| change.kind == EntryKind::Dockerfile && !is_uses(change);
        for change in out.iter_mut().filter(reached) {
            change.text = String::from("the instructions that are reached changed");
        }
    }
    if out.is_empty() {
        out.push(unnamed(new));
    }
    out
}

fn is_uses(change: &Change) -> bool {
    change.kind == EntryKind::Dockerfile && of_platform(&change.name).0 == USES
}

/// Words the first `most` changes in one line, and how many more there are.
#[must_use]
pub fn summarise(changes: &[Change], most: usize) -> String {
    let mut parts: Vec<String> = changes.iter().take(most.max(1)).map(|change| change.text.clone()).collect();
    let more = changes.len().saturating_sub(parts.len());
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}

/// Makes a change. The entries of git in build contexts have the context in their name: `build context NAME: PATH commit`.
fn change(kind: EntryKind, name: &str, text: String) -> Change {
    let context = name.strip_prefix("build context ").filter(|_| kind == EntryKind::Git);
    let context = context.and_then(|rest| rest.split_once(": ")).map(|(context, _)| context.to_owned());
    Change { kind, name: name.to_owned(), context, text }
}

/// The values of the entries of one kind, by the entries' names.
type Values<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

pub(super) fn values(explained: &Explained, kind: EntryKind) -> Values<'_> {
    let mut values = Values::new();
    for Item { name, value, .. } in explained.entries.iter().filter(|item| item.kind == kind) {
        values.entry(name).or_default().insert(value);
    }
    values
}

/// Adds the changes of one kind of entries.
fn compare(kind: EntryKind, old: &Values<'_>, new: &Values<'_>, out: &mut Vec<Change>) {
    // Several entries were put together in one without a name, for want of room. These kinds have no names anyway.
    let together = |values: &Values<'_>| {
        values.contains_key("")
            && !matches!(
                kind,
                EntryKind::Scope
                    | EntryKind::Target
                    | EntryKind::Dockerfile
                    | EntryKind::KeyExtra
                    | EntryKind::Period
            )
    };
    if together(old) != together(new) || (together(old) && old != new) {
        out.push(change(kind, "", format!("{} changed", plural(kind))));
        return;
    }
    let mut names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let gone: Vec<&str> = old.keys().filter(|name| !new.contains_key(*name)).copied().collect();
    let added: Vec<&str> = new.keys().filter(|name| !old.contains_key(*name)).copied().collect();
    if let (EntryKind::BaseImage | EntryKind::Frontend, [gone], [added]) = (kind, &*gone, &*added) {
        out.push(change(kind, added, format!("{} replaced by `{added}`", subject(kind, gone))));
        names.retain(|name| name != gone && name != added);
    }
    for name in names {
        let subject = subject(kind, name);
        let text = match (old.get(name), new.get(name)) {
            (Some(was), Some(is)) if was == is => continue,
            (Some(was), Some(is)) => other_value(kind, &subject, &join(was), &join(is)),
            (None, Some(is)) if shows_value(kind) && name.is_empty() => {
                format!("{subject} set to {}", join(is))
            }
            (None, _) => format!("{subject} added"),
            (_, None) => format!("{subject} removed"),
        };
        out.push(change(kind, name, text));
    }
}

fn join(values: &BTreeSet<&str>) -> String {
    values.iter().copied().collect::<Vec<_>>().join("+")
}

/// Tells whether people can read the values of this kind; those of the others are digests.
fn shows_value(kind: EntryKind) -> bool {
    use EntryKind::{Period, Platform, Scope, Setting, Target};
    matches!(kind, Scope | Target | Platform | Setting | Period)
}

/// Words an entry that has another value.
fn other_value(kind: EntryKind, subject: &str, was: &str, is: &str) -> String {
    match kind {
        EntryKind::BaseImage | EntryKind::Frontend | EntryKind::BuildContext | EntryKind::AddSource => {
            format!("{subject} moved from {was}… to {is}…")
        }
        _ if shows_value(kind) => format!("{subject} changed from {was} to {is}"),
        _ => format!("{subject} changed"),
    }
}

/// Names an entry in a sentence.
fn subject(kind: EntryKind, name: &str) -> String {
    if let (plain, Some(platform)) = of_platform(name) {
        return format!("{} for {platform}", subject(kind, plain));
    }
    match kind {
        EntryKind::BaseImage => format!("base `{name}`"),
        EntryKind::Dockerfile if name == USES => "what the Dockerfile's stages build on".to_owned(),
        EntryKind::Dockerfile => "the Dockerfile".to_owned(),
        EntryKind::AddSource | EntryKind::FileValue | EntryKind::Setting => format!("`{name}`"),
        EntryKind::Git => git(name),
        EntryKind::SecretId => format!("secret id `{name}`"),
        EntryKind::ExtraArg => format!("extra argument {name}"),
        _ if name.is_empty() => kind.to_string(),
        _ => format!("{kind} `{name}`"),
    }
}

/// What git answers, such as "the commit of `.git`".
fn git(name: &str) -> String {
    match name.rsplit_once(' ') {
        Some((path, "tags")) => format!("the tags of `{path}`"),
        Some((path, "shallow")) => format!("the depth of `{path}`"),
        Some((path, what)) => format!("the {what} of `{path}`"),
        None => format!("`{name}`"),
    }
}

fn plural(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::BaseImage => "base images",
        EntryKind::BuildArg => "build arguments",
        EntryKind::BuildContext => "build contexts",
        EntryKind::AddSource => "remote sources",
        EntryKind::FileValue => "values of key files",
        EntryKind::Label => "labels",
        EntryKind::SecretId => "secret ids",
        EntryKind::Setting => "build settings",
        EntryKind::ExtraArg => "extra arguments",
        EntryKind::Platform => "platforms",
        _ => "other inputs",
    }
}

/// The change of something that the explanation does not have: the value of an argument that looks like a secret, or the
/// part of a value that was cut off.
fn unnamed(new: &Explained) -> Change {
    let hidden: Vec<String> = new
        .entries
        .iter()
        .filter(|item| item.value.is_empty() && item.kind == EntryKind::BuildArg)
        .map(|item| format!("`{}`", item.name))
        .collect();
    if hidden.is_empty() {
        return change(
            EntryKind::KeyExtra,
            "",
            "something changed that the explanation does not hold".to_owned(),
        );
    }
    change(EntryKind::BuildArg, "", format!("build-arg {} changed", hidden.join(" or ")))
}

/// A changed path.
struct Touched {
    /// The path; a folder's ends in a slash.
    path: String,
    /// `changed`, `added` or `removed`.
    what: &'static str,
    /// The number of files.
    count: u64,
}

/// Adds the paths that differ below `path`.
fn nodes(path: String, old: Option<&Node>, new: Option<&Node>, out: &mut Vec<Touched>) {
    match (old, new) {
        (None, None) => {}
        (Some(old), Some(new)) if old == new => {}
        (
            Some(Node::Folder { digest: was, entries: old, .. }),
            Some(Node::Folder { digest: is, entries: new, count }),
        ) => {
            if was == is {
                return;
            }
            let (Some(old), Some(new)) = (old, new) else {
                out.push(Touched { path, what: "changed", count: *count });
                return;
            };
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let folder = [old.get(name), new.get(name)]
                    .iter()
                    .flatten()
                    .any(|node| matches!(node, Node::Folder { .. }));
                nodes(
                    format!("{path}{name}{}", if folder { "/" } else { "" }),
                    old.get(name),
                    new.get(name),
                    out,
                );
            }
        }
        (Some(_), Some(_)) => out.push(Touched { path, what: "changed", count: 1 }),
        (None, Some(node)) => every(path, node, "added", out),
        (Some(node), None) => every(path, node, "removed", out),
    }
}

/// Adds every path below `path`, which one side alone has.
fn every(path: String, node: &Node, what: &'static str, out: &mut Vec<Touched>) {
    match node {
        Node::Folder { entries: Some(entries), .. } if !entries.is_empty() => {
            for (name, node) in entries {
                let slash = if matches!(node, Node::Folder { .. }) { "/" } else { "" };
                every(format!("{path}{name}{slash}"), node, what, out);
            }
        }
        Node::Folder { count, .. } => out.push(Touched { path, what, count: *count }),
        Node::Leaf(_) => out.push(Touched { path, what, count: 1 }),
    }
}

/// Words the changed paths of a context: few by name, many by their first folder.
fn tell(root: &str, files: Vec<Touched>, out: &mut Vec<Change>) {
    let of = if root.is_empty() { String::new() } else { format!(" of build context `{root}`") };
    let mut groups: BTreeMap<String, Vec<Touched>> = BTreeMap::new();
    let by_folder = files.len() > FILES_BY_NAME;
    for file in files {
        let group = match file.path.find('/') {
            Some(at) if by_folder => file.path.get(..=at).unwrap_or(&file.path).to_owned(),
            _ => file.path.clone(),
        };
        groups.entry(group).or_default().push(file);
    }
    for (group, files) in groups {
        let text = match files.as_slice() {
            [one] if one.path.is_empty() => format!("files{of} changed"),
            [one] if one.path.ends_with('/') && one.count == 0 => {
                format!("empty folder `{}`{of} {}", one.path, one.what)
            }
            [one] if one.path.ends_with('/') && one.what == "changed" => {
                format!("files under `{}`{of} changed", one.path)
            }
            [one] if one.path.ends_with('/') => {
                format!("{} files under `{}`{of} {}", one.count, one.path, one.what)
            }
            [one] => format!("`{}`{of} {}", one.path, one.what),
            many => format!("files under `{group}`{of} changed ({})", tally(many)),
        };
        let context = (!root.is_empty()).then(|| root.to_owned());
        out.push(Change { context, ..change(EntryKind::Files, &group, text) });
    }
}

/// Counts the files, such as "2 changed, 1 added"; those too of a folder of which the explanation has only a digest.
fn tally(files: &[Touched]) -> String {
    let parts = ["changed", "added", "removed"].into_iter().filter_map(|what| {
        let count: u64 = files.iter().filter(|file| file.what == what).map(|file| file.count.max(1)).sum();
        (count > 0).then(|| format!("{count} {what}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d103_a_folder_of_which_only_the_digest_is_known_counts_as_its_files() {
        let touched = |path: &str, count| Touched { path: path.to_owned(), what: "removed", count };
        assert_eq!(tally(&[touched("a/b/", 200), touched("a/c", 1), touched("a/empty/", 0)]), "202 removed");
    }
}
