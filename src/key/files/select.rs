//! Selects the entries of a tree that count.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::budget::more_than;
use crate::key::dockerignore::{Ignore, Inherited, Pattern, Patterns};
use crate::key::error::KeyError;

/// Selects entries during a walk: those that the ignore file leaves in, and of them those of the key's scope.
#[derive(Debug, Default)]
pub struct Selector {
    ignore: Ignore,
    pick: Pick,
}

/// The entries of a scope.
#[derive(Debug, Default)]
enum Pick {
    /// Everything that the ignore file does not exclude.
    #[default]
    All,
    /// What at least one rule names: the sources of `COPY` and the like.
    Named(Patterns<Rule>),
    /// Files for which the last pattern that matches is not negative: the input `key-files`.
    Listed(Patterns<Listed>),
}

/// One source of a `COPY`, `ADD` or bind mount.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    /// The patterns of `--exclude`, relative to the folder before them.
    pub(crate) excludes: Option<(Vec<u8>, Patterns)>,
}

impl AsRef<Pattern> for Rule {
    fn as_ref(&self) -> &Pattern {
        &self.pattern
    }
}

/// A pattern of `key-files`.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) pattern: Pattern,
    /// True for `!pattern`.
    pub(super) negative: bool,
    /// True once it has matched a file.
    pub(super) used: AtomicBool,
}

impl AsRef<Pattern> for Listed {
    fn as_ref(&self) -> &Pattern {
        &self.pattern
    }
}

/// The state that a folder passes on to its entries.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    ignored: Inherited,
    /// The rules or patterns that have matched the folder or one around it, by their index.
    matched: Box<[bool]>,
}

impl Selector {
    /// Selects everything that BuildKit can get.
    #[must_use]
    pub fn context(ignore: Ignore) -> Self {
        Self { ignore, pick: Pick::All }
    }

    /// Selects what the rules name. All matching counts in the steps of the ignore file.
    pub(crate) fn named(ignore: Ignore, mut rules: Vec<Rule>) -> Self {
        let steps = ignore.steps();
        for rule in &mut rules {
            rule.excludes = rule.excludes.take().map(|(base, patterns)| (base, patterns.counting_in(steps)));
        }
        let rules = Patterns::new(rules).counting_in(steps);
        Self { ignore, pick: Pick::Named(rules) }
    }

    /// Selects the files that a list names. No ignore file counts.
    pub(super) fn listed(patterns: Vec<Listed>) -> Self {
        let ignore = Ignore::default();
        let patterns = Patterns::new(patterns).counting_in(ignore.steps());
        Self { ignore, pick: Pick::Listed(patterns) }
    }

    /// The patterns of a list.
    pub(super) fn into_listed(self) -> Vec<Listed> {
        if let Pick::Listed(list) = self.pick { list.into_items() } else { Vec::new() }
    }

    /// Checks that matching took at most `most` steps, together with all selectors that share the ignore file.
    ///
    /// # Errors
    /// If it took more.
    pub(crate) fn affordable(&self, most: usize) -> Result<(), KeyError> {
        if self.ignore.steps().count() > most as u64 {
            return Err(KeyError::Matching { what: more_than(most, "steps") });
        }
        Ok(())
    }

    /// The indices of the list's patterns that have matched no file; negative ones need not.
    pub(super) fn unused(&self) -> impl Iterator<Item = usize> {
        let list = if let Pick::Listed(list) = &self.pick { list } else { [].as_slice() };
        list.iter()
            .enumerate()
            .filter(|(_, listed)| !listed.negative && !listed.used.load(Ordering::Relaxed))
            .map(|(index, _)| index)
    }

    /// Tells whether a folder that cannot be read is passed over. fsutil does so with one that it would not send by itself. A
    /// list names its files on purpose, so there it is an error. `listed`: the folder counts by itself.
    pub(super) fn tolerates_unreadable(&self, listed: bool) -> bool {
        !listed && !matches!(self.pick, Pick::Listed(_))
    }

