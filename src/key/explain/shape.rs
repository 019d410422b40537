//! Shortens the explanation of a key until it fits an annotation.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, Node, SHORT};
use crate::image::hex;
use crate::key::digest::{EntryKind, KeyEntry};
use crate::key::dockerfile::Digest;
use crate::key::files::{Entry, Fact, Kind, Tree};
use crate::key::names::escape;
use crate::secret_name::looks_secret;

/// Makes the entries fit about `room` bytes: of the kind with the most text all are put together in one, then of the next.
pub(crate) fn items(entries: &[KeyEntry], room: usize) -> Vec<Item> {
    // Files and format have members of their own.
    let entries = entries.iter().filter(|entry| !matches!(entry.kind, EntryKind::Files | EntryKind::Format));
    let mut items: Vec<Item> = entries.map(item).collect();
    while items.iter().map(item_size).sum::<usize>() > room {
        let mut sizes: BTreeMap<EntryKind, usize> = BTreeMap::new();
        items
            .iter()
            .filter(|item| !item.name.is_empty())
            .for_each(|item| *sizes.entry(item.kind).or_default() += item_size(item));
        let Some((&largest, _)) = sizes.iter().max_by_key(|(_, size)| **size) else { break };
        let mut digest = Digest::new("build-once several");
        for item in items.iter().filter(|item| item.kind == largest) {
            digest.text(&item.name);
            digest.text(&item.value);
        }
        items.retain(|item| item.kind != largest);
        items.push(Item { kind: largest, name: String::new(), value: cut(&hex(&digest.finish())) });
    }
    items.sort();
    items
}

/// Cuts an entry; the value of a build argument that looks like a secret is left out.
pub(crate) fn item(entry: &KeyEntry) -> Item {
    let hidden = entry.kind == EntryKind::BuildArg && looks_secret(&entry.name);
    let value = if hidden { String::new() } else { cut(&entry.value) };
    Item { kind: entry.kind, name: entry.name.clone(), value }
}

/// Estimates the bytes of an item in JSON: its texts, quotes, commas and brackets.
pub(crate) fn item_size(item: &Item) -> usize {
    item.kind.as_str().len() + item.name.len() + item.value.len() + 12
}

/// Cuts a digest, with or without its algorithm, to 12 digits, and other text to 64 characters.
pub(crate) fn cut(value: &str) -> String {
    let (algorithm, digits) = value.split_once(':').unwrap_or(("", value));
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let short = digits.get(..SHORT).unwrap_or(digits);
        return if algorithm.is_empty() { short.to_owned() } else { format!("{algorithm}:{short}") };
    }
    value.chars().take(64).collect()
}

/// A folder, for choosing which ones to close. Folders are numbered as they are visited; the root is 0.
struct Cost {
    depth: usize,
    /// Bytes of its own files and links.
    own: usize,
    /// The number of the folder that it is in.
    parent: usize,
}

/// Folders at this depth are closed, because readers of JSON stop at 128 levels.
const DEEPEST: usize = 64;

/// Bytes of a closed folder beside its name.
const CLOSED: usize = 30;

/// Writes the tree in about `room` bytes.
pub(crate) fn tree(tree: &Tree, room: usize) -> Node {
    let mut costs = vec![Cost { depth: 0, own: CLOSED, parent: usize::MAX }];
    measure(tree, tree.top(), 0, &mut costs);
    let closed = choose(&costs, room);
    let whole = Fact { digest: tree.digest(), size: tree.len(), ..Fact::default() };
    let mut number = 0;
    folder(tree, &whole, tree.top(), &closed, &mut number)
}

/// Adds the costs of the folder `number` and those below it.
fn measure<'a>(
    tree: &'a Tree,
    entries: impl Iterator<Item = Entry<'a>>,
    number: usize,
    costs: &mut Vec<Cost>,
) {
    let mut own = 0;
    let mut inner = Vec::new();
    for entry in entries {
        // Quotes, colon and comma; the name; the digest with its letter.
        own += 6 + escape(entry.name).len() + SHORT + 2;
        if entry.kind == Kind::Folder {
            own += CLOSED - SHORT;
            inner.push(entry);
        }
    }
    let depth = costs.get(number).map_or(0, |cost| cost.depth) + 1;
    if let Some(cost) = costs.get_mut(number) {
        cost.own += own;
    }
    for entry in inner {
        let child = costs.len();
        costs.push(Cost { depth, own: 0, parent: number });
        measure(tree, tree.below(&entry), child, costs);
    }
}

