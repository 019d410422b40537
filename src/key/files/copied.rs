//! The scope `copied`: only files that the reached instructions name.
//!
//! BuildKit itself asks its client for no more than these paths (`filterPaths` in
//! `frontend/dockerfile/dockerfile2llb/convert.go`), by the rules followed here.

use std::path::Path;
use std::sync::Arc;

use super::follow;
use super::select::{Rule, Selector};
use crate::key::dockerignore::{Ignore, Pattern, Patterns};
use crate::key::error::KeyError;

/// A source in the context that a reached `COPY`, `ADD` or bind mount names, variables already replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopySource {
    /// As written: relative or absolute (both mean the context's root), perhaps with wildcards.
    pub path: String,
    /// Patterns of `--exclude`.
    pub excludes: Arc<[String]>,
    /// Line of the instruction, from 1.
    pub line: usize,
}

impl Selector {
    /// Only what `sources` name in the context, with the links on the way.
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
            let direct = paths.len() == 1;
            for path in paths {
                // What moby cannot read as a pattern the build will refuse; until then, everything counts.
                let rule = match Pattern::new(&path) {
                    Ok(pattern) if path.first() != Some(&b'!') => {
                        let plain = direct && !follow::has_wildcard(&path);
                        Some(Rule { pattern, excludes: plain.then(|| excludes(&path, source)).flatten() })
                    }
                    _ => None,
                };
                rules.push(rule.unwrap_or_else(|| everything(source)));
            }
        }
        Ok(Self::named(ignore, rules))
    }
}

fn everything(source: &CopySource) -> Rule {
    Rule { pattern: Pattern::all(), excludes: excludes(b"", source) }
}

/// `--exclude` of a folder named plainly. Where its reading differs between versions (wildcards, links,
/// exceptions) nothing is left out: the key is then wider, never wrong.
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
