//! Selects the files that the reached instructions name: the scope `copied`.
//!
//! BuildKit asks its client for these paths alone (`filterPaths` in `frontend/dockerfile/dockerfile2llb/convert.go`), and
//! this module follows its rules.

use std::path::Path;
use std::sync::Arc;

use super::follow;
use super::select::{Rule, Selector};
use crate::key::dockerignore::{Ignore, Pattern, Patterns};
use crate::key::error::KeyError;

/// A source in the context that a reached `COPY`, `ADD` or bind mount names, variables already replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopySource {
    /// The path as written, perhaps with wildcards; relative or absolute, it is one below the context's root.
    pub path: String,
    /// Patterns of `--exclude`.
    pub excludes: Arc<[String]>,
    /// Line of the instruction, from 1.
    pub line: usize,
}

impl Selector {
    /// Selects what `sources` name in the context, with the links on the way.
    ///
    /// # Errors
    /// A link or folder on the way that cannot be read.
    pub fn copied(context: &Path, ignore: Ignore, sources: &[CopySource]) -> Result<Self, KeyError> {
        let mut rules = Vec::new();
        for source in sources {
            let Some(paths) = follow::resolve(context, source.path.as_bytes())? else {
                rules.push(everything(source));
                continue;
            };
            let has_no_links = paths.len() == 1;
            for path in paths {
                // A build refuses a path that moby cannot read as a pattern; until then, everything counts.
                let rule = match Pattern::new(&path) {
                    Ok(pattern) if path.first() != Some(&b'!') => {
                        let is_plain = has_no_links && !follow::has_wildcard(&path);
                        Some(Rule { pattern, excludes: is_plain.then(|| excludes(&path, source)).flatten() })
                    }
                    _ => None,
                };
                rules.push(rule.unwrap_or_else(|| everything(source)));
            }
        }
        Ok(Self::named(ignore, rules))
    }
}

/// The rule that names the whole context.
fn everything(source: &CopySource) -> Rule {
    Rule { pattern: Pattern::all(), excludes: excludes(b"", source) }
}

/// The patterns of `--exclude`, relative to the folder `base`; `None` if there are none, or one is an exception. Versions of
/// BuildKit read those in different ways, as they do with links and wildcards in the path. Then nothing is left out: the
/// key covers more than it must, never less.
fn excludes(base: &[u8], source: &CopySource) -> Option<(Vec<u8>, Patterns)> {
    let patterns: Option<Vec<Pattern>> = source
        .excludes
        .iter()
        .map(|text| {
            if text.trim().starts_with('!') {
                None
            } else {
                Pattern::new(&crate::key::dockerignore::clean(text.trim().as_bytes())).ok()
            }
        })
        .collect();
    let patterns = patterns.filter(|patterns| !patterns.is_empty())?;
    Some((base.to_vec(), Patterns::new(patterns)))
}