/// Chooses the folders to close so that the rest fits: first those that alone take a quarter of the room, then the deepest,
/// the largest of them first.
fn choose(costs: &[Cost], room: usize) -> BTreeSet<usize> {
    let mut total: usize = costs.iter().map(|cost| cost.own).sum();
    let mut closed: BTreeSet<usize> = BTreeSet::new();
    closed.extend((0..costs.len()).filter(|&number| costs.get(number).is_some_and(|c| c.depth == DEEPEST)));
    if total <= room {
        return closed;
    }
    let mut order: Vec<usize> = (0..costs.len()).collect();
    let rank = |number: usize| {
        costs.get(number).map_or((false, 0, 0), |cost| (cost.own > room / 4, cost.depth, cost.own))
    };
    order.sort_by_key(|&number| std::cmp::Reverse(rank(number)));
    // The bytes of each folder with all below it. Parents have lower numbers, so one pass from the end sums them up.
    let mut weight: Vec<usize> = costs.iter().map(|cost| cost.own).collect();
    for number in (1..costs.len()).rev() {
        let own = weight.get(number).copied().unwrap_or(0);
        if let Some(parent) = costs.get(number).and_then(|cost| weight.get_mut(cost.parent)) {
            *parent += own;
        }
    }
    for number in order {
        if total <= room {
            break;
        }
        let ancestors: Vec<usize> =
            std::iter::successors(costs.get(number).map(|c| c.parent), |&p| costs.get(p).map(|c| c.parent))
                .collect();
        // A closed folder hides it already.
        if ancestors.iter().any(|ancestor| closed.contains(ancestor)) {
            continue;
        }
        let saved = weight.get(number).copied().unwrap_or(0);
        total -= saved.min(total);
        for ancestor in ancestors {
            if let Some(weight) = weight.get_mut(ancestor) {
                *weight -= saved.min(*weight);
            }
        }
        closed.insert(number);
    }
    closed
}

/// Writes a folder. `number`: of the last folder that was visited; it must count as [`measure`] does.
fn folder<'a>(
    tree: &'a Tree,
    fact: &Fact,
    entries: impl Iterator<Item = Entry<'a>>,
    closed: &BTreeSet<usize>,
    number: &mut usize,
) -> Node {
    let own = *number;
    let mut inner = BTreeMap::new();
    let mut folders = Vec::new();
    for entry in entries {
        if entry.kind == Kind::Folder {
            folders.push(entry);
        } else if !closed.contains(&own) {
            inner.insert(escape(entry.name), Node::Leaf(format!("{}{}", letter(&entry), short(entry.fact))));
        }
    }
    for entry in folders {
        *number += 1;
        let node = folder(tree, entry.fact, tree.below(&entry), closed, number);
        if !closed.contains(&own) {
            inner.insert(escape(entry.name), node);
        }
    }
    Node::Folder { digest: short(fact), count: fact.size, entries: (!closed.contains(&own)).then_some(inner) }
}

fn short(fact: &Fact) -> String {
    hex(&fact.digest).get(..SHORT).unwrap_or_default().to_owned()
}

/// The letter of a [`Node::Leaf`].
fn letter(entry: &Entry<'_>) -> char {
    match entry.kind {
        Kind::Symlink => 'l',
        Kind::Special => 's',
        Kind::File | Kind::Folder => flags_letter(entry.fact.flags),
    }
}

/// The letter of a file with these flags; a digit if a set-id bit is among them.
pub(crate) fn flags_letter(flags: u8) -> char {
    match flags {
        0 => 'f',
        Fact::EXECUTABLE => 'x',
        flags => char::from(b'0' + flags % 8),
    }
}
