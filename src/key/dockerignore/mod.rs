//! `.dockerignore`: decides which paths of a context BuildKit never gets.
//!
//! It follows github.com/moby/patternmatcher (`patternmatcher.go`, `ignorefile/ignorefile.go`),
//! github.com/tonistiigi/fsutil (`filter.go`) and BuildKit's `frontend/dockerui/config.go`. No file is an exception: BuildKit
//! gets the Dockerfile apart from the context, so `COPY . /` has no Dockerfile or `.dockerignore` that is left out.
//!
//! `docs`, `!docs/README.md` leaves out all below `docs` but `docs/README.md`: the last rule that matches decides.

mod class;
mod clean;
mod link;
#[cfg(test)]
mod load_tests;
mod machine;
mod pattern;
mod patterns;
mod regex;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::budget::{self, IGNORE_RULES, more_than};
use crate::key::error::KeyError;
pub(crate) use clean::{clean, rooted};
pub(crate) use link::follow;
pub(crate) use pattern::Pattern;
pub(crate) use patterns::{Patterns, Steps};

/// The input that adds patterns to an ignore file; stands in messages in place of a file's name.
pub(crate) const EXCLUDE: &str = "exclude";

/// The rules of one ignore file, in order. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Arc<Patterns<Rule>>,
    /// The paths of the exceptions, sorted, with a slash in place of a closing `/**` or `/*`. `None` if an exception
    /// has another wildcard.
    exceptions: Option<Arc<[Vec<u8>]>>,
    /// The file that the rules came from.
    source: Option<PathBuf>,
    /// The text that the rules were parsed from, for the build.
    text: Vec<u8>,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    /// True for `!pattern`.
    exception: bool,
}

impl AsRef<Pattern> for Rule {
    fn as_ref(&self) -> &Pattern {
        &self.pattern
    }
}

/// The rules that matched a folder, one `bool` a rule. The folder's entries inherit them. Empty for the context itself.
#[derive(Debug, Clone, Default)]
pub struct Inherited(Box<[bool]>);

impl Ignore {
    /// The rules in force for a build: `<dockerfile>.dockerignore` if that file exists, else
    /// `<context>/.dockerignore`, else none.
    ///
    /// # Errors
    /// An unreadable file, or a pattern the build engine would refuse, with its line.
    pub fn load(context: &Path, dockerfile: &Path) -> Result<Self, KeyError> {
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let own = PathBuf::from(own);
        match read(&own)? {
            Some(text) => Self::parse(&text, &own),
            None => Self::of_context(context),
        }
    }