    /// Tells whether `path` may count; with a slash at its end, whether anything in that folder may.
    pub(crate) fn reaches(&self, path: &[u8]) -> bool {
        let mut state = State::default();
        for (end, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let Some((_, inner)) = self.folder(path.get(..end).unwrap_or_default(), &state) else {
                return false;
            };
            state = inner;
        }
        path.ends_with(b"/") || self.entry(path, &state)
    }

    /// Tells whether the folder `path` counts by itself.
    pub(crate) fn takes(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).chain([path.len()]);
        let (mut listed, mut state) = (false, State::default());
        for folder in ends.filter_map(|end| path.get(..end)) {
            let Some((own, inner)) = self.folder(folder, &state) else { return false };
            (listed, state) = (own, inner);
        }
        listed
    }

    /// Tells whether a file or link counts. `parent`: the state from [`Self::folder`] of its folder.
    pub(super) fn entry(&self, path: &[u8], parent: &State) -> bool {
        if self.ignore.excludes(path, &parent.ignored) {
            return false;
        }
        match &self.pick {
            Pick::All => true,
            Pick::Named(rules) => {
                let patterns = rules.against(path);
                rules.iter().enumerate().any(|(index, rule)| {
                    (inherited(parent, index) || patterns.hit(index)) && !rule.excludes(path)
                })
            }
            Pick::Listed(list) => {
                let mut picked = false;
                let patterns = list.against(path);
                for (index, listed) in list.iter().enumerate() {
                    if inherited(parent, index) || patterns.hit(index) {
                        listed.used.store(true, Ordering::Relaxed);
                        picked = !listed.negative;
                    }
                }
                picked
            }
        }
    }

    /// Tells whether a folder counts by itself, and which state its entries inherit; `None` if nothing in it can count.
    pub(super) fn folder(&self, path: &[u8], parent: &State) -> Option<(bool, State)> {
        let (ignored, inner) = self.ignore.enter(path, &parent.ignored);
        if ignored && self.ignore.may_skip(path) {
            return None;
        }
        // Without a scope every folder counts; of a list only files do, and none in a repository.
        let (possible, matched) = match &self.pick {
            Pick::All => return Some((!ignored, State { ignored: inner, matched: Box::default() })),
            Pick::Named(rules) => enter(rules, path, parent),
            Pick::Listed(_) if path.rsplit(|&b| b == b'/').next() == Some(b".git") => return None,
            Pick::Listed(list) => enter(list, path, parent),
        };
        let listed = match &self.pick {
            Pick::Named(rules) => {
                !ignored && rules.iter().zip(&matched).any(|(rule, hit)| *hit && !rule.excludes(path))
            }
            _ => false,
        };
        possible.then_some((listed, State { ignored: inner, matched }))
    }
}

impl Rule {
    /// Tells whether `--exclude` leaves out the path, or a folder that it is in.
    fn excludes(&self, path: &[u8]) -> bool {
        let Some((base, patterns)) = &self.excludes else { return false };
        let below = if base.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(base.as_slice()).and_then(|rest| rest.strip_prefix(b"/"))
        };
        let Some(below) = below else { return false };
        let ends =
            below.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).chain([below.len()]);
        let mut parents = ends.filter_map(|end| below.get(..end));
        parents.any(|part| {
            let part = patterns.against(part);
            (0..patterns.len()).any(|index| part.hit(index))
        })
    }
}

/// Tells whether anything in the folder `path` may match, and which patterns match the folder or one around it.
fn enter<T: AsRef<Pattern>>(patterns: &Patterns<T>, path: &[u8], parent: &State) -> (bool, Box<[bool]>) {
    let (mut possible, against) = (false, patterns.against(path));
    let matched = patterns.iter().enumerate().map(|(index, item)| {
        let hit = inherited(parent, index) || against.hit(index);
        possible |= hit || item.as_ref().may_match_below(path);
        hit
    });
    let matched = matched.collect();
    (possible, matched)
}

fn inherited(state: &State, index: usize) -> bool {
    state.matched.get(index).copied().unwrap_or(false)
}
