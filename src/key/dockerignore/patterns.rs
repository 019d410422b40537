//! Matches one path with many patterns at once.

use std::cell::OnceCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::machine::{Found, Machine};
use super::pattern::Pattern;

/// Items with a pattern each, and the machine that matches all patterns at once.
#[derive(Debug)]
pub(crate) struct Patterns<T = Pattern> {
    items: Vec<T>,
    machine: Machine,
    steps: Steps,
}

/// Counts the steps of matching: one pattern against one path, or one operation on a word of the machine. Clones share the
/// count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Arc<AtomicU64>);

impl Steps {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, steps: u64) {
        self.0.fetch_add(steps, Ordering::Relaxed);
    }
}

impl<T: AsRef<Pattern>> Patterns<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        let machine = Machine::new(items.iter().map(|item| item.as_ref().expression()));
        Self { items, machine, steps: Steps::default() }
    }

    /// Begins to match one path, which has no leading slash.
    pub(crate) fn against<'a>(&'a self, path: &'a [u8]) -> Against<'a, T> {
        self.steps.add(self.items.len() as u64);
        Against { patterns: self, path, found: OnceCell::new() }
    }

    /// Counts steps in `steps` from now on.
    #[must_use]
    pub(crate) fn counting_in(self, steps: &Steps) -> Self {
        Self { steps: steps.clone(), ..self }
    }

    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }
}

impl<T: AsRef<Pattern>> Default for Patterns<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> Deref for Patterns<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

/// One path, to be matched by itself (not through a parent folder).
pub(crate) struct Against<'a, T> {
    patterns: &'a Patterns<T>,
    path: &'a [u8],
    /// The expressions that match, computed at the first use.
    found: OnceCell<Found>,
}

impl<T: AsRef<Pattern>> Against<'_, T> {
    /// Tells whether the pattern of the item at `index` matches.
    pub(crate) fn hit(&self, index: usize) -> bool {
        let Some(item) = self.patterns.items.get(index) else { return false };
        item.as_ref().matches(self.path, || self.patterns.machine.is_found(self.found(), index))
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| {
            let candidates = self.patterns.items.iter().enumerate().filter_map(|(index, item)| {
                item.as_ref().expression().filter(|expression| expression.may_match(self.path)).map(|_| index)
            });
            let (found, steps) = self.patterns.machine.run(self.path, candidates);
            self.patterns.steps.add(steps);
            found
        })
    }
}