    /// The rules of a folder's own `.dockerignore`: all that BuildKit asks for in a named build context.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn of_context(context: &Path) -> Result<Self, KeyError> {
        let path = context.join(".dockerignore");
        read(&path)?.map_or_else(|| Ok(Self::default()), |text| Self::parse(&text, &path))
    }

    /// Reads rules from the text of the file `name` (used in messages only).
    ///
    /// # Errors
    /// A pattern the build engine would refuse, with its line.
    pub fn parse(whole: &[u8], name: &Path) -> Result<Self, KeyError> {
        let text = whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(whole);
        let mut rules = Vec::new();
        // BuildKit's client sends the patterns as a header, and escapes them all where one is not ASCII (`session/filesync`).
        let escaped = !text.is_ascii();
        for (index, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.first() == Some(&b'#') {
                continue;
            }
            let refused = |reason| KeyError::Ignore {
                file: name.to_owned(),
                line: index + 1,
                pattern: crate::key::names::escape(trim(line)),
                reason,
            };
            if !escaped && trim(line).iter().any(u8::is_ascii_control) {
                return Err(refused("it holds a control character, which BuildKit does not take".to_owned()));
            }
            rules.extend(parse_line(line).map_err(refused)?);
            if rules.len() > IGNORE_RULES {
                return Err(refused(more_than(IGNORE_RULES, "patterns")));
            }
        }
        let exceptions = || rules.iter().filter(|rule| rule.exception).map(|rule| &rule.pattern);
        let plain = exceptions().all(Pattern::is_prefix_only).then(|| {
            let mut names: Vec<_> =
                exceptions().map(|pattern| [pattern.without_trailing_glob(), b"/"].concat()).collect();
            names.sort_unstable();
            names.into()
        });
        let (rules, source, text) = (Arc::new(Patterns::new(rules)), Some(name.to_owned()), whole.to_vec());
        Ok(Self { rules, exceptions: plain, source, text })
    }

    /// Adds the patterns of the input `exclude` at the end.
    ///
    /// # Errors
    /// A pattern the build engine would refuse, with its line in the input.
    pub fn extended(&self, patterns: &[String]) -> Result<Self, KeyError> {
        let more = patterns.iter().flat_map(|pattern| [b"\n", pattern.as_bytes()].concat());
        let text: Vec<u8> = self.text.iter().copied().chain(more).chain(*b"\n").collect();
        // A refused pattern of the input is not reported under the file's name.
        let own_lines = self.text.split(|&b| b == b'\n').count();
        let source = self.source.as_deref().unwrap_or_else(|| Path::new(EXCLUDE));
        Self::parse(&text, source).map_err(|error| match error {
            KeyError::Ignore { line, pattern, reason, .. } if line > own_lines => {
                KeyError::Ignore { file: EXCLUDE.into(), line: line - own_lines, pattern, reason }
            }
            error => error,
        })
    }

    /// The text that the rules were parsed from.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The file the rules came from.
    #[must_use]
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Tells whether `path` is left out. `parent`: what [`Self::enter`] returned for its folder.
    #[must_use]
    pub fn excludes(&self, path: &[u8], parent: &Inherited) -> bool {
        self.evaluate(path, parent, |_| {})
    }

    /// Tells whether the folder `dir` is left out, and which rules its entries inherit.
    #[must_use]
    pub fn enter(&self, dir: &[u8], parent: &Inherited) -> (bool, Inherited) {
        let mut matched = Vec::with_capacity(self.rules.len());
        let excluded = self.evaluate(dir, parent, |hit| matched.push(hit));
        (excluded, Inherited(matched.into()))
    }

    /// Tells whether the walk may skip an excluded folder: no exception can bring back anything below it.
    /// fsutil skips by this rule, so it changes the result, not only the speed.
    #[must_use]
    pub fn may_skip(&self, dir: &[u8]) -> bool {
        let Some(exceptions) = &self.exceptions else { return false };
        // In sorted names, those below one folder stand together.
        let below = [dir, b"/"].concat();
        let first = exceptions.partition_point(|name| *name < below);
        !exceptions.get(first).is_some_and(|name| name.starts_with(&below))
    }

    /// The steps that matching took, in this and its clones together, for [`crate::budget::PATH_MATCHING`].
    pub(crate) fn steps(&self) -> &Steps {
        self.rules.steps()
    }

    /// moby's `MatchesUsingParentResults`: a rule that cannot change the verdict is not evaluated, and then
    /// counts as not matching for what lies below.
    fn evaluate(&self, path: &[u8], parent: &Inherited, mut record: impl FnMut(bool)) -> bool {
        let mut excluded = false;
        let rules = self.rules.against(path);
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.0.get(index).copied().unwrap_or(false);
            let hit = inherited || (rule.exception == excluded && rules.hit(index));
            record(hit);
            if hit {
                excluded = !rule.exception;
            }
        }
        excluded
    }
}

/// Reads one line, as `ReadAll` of `ignorefile.go` and then `New` of `patternmatcher.go` do.
fn parse_line(line: &[u8]) -> Result<Option<Rule>, String> {
    let text = trim(line);
    let (inverted, body) = match text.split_first() {
        None => return Ok(None),
        Some((b'!', rest)) => (true, trim(rest)),
        Some(_) => (false, text),
    };
    let mut normal = if body.is_empty() { Vec::new() } else { clean(body) };
    if normal.len() > 1 && normal.first() == Some(&b'/') {
        normal.remove(0);
    }
    if inverted {
        normal.insert(0, b'!');
    }
    let normal = clean(trim(&normal));
    let (exception, pattern) = match normal.split_first() {
        Some((b'!', [])) => return Err("`!` alone brings nothing back".to_owned()),
        Some((b'!', rest)) => (true, rest),
        _ => (false, normal.as_slice()),
    };
    Ok(Some(Rule { pattern: Pattern::new(pattern)?, exception }))
}

/// Go's `strings.TrimSpace` on bytes.
fn trim(bytes: &[u8]) -> &[u8] {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.trim_ascii() };
    text.trim().as_bytes()
}

/// The file's text; `None` if the file is absent or a folder. A link is followed inside the file's folder only, as
/// BuildKit does, which has no rules where that fails.
fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let Some(file) = link::follow(folder, name).map_err(failed)? else { return Ok(None) };
    if fs_err::metadata(&file).map_err(failed)?.is_dir() {
        return Ok(None);
    }
    budget::read_file(&file, budget::IGNORE_FILE).map(Some).map_err(failed)
}
