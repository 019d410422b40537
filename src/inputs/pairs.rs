//! Lists of `NAME=value`, such as those of `labels` and `build-contexts`.

use std::collections::HashSet;
use std::hash::Hash;

use super::lists::pairs;
use super::problems::Problems;

/// Reads the pairs. An item that is not `NAME=value` is noted as a problem of `input`, and left out.
pub(super) fn named(problems: &mut Problems, input: &str, list: Vec<String>) -> Vec<(String, String)> {
    let mut good = Vec::new();
    for pair in pairs(list) {
        match pair {
            Ok(pair) => good.push(pair),
            Err(item) => problems.add(input, format!("`{item}` is not NAME=value")),
        }
    }
    good
}

/// Drops every item that a later one of the same name replaces; the order of the others stays.
pub(super) fn last_of_each<T, N: Eq + Hash>(mut list: Vec<T>, name: impl Fn(&T) -> N) -> Vec<T> {
    let mut seen = HashSet::new();
    list.reverse();
    list.retain(|item| seen.insert(name(item)));
    list.reverse();
    list
}
