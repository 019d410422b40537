//! Lists of `NAME=value`.

use std::collections::HashSet;
use std::hash::Hash;

use super::lists::pairs;
use super::problems::Problems;

/// Reads the pairs. An item that is not `NAME=value` is a problem of the input.
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

/// Of those with one name the last, which is the one that counts.
pub(super) fn last_of_each<T, N: Eq + Hash>(mut list: Vec<T>, name: impl Fn(&T) -> N) -> Vec<T> {
    let mut known = HashSet::new();
    list.reverse();
    list.retain(|item| known.insert(name(item)));
    list.reverse();
    list
}
